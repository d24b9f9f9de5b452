"""The facts that ``netadapt info`` prints."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from netadapt.latency.calibration import NetworkCalibration
    from netadapt.latency.table import LatencyTable
    from netadapt.pruning import PrunableModel, Widths
    from netadapt.pruning.examples import Example

HIDDEN = {"protocol", "calibrations", "fusion", "latency_bytes", "latency_crc32"}
FIGURES = (
    "networks",
    "mape_percent",
    "within_5_percent",
    "within_10_percent",
    "spearman",
    "repeatability_percent",
)


def network(
    reference: str,
    input_size: tuple[int, int] | None,
    lut: Path | None,
    lock: Sequence[str] = (),
    inputs: Sequence[str] = (),
    output: str | None = None,
    allow_approximate: bool = False,
    blocks: bool = False,
) -> dict[str, Any]:
    """Return groups, widths, locked layers, parameters and MACs; with a table, latency as well.

    With ``blocks``, also the blocks that can be dropped.
    """
    from netadapt.cli.models import load_with_input
    from netadapt.latency.predictor import LatencyPredictor
    from netadapt.latency.table import LatencyTable
    from netadapt.latency.validation import warning_of
    from netadapt.pruning import trace
    from netadapt.pruning.blocks import dropped_in

    table = None if lut is None else LatencyTable.load(lut)
    model, example = load_with_input(reference, input_size, inputs=inputs, output=output)
    prunable = trace(model, example, lock, allow_approximate, blocks)
    facts: dict[str, Any] = {
        "model": reference,
        **_input(example),
        "parameters": prunable.parameter_count(),
        "macs": prunable.operations.macs(prunable.vector({})),
    }
    shares: dict[str, dict[str, float]] = {"macs %": {}}
    for operation in prunable.operations.operations:
        _add_share(shares["macs %"], operation.module, operation.macs / max(1, facts["macs"]))
    saved: dict[str, Callable[[Widths], float]] = {"parameters %": prunable.parameter_count}
    saved["macs %"] = lambda widths: prunable.operations.macs(prunable.vector(widths))
    if table is not None:
        shares["latency %"] = {}
        predictor = LatencyPredictor(prunable, table)
        whole, saved["latency %"] = predictor({}), predictor
        facts |= latency_range(prunable, table)
        if predictor.calibration_note:
            facts["note"] = predictor.calibration_note
        if warning := warning_of(table.folder):
            facts["warning"] = warning
        for module, _, milliseconds in predictor.breakdown({}):
            _add_share(shares["latency %"], module, milliseconds / whole)
    stepped = any(group.step > 1 for group in prunable.groups.values())
    facts["groups"] = [
        {
            "name": group.name,
            "channels": group.width,
            **({"step": group.step} if stepped else {}),
            "producers": ", ".join(group.producers),
            **{
                name: round(100 * sum(share.get(layer, 0.0) for layer in group.producers), 1)
                for name, share in shares.items()
            },
        }
        for group in prunable.groups.values()
    ]
    if gone := dropped_in(model):
        facts["dropped"] = ", ".join(gone)
    if blocks:
        facts["blocks"] = [_block(prunable, name, saved) for name in prunable.blocks]
    facts["locked"] = [
        {"layer": name, "reason": reason} for name, reason in prunable.locked.items()
    ]
    return facts


def _block(
    prunable: "PrunableModel", name: str, saved: "Mapping[str, Callable[[Widths], float]]"
) -> dict[str, Any]:
    """A block, and what of the network's costs goes with it."""
    tie = prunable.ties[name]
    return {
        "name": name,
        "joins": " and ".join(tie) if tie else "",
        **{
            cost: round(100 * (1 - of({name: 0}) / max(1e-9, of({}))), 1)
            for cost, of in saved.items()
        },
    }


def _input(example: "Example") -> dict[str, str]:
    """The size of an image, or what else a network takes."""
    from netadapt.pruning.examples import described

    if getattr(example, "ndim", 0) == 4:
        return {"input_size": described(example).split("x", maxsplit=2)[2]}
    return {"input": described(example)}


def latency_range(
    prunable: "PrunableModel", table: "LatencyTable", channel_multiple: int = 8
) -> dict[str, float]:
    """Return the predicted p50 of the network and of its narrowest form, in ms.

    Where the table tells energy, the energy of a run of both too, in mJ. The narrowest form is that
    of a search with default options: each group an eighth as wide.
    """
    import numpy as np

    from netadapt.latency.predictor import LatencyPredictor
    from netadapt.search.proposals import WidthGrid
    from netadapt.search.settings import SearchSettings

    lowest_share = SearchSettings.model_fields["lowest_share"].default
    grid = WidthGrid.of(prunable, channel_multiple, lowest_share)
    predictor = LatencyPredictor(prunable, table)
    narrowest = grid.narrowest()
    reach = {
        "predicted_ms": round(predictor({}), 4),
        "narrowest_ms": round(predictor(narrowest), 4),
    }
    if predictor.has_energy:
        rows = np.stack([prunable.vector({}), prunable.vector(narrowest)])
        full, narrow = predictor.energy_or_nan(rows)
        reach |= {
            "predicted_mj": round(float(full), 4),
            "narrowest_mj": round(float(narrow), 4),
        }
    return reach


