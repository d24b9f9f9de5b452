import json
from pathlib import Path

import numpy as np
import pytest
from run_folders import FULL, MakeRun

from netadapt.errors import UserError
from netadapt.report import read_run


def edit(path: Path, **changes: object) -> None:
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def test_run_is_read_with_its_groups_in_order(make_run: MakeRun) -> None:
    run = read_run(make_run("tiny"))
    assert run.name == "tiny"
    assert run.target == "epyc-ort-1-thread-fp32-b1"
    assert run.groups == tuple(FULL)
    assert run.base["iteration"] == 0
    assert list(run.measured["stage"].unique()) == ["base", "long"]
    assert run.candidates["selected"].sum() == 13


def test_metrics_are_not_taken_for_channel_groups(make_run: MakeRun) -> None:
    folder = make_run()
    for name in ("candidates.csv", "pareto.csv"):
        lines = (folder / name).read_text().splitlines()
        lines = [lines[0] + ",absrel_test", *(line + "," for line in lines[1:])]
        (folder / name).write_text("\n".join(lines))
    assert read_run(folder).groups == tuple(FULL)


def test_chosen_network_is_the_best_that_the_clock_puts_within_budget(make_run: MakeRun) -> None:
    run = read_run(make_run(budget_ms=9.0))
    chosen = run.chosen
    assert chosen is not None
    within = run.measured[run.measured["measured_ms"] <= 9.0]
    assert chosen["delta1_holdout"] == within["delta1_holdout"].max()
    assert read_run(make_run("impossible", budget_ms=0.1)).chosen is None


def test_lower_scores_gain_more_where_lower_is_better(make_run: MakeRun) -> None:
    run = read_run(make_run(score="rmse", higher_is_better=False))
    np.testing.assert_allclose(run.gains(run.front), -run.front["rmse_holdout"])
    assert (np.diff(run.gains(run.front)) > 0).all()


def test_a_candidate_without_a_score_is_read(make_run: MakeRun) -> None:
    folder = make_run()
    table = folder / "candidates.csv"
    lines = table.read_text().splitlines()
    cells = lines[2].split(",")
    cells[5] = ""
    lines[2] = ",".join(cells)
    table.write_text("\n".join(lines))
    assert read_run(folder).candidates["delta1_holdout"].isna().sum() == 1


@pytest.mark.parametrize(
    ("name", "damage"),
    [
        (name, damage)
        for name in ("run.json", "candidates.csv", "pareto.csv")
        for damage in ("missing", "empty", "binary", "torn")
        if (name, damage) != ("run.json", "missing")  # the tables alone can be shown
    ],
)
def test_damage_is_one_line_that_names_the_file(make_run: MakeRun, name: str, damage: str) -> None:
    path = make_run() / name
    content = path.read_bytes()
    if damage == "missing":
        path.unlink()
    elif damage == "empty":
        path.write_bytes(b"")
    elif damage == "binary":
        path.write_bytes(bytes(range(256)) * 4)
    else:
        path.write_bytes(content[: len(content) - 30])
    with pytest.raises(UserError) as error:
        read_run(path.parent)
    assert name in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("predicted_ms", "predicted", "lacks the column predicted_ms"),
        ("delta1_holdout", "delta1", "lacks the column delta1_holdout"),
        (",base,10.0,", ",base,fast,", "predicted_ms in row 1 is fast"),
        (",base,10.0,", ",base,inf,", "predicted_ms in row 1 is inf"),
        (",base,10.0,", ",base,,", "predicted_ms in row 1 is an empty cell"),
        (",base,", ",basis,", "stage 'basis'"),
        (",base,", ",short,", "no row of stage base"),
        (",true", ",maybe", "selected is 'maybe'"),
        (",32,64,", ",0,64,", "conv0.0 has less than one channel"),
    ],
)
def test_wrong_cells_are_named(make_run: MakeRun, old: str, new: str, said: str) -> None:
    path = make_run() / "candidates.csv"
    content = path.read_text()
    assert old in content
    path.write_text(content.replace(old, new, 1))
    with pytest.raises(UserError, match=said):
        read_run(path.parent)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"format": 2}, "format"),
        ({"budget_ms": "five"}, "budget_ms"),
        ({"budget_ms": 0}, "budget_ms"),
        ({"higher_is_better": None}, "higher_is_better"),
        ({"score": "speed"}, "speed_holdout"),
    ],
)
def test_wrong_settings_are_named(make_run: MakeRun, changes: dict[str, object], said: str) -> None:
    folder = make_run()
    edit(folder / "run.json", **changes)
    with pytest.raises(UserError, match=said) as error:
        read_run(folder)
    assert "\n" not in str(error.value)


def test_what_is_no_run_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="does not exist"):
        read_run(tmp_path / "nowhere")
    with pytest.raises(UserError, match="is not a run"):
        read_run(tmp_path)
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match="is not a folder"):
        read_run(tmp_path / "file")


def test_an_unfinished_run_says_how_to_finish_it(make_run: MakeRun) -> None:
    folder = make_run()
    (folder / "candidates.csv").unlink()
    with pytest.raises(UserError, match=r"search --resume --out"):
        read_run(folder)
