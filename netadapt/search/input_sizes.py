"""One search over several input sizes: a walk at each, one front of them all."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType

from torch import nn

from netadapt.errors import UserError
from netadapt.files import provisional_folder
from netadapt.image_sizes import size_name
from netadapt.models import ModelSpec
from netadapt.search.asked import Asked, read_asked, write_asked
from netadapt.search.jobs import BASE
from netadapt.search.joint_front import answer_of, write_joint
from netadapt.search.problem import BudgetOutOfReachError, Problem
from netadapt.search.progress import SearchProgress
from netadapt.search.run_folder import RunFolder
from netadapt.search.search_run import SearchRun
from netadapt.search.settings import SearchSettings
from netadapt.search.sources import sources_of
from netadapt.search.start import WHERE, resume_search, resumed_settings, start_search
from netadapt.training.recipes import recipe_for
from netadapt.training.tasks import takes_option

SIZES = "sizes.json"
TRUTH = "truth_size"  # the task's option: where truth is taken, whatever the input size
NAMES_CODE = ("model", "task", "strategy")


def is_over_sizes(out: Path) -> bool:
    """Whether ``out`` is a search over several input sizes."""
    return (out / SIZES).exists()


def start_sizes(
    settings: SearchSettings,
    out: Path,
    progress: SearchProgress | None = None,
    network: nn.Module | None = None,
) -> SearchRun:
    """Search at each input size in turn, and join the fronts.

    Each size gets a run of its own in ``out``, named after it. All are scored against truth at the
    first size. A ``speedup`` is one over the base at the first size.

    Args:
        settings: with ``input_sizes``.
        out: a new folder.
        progress: listens to every step of every run.
        network: the network of ``settings``, if it is an object.

    Raises:
        UserError: what any of the searches raises; before anything is written where that can be
            known.
    """
    if network is not None:
        first = out / size_name(settings.input_sizes[0])
        settings = settings.model_copy(update={"model": str(first / BASE)})
    asked = settings_by_size(settings)
    _check(asked, network)

    def begun() -> bool:
        return any((out / name).exists() for name in asked)

    with provisional_folder(out, "run folder", begun):
        write_asked(out / SIZES, asked)
        return _all(asked, out, progress or SearchProgress(), network=network)


def resume_sizes(
    out: Path,
    given: Mapping[str, object],
    progress: SearchProgress | None = None,
    *,
    accept_changed: bool = False,
) -> SearchRun:
    """Go on with a search over several input sizes.

    Args:
        out: its folder.
        given: another executor, and what it takes; and what the user names again.
        progress: listens to every step of every run.
        accept_changed: whether to go on if table, base or data have changed since.

    Raises:
        UserError: ``sizes.json`` is damaged, and what the searches raise.
    """
    path = out / SIZES
    asked = read_asked(path, "list of input sizes")
    resumed = {
        name: resumed_settings(one, _at_size(given, name, asked), path)
        for name, one in asked.items()
    }
    here = {name: value for name, value in given.items() if name in (*WHERE, *NAMES_CODE)}
    return _all(resumed, out, progress or SearchProgress(), here, accept_changed)


def settings_by_size(settings: SearchSettings) -> dict[str, SearchSettings]:
    """Return the settings of the run at each input size, by the names of the runs."""
    first = settings.input_sizes[0]
    options = {TRUTH: size_name(first), **settings.task_options}
    shared = settings.model_copy(update={"input_sizes": (), "task_options": options})
    return {
        size_name(size): shared.model_copy(update={"input_size": size})
        for size in settings.input_sizes
    }


def _at_size(given: Mapping[str, object], name: str, asked: Asked) -> dict[str, object]:
    """Return what the user names again, as the run at one input size has it."""
    values, own = dict(given), asked[name]
    sizes = values.pop("input_sizes", None)
    if isinstance(sizes, Sequence) and [size_name(size) for size in sizes] != list(asked):
        raise UserError(
            f"the run has the input sizes {','.join(asked)}; a resumed run keeps its own arguments"
        )
    options = values.get("task_options")
    if isinstance(options, Mapping):
        values["task_options"] = {TRUTH: own.task_options.get(TRUTH), **options}
    return values


def _check(asked: Asked, network: nn.Module | None) -> None:
    """Raise a ``UserError`` that names the input size at which a search could not begin."""
    first = None
    for name, settings in asked.items():
        try:
            problem = Problem(settings, network or settings.model)
            if first is None:
                first = problem
                _require_truth_size(problem)
            else:
                problem.settings = _with_share(settings, _predicted_share(first, problem))
            problem.check()
        except BudgetOutOfReachError as error:
            truth = settings.task_options[TRUTH]
            raise UserError(
                f"--input-sizes {name}: {error}; leave this size out, and keep where accuracy is "
                f"scored with --task-option {TRUTH}={truth}"
            ) from error
        except UserError as error:
            raise UserError(f"--input-sizes {name}: {error}") from error


def _require_truth_size(problem: Problem) -> None:
    spec = problem.base.model.spec
    assert isinstance(spec, ModelSpec)
    name = recipe_for(spec.name, problem.settings.task).task
    if not takes_option(name, TRUTH):
        raise UserError(
            f"task {name} has no option {TRUTH}, which makes scores at several input sizes compare"
        )


def _with_share(settings: SearchSettings, share: float) -> SearchSettings:
    return settings.model_copy(update={"base_share": share})


def _predicted_share(first: Problem, here: Problem) -> float:
    """Return what the base takes, as a share of what it takes at the first input size."""
    return here.space.cost("ms", {}) / first.space.cost("ms", {})


def _share(first: Problem, here: Problem) -> float:
    """Return the share that a speed-up over the first base needs: measured in turn, if it can be.

    A machine may have become slower since the first walk; the ratio of the two bases holds.
    """
    if here.settings.speedup is None or here.clock.not_attached:
        return _predicted_share(first, here)
    before, ms, after = (one.clock.time([]).base_ms for one in (first, here, first))
    return ms / ((before + after) / 2)


def _all(
    asked: Asked,
    out: Path,
    progress: SearchProgress,
    given: Mapping[str, object] = MappingProxyType({}),
    accept_changed: bool = False,
    network: nn.Module | None = None,
) -> SearchRun:
    runs: dict[str, SearchRun] = {}
    first = next(iter(asked))
    for name, settings in asked.items():
        progress.noted(f"input size {name}, {len(runs) + 1} of {len(asked)}")
        folder = out / name
        if (folder / "run.json").exists():
            runs[name] = resume_search(folder, given, progress, accept_changed=accept_changed)
        elif name == first:
            runs[name] = start_search(settings, folder, progress, network=network)
        else:
            begun, here = (Problem(one, one.model) for one in (asked[first], settings))
            RunFolder.existing(out / first).require_unchanged(sources_of(here), accept_changed)
            settings = _with_share(settings, _share(begun, here))
            runs[name] = start_search(settings, folder, progress)
        write_joint(out, runs)
        if name == first and runs[name].final == folder / BASE:
            break  # the base is within the budget already: no smaller input is needed
    return _joined(out, runs)


def _joined(out: Path, runs: Mapping[str, SearchRun]) -> SearchRun:
    name = answer_of(runs)
    notes = tuple(f"{size}: {note}" for size, run in runs.items() for note in run.notes)
    return SearchRun(
        out,
        runs[name].final,
        runs[name].predicted_only,
        (*notes, f"the answer runs at input size {name}"),
    )
