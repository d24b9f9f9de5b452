"""What ``netadapt info`` says of several input sizes."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from netadapt.image_sizes import Size, size_name

SHOWN = ("candidate", "input_size", "stage", "predicted_ms", "measured_ms", "latency_source")


def costs_at(
    reference: str, sizes: Sequence[Size], lut: Path | None, output: str | None
) -> list[dict[str, Any]]:
    """Return what a network costs at each input size; with a table, latency as well."""
    from netadapt.cli.describe import latency_range
    from netadapt.cli.models import load_with_input
    from netadapt.latency.table import LatencyTable
    from netadapt.pruning import trace

    table = None if lut is None else LatencyTable.load(lut)
    lines = []
    for size in sizes:
        prunable = trace(*load_with_input(reference, size, output=output))
        macs = prunable.operations.macs(prunable.vector({}))
        reach = {} if table is None else latency_range(prunable, table)
        lines.append({"input_size": size_name(size), "macs": macs, **reach})
    return lines


def search_facts(folder: Path) -> dict[str, Any]:
    """Return the runs of a search over several input sizes, and their one front."""
    from netadapt.cli.describe import run
    from netadapt.report.settings import read_json
    from netadapt.report.tables import read_table
    from netadapt.search.input_sizes import SIZES

    facts: dict[str, Any] = {"search": str(folder), "runs": []}
    for name in read_json(folder / SIZES, "the list of runs"):
        begun = run(folder / name) if (folder / name / "run.json").is_file() else {}
        keys = ("iterations", "evaluated", "finished")
        facts["runs"].append({"input_size": name} | {key: begun.get(key) for key in keys})
    if not (folder / "pareto.csv").is_file():
        return facts
    summary = read_json(folder / "summary.json", "the search's summary")
    answer = f"{summary.get('final')} at {summary.get('input_size')}"
    front = read_table(folder / "pareto.csv")
    score = next((str(name) for name in front.columns if str(name).endswith("_holdout")), "")
    columns = [name for name in (*SHOWN, score) if name in front.columns]
    rows = front[columns].to_dict("records")
    return {**facts, "answer": answer, "ended": summary.get("ended"), "front": rows}
