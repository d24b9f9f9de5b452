"""What ``netadapt info`` says of a user's own network."""

from typing import Any

import pytest
from torch import Tensor, nn


class Grouped(nn.Module):
    """A grouped convolution, a layer norm over channels, a head."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 8, 3, padding=1)
        self.grouped = nn.Conv2d(8, 8, 3, padding=1, groups=2)
        self.last = nn.Conv2d(8, 8, 1)
        self.norm = nn.LayerNorm(8)
        self.head = nn.Linear(8, 3)

    def forward(self, x: Tensor) -> Tensor:
        x = self.last(self.grouped(self.stem(x)).relu())
        return self.head(self.norm(x.mean((2, 3))))


@pytest.fixture
def facts(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    monkeypatch.syspath_prepend(__file__.rpartition("/")[0])
    from netadapt.cli.describe import network

    return network("test_info_any_model:Grouped", (16, 16), None)


def test_groups_come_with_their_steps_and_shares(facts: dict[str, Any]) -> None:
    assert [(g["name"], g["channels"], g["step"]) for g in facts["groups"]] == [
        ("stem", 8, 2),
        ("grouped", 8, 2),
    ]
    macs = {"stem": 256 * 27 * 8, "grouped": 256 * 36 * 8, "last": 256 * 64, "head": 24}
    assert facts["macs"] == sum(macs.values())
    for group in facts["groups"]:
        assert group["macs %"] == round(100 * macs[group["name"]] / facts["macs"], 1)


def test_locked_layers_come_with_their_reasons(facts: dict[str, Any]) -> None:
    assert facts["locked"] == [
        {
            "layer": "last",
            "reason": "all of its channels are standardised together by norm "
            "(--allow-approximate prunes them)",
        },
        {"layer": "head", "reason": "its channels are the network's output"},
    ]
