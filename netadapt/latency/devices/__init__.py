from netadapt.latency.devices.registry import load_device

__all__ = ["load_device"]
