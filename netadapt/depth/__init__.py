from netadapt.depth.predict import Prediction, predict
from netadapt.depth.self_supervised import SelfSupervisedTask
from netadapt.depth.task import DepthTask, open_depth

__all__ = ["DepthTask", "Prediction", "SelfSupervisedTask", "open_depth", "predict"]
