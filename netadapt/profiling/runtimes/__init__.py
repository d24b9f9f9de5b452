from netadapt.profiling.runtimes.registry import RUNTIMES, load_runtime

__all__ = ["RUNTIMES", "load_runtime"]
