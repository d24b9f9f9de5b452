"""Starting and resuming runs."""

from collections.abc import Mapping
from pathlib import Path

from netadapt.errors import UserError
from netadapt.search.executors import InlineExecutor
from netadapt.search.loop import Search
from netadapt.search.problem import Problem
from netadapt.search.progress import SearchProgress
from netadapt.search.run_folder import RunFolder
from netadapt.search.search_run import SearchRun
from netadapt.search.settings import SearchSettings
from netadapt.search.strategies import load_strategy
from netadapt.training.checkpoint import save_checkpoint

BASE = "checkpoints/0.safetensors"


def start_search(
    settings: SearchSettings, out: Path, progress: SearchProgress | None = None
) -> SearchRun:
    """Check everything, create the run folder, and search.

    Raises:
        UserError: what the user can mend, before anything is written where that can be known.
    """
    load_strategy(settings.strategy)
    problem = Problem(settings, settings.model)
    problem.check()
    with RunFolder.created(out, settings, problem.task) as folder, folder.locked():
        save_checkpoint(problem.model, folder.path / BASE, input_size=problem.input_size)
        return _searched(problem, folder, progress)


def resume_search(
    out: Path, given: Mapping[str, object], progress: SearchProgress | None = None
) -> SearchRun:
    """Go on where the run in ``out`` stopped.

    Raises:
        UserError: no run there, a damaged file, or ``given`` contradicts what it remembers.
    """
    folder = RunFolder.existing(out)
    settings = folder.settings()
    asked = SearchSettings.parse({**settings.model_dump(), **given})
    for name, value in asked.model_dump().items():
        if value != getattr(settings, name):
            raise UserError(
                f"the run in {out} has {name} {getattr(settings, name)}, not {value}; "
                "a resumed run keeps its own arguments"
            )
    with folder.locked():
        base = folder.path / BASE
        if not base.exists():  # killed before anything was evaluated
            first = Problem(settings, settings.model)
            save_checkpoint(first.model, base, input_size=first.input_size)
        return _searched(Problem(settings, base), folder, progress)


def _searched(problem: Problem, folder: RunFolder, progress: SearchProgress | None) -> SearchRun:
    strategy = load_strategy(problem.settings.strategy)
    search = Search(problem, folder, strategy, InlineExecutor(), progress or SearchProgress())
    state = search.run()
    assert state.finished is not None
    final = folder.path / state.candidates[state.finished].checkpoint
    return SearchRun(folder.path, final, problem.not_attached)
