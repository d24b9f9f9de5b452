"""Folders that hold several runs: of several targets, or of several input sizes with one front."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from netadapt.report.runs import RunView, read_run
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


def read_runs(paths: Sequence[Path]) -> tuple[list[RunView], Joint | None]:
    """Read the runs that ``paths`` stand for, and their one front if they are of several sizes.

    The latencies of such runs are those at the machine's speed in the first.

    Raises:
        UserError: as ``read_run``.
    """
    runs = [read_run(path) for path in runs_of(paths)]
    if len(paths) != 1 or not (paths[0] / SIZES).is_file() or not runs:
        return runs, None
    file = paths[0] / "summary.json"
    summary = read_json(file, "the search's summary") if file.is_file() else {}
    factors = summary.get("latency_factors")
    if isinstance(factors, dict):
        runs = [_scaled(run, factors.get(run.name)) for run in runs]
    rows = [(place, row) for place, run in enumerate(runs) for _, row in run.front.iterrows()]
    latencies = [row["latency_ms"] for _, row in rows]
    gains = np.concatenate([run.gains(run.front) for run in runs])
    points = [rows[index] for index in pareto_front(latencies, gains)]
    names = tuple((place, str(row["candidate"])) for place, row in points)
    return runs, Joint(paths[0].resolve().name, names, _answer(summary, runs))


def _scaled(run: RunView, factor: object) -> RunView:
    """Multiply all latencies of ``run``; what is no factor is left out."""
    if not isinstance(factor, float) or not 0 < factor < np.inf:
        return run
    columns = [name for name in map(str, run.candidates.columns) if name.endswith("_ms")]
    tables = [table.copy() for table in (run.candidates, run.front)]
    for table in tables:
        table[columns] *= factor
    return replace(run, candidates=tables[0], front=tables[1])


def _answer(summary: Mapping[str, Any], runs: Sequence[RunView]) -> tuple[int, str] | None:
    names = [run.name for run in runs]
    size, final = summary.get("input_size"), summary.get("final")
    if size not in names or final not in set(runs[names.index(size)].candidates["candidate"]):
        return None
    return names.index(size), str(final)
