import pytest
import torch

from netadapt.errors import UserError
from netadapt.pruning import reshaped, trace


def test_a_descended_network_prunes_as_one_traced_anew(thin):
    once = {name: max(8, width // 2) for name, width in thin.widths.items()}
    twice = dict.fromkeys(thin.widths, 4)
    child = thin.pruned(once)
    descended = thin.descend(child)
    assert descended.widths == once
    anew = trace(child, thin.example_input)
    assert descended.groups == anew.groups
    assert descended.operations.at(descended.vector(twice)) == anew.operations.at(
        anew.vector(twice)
    )
    ours, theirs = descended.pruned(twice), anew.pruned(twice)
    for (name, one), other in zip(
        ours.state_dict().items(), theirs.state_dict().values(), strict=True
    ):
        assert torch.equal(one, other), name


def test_a_reshaped_network_takes_the_weights_of_a_pruned_one(thin):
    widths = dict.fromkeys(thin.widths, 6)
    pruned = thin.pruned(widths)
    shell = reshaped(thin.model, thin.example_input, widths).eval()
    shell.load_state_dict(pruned.state_dict())
    with torch.no_grad():
        assert torch.equal(shell(thin.example_input), pruned(thin.example_input))


@pytest.mark.parametrize(("name", "width"), [("conv0.0", 1000), ("conv0.0", 0), ("nowhere", 8)])
def test_reshaping_to_what_is_not_there_is_refused(thin, name, width):
    with pytest.raises(UserError, match=name):
        reshaped(thin.model, thin.example_input, {name: width})
