from netadapt.profiling.devices.registry import load_device

__all__ = ["load_device"]
