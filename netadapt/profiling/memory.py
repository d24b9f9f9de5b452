"""How much memory this process takes at most."""

import ctypes
import gc
from pathlib import Path

STATUS = Path("/proc/self/status")
CLEAR_REFS = Path("/proc/self/clear_refs")
RESET_PEAK = "5"  # proc(5): the peak resident set starts over at the present one


class PeakMemory:
    """How far the process's resident memory has risen above what it was when this was made."""

    def __init__(self) -> None:
        gc.collect()
        _give_back()
        self._before = self._started_over()

    def mb(self) -> float | None:
        """The rise so far in MB (10^6 bytes); ``None`` where the system does not tell."""
        if self._before is None:
            return None
        return (_peak_bytes() - self._before) / 1e6

    def _started_over(self) -> int | None:
        try:
            CLEAR_REFS.write_text(RESET_PEAK)
            return _peak_bytes()
        except (OSError, ValueError):
            return None


def _peak_bytes() -> int:
    for line in STATUS.read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * 1024
    raise ValueError("the system tells no peak")


def _give_back() -> None:
    """Hand freed memory back to the system: what is allocated next would hide in it."""
    try:
        trim = ctypes.CDLL(None).malloc_trim
    except (OSError, AttributeError):  # only glibc has it
        return
    trim(0)
