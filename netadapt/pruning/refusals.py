"""Networks that cannot be traced as they are, and what to pass instead."""

from typing import Any

import torch
from torch import nn
from torch.nn.parameter import is_lazy

from netadapt.errors import UserError

QUANTISED = ("torch.ao.nn.quantized", "torch.ao.nn.qat", "torch.ao.nn.intrinsic", "torchao.")


def refuse_untraceable(model: Any) -> None:
    """Refuse, in one line, a model that cannot be traced as it is.

    Raises:
        UserError: what it is, and what to pass instead.
    """
    kind = type(model).__name__
    instead = _instead(model)
    if instead is not None:
        raise UserError(f"cannot trace {kind}: {instead}")
    for name, module in model.named_modules():
        instead = _instead_of_part(module)
        if instead is not None:
            raise UserError(f"cannot trace {kind}: {name or 'it'} {instead}")


def _instead(model: Any) -> str | None:
    kind = type(model)
    if isinstance(model, type):
        return f"it is a class; pass a network: {model.__name__}(...)"
    if kind.__module__.startswith("ultralytics") and "nn.tasks" not in kind.__module__:
        return "it wraps a network and its trainer; pass the network, its attribute .model"
    if isinstance(model, torch.export.ExportedProgram):
        return "an exported program has fixed shapes; pass the network that it was exported from"
    if isinstance(model, str):
        return "it is a name; pass the network: netadapt.load_model(...)"
    if not isinstance(model, nn.Module):
        inner = [name for name in ("model", "module", "net") if _is_module(model, name)]
        hint = f", such as its attribute .{inner[0]}" if inner else ""
        return f"it is not a torch.nn.Module; pass one{hint}"
    if isinstance(model, torch.jit.ScriptModule):
        return "a ScriptModule has fixed code; pass the network that it was scripted from"
    if kind.__name__ == "OptimizedModule" and _is_module(model, "_orig_mod"):
        return "it is compiled; pass the network before torch.compile, its attribute ._orig_mod"
    if isinstance(model, torch.fx.GraphModule) and _is_exported(model):
        return "an exported network has fixed shapes; pass the network that it was exported from"
    if isinstance(model, nn.DataParallel | nn.parallel.DistributedDataParallel):
        return "it spreads a network over devices; pass the network, its attribute .module"
    return None


def _is_module(value: Any, attribute: str) -> bool:
    return isinstance(getattr(value, attribute, None), nn.Module)


def _is_exported(model: torch.fx.GraphModule) -> bool:
    """Whether ``torch.export`` made it: it names what its inputs must look like."""
    if any(hasattr(model, name) for name in ("_guards_fn", "_in_spec", "range_constraints")):
        return True
    return "from_export" in model.meta or any(
        "from_export" in str(node.meta.get("from_node", "")) for node in model.graph.nodes
    )


def _instead_of_part(module: nn.Module) -> str | None:
    where = type(module).__module__
    if isinstance(module, torch.jit.ScriptModule):
        return "is a ScriptModule, which has fixed code; build the network with the module itself"
    if where.startswith(QUANTISED) or isinstance(module, torch.ao.quantization.FakeQuantizeBase):
        return (
            f"({type(module).__name__}) is quantised; pass the network in floating point, and "
            "quantise what was pruned: netadapt export --precision int8"
        )
    for tensor in (*module._parameters.values(), *module._buffers.values()):
        if tensor is None:
            continue
        if is_lazy(tensor):
            return "is a lazy layer without sizes; call the network once on an input first"
        if tensor.is_meta:
            return "has tensors on the meta device, without values; load its weights first"
        if tensor.is_quantized or type(tensor.detach()) is not torch.Tensor:
            return (
                f"holds a {type(tensor.detach()).__name__}; pass the network with plain tensors "
                "in floating point"
            )
    return None
