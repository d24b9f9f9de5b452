from netadapt.latency.runtimes.registry import RUNTIMES, fusion_of, load_runtime

__all__ = ["RUNTIMES", "fusion_of", "load_runtime"]
