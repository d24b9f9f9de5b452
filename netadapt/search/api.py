"""``netadapt.search``: the whole way, from Python."""

import itertools
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from netadapt.errors import UserError
from netadapt.search.search_run import SearchRun

if TYPE_CHECKING:
    from netadapt.search.progress import SearchProgress


NEEDED = {
    "model": "--checkpoint (or --model)",
    "data": "--data",
    "lut": "--lut",
}


def search(
    model: str | Path | None = None,
    *,
    checkpoint: str | Path | None = None,
    data: str | None = None,
    lut: str | Path | None = None,
    budget_ms: float | None = None,
    out: str | Path | None = None,
    resume: bool = False,
    progress: "SearchProgress | None" = None,
    **settings: Any,
) -> SearchRun:
    """Search for networks within a latency budget, or other budgets.

    Args:
        model: a checkpoint, a registry name or ``package.module:factory``.
        checkpoint: the same, where that is what it is; as on the command line.
        data: where the data is, as ``--data`` takes it.
        lut: folder of the target's latency table.
        budget_ms: the latency to reach, p50 in ms.
        out: the run folder; new, unless ``resume``; a new one under ``search_runs/`` if not given.
        resume: go on where the run in ``out`` stopped; it remembers all other arguments.
        progress: told of every step.
        **settings: any other field of ``SearchSettings``; of ``budget_ms``, ``budget_macs``,
            ``budget_params`` and ``budget_mb`` any number together, or else ``min_accuracy``.

    Raises:
        UserError: anything that the user can mend.
    """
    from netadapt.search.run import resume_search, start_search
    from netadapt.search.settings import SearchSettings

    if model is not None and checkpoint is not None:
        raise UserError("give a checkpoint or a model, not both")
    given: dict[str, object] = {"data": data, "budget_ms": budget_ms, **settings}
    for name, path in (("model", model or checkpoint), ("lut", lut)):
        given[name] = None if path is None else str(path)
    given = {name: value for name, value in given.items() if value is not None}
    if resume:
        if out is None:
            raise UserError("to resume a search name its run folder: --out")
        return resume_search(Path(out), given, progress)
    for name in NEEDED:
        if name not in given and (name != "data" or given.get("task", "depth") == "depth"):
            raise UserError(f"a search needs {NEEDED[name]}")
    folder = Path(out) if out is not None else default_folder(str(given["model"]))
    return start_search(SearchSettings.parse(given), folder, progress)


def search_targets(
    luts: Sequence[str | Path],
    *,
    checkpoint: str | Path,
    budget_ms: float | Sequence[float] | None = None,
    out: str | Path | None = None,
    resume: bool = False,
    progress: "SearchProgress | None" = None,
    **settings: Any,
) -> dict[str, SearchRun]:
    """Search once for several targets: a front each, candidates that coincide evaluated once.

    Args:
        luts: folders of the targets' latency tables.
        checkpoint: the base network, as ``search`` takes it.
        budget_ms: one for all targets, or one for each.
        out: the folder of the runs, each named after its table.
        resume: go on where the runs in ``out`` stopped; they remember all other arguments, and
            may be given another executor.
        progress: told of every step.
        **settings: as of ``search``.

    Returns:
        the runs, by the names of their tables.

    Raises:
        UserError: anything that the user can mend.
    """
    from netadapt.search.targets import resume_targets
    from netadapt.search.targets import search_targets as run

    if resume:
        if out is None:
            raise UserError("to resume a search name its run folder: --out")
        return resume_targets(Path(out), _given(settings), progress)
    budgets = [budget_ms] if isinstance(budget_ms, int | float) else list(budget_ms or [])
    given = _given(settings)
    folder = Path(out) if out is not None else default_folder(str(checkpoint))
    names = [str(lut) for lut in luts]
    return run(names, budgets, {"model": str(checkpoint), **given}, folder, progress)


def _given(settings: Mapping[str, object]) -> dict[str, object]:
    return {name: value for name, value in settings.items() if value is not None}


def default_folder(model: str) -> Path:
    """Name a new run folder under ``search_runs/`` after ``model``: the first that is free."""
    stem = re.sub(r"[^A-Za-z0-9_-]+", "-", Path(model).stem) or "run"
    for number in itertools.count(1):
        folder = Path("search_runs") / f"{stem}-{number}"
        if not folder.exists():
            return folder
    raise AssertionError("itertools.count() ends never")
