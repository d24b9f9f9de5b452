"""Which channels of a group go first, by strategy and by --importance."""

import pytest
import torch
from strategy_case import Case

from netadapt.errors import UserError
from netadapt.search.base_network import BaseNetwork
from netadapt.search.candidate import Proposal
from netadapt.search.evaluation import Evaluator
from netadapt.search.jobs import Jobs
from netadapt.search.networks import Networks
from netadapt.search.strategies.registry import load_strategy

OWN = {
    "netadapt": "l2",
    "netadapt-fast": "share",
    "uniform": "share",
    "random": "share",
    "evolution": "share",
    "magnitude": "magnitude",
    "taylor": "taylor",
    "knapsack": "first-order",
}


@pytest.fixture(scope="module")
def case(elsewhere, tmp_path_factory) -> Case:
    return Case(elsewhere, tmp_path_factory.mktemp("order"))


@pytest.mark.parametrize("asked", [None, "l2", "share"])
def test_what_is_asked_for_takes_the_place_of_an_order_by_weights_only(case, asked):
    networks = Networks(case.problem.base, case.folder)
    for name, own in OWN.items():
        wanted = asked if asked and own in ("l2", "share") else own
        settings = case.problem_with(strategy=name, importance=asked).settings
        strategy = load_strategy(name)(settings, case.problem.space, networks)
        assert Jobs(settings, strategy).channel_order == wanted


@pytest.mark.parametrize("importance", ["l2", "share"])
def test_a_candidate_has_the_channels_that_pruning_keeps_by_it(case, importance):
    strategy = case.strategy("netadapt", importance=importance, short_steps=0)
    base = case.problem.base
    widths = next(iter(strategy.propose(case.state, {"ms": 0.95 * case.base_ms}).values()))
    proposal = Proposal(name="1-a", iteration=1, group="", widths=widths, predicted_ms=1.0)
    jobs = Jobs(strategy.settings, strategy)
    Evaluator(BaseNetwork(strategy.settings, base.weights, base.batch), strategy.networks)(
        jobs.short(case.state, proposal)
    )
    networks = Networks(base, case.folder)
    got = networks.prunable(f"checkpoints/{proposal.name}.safetensors").model.state_dict()
    wanted = base.prunable.pruned(widths, importance).state_dict()
    assert all(torch.equal(value, got[name]) for name, value in wanted.items())


def test_another_importance_is_refused(case):
    with pytest.raises(UserError, match="importance"):
        case.problem_with(importance="luck")
