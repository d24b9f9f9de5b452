import sys
from typing import get_args

import numpy as np
import pytest
import torch
from search_case import WIDTHS
from strategy_case import WALKING, Case

from netadapt.errors import UserError
from netadapt.options import declared
from netadapt.search.names import STRATEGIES, StrategyName
from netadapt.search.proposals import WidthGrid
from netadapt.search.saliency import OF_WEIGHTS
from netadapt.search.settings import SearchSettings
from netadapt.search.strategies.ranking import ranked_steps
from netadapt.search.strategies.registry import load_strategy
from netadapt.search.strategies.uniform import uniform_widths


@pytest.fixture(scope="module")
def case(elsewhere, tmp_path_factory):
    return Case(elsewhere, tmp_path_factory.mktemp("case"))


def test_every_strategy_is_there_and_says_what_it_is():
    assert tuple(STRATEGIES) == get_args(StrategyName) == (*WALKING, "evolution")
    for name in STRATEGIES:
        assert load_strategy(name).__doc__


def test_importance_is_for_the_strategies_that_order_channels_by_weights():
    options = {option.name: option.option for option in declared(SearchSettings)}
    of_weights = [name for name in STRATEGIES if load_strategy(name).channel_order in OF_WEIGHTS]
    assert options["importance"].only_for == ("strategy", *of_weights)


@pytest.mark.parametrize("name", WALKING)
@pytest.mark.parametrize("share", [0.97, 0.95])
def test_proposals_meet_the_target_on_the_grid(case, name, share):
    limits = {"ms": share * case.base_ms}
    proposals = case.strategy(name).propose(case.state, limits)
    assert proposals
    assert len(proposals) == len({tuple(widths.items()) for widths in proposals.values()})
    for widths in proposals.values():
        assert case.problem.space.cost("ms", widths) <= limits["ms"]
        for group, full in WIDTHS.items():
            assert widths[group] in case.problem.space.grid.options(group, full)


@pytest.mark.parametrize("name", WALKING)
def test_several_limits_are_met_together(case, name):
    limits = {"ms": 0.97 * case.base_ms} | {
        kind: 0.95 * case.problem.space.cost(kind, {}) for kind in ("macs", "params", "mb")
    }
    for widths in case.strategy(name).propose(case.state, limits).values():
        assert case.problem.space.meets(widths, limits)


@pytest.mark.parametrize("name", STRATEGIES)
def test_the_same_is_proposed_again(case, name):
    limits = {"ms": 0.93 * case.base_ms}
    assert case.strategy(name).propose(case.state, limits) == case.strategy(name).propose(
        case.state, limits
    )


@pytest.mark.parametrize("name", ["random", "evolution"])
def test_another_seed_draws_others(case, name):
    limits = {"ms": 0.93 * case.base_ms}
    one, other = (case.strategy(name, seed=s).propose(case.state, limits) for s in (0, 1))
    assert list(one.values()) != list(other.values())


@pytest.mark.parametrize("name", STRATEGIES)
def test_nothing_is_proposed_where_nothing_is_narrow_enough(case, name):
    strategy = case.strategy(name)
    state = case.state
    if name == "evolution":  # its generations are not for a target: what ends them is a budget
        strategy = case.strategy(name, generations=1)
        state = type(state)(
            state.higher_is_better, candidates=dict(state.candidates), walk=["0", "0"]
        )
    assert not strategy.propose(state, {"ms": 1e-3})


def test_uniform_takes_the_largest_factor(case):
    space = case.problem.space
    for share in (0.99, 0.95, 0.9):
        target = share * case.base_ms
        found = None
        for factor in np.arange(1.0, 0.0, -0.001):
            widths = {
                group: max(
                    [w for w in (full, *range(8, full, 8)) if w <= factor * full + 1e-9],
                    default=min(full, 8),
                )
                for group, full in WIDTHS.items()
            }
            if space.cost("ms", widths) <= target:
                found = widths
                break
        (widths,) = case.strategy("uniform").propose(case.state, {"ms": target}).values()
        assert widths == found


def test_uniform_widths_keep_to_the_grid():
    grid = WidthGrid({"a": 64, "b": 30, "c": 8}, 8, 0.25)
    assert uniform_widths(grid).tolist() == [
        [64, 30, 8], [56, 24, 8], [48, 24, 8], [48, 16, 8], [40, 16, 8], [32, 16, 8], [32, 8, 8],
        [24, 8, 8], [16, 8, 8],
    ]  # fmt: skip


