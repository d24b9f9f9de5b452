from netadapt.models.fastdepth import FastDepth, fastdepth_widths
from netadapt.models.official import load_official
from netadapt.models.registry import BUILDERS, build
from netadapt.models.spec import ModelSpec

__all__ = ["BUILDERS", "FastDepth", "ModelSpec", "build", "fastdepth_widths", "load_official"]
