from netadapt.models.outputs import with_output
from netadapt.models.registry import MODELS, build, read_weights
from netadapt.models.spec import ModelSpec

__all__ = ["MODELS", "ModelSpec", "build", "read_weights", "with_output"]