def naive_scores(model, task, producers, readers, norms, criterion, seed):
    """The importance of a group's channels, layer by layer, from the definition."""
    total = torch.zeros((), dtype=torch.float64)
    for draw in range(2):
        if criterion == "magnitude":
            shares = lambda weight: weight**2  # noqa: E731
        else:
            inputs, targets = task.train_batch(draw, 4, seed)
            model.zero_grad()
            task.loss(model, inputs, targets).backward()
            shares = lambda weight: (weight * weight.grad).abs()  # noqa: E731
        layers = [shares(model.get_submodule(n).weight).sum((1, 2, 3)) for n in producers]
        layers += [shares(model.get_submodule(n).weight).sum((0, 2, 3)) for n in readers]
        if criterion == "magnitude":  # Torch-Pruning's Taylor term leaves batch norms out
            layers += [shares(model.get_submodule(n).weight) for n in norms]
        total = total + torch.stack(layers).mean(0).detach().double() / 2
    return total.numpy()


@pytest.mark.parametrize("criterion", ["magnitude", "taylor"])
def test_scores_are_those_of_the_definition(case, criterion):
    prunable, task = case.problem.base.prunable, case.problem.base.task
    networks = case.strategy(criterion).networks
    got = networks.scores("checkpoints/0.safetensors", criterion, 1)
    from netadapt.search.seeds import derive_seed

    model = prunable.model
    names = dict(model.named_modules())
    # conv9's pointwise convolution; its norm, the depthwise one behind it, conv10's pointwise one
    norms = ["conv9.4", "conv10.1"]
    assert isinstance(names["conv9.4"], torch.nn.BatchNorm2d)
    assert names["conv10.0"].groups == names["conv10.0"].in_channels == 24
    wanted = naive_scores(
        model, task, ["conv9.3"], ["conv10.3"], norms, criterion, derive_seed(0, 1, "saliency")
    )
    model.zero_grad()
    np.testing.assert_allclose(got["conv9.3"], wanted, rtol=1e-5)
    assert {group: len(scores) for group, scores in got.items()} == WIDTHS


def test_a_ranking_removes_the_lowest_channels_first():
    rng = np.random.default_rng(3)
    grid = WidthGrid({"a": 40, "b": 30, "c": 16}, 8, 0.25)
    scores = {group: rng.gamma(1.0, size=width) for group, width in grid.full.items()}
    steps = ranked_steps(scores, grid.full, grid)
    # one channel after the other, a group's width being rounded up to the grid
    order = sorted(
        (score / scores[group].mean(), group) for group in scores for score in scores[group]
    )
    gone = dict.fromkeys(grid.full, 0)
    wanted, now = [], dict(grid.full)
    for _, group in order:
        gone[group] += 1
        below = grid.below(group, now[group])
        if below and grid.full[group] - gone[group] <= below[0]:
            now[group] = below[0]
            wanted.append(group)
    assert steps == wanted
    assert now == grid.narrowest()


def test_ranked_candidates_lose_the_channels_that_matter_least(case):
    strategy = case.strategy("taylor")
    limits = {"ms": 0.93 * case.base_ms}
    (widths,) = strategy.propose(case.state, limits).values()
    scores = strategy.scores(case.state)
    kept = strategy.networks.prunable("checkpoints/0.safetensors").kept_channels(widths, scores)
    assert kept
    for group, channels in kept.items():
        gone = np.delete(scores[group], channels)
        assert gone.max() <= scores[group][channels].min()


def test_only_what_reads_images_counts_them(case):
    settings = case.problem.settings
    for name in STRATEGIES:
        wanted = settings.saliency_batches * settings.batch_size
        strategy = case.strategy(name)
        counted = strategy.networks.scoring_samples(strategy.group_value)
        assert counted == (wanted if name in ("netadapt-fast", "taylor", "knapsack") else 0)


def test_evolution_without_pymoo_names_the_extra(monkeypatch):
    for module in list(sys.modules):
        if module.split(".")[0] == "pymoo" or module.endswith("strategies.evolution"):
            monkeypatch.delitem(sys.modules, module)
    monkeypatch.setitem(sys.modules, "pymoo", None)
    with pytest.raises(UserError, match=r"needs the package pymoo; run: pip install 'netadapt\["):
        load_strategy("evolution")
