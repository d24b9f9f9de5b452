"""Starting a network from somebody's weights: a layer is loaded if it fits by name and shape."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import torch
from torch import Tensor, nn

from netadapt.errors import UserError
from netadapt.models.inputs import Normalise
from netadapt.models.weights import PublishedWeights

COUNTER = "num_batches_tracked"  # of a batch norm; few publish it, and nothing depends on it
NAMED = 8  # fresh layers that a message names


@runtime_checkable
class HasPublishedNames(Protocol):
    """A network that others publish weights for under names of their own."""

    @property
    def published_names(self) -> Mapping[str, str]:
        """``{layer in the published network: layer in this one}``."""
        ...


@dataclass(frozen=True)
class Initialised:
    """Which layers of a network were loaded from ``source`` and which are fresh.

    As text it is one line, in which a block without any loaded layer stands for its layers.
    """

    source: str
    loaded: tuple[str, ...]
    fresh: tuple[str, ...]
    remark: str = ""

    def __str__(self) -> str:
        total = len(self.loaded) + len(self.fresh)
        text = f"loaded {len(self.loaded)} of {total} layers from {self.source}"
        if self.fresh:
            blocks = list(dict.fromkeys(self._block(layer) for layer in self.fresh))
            more = f" and {len(blocks) - NAMED} more" if len(blocks) > NAMED else ""
            text += f"; fresh: {', '.join(blocks[:NAMED])}{more}"
        return f"{text}; {self.remark}" if self.remark else text

    def _block(self, layer: str) -> str:
        """The largest block around a fresh layer in which nothing was loaded."""
        parts = layer.split(".")
        blocks = (".".join(parts[:length]) for length in range(1, len(parts) + 1))
        return next(
            block
            for block in blocks
            if not any(f"{other}.".startswith(f"{block}.") for other in self.loaded)
        )


@torch.no_grad()
def initialise(model: nn.Module, weights: PublishedWeights) -> Initialised:
    """Load every layer of ``model`` that ``weights`` have in its shape, in place.

    Names are those of the model, those of its ``published_names``, or either but for a prefix
    such as ``module.`` or ``encoder.``. Where the weights expect an input normalised otherwise, or
    batch norms with another epsilon, the difference is folded into the layers loaded, so that
    they compute the features they computed where they come from (at the border of the image the
    zero padding now stands for a pixel of value 0 and not for the mean).

    Raises:
        UserError: nothing fits, a weight is not finite, or the first convolution cannot take the
            normalisation.
    """
    expected = _layers(model)
    renamed = max(
        _renamings(model, weights.tensors),
        key=lambda tensors: sum(_fits(tensors, name, layer) for name, layer in expected.items()),
    )
    loaded = tuple(name for name, layer in expected.items() if _fits(renamed, name, layer))
    if not loaded:
        raise UserError(_nothing_fits(model, weights, expected))
    for name in loaded:
        for key, tensor in expected[name].items():
            given = renamed.get(f"{name}.{key}" if name else key)
            if given is None:
                continue
            if given.is_floating_point() and not given.isfinite().all():
                raise UserError(f"{weights.source}: {name}.{key} holds values that are not finite")
            tensor.copy_(given)
    if weights.norm_eps is not None:
        _fold_epsilon(model, loaded, weights.norm_eps)
    remark = "it does not say how its input is normalised: RGB in [0, 1] is assumed"
    if weights.mean is not None and weights.std is not None:
        _fold_input(model, loaded, weights)
        remark = ""
    fresh = tuple(name for name in expected if name not in set(loaded))
    foreign = renamed.keys() != weights.tensors.keys()
    return Initialised(weights.source, loaded, fresh, remark if foreign else "")


def _layers(model: nn.Module) -> dict[str, dict[str, Tensor]]:
    """The tensors of each layer by name, in the order of the state dict."""
    layers: dict[str, dict[str, Tensor]] = {}
    for name, tensor in model.state_dict(keep_vars=True).items():
        layer, _, key = name.rpartition(".")
        layers.setdefault(layer, {})[key] = tensor
    return layers


def _fits(tensors: Mapping[str, Tensor], name: str, layer: Mapping[str, Tensor]) -> bool:
    for key, tensor in layer.items():
        given = tensors.get(f"{name}.{key}" if name else key)
        if key != COUNTER and (given is None or given.shape != tensor.shape):
            return False
    return True


def _renamings(model: nn.Module, tensors: Mapping[str, Tensor]) -> Iterator[dict[str, Tensor]]:
    """The tensors under every name they may have in ``model``."""
    names = model.published_names if isinstance(model, HasPublishedNames) else {}
    for prefix in ("", *_common_prefix(tensors)):
        plain = {name.removeprefix(prefix): tensor for name, tensor in tensors.items()}
        yield plain
        yield {_renamed(name, names): tensor for name, tensor in plain.items()}
        for child, _ in model.named_children():
            yield {f"{child}.{name}": tensor for name, tensor in plain.items()}


def _common_prefix(names: Iterable[str]) -> list[str]:
    firsts = {name.partition(".")[0] for name in names}
    return [f"{firsts.pop()}."] if len(firsts) == 1 else []


def _renamed(name: str, names: Mapping[str, str]) -> str:
    layer, _, key = name.rpartition(".")
    return f"{names[layer]}.{key}" if layer in names else name


def _nothing_fits(
    model: nn.Module, weights: PublishedWeights, expected: Mapping[str, Mapping[str, Tensor]]
) -> str:
    theirs = next(iter(sorted(weights.tensors)), None)
    has = "it is empty" if theirs is None else f"it has {_described(weights.tensors, theirs)}"
    layer, tensors = next((name, layer) for name, layer in expected.items() if layer)
    key = next(iter(tensors))
    ours = _described({f"{layer}.{key}": tensors[key]}, f"{layer}.{key}")
    network = getattr(getattr(model, "spec", None), "name", type(model).__name__)
    return (
        f"no layer of {network} is in {weights.source} by name and shape: {has}, where {network} "
        f"has {ours}; give weights of the same network or of its encoder"
    )


def _described(tensors: Mapping[str, Tensor], name: str) -> str:
    return f"{name} {tuple(tensors[name].shape)}"


def _fold_epsilon(model: nn.Module, loaded: Iterable[str], epsilon: float) -> None:
    """Scale the batch norms to answer with their own epsilon as with ``epsilon``."""
    for name in loaded:
        norm = model.get_submodule(name)
        if not isinstance(norm, nn.modules.batchnorm._BatchNorm) or norm.running_var is None:
            continue
        variance = norm.running_var.double()
        scale = ((variance + norm.eps) / (variance + epsilon)).sqrt()
        norm.weight.copy_(norm.weight.double() * scale)


def _fold_input(model: nn.Module, loaded: Iterable[str], weights: PublishedWeights) -> None:
    """Fold the normalisation of the input into layer one, less what ``model`` does itself."""
    layers = [model.get_submodule(name) for name in loaded]
    place, stem = next(
        ((place, layer) for place, layer in enumerate(layers) if isinstance(layer, nn.Conv2d)),
        (0, None),
    )
    first = next((layer for layer in model.modules() if isinstance(layer, nn.Conv2d)), None)
    if stem is None or stem is not first:
        return  # the layer that reads the image is fresh
    assert weights.mean is not None
    assert weights.std is not None
    mean = torch.tensor(weights.mean, dtype=torch.float64)
    std = torch.tensor(weights.std, dtype=torch.float64)
    own = next((module for module in model.modules() if isinstance(module, Normalise)), None)
    if own is not None:
        own_mean, own_std = own.mean.double().flatten(), own.std.double().flatten()
        mean, std = (mean - own_mean) / own_std, std / own_std
    norm = layers[place + 1] if place + 1 < len(layers) else None
    if not fold_normalisation(stem, norm, mean, std):
        raise UserError(
            f"{weights.source} expects a normalised input, but the first layer of "
            f"{type(model).__name__} cannot take it: it does not read RGB, or has neither a bias "
            "nor a batch norm; give weights that take RGB in [0, 1]"
        )


@torch.no_grad()
def fold_normalisation(conv: nn.Conv2d, norm: nn.Module | None, mean: Tensor, std: Tensor) -> bool:
    """Make ``norm(conv(x))`` what it was for ``(x - mean) / std``, in place.

    Exact wherever the kernel lies inside the image.

    Returns:
        whether there was a bias or a batch norm to take the shift; nothing is changed without.
    """
    if conv.in_channels != len(mean):
        return False
    weight = conv.weight.double() / std.view(1, -1, 1, 1)
    shift = (weight * mean.view(1, -1, 1, 1)).sum(dim=(1, 2, 3))
    if conv.bias is not None:
        conv.bias.copy_(conv.bias - shift)
    elif isinstance(norm, nn.BatchNorm2d) and norm.running_mean is not None:
        norm.running_mean.copy_(norm.running_mean + shift)
    else:
        return False
    conv.weight.copy_(weight)
    return True
