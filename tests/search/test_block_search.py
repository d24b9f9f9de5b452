"""Searches that drop whole blocks: ``--blocks``."""

import itertools
from functools import partial
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from mortal import dies
from search_case import make_case, search_on
from test_fast import Regression
from torch import nn

import netadapt
from netadapt.errors import UserError
from netadapt.latency.predictor import LatencyPredictor
from netadapt.latency.table import LatencyTable
from netadapt.profiling.devices import load_device
from netadapt.profiling.runtimes import load_runtime
from netadapt.report import read_run
from netadapt.search.clock import timed_rounds
from netadapt.search.costs import Costs
from netadapt.search.fisher import fisher_scores
from netadapt.search.goal import Limits
from netadapt.search.journal import IterationBegan, Journal
from netadapt.search.proposals import WidthGrid, one_group_each
from netadapt.search.strategies.knapsack import Choice, solve_within

BLOCKS = {"wide": None, "plain": ("first.0", "plain.0"), "other": ("plain.0", "other.0")}
QUICK = {
    "blocks": True, "speedup": 1.6, "initial_reduction": 0.1,
    "long_points": 1, "long_steps": 1,
}  # fmt: skip


@pytest.fixture(scope="module")
def deep(tmp_path_factory):
    """Arguments of a search for a board that is not attached, of a network with blocks."""
    folder = tmp_path_factory.mktemp("deep")
    return make_case(folder, attached=False, network="slim:Deep") | QUICK


@pytest.fixture(scope="module")
def predictor(deep):
    model = netadapt.load_checkpoint(deep["model"])
    prunable = netadapt.trace(model, torch.rand(1, 3, 32, 32), blocks=True)
    return LatencyPredictor(prunable, LatencyTable.load(deep["lut"]))


