"""Opens a run and starts the loop: the way from ``netadapt.search`` to ``loop.py``."""

import itertools
import re
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from pathlib import Path

from torch import nn

from netadapt.errors import UserError
from netadapt.interrupts import on_interrupt
from netadapt.latency.validation import warning_of
from netadapt.search.executors.base import Executor
from netadapt.search.executors.registry import open_executor
from netadapt.search.executors.sharing import SharingExecutor
from netadapt.search.finish import drift
from netadapt.search.jobs import BASE
from netadapt.search.loop import Search
from netadapt.search.networks import Networks
from netadapt.search.problem import Problem
from netadapt.search.progress import SearchProgress
from netadapt.search.run_folder import RunFolder
from netadapt.search.search_run import SearchRun
from netadapt.search.settings import SearchSettings
from netadapt.search.sources import sources_of
from netadapt.search.strategies.registry import load_strategy
from netadapt.training.checkpoint import save_checkpoint
from netadapt.training.device import compute_device

WHERE = ("executor", "train_on", "address", "cpus_per_candidate", "gpus_per_candidate", "log_dir")


def default_folder(model: str) -> Path:
    """Name a new run folder under ``search_runs/`` after ``model``: the first that is free."""
    stem = re.sub(r"[^A-Za-z0-9_-]+", "-", Path(model).stem) or "run"
    numbered = (Path("search_runs") / f"{stem}-{number}" for number in itertools.count(1))
    return next(folder for folder in numbered if not folder.exists())


def start_search(
    settings: SearchSettings,
    out: Path,
    progress: SearchProgress | None = None,
    shared: Path | None = None,
    network: nn.Module | None = None,
) -> SearchRun:
    """Check everything, create the run folder, and search.

    Args:
        settings: the options of the search.
        out: the run folder, new or empty.
        progress: is called at every step.
        shared: a folder through which several runs share their candidates.
        network: the network of ``settings``, if it is an object: the run keeps a copy of it.

    Raises:
        UserError: what the user can fix, before anything is written where that can be known.
    """
    _require_strategy(settings)
    if network is not None:
        settings = settings.model_copy(update={"model": str(out / BASE)})
    problem = Problem(settings, network or settings.model)
    problem.check()
    base = problem.base
    sources = sources_of(problem)
    with RunFolder.created(out, settings, base.task, sources) as folder, folder.locked():
        save_checkpoint(base.model, folder.path / BASE, input_size=base.input_size)
        return _searched(problem, folder, progress or SearchProgress(), shared)


def _require_strategy(settings: SearchSettings) -> None:
    """Raise a ``UserError`` unless the strategy is there and does what is asked of it."""
    strategy = load_strategy(settings.strategy)
    if settings.blocks and not strategy.drops_blocks:
        raise UserError(
            f"--blocks: strategy {settings.strategy} drops no blocks; use netadapt or netadapt-fast"
        )


def resume_search(
    out: Path,
    given: Mapping[str, object],
    progress: SearchProgress | None = None,
    shared: Path | None = None,
    *,
    accept_changed: bool = False,
) -> SearchRun:
    """Go on where the run in ``out`` stopped, with another executor if one is given.

    Raises:
        UserError: no run there, a damaged file, ``given`` contradicts what it remembers, or it asks
            for code that the user has neither named nor trusted; or table, base or data have
            changed since, and the user has not accepted that.
    """
    folder = RunFolder.existing(out)
    asked = resumed_settings(folder.settings(), given, folder.settings_file)
    with folder.locked():
        weights = folder.path / BASE
        problem = Problem(asked, weights if weights.exists() else asked.model)
        folder.require_unchanged(sources_of(problem), accept_changed)
        if not weights.exists():  # killed before anything was evaluated
            save_checkpoint(problem.base.model, weights, input_size=problem.base.input_size)
            problem = Problem(asked, weights)
        return _searched(problem, folder, progress or SearchProgress(), shared)


def resumed_settings(
    settings: SearchSettings, given: Mapping[str, object], path: Path
) -> SearchSettings:
    """Return the settings of a resumed search: those of the file ``path`` and another executor.

    Raises:
        UserError: ``given`` contradicts the file, or the file asks for code that the user has
            neither named nor trusted.
    """
    asked = SearchSettings.parse({**settings.model_dump(), **given})
    for name, value in asked.model_dump().items():
        if name not in WHERE and value != getattr(settings, name):
            raise UserError(
                f"the run in {path.parent} has {name} {getattr(settings, name)}, not {value}; "
                "a resumed run keeps its own arguments"
            )
    asked.require_used(given)
    asked.require_trusted(path, given)
    return asked


def _searched(
    problem: Problem, folder: RunFolder, progress: SearchProgress, shared: Path | None
) -> SearchRun:
    settings, base = problem.settings, problem.base
    device = compute_device(settings.train_on)
    networks = Networks(base, folder.path, device)
    strategy = load_strategy(settings.strategy)(settings, problem.space, networks)
    predictor = problem.space.costs.predictor
    warning = warning_of(predictor.table.folder)
    for note in (base.task.note, predictor.calibration_note, warning and f"the table: {warning}"):
        if note:
            progress.noted(note)
    opened = open_executor(base, networks, progress)
    if shared is not None:
        opened = SharingExecutor(opened, settings, folder.path, shared)
    with closing(opened) as executor, _draining(executor, progress):
        state = Search(problem, folder, strategy, executor, progress).run()
    assert state.finished is not None
    final = folder.path / state.candidates[state.finished].checkpoint
    notes = (*drift(state), *_changes(folder.accepted_changes()))
    return SearchRun(folder.path, final, problem.clock.not_attached, notes)


def _changes(names: tuple[str, ...]) -> Iterator[str]:
    if names:
        yield f"changed while the search was under way, and accepted: {', '.join(names)}"


@contextmanager
def _draining(executor: Executor, progress: SearchProgress) -> Iterator[None]:
    """Let the first interrupt drain ``executor``; the second stops at once."""

    def interrupted() -> None:
        if executor.draining:
            raise KeyboardInterrupt
        executor.drain()
        progress.draining()

    with on_interrupt(interrupted):
        yield
