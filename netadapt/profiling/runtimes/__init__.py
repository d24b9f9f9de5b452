from netadapt.profiling.runtimes.registry import BUNDLE_ONLY, RUNTIMES, load_runtime

__all__ = ["BUNDLE_ONLY", "RUNTIMES", "load_runtime"]