@pytest.fixture(scope="module")
def runs(deep, tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs")
    own: dict[str, dict[str, Any]] = {
        "netadapt": {"select": "ratio"},
        "netadapt-fast": {"saliency_batches": 1},
    }
    return {
        name: netadapt.search(**deep | more, strategy=name, out=folder / name)
        for name, more in own.items()
    }


def test_a_network_without_a_block_is_predicted_as_one_that_never_had_it(predictor):
    prunable, table = predictor.prunable, predictor.table
    assert {name: block.tie for name, block in prunable.blocks.items()} == BLOCKS
    for dropped in (("wide",), ("plain", "other"), BLOCKS):
        widths = prunable.tied({"first.0": 16, **dict.fromkeys(dropped, 0)})
        alone = netadapt.trace(prunable.pruned(widths), prunable.example_input)
        assert predictor(widths) == pytest.approx(LatencyPredictor(alone, table)({}))
        ours, theirs = Costs(prunable, predictor), Costs(alone, LatencyPredictor(alone, table))
        for kind in ("macs", "params", "mb"):
            ((got,), (wanted,)) = (
                costs.batch(kind, costs.prunable.vector(at)[None])
                for costs, at in ((ours, widths), (theirs, {}))
            )
            assert got == pytest.approx(wanted), kind


def test_every_block_is_a_proposal_and_what_is_tied_narrows_together(predictor):
    prunable = predictor.prunable
    grid, costs = WidthGrid.of(prunable, 8, 0.125), Costs(prunable, predictor)
    proposals = one_group_each(prunable.widths, grid, costs, {"ms": 0.99 * predictor({})})
    for block in BLOCKS:
        assert proposals[block] == prunable.widths | {block: 0}
    without = prunable.tied({"other": 0, "other.0": 16})
    assert without["plain.0"] == 16
    further = one_group_each(without, grid, costs, {"ms": 0.99 * predictor(without)})
    assert "other" not in further
    assert "other.0" not in further  # the same network as under plain.0
    assert further["plain.0"]["plain.0"] == further["plain.0"]["other.0"] == 8
    assert further["plain"] == without | {"plain": 0, "first.0": 16}


@pytest.mark.parametrize("share", [0.7, 0.45])
def test_the_knapsack_drops_blocks_as_trying_all_would(predictor, share):
    prunable = predictor.prunable
    grid, costs = WidthGrid.of(prunable, 8, 0.125), Costs(prunable, predictor)
    random = np.random.default_rng(0)
    scores = {name: random.gamma(1.0, size=group.width) for name, group in prunable.groups.items()}
    scores |= {name: np.array([4.0]) for name in BLOCKS}
    choice = Choice.of(scores, prunable.widths, grid)
    every = np.array(list(itertools.product(*choice.widths)))
    tied = every[(grid.tied(every) == every).all(axis=1)]
    limits: Limits = {"ms": share * predictor({})}
    within = tied[costs.meet(tied, limits)]
    found = solve_within(choice, costs, limits)
    assert found is not None
    assert (grid.tied(found[None]) == found).all()
    assert costs.meet(found[None], limits)[0]
    best = choice.values(within).max()
    assert best >= choice.value(found) > 0.9 * best


def test_a_block_matters_as_much_as_its_absence_would_change(predictor):
    prunable, task = predictor.prunable, Regression(size=(32, 32))
    scores = fisher_scores(
        prunable, task, device=torch.device("cpu"), batches=1, batch_size=2, seed=3
    )
    inputs, targets = task.train_batch(0, 2, 3)
    for name in BLOCKS:
        block, slopes = prunable.model.get_submodule(name), []
        for image, target in zip(inputs[:, None], targets[:, None], strict=True):
            read = {}

            def keep(_: nn.Module, given: tuple, answer: torch.Tensor) -> torch.Tensor:
                read["difference"] = (answer - given[0]).detach()  # noqa: B023
                read["answer"] = answer.detach().requires_grad_()  # noqa: B023
                return read["answer"]  # noqa: B023

            handle = block.register_forward_hook(keep)
            task.loss(prunable.model, image, target).backward()
            handle.remove()
            slopes.append((read["answer"].grad * read["difference"]).sum((0, 2, 3)))
        wanted = torch.stack(slopes).square().sum(1).mean() / 2
        assert scores[name] == pytest.approx([wanted.item()], rel=1e-3)


def test_a_network_without_a_block_is_timed_as_it_is(predictor):
    prunable, target = predictor.prunable, load_device("cpu").target(load_runtime("onnxruntime"))
    models = [prunable.pruned(dict.fromkeys(dropped, 0)) for dropped in ((), BLOCKS)]
    rounds = timed_rounds(
        models, prunable.example_input, target, prunable, 5, load_device(target.device)
    )
    assert rounds.ms.shape[0] == 2
    assert (rounds.ms > 0).all()


def test_searches_drop_blocks_and_their_files_are_what_the_rows_say(runs, deep):
    for name, run in runs.items():
        rows = run.candidates.set_index("candidate")
        assert (rows.loc["0", list(BLOCKS)] == 1).all()
        final = rows.loc[run.final.stem]
        assert (final[list(BLOCKS)] == 0).any(), name
        model = netadapt.load_checkpoint(run.final)
        assert sum(p.numel() for p in model.parameters()) == final["params"]
        assert {n: final[n] for n in model.spec.widths} == model.spec.widths
        for block in BLOCKS:
            assert any(key.startswith(f"{block}.") for key in model.state_dict()) == final[block]
        assert list(read_run(run.folder).groups)[-3:] == list(BLOCKS)
        assert run.report.exists()


def test_strategy_netadapt_has_a_candidate_for_each_block(runs):
    events = Journal(runs["netadapt"].folder / "journal.jsonl").events
    first = next(event for event in events if isinstance(event, IterationBegan))
    assert {f"1-{block}" for block in BLOCKS} <= {proposal.name for proposal in first.proposals}


def test_a_killed_search_resumes_to_the_same(runs, deep, tmp_path):
    out = tmp_path / "run"
    asked = deep | {"strategy": "netadapt-fast", "saliency_batches": 1}
    assert dies(partial(search_on, asked), out, 4, "torn", of="journal.jsonl")
    resumed, undisturbed = netadapt.search(out=out, resume=True), runs["netadapt-fast"]
    pd.testing.assert_frame_equal(resumed.candidates, undisturbed.candidates)
    assert resumed.final.read_bytes() == undisturbed.final.read_bytes()


def test_what_has_no_blocks_or_does_not_know_them_is_refused(deep, elsewhere, tmp_path):
    with pytest.raises(UserError, match="--blocks: strategy uniform drops no blocks; use netadapt"):
        netadapt.search(**deep, strategy="uniform", out=tmp_path / "run")
    with pytest.raises(UserError, match="the network has no block that could be dropped"):
        netadapt.search(**deep, lock=["wide", "plain", "other"], out=tmp_path / "run")
    assert not (tmp_path / "run").exists()
