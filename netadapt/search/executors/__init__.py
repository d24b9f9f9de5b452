from netadapt.search.executors.registry import EXECUTORS, ExecutorName, open_executor

__all__ = ["EXECUTORS", "ExecutorName", "open_executor"]
