"""A run as its page holds it: plain numbers and words, ready for JSON."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from netadapt.report.events import RunEvents, read_events
from netadapt.report.page.breakdown import breakdown_data
from netadapt.report.page.reproduce import commands
from netadapt.report.page.strips import strips_data
from netadapt.report.page.walk import rule_of_selection, walk_data
from netadapt.report.quality import find_table, quality_data, read_quality, target_facts
from netadapt.report.runs import RunView
from netadapt.report.samples import read_samples
from netadapt.report.scores import score_name, score_unit
from netadapt.report.settings import read_json

NO_FILES = {"run.lock", "report.html"}  # of no use to a reader, or the page itself
_SHOWN_ALWAYS = ("base", "long")


@dataclass(frozen=True)
class Detail:
    """Limits of what a page contains.

    Attributes:
        dominated: candidates off the front at most, the best scores first.
        samples_px: width of the sample pictures; 0 leaves them out.
    """

    dominated: int = 5000
    samples_px: int = 320


def run_data(run: RunView, detail: Detail, again: Sequence[str] = ()) -> dict[str, Any]:
    """Return what the page shows of ``run``.

    Args:
        run: the run.
        detail: how much of it.
        again: the commands that make it again, if they make more than this run.

    Raises:
        UserError: one of its files is damaged.
    """
    events = read_events(run.path / "journal.jsonl")
    table = find_table(run.settings.lut, run.path)
    rows, left_out = _shown(run, detail.dominated)
    target = _target(table)
    return {
        "name": run.name,
        "path": str(run.path),
        "target": run.target,
        "strategy": run.strategy,
        "goal": run.goal,
        "budget_ms": run.budget_ms,
        "anchored": run.anchored,
        "score": {
            "key": run.score,
            "name": score_name(run.score),
            "unit": score_unit(run.score),
            "higher": run.higher_is_better,
        },
        "state": _state(run, events),
        "groups": list(run.groups),
        "candidates": _candidates(run, rows, events),
        "left_out": left_out,
        "base": run.base["candidate"],
        "answer": _answer(run, events),
        "walk": walk_data(run, events),
        "rule": rule_of_selection(run),
        "anchors": [asdict(anchor) for anchor in events.anchors] if events else [],
        "quality": quality_data(read_quality(table)) if table else None,
        "table": {"path": str(run.settings.lut), "facts": target_facts(table)} if table else None,
        "breakdown": breakdown_data(run.path / "breakdown.csv"),
        "samples": _samples(run.path / "samples.npz", detail.samples_px),
        "settings": _settings(run.settings.everything),
        "summary": _summary(run.path / "summary.json"),
        "commands": list(again) or commands(run.settings.everything, target, run.path),
        "files": _files(run.path),
    }


def commands_of_all(folder: Path, runs: Sequence[RunView]) -> list[str]:
    """Return the commands that make a search over the input sizes of ``runs`` again."""
    first = runs[0]
    target = _target(find_table(first.settings.lut, first.path))
    return commands(first.settings.everything, target, folder, [run.name for run in runs])


def _target(table: Path | None) -> dict[str, Any] | None:
    return read_json(table / "target.json", "the table's target") if table else None


def _shown(run: RunView, most: int) -> tuple[pd.DataFrame, int]:
    """Return the rows for the page, and how many dominated ones are left out."""
    rows = run.candidates
    names = set(run.front["candidate"])
    needed = rows["candidate"].isin(names) | rows["selected"] | rows["stage"].isin(_SHOWN_ALWAYS)
    rest = rows[~needed]
    if len(rest) <= most:
        return rows, 0
    best = rest.sort_values(run.holdout, ascending=not run.higher_is_better, kind="stable")
    kept = rows[needed | rows["candidate"].isin(best["candidate"].head(most))]
    return kept, len(rows) - len(kept)


def _candidates(run: RunView, rows: pd.DataFrame, events: RunEvents | None) -> dict[str, Any]:
    front = set(run.front["candidate"])
    tests = [c for c in map(str, rows.columns) if c.endswith("_test")]
    failures = events.failures if events else {}
    retries = events.retries if events else {}
    optional = {
        key: _numbers(rows[key])
        for key in ("measured_p10_ms", "measured_p90_ms", "predicted_mj", "measured_mj")
        if key in rows and rows[key].notna().any()
    }
    sources = {
        str(key): rows[key].tolist()
        for key in rows.columns
        if str(key).endswith(("_from", "_source"))
    }
    return {
        "name": rows["candidate"].tolist(),
        "iteration": [int(number) for number in rows["iteration"]],
        "stage": rows["stage"].tolist(),
        "selected": rows["selected"].tolist(),
        "front": [name in front for name in rows["candidate"]],
        "latency": _numbers(rows["latency_ms"]),
        "predicted": _numbers(rows["predicted_ms"]),
        "measured": _numbers(rows["measured_ms"]),
        "holdout": _numbers(rows[run.holdout]),
        "tests": {
            column.removesuffix("_test"): {
                "name": score_name(column.removesuffix("_test")),
                "values": _numbers(rows[column]),
            }
            for column in tests
        },
        "macs": _numbers(rows["macs"]),
        "params": _numbers(rows["params"]),
        "widths": rows[list(run.groups)].astype(int).to_numpy().tolist(),
        "failures": {name: why for name, why in failures.items() if name in set(rows["candidate"])},
        "retries": retries,
        **optional,
        **sources,
    }


def _numbers(column: "pd.Series[Any]") -> list[float | None]:
    return [None if math.isnan(value) else float(value) for value in column]


def _answer(run: RunView, events: RunEvents | None) -> str | None:
    known = set(run.candidates["candidate"])
    if events is not None:
        return events.answer if events.answer in known else None
    if run.chosen is None or not run.has_goal:
        return None
    return str(run.chosen["candidate"])


def _state(run: RunView, events: RunEvents | None) -> dict[str, Any]:
    """Return how far the run is, in words; unknown for a run without a journal."""
    if events is None:
        return {"finished": None, "text": "no journal: the tables alone are shown"}
    if events.answer is not None:
        return {"finished": True, "text": "finished"}
    done = sum(one.picked is not None for one in events.iterations)
    text = f"not finished: {done} iteration{'s' * (done != 1)} done"
    if events.iterations and events.iterations[-1].picked is None:
        last = events.iterations[-1]
        scored = len(set(last.proposals) & events.scored)
        text += f", {scored} of {len(last.proposals)} candidates of iteration {last.number} scored"
    return {"finished": False, "text": text}


def _samples(path: Path, widest: int) -> dict[str, Any] | None:
    return strips_data(read_samples(path), widest) if widest and path.exists() else None


def _summary(path: Path) -> dict[str, Any]:
    return read_json(path, "the run's summary") if path.exists() else {}


def _settings(everything: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Return name and value of what was asked for, as text."""
    found = []
    for name, value in everything.items():
        if value is None or name == "format":
            continue
        if isinstance(value, dict):
            found += [(f"{name}.{key}", _text(inner)) for key, inner in value.items()]
        else:
            found.append((name, _text(value)))
    return found


def _text(value: object) -> str:
    if isinstance(value, list):
        return ", ".join(_text(one) for one in value)
    return f"{value:g}" if isinstance(value, float) else str(value)


def _files(run: Path) -> list[tuple[str, int]]:
    """Return files and their bytes; the weights as one."""
    found = [
        (path.relative_to(run).as_posix(), path.stat().st_size)
        for path in sorted((*run.glob("*"), *run.glob("plots/*")))
        if path.is_file() and path.name not in NO_FILES and not path.name.startswith(".")
    ]
    weights = [path.stat().st_size for path in run.glob("checkpoints/*.safetensors")]
    return [*found, (f"checkpoints/ ({len(weights)} files)", sum(weights))] if weights else found
