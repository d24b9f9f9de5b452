"""Int8 simulated in PyTorch: the values that an exported int8 file computes with, and gradients.

The file has a pair of quantise and dequantise nodes at chosen tensors (see ``quantise.py``). Here
the same tensors, of the same ranges, are rounded while the network runs, whatever its modules are.
Weights are rounded per output channel; a batch norm that the file folds into them changes nothing
about that.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode
from torch.utils._pytree import tree_leaves

from netadapt.deployment.rounding import ROUNDED, WEIGHTED, Node, float_nodes, rounded_nodes
from netadapt.errors import UserError

MARK = "_netadapt_int8_node"
HIGHEST = 255  # of an unsigned activation
WEIGHT = 127  # of a signed weight


@dataclass(frozen=True)
class Int8Simulation:
    """Where a network is rounded, and the ranges; of all networks of its structure.

    Attributes:
        ranges: the lowest and the highest value of each rounded result, by its node.
        weighted: the nodes whose weights are rounded.
        combined: the nodes that round constants that they read beside.
        nodes: how many a forward pass has.
    """

    ranges: Mapping[int, tuple[float, float]]
    weighted: frozenset[int]
    combined: frozenset[int]
    nodes: int

    @classmethod
    def observed(cls, model: nn.Module, frames: Iterable[Tensor]) -> "Int8Simulation":
        """Observe ``model`` on ``frames``, each ``(N, C, H, W)``; its mode is restored.

        Raises:
            UserError: no frames, or a network whose forward passes differ.
        """
        nodes: list[Node] = []
        results: tuple[int, ...] = ()
        modes = {module: module.training for module in model.modules()}
        model.eval()
        try:
            for frame in frames:
                observer = _Observer(nodes)
                with torch.no_grad():
                    results = observer.run(model, frame)
        finally:
            for module, training in modes.items():
                module.training = training
        if not nodes:
            raise UserError("int8 needs typical inputs to set its ranges; there are none")
        rounded = rounded_nodes(nodes, results)
        ranges = {place: (nodes[at].lowest, nodes[at].highest) for place, at in rounded.items()}
        kept = float_nodes(nodes, results)
        weighted = {p for p, node in enumerate(nodes) if node.kind in WEIGHTED} - kept
        combined = {p for p, node in enumerate(nodes) if node.kind in ROUNDED} - weighted - kept
        return cls(ranges, frozenset(weighted), frozenset(combined), len(nodes))

    def run(self, model: nn.Module, inputs: Tensor) -> Any:
        """Return what ``model`` answers in int8; gradients pass where values are in range.

        Raises:
            UserError: ``model`` is not of the structure that was observed.
        """
        rounding = _Rounding(self)
        outputs = rounding.run(model, inputs)
        if rounding.count != self.nodes:
            raise UserError(
                f"cannot simulate int8: {type(model).__name__} computes {rounding.count} "
                f"tensors in one forward pass and {self.nodes} in another"
            )
        return outputs


class SimulatedNetwork(nn.Module):
    """A network that answers as its int8 file would; in training mode it learns to."""

    def __init__(self, model: nn.Module, simulation: Int8Simulation) -> None:
        super().__init__()
        self.model = model
        self.simulation = simulation

    def forward(self, inputs: Tensor) -> Any:
        """Return the simulated output for ``(N, C, H, W)`` inputs."""
        return self.simulation.run(self.model, inputs)

    def __getattr__(self, name: str) -> Any:
        """Answer for the network itself, such as for its ``spec``."""
        try:
            return super().__getattr__(name)
        except AttributeError:
            return getattr(super().__getattr__("model"), name)


class _Following(TorchFunctionMode):
    """Numbers the functions that compute from the network's input, in their order."""

    def __init__(self) -> None:
        super().__init__()
        self.count = 0

    def __torch_function__(
        self, func: Any, types: Any, args: Any = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        given = dict(kwargs or {})
        read = [one for one in tree_leaves((args, given)) if isinstance(one, Tensor)]
        sources = tuple(place for one in read if (place := getattr(one, MARK, None)) is not None)
        if not sources:
            return func(*args, **given)
        kind = getattr(func, "__name__", "")
        results = self.computed(kind, sources, func, args, given)
        made = [one for one in tree_leaves(results) if isinstance(one, Tensor)]
        if not made or kind in ("detach", "__get__"):
            return results
        results = self.finished(kind, sources, results)
        for one in tree_leaves(results):
            if isinstance(one, Tensor):
                setattr(one, MARK, self.count)
        self.count += 1
        return results

    def computed(
        self, kind: str, sources: tuple[int, ...], func: Any, args: Any, kwargs: dict[str, Any]
    ) -> Any:
        """Call the function."""
        return func(*args, **kwargs)

    def finished(self, kind: str, sources: tuple[int, ...], results: Any) -> Any:
        """Return what the function's readers get."""
        return results

    def marked(self, inputs: Tensor) -> Tensor:
        """Return the input as node 0."""
        image: Tensor = self.finished("input", (), inputs.detach().view_as(inputs))
        setattr(image, MARK, 0)
        self.count = 1
        return image


class _Observer(_Following):
    """Notes every node, and widens its range."""

    def __init__(self, nodes: list[Node]) -> None:
        super().__init__()
        self._nodes = nodes

    def run(self, model: nn.Module, inputs: Tensor) -> tuple[int, ...]:
        """Run the network; return the nodes of its outputs."""
        image = self.marked(inputs)
        with self:
            outputs = model(image)
        leaves = [one for one in tree_leaves(outputs) if isinstance(one, Tensor)]
        return tuple(getattr(one, MARK) for one in leaves if hasattr(one, MARK))

    def finished(self, kind: str, sources: tuple[int, ...], results: Any) -> Any:
        place = self.count if sources else 0
        if place == len(self._nodes):
            self._nodes.append(Node(kind, sources))
        node = self._nodes[place]
        if node.kind != kind:
            raise UserError(f"cannot simulate int8: {kind} where there was {node.kind} before")
        for one in tree_leaves(results):
            if isinstance(one, Tensor) and one.is_floating_point() and one.numel():
                node.observe(one)
        return results


class _Rounding(_Following):
    """Rounds what a simulation says."""

    def __init__(self, simulation: Int8Simulation) -> None:
        super().__init__()
        self._simulation = simulation

    def run(self, model: nn.Module, inputs: Tensor) -> Any:
        """Run the network."""
        image = self.marked(inputs)
        with self:
            return model(image)

    def computed(
        self, kind: str, sources: tuple[int, ...], func: Any, args: Any, kwargs: dict[str, Any]
    ) -> Any:
        if kind in ROUNDED and self.count in self._simulation.combined:
            return func(*(rounded_constant(one) for one in args), **kwargs)
        if kind not in WEIGHTED or self.count not in self._simulation.weighted:
            return func(*args, **kwargs)
        if len(args) > 1:
            weight = rounded_weight(args[1], WEIGHTED[kind])
            return func(args[0], weight, *args[2:], **kwargs)
        kwargs["weight"] = rounded_weight(kwargs["weight"], WEIGHTED[kind])
        return func(*args, **kwargs)

    def finished(self, kind: str, sources: tuple[int, ...], results: Any) -> Any:
        limits = self._simulation.ranges.get(self.count if sources else 0)
        if limits is None or not isinstance(results, Tensor):
            return results
        return rounded_activation(results, *limits)


def rounded_activation(values: Tensor, lowest: float, highest: float) -> Tensor:
    """Return ``values`` as unsigned 8-bit integers of a range would have them."""
    scale = (highest - lowest) / HIGHEST
    if not scale > 0:
        return values
    zero = min(HIGHEST, max(0, round(-lowest / scale)))
    return torch.fake_quantize_per_tensor_affine(values, scale, zero, 0, HIGHEST)


def rounded_constant(value: Any) -> Any:
    """Return ``value``, rounded by its own range if it is a tensor that no node computed."""
    if not isinstance(value, Tensor) or hasattr(value, MARK) or not value.is_floating_point():
        return value
    low, high = torch.aminmax(value.detach())
    return rounded_activation(value, min(0.0, float(low)), max(0.0, float(high)))


def rounded_weight(weight: Tensor, channel_dim: int) -> Tensor:
    """Return ``weight`` as signed 8-bit integers would have it, with a scale per channel."""
    others = [dim for dim in range(weight.dim()) if dim != channel_dim]
    scale = weight.detach().abs().amax(dim=others).clamp_min(1e-12) / WEIGHT
    zero = torch.zeros_like(scale, dtype=torch.int32)
    return torch.fake_quantize_per_channel_affine(weight, scale, zero, channel_dim, -WEIGHT, WEIGHT)
