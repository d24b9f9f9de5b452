"""How often the clock is read in the last step of a walk, and where it ends."""

import numpy as np
import pytest
from fake_clock import FakeClock, fine_case

from netadapt.search.last_step import LastStep
from netadapt.search.problem import Problem
from netadapt.search.settings import SearchSettings

MOST = 4
WITHIN = pytest.approx(0.99, abs=0.006)


class Measured:
    """Networks of one width, whose load is ``factor`` times the width in thousandths.

    Attributes:
        readings: how many were taken of each network.
    """

    def __init__(self, factor, noise=0.0):
        self.factor, self.noise = factor, noise
        self.readings = {}
        self._random = np.random.default_rng(0)

    def __call__(self, networks, enough):
        true = np.array([self.factor * widths["g"] / 1000 for widths in networks])
        taken = np.zeros((0, len(networks)))
        while len(taken) < MOST and not (len(taken) and enough(taken)):
            error = self.noise * self._random.standard_normal(len(networks))
            taken = np.vstack([taken, true * (1 + error)])
        self.readings |= {widths["g"]: len(taken) for widths in networks}
        return np.median(taken, axis=0).tolist()

    def take(self, target, current, multiple=1):
        """Return the width that a step ends at; widths are multiples of ``multiple``."""
        found = LastStep(lambda aim: {"a": {"g": int(1000 * aim) // multiple * multiple}}, self)
        (widths,) = found.take(target, current).values()
        return widths["g"]


@pytest.mark.parametrize("factor", [0.94, 1.05])
def test_a_network_that_is_clearly_out_is_read_twice_and_the_answer_in_full(factor):
    measured = Measured(factor)
    width = measured.take(1.0, 1.3)
    assert factor * width / 1000 == WITHIN
    assert measured.readings == {1000: 2, width: MOST}


@pytest.mark.parametrize("factor", [0.979, 0.99, 1.004])
def test_a_network_near_a_limit_is_read_in_full(factor):
    measured = Measured(factor)
    measured.take(1.0, 1.3)
    assert measured.readings[1000] == MOST


def test_above_the_budget_a_step_must_only_not_go_too_far():
    measured = Measured(1.0)
    assert measured.take(1.04, 1.1) == 1040
    assert measured.readings == {1040: 2}


@pytest.mark.parametrize("seed", range(20))
def test_noise_of_the_clock_leads_a_step_not_far_astray(seed):
    measured = Measured(1.03, noise=0.004)
    measured._random = np.random.default_rng(seed)
    width = measured.take(1.0, 1.3)
    assert 0.98 <= 1.03 * width / 1000 <= 1


def test_where_steps_are_coarse_the_nearest_below_is_taken():
    assert Measured(1.0).take(1.0, 1.3, multiple=70) == 980
    assert Measured(1.0).take(1.0, 1.3, multiple=95) == 950


def test_the_clock_reads_until_it_is_told_that_it_is_enough(tmp_path, monkeypatch):
    machine = FakeClock().install(monkeypatch)
    settings = SearchSettings.parse(fine_case(tmp_path) | {"speedup": 1.25})
    problem = Problem(settings, settings.model)
    widths = problem.space.grid.narrowest()
    seen = []

    def sure(readings):
        seen.append(readings)
        return len(readings) == 2

    short = problem.clock.time([widths], sure)
    assert machine.calls == 2
    assert [one.shape for one in seen] == [(1, 2), (2, 2)]
    assert seen[-1][-1].tolist() == pytest.approx([short.base_ms, short.ms[0] / short.base_ms])
    full = problem.clock.time([widths])
    assert machine.calls == 2 + 4
    assert full.ms[0] / full.base_ms == pytest.approx(short.ms[0] / short.base_ms)
