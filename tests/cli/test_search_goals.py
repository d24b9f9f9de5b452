"""Budgets and strategies on the command line."""

import json

import pytest

SEARCH = "search --checkpoint @small.safetensors --data pairs:@pairs --lut @lut/made-up --out new"
QUICK = "--short-steps 0 --long-steps 0 --long-points 1 --initial-reduction 0.3"
IMPOSSIBLE = {
    "--budget-macs": ["0", "-1", "nan", "inf", "5M"],
    "--budget-params": ["0", "-1", "x"],
    "--budget-mb": ["0", "nan", "5MB"],
    "--min-accuracy": ["nan", "inf", "x"],
}
OF_STRATEGIES = {
    "--candidates": ["0", "x"],
    "--saliency-batches": ["0"],
    "--population": ["3", "1.5"],
    "--generations": ["0"],
    "--recalibration-batches": ["0"],
}


@pytest.mark.parametrize(
    ("option", "value"), [(o, v) for o, values in IMPOSSIBLE.items() for v in values]
)
def test_a_goal_that_cannot_be_is_named(netadapt, option, value):
    line = netadapt.refused_at_once(SEARCH, f"{option}={value}")
    assert option.removeprefix("--") in line.replace("_", "-")


@pytest.mark.parametrize(
    ("option", "value"), [(o, v) for o, values in OF_STRATEGIES.items() for v in values]
)
def test_a_number_that_cannot_be_is_named(netadapt, option, value):
    line = netadapt.refused_at_once(SEARCH, f"--budget-ms 150 {option}={value}")
    assert option.removeprefix("--") in line.replace("_", "-")


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ("", ("--budget-ms", "--budget-macs", "--budget-params", "--budget-mb", "--min-accuracy")),
        ("--budget-ms 150 --min-accuracy 0.1", ("not both",)),
        ("--min-accuracy 0.1 --strategy evolution", ("evolution", "budget")),
        ("--budget-params 1", ("budget 1 parameters cannot be met", "--lowest-share")),
    ],
)
def test_goals_that_do_not_go_together_are_refused(netadapt, options, words):
    line = netadapt.refused_at_once(SEARCH, options)
    for word in words:
        assert word in line


def test_the_strategies_are_listed_where_one_is_unknown(netadapt):
    line = netadapt.refused_at_once(SEARCH, "--budget-ms 150 --strategy luck")
    for name in ("netadapt", "uniform", "random", "magnitude", "taylor", "knapsack", "evolution"):
        assert name in line


def test_a_search_for_parameters_says_what_it_read_and_is_drawn(netadapt):
    result = netadapt(SEARCH, QUICK, "--strategy uniform --budget-params 300")
    assert result.code == 0, result.err
    assert "walking down from" in result.err
    assert "training images read: 0 proposing, 0 short, 0 long" in result.err
    settings = json.loads((netadapt.here / "new/run.json").read_text())
    assert settings["budget_ms"] is None
    assert settings["budget_params"] == 300
    assert json.loads((netadapt.here / "new/summary.json").read_text())["candidates"] >= 1
    shown = netadapt("info new --json")
    assert shown.code == 0, shown.err
    drawn = netadapt("plot new")
    assert drawn.code == 0, drawn.err
    assert netadapt.refused("search --resume --out new --budget-params 2000").startswith(
        "the run in new has budget_params 300.0, not 2000.0"
    )


def test_an_accuracy_to_keep_is_said(netadapt):
    result = netadapt(SEARCH, QUICK, "--strategy uniform --min-accuracy 0")
    assert result.code == 0, result.err
    assert "stopped at" in result.err
    assert "no group can be made narrower" in result.err
    assert netadapt("plot new").code == 0