def _add_share(shares: dict[str, float], module: str, share: float) -> None:
    shares[module] = shares.get(module, 0.0) + share


def table(folder: Path) -> dict[str, Any]:
    """Return a table's target, calibration, coverage and error on whole networks."""
    from netadapt.cli.facts import rounded
    from netadapt.latency.catalogue import coverage
    from netadapt.latency.table import LatencyTable
    from netadapt.latency.validation import warning_of

    loaded = LatencyTable.load(folder)
    facts: dict[str, Any] = {
        "lut": str(folder),
        "target": loaded.target.model_dump(exclude=HIDDEN),
        "calibrations": [_calibration(one) for one in loaded.target.calibrations],
        "workloads": len(loaded.rows),
    }
    if not loaded.target.calibrations:
        facts["state"] = "interrupted: give the same netadapt profile-lut command again"
    validation = _validation(folder)
    if validation:
        facts["validation"] = validation
        if warning := warning_of(folder):
            facts["warning"] = warning
    facts["coverage"] = rounded(coverage(loaded.rows).to_dict("records"))
    return facts


def drift_in_words(slowdowns: Sequence[float]) -> str:
    """Say how the base network's latency changed over the chunks of a profile."""
    lowest, highest = min(slowdowns), max(slowdowns)
    return f"{lowest:.3f} to {highest:.3f} of its start, over {len(slowdowns)} chunks"


def _calibration(calibration: "NetworkCalibration") -> dict[str, Any]:
    return {
        "network": calibration.subject,
        "scale": round(calibration.scale, 4),
        "call_us": round(calibration.call_us, 2),
        "workload_us": round(calibration.workload_us, 3),
        "networks": calibration.networks,
        "base_drift": drift_in_words(calibration.slowdowns) if calibration.slowdowns else "",
        "channel_blocks": _counts_in_words(calibration.channel_blocks),
        "channel_vectors": _counts_in_words(calibration.channel_vectors),
        "energy": calibration.energy.in_words if calibration.energy else "",
    }


def _counts_in_words(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{kind or 'all'} {count}" for kind, count in sorted(counts.items()))


def tables(lut: Path) -> list[dict[str, Any]]:
    """Return one line per table under ``lut``; for a damaged table, it says what is wrong."""
    from netadapt.files import existing_folder

    existing_folder(lut, "folder of latency tables")
    folders = sorted(path.parent for path in lut.glob("*/target.json"))
    return [_table_line(folder) for folder in folders]


def _table_line(folder: Path) -> dict[str, Any]:
    from netadapt.errors import UserError
    from netadapt.latency.table import LatencyTable

    line: dict[str, Any] = {"slug": folder.name, "date": None, "workloads": None}
    figures: dict[str, Any] = {}
    try:
        loaded = LatencyTable.load(folder)
        line |= {"date": loaded.target.date, "workloads": len(loaded.rows)}
        figures = _validation(folder)
        note = "" if loaded.target.calibrations else "interrupted"
    except UserError as error:
        note = str(error)
    return line | {name: figures.get(name) for name in FIGURES} | {"note": note}


def _validation(folder: Path) -> dict[str, Any]:
    """Return a table's error on whole networks; empty if it was not validated."""
    from netadapt.latency.validation import load_validation, summarise

    if not (folder / "validation.csv").exists():
        return {}
    validation = load_validation(folder)
    report = summarise(validation)
    figures = (
        len(validation),
        round(report.mape, 3),
        round(report.within_5, 1),
        round(report.within_10, 1),
        round(report.spearman, 4),
        round(report.repeatability, 3),
    )
    found = dict(zip(FIGURES, figures, strict=True))
    if report.energy_mape is not None:
        found["energy_mape_percent"] = round(report.energy_mape, 3)
    return found


def run(folder: Path) -> dict[str, Any]:
    """Return the options of a run and its progress."""
    from netadapt.search.journal import Journal
    from netadapt.search.replay import replayed
    from netadapt.search.run_folder import RunFolder

    opened = RunFolder.existing(folder)
    settings = opened.settings()
    state = replayed(Journal(opened.journal), opened.higher_is_better())
    has_energy = any(row.predicted_mj is not None for row in state.candidates.values())
    return {
        "run": str(folder),
        "settings": settings.model_dump(exclude={"format", "input_sizes", "base_share"}),
        "iterations": max(0, len(state.walk) - 1),
        "evaluated": len(state.candidates),
        "finished": state.finished,
        "front": [
            {
                "candidate": row.name,
                "stage": row.stage,
                "predicted ms": round(state.predicted(row).ms, 4),
                "measured ms": measured and round(measured, 4),
                "latency": state.latency(row).source,
                **(_energy(row.predicted_mj, state.measured_mj(row)) if has_energy else {}),
                "score": row.score,
            }
            for row in state.front()
            for measured in [state.measured_ms(row)]
        ],
    }


def _energy(predicted: float | None, measured: float | None) -> dict[str, float | None]:
    return {
        "predicted mJ": predicted and round(predicted, 4),
        "measured mJ": measured and round(measured, 4),
    }
