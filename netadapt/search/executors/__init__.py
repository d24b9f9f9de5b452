from netadapt.search.executors.base import Executor
from netadapt.search.executors.inline import InlineExecutor

__all__ = ["Executor", "InlineExecutor"]
