"""What ``netadapt.search`` hands back."""

from pathlib import Path

import pandas as pd

from netadapt.search.search_run import SearchRun

ROWS = [("3-a", "short", 5.0), ("1-b", "short", 7.0), ("3-a-long", "long", 5.0)]


def written(folder: Path, front: list[str], final: str) -> SearchRun:
    everything = pd.DataFrame(
        [(*row, place) for place, row in enumerate([*ROWS, ("9-c-long", "long", 4.0)])],
        columns=["candidate", "stage", "predicted_ms", "only_of_candidates"],
    )
    everything["checkpoint"] = [
        f"checkpoints/{name}.safetensors" for name in everything["candidate"]
    ]
    points = everything[everything["candidate"].isin(front)].drop(columns="only_of_candidates")
    everything.to_csv(folder / "candidates.csv", index=False)
    points.to_csv(folder / "pareto.csv", index=False)
    return SearchRun(folder, folder / "checkpoints" / f"{final}.safetensors", None)


def test_the_front_begins_with_the_points_that_are_finished(tmp_path):
    front = written(tmp_path, [name for name, _, _ in ROWS], "3-a-long").front
    assert list(front["candidate"]) == ["3-a-long", "3-a", "1-b"]
    assert list(front.index) == [0, 1, 2]


def test_the_answer_is_in_the_front_that_does_not_have_it(tmp_path):
    front = written(tmp_path, [name for name, _, _ in ROWS], "9-c-long").front
    assert list(front["candidate"]) == ["9-c-long", "3-a-long", "3-a", "1-b"]
    assert list(front.columns) == ["candidate", "stage", "predicted_ms", "checkpoint"]
    assert front["predicted_ms"][0] == 4.0


def test_the_answer_is_that_of_its_own_input_size(tmp_path):
    rows = pd.DataFrame({"candidate": "0-long", "stage": "long", "input_size": ["64x96", "32x64"]})
    rows["checkpoint"] = rows["input_size"] + "/checkpoints/0-long.safetensors"
    rows.to_csv(tmp_path / "candidates.csv", index=False)
    rows[:1].to_csv(tmp_path / "pareto.csv", index=False)
    run = SearchRun(tmp_path, tmp_path / rows["checkpoint"][1], None)
    assert list(run.front["input_size"]) == ["32x64", "64x96"]
