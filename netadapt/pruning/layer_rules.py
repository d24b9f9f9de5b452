"""What layers do to channels: some mix them, others pass them on."""

from typing import Any

from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.modules.instancenorm import _InstanceNorm

from netadapt.pruning.folding import CONVOLUTIONS
from netadapt.pruning.labels import along, fixed, varying
from netadapt.pruning.streams import REMEDY, is_stream_norm
from netadapt.pruning.surgery import passes_channels
from netadapt.pruning.tracker import Tracker


class LayerRules(Tracker):  # type: ignore[no-untyped-call]
    """Convolutions, matrix products, norms and slopes."""

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self._passed: dict[str, Tensor] = {}  # what went into a depthwise convolution

    def _convolution(self, args: Any, output: Tensor) -> Tensor:
        given, groups, module = self._uniform(args[0], 1), args[8], self._running
        own = isinstance(module, CONVOLUTIONS) and module.in_channels == args[0].shape[1]
        if not own or module is None or self._depends_on_input(args[1]):
            self.book.lock(given, "a convolution outside a layer reads its channels")
            return fixed(output)
        name, count = self._running_name, output.shape[1]
        if name in self.writes:  # called before
            self.book.join(self.reads.get(name, self._passed.get(name, given)), given)
        elif passes_channels(module):
            units = given.view(groups, -1)
            self.book.join(units[:, :1], units, f"{name} reads its groups of channels as one")
            self._passed[name] = given
            self.writes[name] = units[:, 0].repeat_interleave(count // groups)
        else:
            self.reads[name], self.writes[name] = given, self.book.new(count)
            if groups > 1:
                why = f"every group of {name} loses as many channels"
                for labels in (given, self.writes[name]):
                    self.book.join(labels.view(groups, -1)[:1], labels.view(groups, -1), why)
        return along(self.writes[name], 1, output)

    def _linear(self, given: Tensor, weight: Tensor, output: Tensor) -> Tensor:
        read, name = self._uniform(given, 1), self._running_name
        if not isinstance(self._running, nn.Linear) or self._depends_on_input(weight):
            self.book.lock(read, "a matrix product outside a layer reads its channels")
            if self._depends_on_input(weight):
                self.book.lock(self._of(weight), "a matrix product outside a layer reads them")
            return fixed(output)
        if name in self.writes:
            self.book.join(self.reads[name], read)
        else:
            self.reads[name], self.writes[name] = read, self.book.new(output.shape[1])
        return along(self.writes[name], 1, output)

    def _batch_norm(self, args: Any, output: Tensor) -> Tensor:
        labels = self._uniform(args[0], 1)
        module = self._running
        if isinstance(module, _InstanceNorm):  # sees every image's channels side by side
            self.book.join(
                labels.view(-1, module.num_features)[0], labels.view(-1, module.num_features)
            )
            self._pass_on(labels[: module.num_features])
        elif isinstance(module, _BatchNorm):
            self._pass_on(labels)
        else:
            self.book.lock(labels, "a batch norm outside a layer reads its channels")
        return along(labels, 1, output)

    def _group_norm(self, args: Any, output: Tensor) -> Tensor:
        labels = self._uniform(args[0], 1)
        if args[6] == 1 and self._approximates():
            self._pass_on(labels)
            return along(labels, 1, output)
        if isinstance(self._running, nn.GroupNorm):
            self._pass_on(labels)
        else:
            self.book.lock(labels, "a group norm outside a layer reads its channels")
        blocks = labels.view(args[6], -1)
        why = f"{self._running_name} standardises over a group's channels at once"
        if args[6] == 1 and is_stream_norm(self._running):
            why = f"all of its channels are standardised together by {self._running_name}{REMEDY}"
        self.book.join(blocks[:, :1], blocks, why)
        return along(labels, 1, output)

    def _layer_norm(self, args: Any, output: Tensor) -> Tensor:
        labels = self._of(args[0])
        dims = [output.dim() - 1 - place for place in range(len(args[1]))]
        if len(dims) == 1 and varying(labels) == dims and self._approximates():
            self._pass_on(labels.flatten())
            return labels
        remedy = REMEDY if is_stream_norm(self._running) else ""
        self._joined(labels, dims, f"are standardised together by {self._running_name}{remedy}")
        return labels

    def _prelu(self, args: Any, output: Tensor) -> Tensor:
        module = self._running
        if isinstance(module, nn.PReLU) and module.num_parameters > 1:
            labels = self._uniform(args[0], 1)
            self._pass_on(labels)
            return along(labels, 1, output)
        return self._of(args[0])
