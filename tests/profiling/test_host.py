import os
import sys
import threading
from pathlib import Path
from types import SimpleNamespace

import pytest
from lacking import lacking

from netadapt.profiling.agent import host


def powercap(folder: Path, packages: dict[str, int]) -> Path:
    for name, microjoules in packages.items():
        (folder / name).mkdir(parents=True)
        (folder / name / "energy_uj").write_text(f"{microjoules}\n")
        (folder / name / "max_energy_range_uj").write_text("1000000\n")
    return folder


def test_energy_adds_up_the_packages_and_not_their_parts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = {"intel-rapl:0": 10_000, "intel-rapl:0:0": 999, "intel-rapl:1": 20_000}
    monkeypatch.setattr(host, "POWERCAP", powercap(tmp_path, names))
    counter = host.energy_counter()
    assert counter is not None
    before = counter()
    (tmp_path / "intel-rapl:0" / "energy_uj").write_text("13000")
    (tmp_path / "intel-rapl:0:0" / "energy_uj").write_text("500000")
    (tmp_path / "intel-rapl:1" / "energy_uj").write_text("21500")
    assert counter() - before == pytest.approx(3.0 + 1.5)


def test_energy_goes_on_when_the_counter_starts_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(host, "POWERCAP", powercap(tmp_path, {"intel-rapl:0": 999_000}))
    counter = host.energy_counter()
    assert counter is not None
    before = counter()
    (tmp_path / "intel-rapl:0" / "energy_uj").write_text("2000")
    assert counter() - before == pytest.approx(3.0)


@pytest.mark.parametrize("content", [None, "", "none"])
def test_without_a_readable_counter_there_is_no_energy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: str | None
) -> None:
    monkeypatch.setattr(host, "POWERCAP", tmp_path / "rapl")
    if content is not None:
        powercap(tmp_path / "rapl", {"intel-rapl:0": 1})
        (tmp_path / "rapl" / "intel-rapl:0" / "energy_uj").write_text(content)
    assert host.energy_counter() is None


def test_nvidia_energy_is_read_through_nvml(monkeypatch: pytest.MonkeyPatch) -> None:
    used = iter([5.0, 7.0, 9.5])
    nvml = SimpleNamespace(
        nvmlInit=lambda: None,
        nvmlDeviceGetHandleByIndex=lambda index: f"gpu {index}",
        nvmlDeviceGetTotalEnergyConsumption=lambda handle: next(used) if handle == "gpu 2" else 0,
    )
    monkeypatch.setitem(sys.modules, "pynvml", nvml)
    counter = host.nvml_counter(2)
    assert counter is not None
    assert (counter(), counter()) == (7.0, 9.5)
    monkeypatch.setitem(sys.modules, "pynvml", None)
    assert host.nvml_counter(2) is None


def test_a_board_is_called_by_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model = tmp_path / "model"
    model.write_bytes(b"Raspberry Pi 4 Model B Rev 1.4\0")
    monkeypatch.setattr(host, "DEVICE_TREE", model)
    assert host.hardware() == "Raspberry Pi 4 Model B Rev 1.4"


def test_the_clock_is_noted_where_it_can_be_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(host, "CPUFREQ", tmp_path)
    assert host.clock() == {}
    (tmp_path / "scaling_governor").write_text("performance\n")
    (tmp_path / "scaling_max_freq").write_text("1500000\n")
    assert host.clock() == {"scaling_governor": "performance", "scaling_max_freq": "1500000"}


def test_all_threads_stay_on_the_chosen_cores_and_are_freed_again() -> None:
    if not hasattr(os, "sched_setaffinity"):
        lacking("this system has no thread affinity")
    before = host.cores()
    chosen = {min(before)}
    seen: list[set[int]] = []
    begun, checked = threading.Event(), threading.Event()

    def older() -> None:
        begun.wait(10)
        seen.append(set(os.sched_getaffinity(0)))
        checked.set()

    thread = threading.Thread(target=older)
    thread.start()
    with host.pinned(chosen):
        begun.set()
        checked.wait(10)
        younger = threading.Thread(target=lambda: seen.append(set(os.sched_getaffinity(0))))
        younger.start()
        younger.join()
    thread.join()
    assert seen == [chosen, chosen]
    assert host.cores() == before
    with host.pinned(None):
        assert host.cores() == before
