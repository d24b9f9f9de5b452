"""The run's tables: everything evaluated, the front, and what the search has cost."""

import json
from collections.abc import Sequence
from dataclasses import dataclass

import pandas as pd

from netadapt.files import write_atomic
from netadapt.search.candidate import Candidate
from netadapt.search.run_folder import RunFolder
from netadapt.search.state import SearchState


@dataclass(frozen=True)
class Ending:
    """How a search ended.

    Attributes:
        final: the name of the answer.
        why: the walk ended, in words.
    """

    final: str
    why: str


def results_frame(
    state: SearchState, rows: Sequence[Candidate], primary: str, metrics: Sequence[str]
) -> pd.DataFrame:
    """Return one row per candidate; empty where something was not measured or not reported."""
    records = []
    for row in rows:
        record: dict[str, object] = {
            "candidate": row.name,
            "iteration": row.iteration,
            "stage": row.stage,
            "predicted_ms": state.predicted(row).ms,
            "measured_ms": state.measured_ms(row),
            f"{primary}_holdout": row.score,
            f"{primary}_test": row.test.get(primary),
        }
        record |= {f"{name}_test": row.test.get(name) for name in metrics}
        if any(other.deployed for other in state.candidates.values()):
            record[f"{primary}_test_deployed"] = row.deployed.get(primary)
        if any(other.predicted_mj is not None for other in state.candidates.values()):
            energies = {"predicted_mj": row.predicted_mj, "measured_mj": state.measured_mj(row)}
            record |= energies
        record |= {"macs": row.macs, "params": row.params, "checkpoint": row.checkpoint}
        record["latency_source"] = state.latency(row).source
        records.append(record | dict(row.widths))
    return pd.DataFrame(records)


def write_results(
    folder: RunFolder,
    state: SearchState,
    primary: str,
    metrics: Sequence[str],
    ending: Ending | None = None,
) -> None:
    """Write ``candidates.csv``, ``pareto.csv`` and ``summary.json``, each whole or not at all."""
    rows = list(state.candidates.values())
    everything = results_frame(state, rows, primary, metrics)
    picked = set(state.walk)
    samples = pd.Series([row.training_samples for row in rows], dtype="Int64")
    everything.insert(3, "selected", [name in picked for name in everything["candidate"]])
    everything.insert(4, "training_samples", samples)
    if any(row.peak_mb is not None for row in rows):
        place = list(everything.columns).index("params") + 1
        everything.insert(place, "peak_mb", [row.peak_mb for row in rows])
    front = results_frame(state, state.front(), primary, metrics)
    write_atomic(folder.candidates, everything.to_csv(index=False, float_format="%.6g"))
    write_atomic(folder.pareto, front.to_csv(index=False, float_format="%.6g"))
    write_atomic(folder.summary, json.dumps(summary(state, ending), indent=2) + "\n")


def summary(state: SearchState, ending: Ending | None = None) -> dict[str, object]:
    """Return what a search has cost so far and, once it is over, how it ended.

    ``training_samples`` counts the training images read to propose (saliencies), in short-term
    and in long-term fine-tunes; it is ``None`` in runs older than the count.
    """
    final = None if ending is None else state.candidates[ending.final]
    stages = [row.stage for row in state.candidates.values()]
    return {
        "iterations": len(state.walk) - 1,
        "candidates": stages.count("short"),
        "training_samples": state.training_samples(),
        "final": ending and ending.final,
        "ended": ending and ending.why,
        "final_ms": None if final is None else state.latency(final).ms,
        "latency_source": None if final is None else state.latency(final).source,
        "base_ms_at_start": state.first_base_ms,
        "base_ms_at_end": state.base_ms,
    }
