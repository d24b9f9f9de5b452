"""Starting and resuming runs."""

from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from pathlib import Path

from netadapt.errors import UserError
from netadapt.interrupts import on_interrupt
from netadapt.search.executors.base import Executor
from netadapt.search.executors.registry import open_executor
from netadapt.search.executors.sharing import SharingExecutor
from netadapt.search.loop import Search
from netadapt.search.networks import Networks
from netadapt.search.problem import Problem
from netadapt.search.progress import SearchProgress
from netadapt.search.run_folder import RunFolder
from netadapt.search.search_run import SearchRun
from netadapt.search.settings import SearchSettings
from netadapt.search.strategies.registry import load_strategy
from netadapt.training.checkpoint import save_checkpoint

BASE = "checkpoints/0.safetensors"
WHERE = ("executor", "device", "address", "cpus_per_candidate", "gpus_per_candidate")


def start_search(
    settings: SearchSettings,
    out: Path,
    progress: SearchProgress | None = None,
    shared: Path | None = None,
) -> SearchRun:
    """Check everything, create the run folder, and search.

    ``shared`` is a folder in which several runs tell one another their candidates.

    Raises:
        UserError: what the user can mend, before anything is written where that can be known.
    """
    load_strategy(settings.strategy)
    problem = Problem(settings, settings.model)
    problem.check()
    with RunFolder.created(out, settings, problem.task) as folder, folder.locked():
        save_checkpoint(problem.model, folder.path / BASE, input_size=problem.input_size)
        return _searched(problem, folder, progress, shared)


def resume_search(
    out: Path,
    given: Mapping[str, object],
    progress: SearchProgress | None = None,
    shared: Path | None = None,
) -> SearchRun:
    """Go on where the run in ``out`` stopped, with another executor if one is given.

    Raises:
        UserError: no run there, a damaged file, ``given`` contradicts what it remembers, or it asks
            for code that the user has neither named nor trusted.
    """
    folder = RunFolder.existing(out)
    settings = resumed_settings(folder.settings(), given, folder.settings_file)
    with folder.locked():
        base = folder.path / BASE
        if not base.exists():  # killed before anything was evaluated
            first = Problem(settings, settings.model)
            save_checkpoint(first.model, base, input_size=first.input_size)
        return _searched(Problem(settings, base), folder, progress, shared)


def resumed_settings(
    settings: SearchSettings, given: Mapping[str, object], path: Path
) -> SearchSettings:
    """Return what a search goes on with: ``settings`` of the file ``path`` and another executor.

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
    asked.require_trusted(path, given)
    return asked


def _searched(
    problem: Problem, folder: RunFolder, progress: SearchProgress | None, shared: Path | None
) -> SearchRun:
    strategy = load_strategy(problem.settings.strategy)
    networks = Networks(problem, folder.path)
    progress = progress or SearchProgress()
    if problem.task.note:
        progress.noted(problem.task.note)
    opened = open_executor(problem, networks, progress)
    if shared is not None:
        opened = SharingExecutor(opened, problem, folder.path, shared)
    with (
        closing(opened) as executor,
        _draining(executor, progress),
    ):
        state = Search(problem, folder, networks, strategy, executor, progress).run()
    assert state.finished is not None
    final = folder.path / state.candidates[state.finished].checkpoint
    return SearchRun(folder.path, final, problem.not_attached)


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
