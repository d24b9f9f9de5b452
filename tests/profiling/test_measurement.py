from collections.abc import Sequence
from itertools import count

import numpy as np
import pytest
import torch
from tiny_network import tiny

import netadapt
from netadapt.errors import UserError
from netadapt.latency.target import Options, Target
from netadapt.profiling.agent.session import Session
from netadapt.profiling.agent.timing import Sentinel, interleaved
from netadapt.profiling.devices import load_device
from netadapt.profiling.measurement import LatencyStats, measure
from netadapt.profiling.runtimes import load_runtime


def here(runtime: str = "torch", batch: int = 1) -> Target:
    return load_device("cpu").target(load_runtime(runtime), Options(batch=batch))


@pytest.mark.parametrize("runtime", ["onnxruntime", "torch"])
def test_the_clock_gives_rising_quantiles(runtime: str) -> None:
    model, image = tiny()
    model.train()
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    stats = netadapt.measure(model, image, here(runtime), runs=10)
    assert 0 < stats.p10_ms <= stats.p50_ms <= stats.p90_ms
    assert stats.runs == 10
    assert model.training
    assert all(torch.equal(before[name], tensor) for name, tensor in model.state_dict().items())


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"hardware": "An Other CPU"}, "is not attached: this machine has hardware"),
        ({"runtime_version": "0.0.1"}, "is not attached: this machine has runtime_version"),
        ({"threads": 4096}, "cannot use 4096 threads"),
        ({"runtime": "abacus"}, "unknown runtime 'abacus'; known: onnxruntime, torch"),
        ({"device": "sundial"}, "unknown device 'sundial'"),
        ({"batch": 3}, "has batch 1; the target 3"),
    ],
)
def test_another_target_than_this_machine_is_refused(change: dict[str, object], words: str) -> None:
    model, image = tiny()
    with pytest.raises(UserError, match=words) as caught:
        measure(model, image, here().model_copy(update=change))
    assert "\n" not in str(caught.value)


def test_this_machine_describes_itself() -> None:
    target = here("onnxruntime")
    assert target.hardware != "unknown"
    assert target.runtime_version in target.slug
    assert target.difference(here("onnxruntime")) is None
    assert "runtime" in str(target.difference(here("torch")))


def test_quantiles_are_in_milliseconds() -> None:
    stats = LatencyStats.of(np.arange(101) / 1000)
    assert (stats.p10_ms, stats.p50_ms, stats.p90_ms) == pytest.approx((10, 50, 90))
    assert stats.runs == 101


class Noted(Session):
    def __init__(self, name: str, notes: list[str]) -> None:
        self.name, self.notes = name, notes

    def run(self) -> None:
        self.notes.append(self.name)


def test_rounds_visit_every_network_in_changing_order() -> None:
    notes: list[str] = []
    rounds: list[int] = []
    sessions = [Noted(name, notes) for name in "abcd"]
    order = np.random.default_rng(0)
    timing = interleaved(sessions, 6, 3, order=order, on_round=lambda: rounds.append(len(notes)))
    assert timing.seconds.shape == timing.runs.shape == (4, 6, 3)
    assert timing.energy_mj is None
    assert np.all(timing.seconds > 0)
    visits = timing.runs
    assert np.all(np.diff(visits.reshape(4, 18)) > 0)
    assert np.all(visits < notes.count("a"))
    assert np.all(np.diff(visits, axis=2) == 1)
    assert np.all(visits[:, 1:, 0] > visits[:, :-1, -1] + 1)  # a first run only warms the caches
    assert len(rounds) == 6
    assert all(notes.count(name) == notes.count("a") for name in "abcd")
    orders = ["".join(dict.fromkeys(notes[end - 16 : end])) for end in rounds]
    assert {"".join(sorted(order)) for order in orders} == {"abcd"}
    assert len(set(orders)) > 1


@pytest.mark.parametrize(("slow", "repeated"), [([2], 1), ([1, 2, 5], 3), (range(99), 5)])
def test_a_round_of_a_machine_that_slowed_down_is_repeated(
    monkeypatch: pytest.MonkeyPatch, slow: Sequence[int], repeated: int
) -> None:
    looks = count()  # the first one, before any round, tells what is fast
    monkeypatch.setattr(Sentinel, "slowed", lambda _: next(looks) in slow)
    notes: list[str] = []
    timing = interleaved([Noted("a", notes)], 6, 3, order=np.random.default_rng(0))
    assert timing.seconds.shape == (1, 6, 3)
    assert len(notes) == 3 + (6 + repeated) * (1 + 3)


def test_energy_is_read_around_each_visit() -> None:
    notes: list[str] = []
    sessions = [Noted(name, notes) for name in "ab"]
    timing = interleaved(
        sessions,
        4,
        5,
        order=np.random.default_rng(0),
        energy_mj=lambda: 3.0 * len(notes),  # 3 mJ a run
    )
    assert timing.energy_mj is not None
    np.testing.assert_allclose(timing.energy_mj, np.full((2, 4), 3.0))
    assert LatencyStats.of(timing.seconds[0].ravel(), timing.energy_mj[0]).energy_mj == 3.0
