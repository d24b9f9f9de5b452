from netadapt.data.dataset import DepthData, DepthDataset
from netadapt.data.frames import read_photo
from netadapt.data.spec import open_data, open_sequences
from netadapt.data.transforms import evaluation_photo
from netadapt.data.triplets import SequenceData, TripletDataset

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
