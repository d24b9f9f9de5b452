"""``--lock`` keeps groups as wide as they are, in every command that prunes."""

from pathlib import Path

import pytest

from netadapt.errors import UserError
from netadapt.search.base_network import BaseNetwork
from netadapt.search.settings import SearchSettings
from netadapt.search.start import resumed_settings

SEARCH = (
    "search --checkpoint @small.safetensors --data pairs:@pairs --lut @lut/made-up "
    "--budget-ms 150 --out run"
)


@pytest.fixture
def settings(stock) -> SearchSettings:
    weights = stock / "tiny.safetensors"
    given = {"model": str(weights), "data": f"pairs:{stock}/pairs", "lut": "lut", "budget_ms": 1}
    return SearchSettings.parse({**given, "lock": ["decode*"]})


def test_a_search_knows_no_locked_group(settings):
    groups = BaseNetwork(settings, settings.model, 1).prunable.groups
    assert groups
    assert not any(name.startswith("decode") for name in groups)


def test_a_resumed_search_locks_what_it_did(settings):
    run = Path("run/run.json")
    assert resumed_settings(settings, {}, run).lock == ("decode*",)
    assert SearchSettings.stored(settings.model_dump()).lock == ("decode*",)
    with pytest.raises(UserError, match="keeps its own"):
        resumed_settings(settings, {"lock": ["conv*"]}, run)


def test_info_lists_what_is_locked_and_why(netadapt):
    facts = netadapt("info @small.safetensors --lock first --json").json
    assert {"layer": "first", "reason": "locked by --lock first"} in facts["locked"]
    assert "first" not in [group["name"] for group in facts["groups"]]


@pytest.mark.parametrize(
    "command",
    ["info @small.safetensors", "profile-lut --model @small.safetensors --lut new", SEARCH],
)
def test_a_pattern_that_matches_nothing_is_refused(netadapt, command):
    assert "--lock nowhere* matches no channel group" in netadapt.refused(
        command, "--lock nowhere*"
    )
