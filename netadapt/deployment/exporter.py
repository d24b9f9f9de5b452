"""From a PyTorch network to an ONNX graph."""

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn

from netadapt.errors import UserError
from netadapt.pruning.examples import Example, call_arguments
from netadapt.pruning.surgery import plain_copy


def exported_program(model: nn.Module, example_input: Example, *, optimize: bool) -> Any:
    """Export ``model``, in eval mode, with the shapes fixed to ``example_input``.

    Args:
        model: the network; its mode is restored.
        example_input: ``(N, C, H, W)``; several tensors are the graph's inputs in their order.
        optimize: whether PyTorch's exporter may fold and merge nodes.

    Returns:
        A ``torch.onnx.ONNXProgram``.

    Raises:
        UserError: the network cannot be exported.
    """
    training = model.training
    try:
        plain = plain_copy(model.eval())  # a weight that is computed would be at every run
        args, kwargs = call_arguments(example_input)
        with _quiet():
            try:
                return torch.onnx.export(
                    plain, args, kwargs=kwargs, dynamo=True, verbose=False, optimize=optimize
                )
            except Exception as error:
                if not _cannot_view(error):
                    raise
                program = _with_copies(torch.export.export(plain, args, kwargs))
                return torch.onnx.export(program, dynamo=True, verbose=False, optimize=optimize)
    except (torch.onnx.errors.OnnxExporterError, RuntimeError) as error:
        reason = error.__cause__ or error  # the exporter wraps the cause in its own advice
        line = next(iter(str(reason).strip().splitlines()), type(reason).__name__)
        raise UserError(f"cannot export {type(model).__name__} to ONNX: {line}") from error
    finally:
        model.train(training)


def _cannot_view(error: BaseException | None) -> bool:
    """Whether a view fits no more once the exporter has taken attention apart."""
    while error is not None:
        if "Cannot view a tensor" in str(error):
            return True
        error = error.__cause__
    return False


def _with_copies(program: Any) -> Any:
    """Copy what attention gives, in place, so that it lies in memory as its shape says.

    PyTorch's exporter turns a reshape into a view of what fused attention gives, and then lets
    products stand for the attention, whose result does not lie in memory like that.
    """
    graph, attention = program.graph, torch.ops.aten.scaled_dot_product_attention.default
    for node in [node for node in graph.nodes if node.target is attention]:
        with graph.inserting_after(node):
            layout = {"memory_format": torch.contiguous_format}
            copied = graph.call_function(torch.ops.aten.clone.default, (node,), layout)
        copied.meta = dict(node.meta)
        node.replace_all_uses_with(copied, delete_user_cb=lambda user, own=copied: user is not own)
    program.graph_module.recompile()
    return program


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep the exporter's own messages off the user's terminal."""
    loggers = [logging.getLogger(name) for name in ("torch.onnx", "onnxscript", "onnx_ir")]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)
