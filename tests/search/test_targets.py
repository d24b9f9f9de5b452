import pytest
from hypothesis import given
from hypothesis import strategies as st

from netadapt.search.schedule import FLOOR, ReductionSchedule


@given(st.floats(0.005, 0.2), st.floats(0.9, 1.0), st.floats(1, 100), st.floats(0.1, 0.99))
def test_targets_fall_to_the_budget_and_never_below(initial, decay, base, share):
    schedule = ReductionSchedule(base, base * share, initial, decay)
    current, iteration, targets = base, 1, []
    while current > schedule.budget:
        target = schedule.next(current, iteration)
        assert target < current
        targets.append(target)
        current, iteration = target, iteration + 1
    assert targets[-1] == schedule.budget
    assert schedule.iterations(base, 1) == len(targets)


def test_reductions_decay_as_published():
    schedule = ReductionSchedule(base=40.0, budget=1.0, initial=0.025, decay=0.96)
    assert schedule.next(40.0, 1) == pytest.approx(39.0)
    assert schedule.reduction(2) == pytest.approx(0.96)
    assert schedule.reduction(1000) == pytest.approx(FLOOR)
