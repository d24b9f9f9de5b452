import pytest
import torch
from search_case import WIDTHS

from netadapt.latency.predictor import LatencyPredictor
from netadapt.latency.table import LatencyTable
from netadapt.pruning import trace
from netadapt.search.costs import Costs
from netadapt.search.goal import Limits
from netadapt.search.proposals import WidthGrid, one_group_each
from netadapt.training.checkpoint import load_checkpoint


@pytest.fixture(scope="module")
def predictor(elsewhere):
    model = load_checkpoint(elsewhere["model"])
    return LatencyPredictor(
        trace(model, torch.rand(1, 3, 32, 32)), LatencyTable.load(elsewhere["lut"])
    )


@pytest.mark.parametrize("share", [0.99, 0.95, 0.9])
def test_each_group_is_the_widest_that_meets_the_target_alone(predictor, share):
    grid = WidthGrid(WIDTHS, 8, 0.125)
    target = share * predictor({})
    costs = Costs(predictor.prunable, predictor)
    proposals = one_group_each(WIDTHS, grid, costs, {"ms": target})
    for group, full in WIDTHS.items():
        meeting = [
            width
            for width in range(grid.lowest(group), full, 8)
            if predictor({group: width}) <= target
        ]
        if meeting:
            assert proposals[group] == {**WIDTHS, group: max(meeting)}
        else:
            assert group not in proposals


def test_widths_are_multiples_and_not_below_the_lowest_share():
    grid = WidthGrid({"a": 64, "b": 30, "c": 8}, 8, 0.25)
    assert grid.below("a", 64) == [56, 48, 40, 32, 24, 16]
    assert grid.below("b", 30) == [24, 16, 8]
    assert grid.below("c", 8) == []
    assert grid.narrowest() == {"a": 16, "b": 8, "c": 8}


def test_proposals_stop_at_the_blocks_that_the_table_found(predictor):
    """24 channels cost what 32 do where 16 are computed at a time: nobody proposes them."""
    prunable, table = predictor.prunable, predictor.table
    (calibration,) = table.target.calibrations
    blocked = calibration.model_copy(update={"channel_blocks": {"": 16}})
    target = table.target.model_copy(update={"calibrations": (blocked,)})
    in_blocks = LatencyPredictor(prunable, LatencyTable(table.folder, target, table.rows))
    grid = WidthGrid(WIDTHS, 8, 0.125)
    wide = [group for group, width in WIDTHS.items() if width == 32]
    found = {}
    for name, one in {"plain": predictor, "blocked": in_blocks}.items():
        limits: Limits = {"ms": 0.995 * one({})}
        proposals = one_group_each(WIDTHS, grid, Costs(prunable, one), limits)
        found[name] = {proposals[group][group] for group in wide if group in proposals}
    assert 24 in found["plain"]
    assert found["blocked"]
    assert found["blocked"] <= {16, 8}
