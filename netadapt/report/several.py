"""Folders that hold several runs: of several targets, or of several input sizes with one front."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from netadapt.report.runs import RunView
from netadapt.report.settings import read_json
from netadapt.search.front import pareto_front

TARGETS, SIZES = LISTS = ("targets.json", "sizes.json")


@dataclass(frozen=True)
class Joint:
    """What a search over several input sizes has found.

    Attributes:
        name: of its folder.
        points: the one front, by rising latency: a run's place and a candidate of that run, each.
        answer: likewise; ``None`` as long as no run is over.
    """

    name: str
    points: tuple[tuple[int, str], ...]
    answer: tuple[int, str] | None


def runs_of(paths: Sequence[Path]) -> list[Path]:
    """Return the run folders that ``paths`` stand for; runs that have not begun are left out."""
    found: list[Path] = []
    for path in paths:
        lists = [path / name for name in LISTS if (path / name).is_file()]
        if lists:
            names = read_json(lists[0], "the list of runs")
            own = [path / name for name in names if Path(name).name == name]
            found += [run for run in own if (run / "run.json").is_file()]
        else:
            found.append(path)
    return found


def joint_of(paths: Sequence[Path], runs: Sequence[RunView]) -> Joint | None:
    """Return the one front of ``runs``, if ``paths`` is a search over several input sizes."""
    if len(paths) != 1 or not (paths[0] / SIZES).is_file():
        return None
    rows = [(place, row) for place, run in enumerate(runs) for _, row in run.front.iterrows()]
    latencies = [row["latency_ms"] for _, row in rows]
    gains = np.concatenate([run.gains(run.front) for run in runs])
    points = [rows[index] for index in pareto_front(latencies, gains)]
    return Joint(
        paths[0].resolve().name,
        tuple((place, str(row["candidate"])) for place, row in points),
        _answer(paths[0], runs),
    )


def _answer(path: Path, runs: Sequence[RunView]) -> tuple[int, str] | None:
    if not (path / "summary.json").is_file():
        return None
    summary = read_json(path / "summary.json", "the search's summary")
    names = [run.name for run in runs]
    size, final = summary.get("input_size"), summary.get("final")
    if size not in names or final not in set(runs[names.index(size)].candidates["candidate"]):
        return None
    return names.index(size), str(final)
