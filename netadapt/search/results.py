"""The run's tables: everything evaluated, and the front."""

from collections.abc import Sequence

import pandas as pd

from netadapt.files import write_atomic
from netadapt.search.candidate import Candidate
from netadapt.search.run_folder import RunFolder
from netadapt.search.state import SearchState


def results_frame(
    state: SearchState, rows: Sequence[Candidate], primary: str, metrics: Sequence[str]
) -> pd.DataFrame:
    """Return one row a candidate; empty where something was not measured or not reported."""
    records = []
    for row in rows:
        record: dict[str, object] = {
            "candidate": row.name,
            "iteration": row.iteration,
            "stage": row.stage,
            "predicted_ms": row.predicted_ms,
            "measured_ms": None if row.stage == "short" else state.latency_ms(row),
            f"{primary}_holdout": row.score,
            f"{primary}_test": row.test.get(primary),
        }
        record |= {f"{name}_test": row.test.get(name) for name in metrics}
        record |= {"macs": row.macs, "params": row.params, "checkpoint": row.checkpoint}
        records.append(record | dict(row.widths))
    return pd.DataFrame(records)


def write_results(
    folder: RunFolder, state: SearchState, primary: str, metrics: Sequence[str]
) -> None:
    """Write ``candidates.csv`` and ``pareto.csv``, each whole or not at all."""
    everything = results_frame(state, list(state.candidates.values()), primary, metrics)
    picked = set(state.walk)
    everything.insert(3, "selected", [name in picked for name in everything["candidate"]])
    front = results_frame(state, state.front(), primary, metrics)
    write_atomic(folder.candidates, everything.to_csv(index=False, float_format="%.6g"))
    write_atomic(folder.pareto, front.to_csv(index=False, float_format="%.6g"))
