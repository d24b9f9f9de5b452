from netadapt.depth.models.densedepth import DenseDepth
from netadapt.depth.models.fastdepth import FastDepth, fastdepth_widths
from netadapt.depth.models.fastdepth_variants import FastDepthVariant
from netadapt.depth.models.lapdepth import LapDepth
from netadapt.depth.models.monodepth2 import Monodepth2
from netadapt.depth.models.official import load_official

__all__ = [
    "DenseDepth",
    "FastDepth",
    "FastDepthVariant",
    "LapDepth",
    "Monodepth2",
    "fastdepth_widths",
    "load_official",
]
