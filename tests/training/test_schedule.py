import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from netadapt.training.schedule import learning_rate


@pytest.mark.parametrize("steps", [10, 37, 300])
def test_onecycle_is_that_of_torch(steps):
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=1.0)
    oracle = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, max_lr=0.02, total_steps=steps, cycle_momentum=False
    )
    for step in range(steps):
        assert learning_rate("onecycle", 0.02, step, steps, 1) == pytest.approx(
            optimizer.param_groups[0]["lr"]
        )
        optimizer.step()
        if step < steps - 1:
            oracle.step()


def test_cosine_is_that_of_torch():
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=0.1)
    oracle = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, 40)
    for step in range(40):
        rate = optimizer.param_groups[0]["lr"]
        assert learning_rate("cosine", 0.1, step, 40, 1) == pytest.approx(rate)
        optimizer.step()
        oracle.step()


def test_step_divides_by_ten():
    rates = [learning_rate("step", 1.0, step, 9, 3) for step in range(9)]
    assert rates == pytest.approx([1.0] * 3 + [0.1] * 3 + [0.01] * 3)


def test_polynomial_falls_to_a_tenth_as_the_root_of_what_is_left():
    rates = [learning_rate("polynomial", 1e-4, step, 100, 1) for step in range(101)]
    assert rates[0] == pytest.approx(1e-4)
    assert rates[75] == pytest.approx(1e-5 + 9e-5 * 0.5)
    assert rates[100] == pytest.approx(1e-5)
    assert rates == sorted(rates, reverse=True)


@given(
    st.sampled_from(["constant", "step", "cosine", "onecycle", "polynomial"]),
    st.integers(1, 200).flatmap(lambda n: st.tuples(st.just(n), st.integers(0, n - 1))),
)
def test_rates_lie_between_zero_and_the_peak(schedule, place):
    steps, step = place
    assert 0 < learning_rate(schedule, 0.5, step, steps, 7) <= 0.5 + 1e-12
