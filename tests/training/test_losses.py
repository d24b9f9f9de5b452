import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from netadapt.training.losses import masked_berhu, masked_l1


def naive_errors(outputs, targets):
    pairs = zip(outputs.flatten().tolist(), targets.flatten().tolist(), strict=True)
    return [abs(o - t) for o, t in pairs if t > 0]


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 2**31))
def test_losses_are_those_of_naive_twins(seed):
    random = torch.Generator().manual_seed(seed)
    targets = torch.rand(2, 1, 3, 4, generator=random) * 5
    targets[torch.rand(targets.shape, generator=random) < 0.4] = 0
    outputs = torch.rand(targets.shape, generator=random) * 5
    errors = naive_errors(outputs, targets)
    if not errors:
        return
    assert float(masked_l1(outputs, targets)) == pytest.approx(sum(errors) / len(errors), rel=1e-5)
    c = 0.2 * max(errors)
    berhu = [e if e <= c else (e * e + c * c) / (2 * c) for e in errors]
    assert float(masked_berhu(outputs, targets)) == pytest.approx(sum(berhu) / len(berhu), rel=1e-5)


@pytest.mark.parametrize("loss", [masked_l1, masked_berhu])
def test_a_batch_without_truth_costs_nothing_and_moves_nothing(loss):
    outputs = torch.rand(2, 1, 4, 4, requires_grad=True)
    value = loss(outputs, torch.zeros(2, 1, 4, 4))
    value.backward()
    assert float(value.detach()) == 0
    assert torch.equal(outputs.grad, torch.zeros_like(outputs))


@pytest.mark.parametrize("loss", [masked_l1, masked_berhu])
def test_only_valid_pixels_get_gradients(loss):
    outputs = torch.full((1, 1, 2, 2), 3.0, requires_grad=True)
    targets = torch.tensor([[[[1.0, 0.0], [2.0, 0.0]]]])
    loss(outputs, targets).backward()
    assert (outputs.grad[..., 0] > 0).all()
    assert (outputs.grad[..., 1] == 0).all()


@pytest.mark.parametrize("loss", [masked_l1, masked_berhu])
def test_a_perfect_answer_has_finite_gradients(loss):
    outputs = torch.full((1, 1, 2, 2), 3.0, requires_grad=True)
    loss(outputs, torch.full((1, 1, 2, 2), 3.0)).backward()
    assert torch.isfinite(outputs.grad).all()
