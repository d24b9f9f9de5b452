"""What the machine at hand says of itself: its processor, its clock, its energy counters."""

from __future__ import annotations

import os
import platform
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

CPUINFO = Path("/proc/cpuinfo")
DEVICE_TREE = Path("/proc/device-tree/model")
CPUFREQ = Path("/sys/devices/system/cpu/cpu0/cpufreq")
POWERCAP = Path("/sys/class/powercap")
TASKS = Path("/proc/self/task")


def hardware() -> str:
    """The board's name where it has one, else the processor's."""
    if DEVICE_TREE.is_file():
        try:
            board = DEVICE_TREE.read_text(errors="replace").strip("\0 \n")
        except OSError:
            board = ""
        if board:
            return board
    if CPUINFO.exists():
        fields = dict(
            line.split(":", 1)
            for line in CPUINFO.read_text(errors="replace").splitlines()
            if ":" in line
        )
        for key, value in fields.items():
            if key.strip() in ("model name", "Model", "Hardware"):
                return str(value.strip())
    return platform.processor() or platform.machine()


def system() -> str:
    """Operating system and architecture."""
    return f"{platform.system()} {platform.machine()}"


def cpu_features() -> set[str]:
    """The processor's instruction sets, as ``/proc/cpuinfo`` names them; empty if it tells none."""
    if not CPUINFO.exists():
        return set()
    for line in CPUINFO.read_text(errors="replace").splitlines():
        key, _, values = line.partition(":")
        if key.strip() in ("flags", "Features"):
            return set(values.split())
    return set()


def cores() -> set[int]:
    """The cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return set(os.sched_getaffinity(0))
    return set(range(os.cpu_count() or 1))


def clock() -> dict[str, str]:
    """Governor and frequency limits in kHz, where the system lets them be read."""
    found = {}
    for name in ("scaling_governor", "scaling_min_freq", "scaling_max_freq"):
        file = CPUFREQ / name
        if file.is_file():
            try:
                found[name] = file.read_text().strip()
            except OSError:
                continue
    return found


@contextmanager
def pinned(chosen: set[int] | None) -> Iterator[None]:
    """Keep all threads of this process, also those yet to start, on the ``chosen`` cores."""
    if chosen is None:
        yield
        return
    before = cores()
    _pin(chosen)
    try:
        yield
    finally:
        _pin(before)


def _pin(chosen: set[int]) -> None:
    tasks = [int(task.name) for task in TASKS.iterdir()] if TASKS.is_dir() else [0]
    for task in tasks:
        try:
            os.sched_setaffinity(task, chosen)
        except ProcessLookupError:  # a thread that has just ended
            continue


def energy_counter() -> Callable[[], float] | None:
    """Return a counter of the millijoules used so far by the packages (RAPL), or ``None``.

    Reading it needs the right to read ``/sys/class/powercap/*/energy_uj``, root's by default.
    """
    zones = [Zone(folder) for folder in sorted(POWERCAP.glob("intel-rapl:*")) if _whole(folder)]
    try:
        for zone in zones:
            zone.millijoules()
    except (OSError, ValueError):
        return None
    return (lambda: sum(zone.millijoules() for zone in zones)) if zones else None


def nvml_counter(index: int) -> Callable[[], float] | None:
    """Return a counter of the millijoules used so far by NVIDIA GPU ``index``, or ``None``.

    Needs the package ``nvidia-ml-py`` and a GPU that counts (Volta and later).
    """
    try:
        import pynvml

        pynvml.nvmlInit()
        handle = pynvml.nvmlDeviceGetHandleByIndex(index)
        pynvml.nvmlDeviceGetTotalEnergyConsumption(handle)
    except Exception:  # whatever is missing, package, driver or counter: there is no figure
        return None
    return lambda: float(pynvml.nvmlDeviceGetTotalEnergyConsumption(handle))


def _whole(folder: Path) -> bool:
    """Whether this is a package, not a part of one (``intel-rapl:0:1``)."""
    return folder.name.count(":") == 1


class Zone:
    """One RAPL package, whose counter starts over at its range."""

    def __init__(self, folder: Path) -> None:
        self._file = folder / "energy_uj"
        self._range_file = folder / "max_energy_range_uj"
        self._last: int | None = None
        self._total = 0

    def millijoules(self) -> float:
        """Energy since the first reading."""
        now = int(self._file.read_text())
        if self._last is not None:
            step = now - self._last
            if step < 0:
                step += int(self._range_file.read_text())
            self._total += step
        self._last = now
        return self._total / 1000
