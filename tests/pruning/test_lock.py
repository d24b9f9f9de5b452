"""Groups that the user locks stay as wide as they are."""

import pytest
import torch
from torch import Tensor, nn

from netadapt.errors import UserError
from netadapt.pruning import trace


class Net(nn.Module):
    """Two groups in an encoder, one behind it, and the output."""

    def __init__(self) -> None:
        super().__init__()
        self.encoder = nn.Sequential(nn.Conv2d(3, 8, 3), nn.ReLU(), nn.Conv2d(8, 8, 1))
        self.decoder = nn.Conv2d(8, 8, 1)
        self.head = nn.Conv2d(8, 1, 1)

    def forward(self, x: Tensor) -> Tensor:
        answer: Tensor = self.head(self.decoder(self.encoder(x)).relu())
        return answer


EXAMPLE = torch.rand(1, 3, 8, 8)


@pytest.mark.parametrize(
    ("lock", "left"),
    [
        ((), {"encoder.0", "encoder.2", "decoder"}),
        (["encoder.0"], {"encoder.2", "decoder"}),
        (["encoder.*"], {"decoder"}),
        (["encoder"], {"decoder"}),
        ("encoder.*", {"decoder"}),
        (["*.0", "decod?r"], {"encoder.2"}),
        (["*"], set()),
        (["head"], {"encoder.0", "encoder.2", "decoder"}),
    ],
)
def test_a_pattern_locks_what_it_matches(lock, left):
    assert set(trace(Net(), EXAMPLE, lock).groups) == left


def test_a_locked_layer_is_listed_with_the_pattern_as_its_reason():
    locked = trace(Net(), EXAMPLE, lock=["dec*"]).locked
    assert locked["decoder"] == "locked by --lock dec*"
    assert "output" in locked["head"]


def test_a_locked_group_cannot_be_pruned():
    prunable = trace(Net(), EXAMPLE, lock=["encoder.0"])
    assert prunable.pruned({"decoder": 4}).encoder[0].out_channels == 8
    with pytest.raises(UserError, match=r"unknown channel group 'encoder\.0'"):
        prunable.pruned({"encoder.0": 4})


@pytest.mark.parametrize("lock", [["nothing"], ["encoder", "Encoder"], "encoder.1"])
def test_a_pattern_that_matches_nothing_is_refused(lock):
    with pytest.raises(UserError, match="matches no channel group and no layer that could be"):
        trace(Net(), EXAMPLE, lock)
