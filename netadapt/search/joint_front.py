"""The tables of a search over several input sizes: those of its runs, and one front."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from netadapt.files import write_atomic
from netadapt.search.front import pareto_front
from netadapt.search.run_folder import RunFolder
from netadapt.search.search_run import SearchRun

HOLDOUT = "_holdout"
NOT_OF_THE_FRONT = ["selected", "training_samples", "peak_mb"]  # columns of candidates.csv alone
LATENCIES = ["predicted_ms", "measured_ms"]
Runs = Mapping[str, SearchRun]


def write_joint(out: Path, runs: Runs) -> None:
    """Write ``candidates.csv``, ``pareto.csv`` and ``summary.json``, each whole or not at all.

    The tables have the runs' columns and ``input_size``; checkpoints are relative to ``out``.

    Args:
        out: the folder of the search.
        runs: those that are finished, by their input sizes.
    """
    factors = {name: _factor(run, next(iter(runs.values()))) for name, run in runs.items()}
    everything = pd.concat([_rows(name, run, factors[name]) for name, run in runs.items()])
    latencies, gains = latency_ms(everything), _sign(runs) * everything[_score(everything)]
    front = everything.iloc[pareto_front(latencies, gains)]
    front = front.drop(columns=NOT_OF_THE_FRONT, errors="ignore")
    for file, table in (("candidates.csv", everything), ("pareto.csv", front)):
        write_atomic(out / file, table.to_csv(index=False, float_format="%.6g"))
    write_atomic(out / "summary.json", json.dumps(_summary(runs, factors), indent=2) + "\n")


def answer_of(runs: Runs) -> str:
    """Return the input size of the most accurate of the runs' answers; of equal ones the fastest.

    Each run's answer is within the budget, so that this is the most accurate point that is.
    """

    def merit(name: str) -> tuple[float, float]:
        rows = runs[name].candidates
        final = rows[rows["candidate"] == runs[name].final.stem]
        return _sign(runs) * final[_score(rows)].iloc[0], -latency_ms(final).iloc[0]

    return max(runs, key=merit)


def latency_ms(rows: pd.DataFrame) -> "pd.Series[float]":
    """Return the latencies that the front is of: measured where the run counts that."""
    return rows["predicted_ms"].where(rows["latency_source"] != "measured", rows["measured_ms"])


def _factor(run: SearchRun, first: SearchRun) -> float:
    """Return by how much the machine was faster at the end of ``run`` than at that of the first.

    Known with a speed-up alone: the two bases were measured in turn then.
    """
    settings = RunFolder(run.folder).settings()
    now, then = run.summary["base_ms_at_end"], first.summary["base_ms_at_end"]
    if settings.speedup is None or settings.base_share is None or not now or not then:
        return 1.0
    return float(settings.base_share * then / now)


def _rows(name: str, run: SearchRun, factor: float) -> pd.DataFrame:
    """Return everything evaluated at one input size, at the machine's speed in the first run."""
    rows = run.candidates
    rows[LATENCIES] *= factor
    rows.insert(1, "input_size", name)
    rows["checkpoint"] = f"{name}/" + rows["checkpoint"]
    return rows


def _score(rows: pd.DataFrame) -> str:
    return next(str(column) for column in rows.columns if str(column).endswith(HOLDOUT))


def _sign(runs: Runs) -> float:
    first = next(iter(runs.values()))
    return 1.0 if RunFolder(first.folder).higher_is_better() else -1.0


def _summary(runs: Runs, factors: Mapping[str, float]) -> dict[str, Any]:
    """Return what all runs have cost, and the answer as the summary of its run has it."""
    found = {name: run.summary for name, run in runs.items()}
    size, first = answer_of(runs), next(iter(found.values()))
    samples = pd.DataFrame([one["training_samples"] for one in found.values()]).sum()
    return {
        **found[size],
        "iterations": sum(one["iterations"] for one in found.values()),
        "candidates": sum(one["candidates"] for one in found.values()),
        "training_samples": {str(stage): int(count) for stage, count in samples.items()},
        "final_ms": found[size]["final_ms"] * factors[size],
        "input_size": size,
        "latency_factors": factors,
        "base_ms_at_start": first["base_ms_at_start"],
        "base_ms_at_end": first["base_ms_at_end"],
    }
