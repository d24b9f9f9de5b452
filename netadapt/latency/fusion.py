"""Which neighbouring operations a runtime executes as one: data, needing no runtime."""

from typing import Literal

from pydantic import BaseModel, ConfigDict, field_serializer

FixedCost = Literal["call", "workload"]


class Fusion(BaseModel):
    """The rules by which a runtime merges operations; ``target.json`` records them.

    An operation is merged only into one whose result nothing else reads.

    Attributes:
        batch_norm: whether a batch norm is merged into a convolution.
        activations: the names of the activations that are merged.
        add: whether an addition is merged whose other side was computed before.
        into: the kinds that take in what follows them.
        activated: further kinds, which take in an activation that follows them and nothing else.
        upsampling_last: whether a 1x1 convolution that alone reads a nearest upsampling is
            computed before it, as ``netadapt export`` writes it.
        chained: kinds that are merged with their like, where each reads the one before and
            constants: the normalisation of an image, for one.
        outputs_only: whether operations that no output needs are left out, as an exported file
            leaves them out.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    batch_norm: bool = False
    activations: frozenset[str] = frozenset()
    add: bool = False
    into: frozenset[str] = frozenset({"conv2d"})
    activated: frozenset[str] = frozenset()
    upsampling_last: bool = False
    chained: frozenset[str] = frozenset()
    outputs_only: bool = False

    @field_serializer("activations", "into", "activated", "chained")
    def _sorted(self, names: frozenset[str]) -> list[str]:
        return sorted(names)


_COMMON = frozenset({"relu", "relu6", "leaky_relu", "sigmoid", "tanh"})

FUSIONS: dict[str, Fusion] = {
    # silu, gelu and hardswish are not merged as a whole, but their factors are: timed together
    "onnxruntime": Fusion(
        batch_norm=True,
        activations=_COMMON | {"hardsigmoid", "elu", "silu", "gelu", "hardswish"},
        add=True,
        upsampling_last=True,
        outputs_only=True,
    ),
    "torch": Fusion(),
    "torch-compile": Fusion(
        batch_norm=True,
        activations=_COMMON | {"silu", "hardswish", "hardsigmoid"},
        add=True,
        into=frozenset({"conv2d", "upsample"}),
        activated=frozenset({"add"}),
    ),
    "openvino": Fusion(
        batch_norm=True,
        activations=_COMMON | {"hardswish", "gelu", "elu", "silu", "hardsigmoid"},
        add=True,
        into=frozenset({"conv2d", "add"}),
        activated=frozenset({"batch_norm", "linear", "mul", "upsample"}),
        chained=frozenset({"sub", "div", "mul"}),
        upsampling_last=True,
        outputs_only=True,
    ),
    "executorch": Fusion(
        batch_norm=True,
        activations=frozenset({"relu", "relu6"}),
        activated=frozenset({"batch_norm", "linear", "pool"}),
    ),
    "tvm": Fusion(
        batch_norm=True,
        activations=_COMMON,
        add=True,
        into=frozenset({"conv2d", "upsample"}),
        activated=frozenset({"add"}),
    ),
    # from NVIDIA's list of fusions, not from a device: an importer checks every layer's name
    "tensorrt": Fusion(
        batch_norm=True,
        activations=_COMMON | {"hardswish", "gelu", "elu", "silu", "hardsigmoid"},
        add=True,
        into=frozenset({"conv2d", "add"}),
        activated=frozenset({"batch_norm", "linear", "mul", "upsample"}),
        upsampling_last=True,
        outputs_only=True,
    ),
}

# OpenVINO merges as it does in fp32; onnxruntime adds in a kernel of its own (QLinearAdd)
INT8_FUSIONS: dict[str, Fusion] = {
    "onnxruntime": FUSIONS["onnxruntime"].model_copy(
        update={"add": False, "activated": frozenset({"add"})}
    ),
    "openvino": FUSIONS["openvino"],
}

# what a network costs beyond its operations: something once a call, or with every workload
FIXED_COSTS: dict[str, FixedCost] = {
    "onnxruntime": "call",
    "torch": "workload",
    "torch-compile": "workload",
    "openvino": "call",
    "executorch": "call",
    "tvm": "call",
    "tensorrt": "call",
}


def rules_of(runtime: str, precision: str) -> Fusion:
    """Return the present rules of ``runtime`` at ``precision``."""
    return INT8_FUSIONS.get(runtime, FUSIONS[runtime]) if precision == "int8" else FUSIONS[runtime]
