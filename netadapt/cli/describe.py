"""The facts that ``netadapt info`` prints."""

from pathlib import Path
from typing import Any


def network(reference: str, input_size: tuple[int, int] | None, lut: Path | None) -> dict[str, Any]:
    """Groups, widths, locked layers, parameters and MACs; with a table, latency by group."""
    from netadapt.cli.models import load_with_input
    from netadapt.latency.predictor import LatencyPredictor
    from netadapt.latency.table import LatencyTable
    from netadapt.pruning import trace

    model, example = load_with_input(reference, input_size)
    prunable = trace(model, example)
    facts: dict[str, Any] = {
        "model": reference,
        "input_size": f"{example.shape[-2]}x{example.shape[-1]}",
        "parameters": sum(parameter.numel() for parameter in model.parameters()),
        "macs": prunable.operations.macs(prunable.vector({})),
    }
    shares: dict[str, float] = {}
    if lut is not None:
        predictor = LatencyPredictor(prunable, LatencyTable.load(lut))
        whole = predictor({})
        facts["predicted_ms"] = round(whole, 4)
        for module, _, milliseconds in predictor.breakdown({}):
            shares[module] = shares.get(module, 0.0) + milliseconds / whole
    facts["groups"] = [
        {
            "name": group.name,
            "channels": group.width,
            "producers": ", ".join(group.producers),
            **(
                {"latency %": round(100 * sum(shares.get(p, 0.0) for p in group.producers), 1)}
                if shares
                else {}
            ),
        }
        for group in prunable.groups.values()
    ]
    facts["locked"] = [
        {"layer": name, "reason": reason} for name, reason in prunable.locked.items()
    ]
    return facts


def table(folder: Path) -> dict[str, Any]:
    """The target of a table, its size and its error on whole networks."""
    from collections import Counter

    from netadapt.latency.profiler import summarise
    from netadapt.latency.table import LatencyTable, load_validation

    loaded = LatencyTable.load(folder)
    facts: dict[str, Any] = {
        "lut": str(folder),
        "target": loaded.target.model_dump(exclude={"protocol"}),
        "workloads": len(loaded.rows),
        "kinds": dict(Counter(workload.kind for workload in loaded.rows)),
    }
    if (folder / "validation.csv").exists():
        validation = load_validation(folder)
        report = summarise(validation)
        facts["validation"] = {
            "networks": len(validation),
            "mape_percent": round(report.mape, 3),
            "within_5_percent": round(report.within_5, 1),
            "within_10_percent": round(report.within_10, 1),
            "spearman": round(report.spearman, 4),
            "repeatability_percent": round(report.repeatability, 3),
        }
    return facts


def run(folder: Path) -> dict[str, Any]:
    """What a run was asked to do, and how far it is."""
    from netadapt.search.journal import Journal
    from netadapt.search.run_folder import RunFolder
    from netadapt.search.state import SearchState

    opened = RunFolder.existing(folder)
    settings = opened.settings()
    state = SearchState().replay(Journal(opened.journal).events)
    return {
        "run": str(folder),
        "settings": settings.model_dump(exclude={"format"}),
        "iterations": max(0, len(state.walk) - 1),
        "evaluated": len(state.candidates),
        "finished": state.finished,
        "front": [
            {
                "candidate": row.name,
                "stage": row.stage,
                "predicted ms": round(row.predicted_ms, 4),
                "measured ms": state.latency_ms(row),
                "score": row.score,
            }
            for row in state.front()
        ],
    }
