from netadapt.depth.data.dataset import DepthData, DepthDataset
from netadapt.depth.data.frames import read_photo
from netadapt.depth.data.spec import open_data, open_sequences
from netadapt.depth.data.transforms import evaluation_photo
from netadapt.depth.data.triplets import SequenceData, TripletDataset

__all__ = [
    "DepthData",
    "DepthDataset",
    "SequenceData",
    "TripletDataset",
    "evaluation_photo",
    "open_data",
    "open_sequences",
    "read_photo",
]
