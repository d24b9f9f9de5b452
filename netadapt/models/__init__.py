from netadapt.models.densedepth import DenseDepth
from netadapt.models.fastdepth import FastDepth, fastdepth_widths
from netadapt.models.fastdepth_variants import FastDepthVariant
from netadapt.models.lapdepth import LapDepth
from netadapt.models.monodepth2 import Monodepth2
from netadapt.models.official import load_official
from netadapt.models.registry import BUILDERS, build
from netadapt.models.spec import ModelSpec

__all__ = [
    "BUILDERS",
    "DenseDepth",
    "FastDepth",
    "FastDepthVariant",
    "LapDepth",
    "ModelSpec",
    "Monodepth2",
    "build",
    "fastdepth_widths",
    "load_official",
]
