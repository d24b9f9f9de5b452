from netadapt.data.dataset import DepthData, DepthDataset
from netadapt.data.frames import read_photo
from netadapt.data.spec import open_data
from netadapt.data.transforms import evaluation_photo

__all__ = ["DepthData", "DepthDataset", "evaluation_photo", "open_data", "read_photo"]
