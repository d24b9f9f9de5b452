"""Which channels of a group go first, by strategy and by --importance."""

import pytest
import torch
from strategy_case import Case

from netadapt.errors import UserError
from netadapt.search.evaluation import Evaluator
from netadapt.search.networks import Networks

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
    for name, own in OWN.items():
        wanted = asked if asked and own in ("l2", "share") else own
        assert case.strategy(name, importance=asked).order == wanted


@pytest.mark.parametrize("importance", ["l2", "share"])
def test_a_candidate_has_the_channels_that_pruning_keeps_by_it(case, importance):
    strategy = case.strategy("netadapt", importance=importance, short_steps=0)
    problem = strategy.problem
    proposal = strategy.propose(case.state, {"ms": 0.95 * problem.predictor({})})[0]
    Evaluator(problem, strategy.networks)(strategy.job(case.state, proposal))
    networks = Networks(problem, case.folder)
    got = networks.prunable(f"checkpoints/{proposal.name}.safetensors").model.state_dict()
    wanted = problem.prunable.pruned(proposal.widths, importance).state_dict()
    assert all(torch.equal(value, got[name]) for name, value in wanted.items())


def test_another_importance_is_refused(case):
    with pytest.raises(UserError, match="importance"):
        case.problem_with(importance="luck")
