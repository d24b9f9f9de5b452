"""``netadapt.train``, ``evaluate``, ``profile`` and ``search``: the commands, from Python."""

from collections.abc import Mapping, Sequence
from dataclasses import fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Unpack

from netadapt.checksums import Resuming, require_resumed
from netadapt.errors import UserError
from netadapt.keywords import ProfileOptions, SearchOptions, TrainOptions
from netadapt.latency.target import Options, Target
from netadapt.options import keyword_options
from netadapt.profiling.request import ProfileRequest
from netadapt.search.search_run import SearchRun
from netadapt.search.settings import SearchSettings
from netadapt.training.settings import DEFAULT_TASK, TrainConfig, TrainRequest, TrainSettings

if TYPE_CHECKING:
    from torch import nn

    from netadapt.latency.table import LatencyTable
    from netadapt.latency.validation import Report
    from netadapt.models.spec import ModelSpec
    from netadapt.profiling.profiler import ProfileProgress
    from netadapt.pruning import PrunableModel
    from netadapt.pruning.examples import Example
    from netadapt.search.progress import SearchProgress
    from netadapt.training.progress import Progress
    from netadapt.training.task import Task

NEEDED = {
    "model": "--checkpoint (or --model)",
    "data": "--data",
    "lut": "--lut",
}


@keyword_options(TrainConfig, TrainSettings, TrainRequest, Resuming)
def train(
    model: "nn.Module | str | Path | None" = None,
    data: str | None = None,
    out: str | Path | None = None,
    *,
    resume: bool = False,
    progress: "Progress | None" = None,
    **options: Unpack[TrainOptions],
) -> Path:
    """Train a network. It can be killed at any moment and continued with ``resume=True``.

    Args:
        model: a network that :func:`netadapt.load_model` built, a checkpoint, a registry name or
            ``package.module:factory``. A network is not changed; ``out`` keeps a copy.
        data: where the data is, as ``--data`` takes it.
        out: folder of the training: new, unless ``resume``.
        resume: continue the training in ``out``; it remembers all other options.
        progress: is called at every step.
        **options: see below.

    Returns:
        The checkpoint after the last step.

    Raises:
        UserError: anything that the user can fix.
    """
    from netadapt.training.curves import logged
    from netadapt.training.device import compute_device
    from netadapt.training.plan import planned_training
    from netadapt.training.progress import Silent
    from netadapt.training.run import run_training

    if out is None:
        raise UserError("a training needs --out, its folder")
    network = None if model is None or isinstance(model, str | Path) else model
    spec = None if network is None else _spec_of(network)
    given = _given({"model": spec.name if spec else model, "data": data, **options})
    if spec is not None and spec.input_size is not None:
        given.setdefault("input_size", spec.input_size)
    accept = _accepted(given, resume)
    device = compute_device(str(given.get("train_on", "cpu")))
    config, task = planned_training(given, Path(out), resume)
    watcher = progress or Silent()
    if task.note:
        watcher.noted(task.note)
    folder = given.get("log_dir")
    with logged(watcher, Path(str(folder)) if folder else None) as told:
        return run_training(
            config, task, Path(out),
            resume=resume, accept_changed=accept, device=device, progress=told, network=network,
        )  # fmt: skip


def evaluate(
    model: "nn.Module | str | Path",
    data: str | None = None,
    *,
    task: "Task | str" = DEFAULT_TASK,
    split: Literal["test", "holdout"] = "test",
    input_size: tuple[int, int] | None = None,
    inputs: Sequence[str] = (),
    output: str | None = None,
    task_options: Mapping[str, Any] | None = None,
    train_on: str = "cpu",
) -> dict[str, float]:
    """Score a network on a split.

    Args:
        model: a network, a checkpoint, a registry name or ``package.module:factory``.
        data: where the data is, as ``--data`` takes it.
        task: the task's name, ``package.module:factory``, or a ``Task``.
        split: ``test`` or ``holdout``.
        input_size: ``(H, W)``. Default: the checkpoint's own.
        inputs: as ``--input``, of a network that takes anything but one image.
        output: which map of its answer is meant, where it answers with several.
        task_options: options of the task, by name, such as depth's ``protocol``.
        train_on: where the network runs: ``cpu``, ``cuda[:N]`` or ``auto``.

    Returns:
        The scores by name; depth's RMSE and MAE are in metres.

    Raises:
        UserError: anything that the user can fix.
    """
    from netadapt.training.device import compute_device

    if split not in ("test", "holdout"):
        raise UserError(f"unknown split {split!r}; known: test, holdout")
    device = compute_device(train_on)
    network, opened = open_evaluation(model, data, task, input_size, task_options, inputs, output)
    return opened.score(network.to(device), split)


def open_evaluation(
    model: "nn.Module | str | Path",
    data: str | None = None,
    task: "Task | str" = DEFAULT_TASK,
    input_size: tuple[int, int] | None = None,
    task_options: Mapping[str, Any] | None = None,
    inputs: Sequence[str] = (),
    output: str | None = None,
) -> "tuple[nn.Module, Task]":
    """Return the network and the task of ``evaluate``."""
    from netadapt.models.inputs import image_size
    from netadapt.training.task import Task
    from netadapt.training.tasks import open_task
    from netadapt.training.trial import with_example_input

    network, example = with_example_input(
        network_of(model, output, deployed=True), input_size, inputs=inputs
    )
    if isinstance(task, Task):
        return network, task
    return network, open_task(task, data, image_size(example), task_options)


@keyword_options(Options, ProfileRequest)
def profile(
    model: "nn.Module | str | Path",
    example_input: "Example | None" = None,
    *,
    target: "Target | Options | str | Path | None" = None,
    progress: "ProfileProgress | None" = None,
    **options: Unpack[ProfileOptions],
) -> "LatencyTable":
    """Measure a latency table for one target; what is already in it is not measured again.

    Args:
        model: a network, a checkpoint, a registry name or ``package.module:factory``.
        example_input: ``(N, C, H, W)``, or several inputs as ``trace`` takes them. Default:
            random, as input size or inputs say.
        target: a target; the folder or the slug of a table of it; its options; or what is timed,
            as ``device``. Default: what the options say.
        progress: is called at every step.
        **options: see below.

    Returns:
        The table, in a folder of its own under ``lut``.

    Raises:
        UserError: anything that the user can fix; the target is not attached.
    """
    return filled_table(model, example_input, target, progress, options)[0]


def filled_table(
    model: "nn.Module | str | Path",
    example_input: "Example | None",
    target: "Target | Options | str | Path | None",
    progress: "ProfileProgress | None",
    given: Mapping[str, Any],
) -> "tuple[LatencyTable, Report, PrunableModel]":
    """Profile as ``profile`` says; return the network and how good the table is as well."""
    from netadapt.latency.table import LatencyTable
    from netadapt.models.inputs import named_batch
    from netadapt.profiling.profiler import profile as fill
    from netadapt.profiling.runtimes import load_runtime
    from netadapt.pruning import trace
    from netadapt.pruning.examples import batch_of, with_batch
    from netadapt.training.trial import trial_run, with_example_input

    known = {field.name for field in fields(ProfileRequest)}
    stated = _given(given)
    request = ProfileRequest(**{name: stated[name] for name in stated if name in known})
    chosen = {name: stated[name] for name in stated if name not in known}
    network = network_of(model, request.output)
    if example_input is not None:
        chosen.setdefault("batch", batch_of(example_input))
    elif request.inputs:
        chosen.setdefault("batch", named_batch(request.inputs))
    found = target_of(target, request, chosen)
    if example_input is None:
        size, inputs = request.input_size, request.inputs
        network, example = with_example_input(network, size, found.batch, inputs)
    else:
        example = with_batch(example_input, found.batch)
        trial_run(network.eval(), example)
    prunable = trace(network, example, request.lock, request.allow_approximate)
    table = LatencyTable.open(Path(request.lut), found)
    schedule = load_runtime(found.runtime).schedule
    schedule = replace(schedule, channel_multiple=request.channel_multiple)
    return table, fill(prunable, table, progress or _Silent(), schedule), prunable


def target_of(
    target: "Target | Options | str | Path | None",
    request: ProfileRequest,
    chosen: Mapping[str, Any],
) -> Target:
    """Return the target that a user names; options that are not ``chosen`` have their defaults."""
    from netadapt.latency.table import LatencyTable
    from netadapt.profiling.devices import load_device
    from netadapt.profiling.runtimes import load_runtime

    if isinstance(target, Target):
        return target
    device = request.device
    if isinstance(target, str | Path):
        for folder in (Path(target), Path(request.lut) / target):
            if (folder / "target.json").exists():
                return LatencyTable.load(folder).target
        device = str(target)
    options = target if isinstance(target, Options) else Options.parse(**chosen)
    return load_device(device).target(load_runtime(request.runtime), options)


@keyword_options(SearchSettings, Resuming)
def search(
    model: "nn.Module | str | Path | None" = None,
    *,
    checkpoint: str | Path | None = None,
    lut: str | Path | None = None,
    budget_ms: float | None = None,
    out: str | Path | None = None,
    resume: bool = False,
    progress: "SearchProgress | None" = None,
    **options: Unpack[SearchOptions],
) -> SearchRun:
    """Search for networks within a latency budget, or other budgets.

    With ``input_sizes`` the run is that of all sizes: its front has a column ``input_size``.

    Args:
        model: a network that :func:`netadapt.load_model` built, a checkpoint, a registry name or
            ``package.module:factory``. A network is not changed; the run folder keeps a copy.
        checkpoint: the same, where it is a file; as on the command line.
        lut: folder of the target's latency table.
        budget_ms: the latency to reach, p50 in ms.
        out: the run folder: new, unless ``resume``. Default: a new one under ``search_runs/``.
        resume: continue the run in ``out``; it remembers all other options.
        progress: is called at every step.
        **options: see below; give ``budget_ms`` (or ``speedup``), ``budget_mj``,
            ``budget_macs``, ``budget_params`` and ``budget_mb`` alone or together, or else
            ``min_accuracy``.

    Raises:
        UserError: anything that the user can fix.
    """
    from netadapt.search.input_sizes import is_over_sizes, resume_sizes, start_sizes
    from netadapt.search.start import default_folder, resume_search, start_search

    if model is not None and checkpoint is not None:
        raise UserError("give a checkpoint or a model, not both")
    network = None if model is None or isinstance(model, str | Path) else model
    named = (model or checkpoint) if network is None else _spec_of(network).name
    given = _given({"model": named, "lut": lut, "budget_ms": budget_ms, **options})
    accept = _accepted(given, resume)
    if resume:
        if out is None:
            raise UserError("to resume a search name its run folder: --out")
        resumed = resume_sizes if is_over_sizes(Path(out)) else resume_search
        return resumed(Path(out), given, progress, accept_changed=accept)
    for name, words in NEEDED.items():
        if name not in given and (name != "data" or given.get("task", "depth") == "depth"):
            raise UserError(f"a search needs {words}")
    folder = Path(out) if out is not None else default_folder(str(given["model"]))
    asked = SearchSettings.parse(given)
    asked.require_used(given)
    start = start_sizes if asked.input_sizes else start_search
    return start(asked, folder, progress, network=network)


@keyword_options(SearchSettings, Resuming)
def search_targets(
    luts: Sequence[str | Path],
    *,
    checkpoint: str | Path,
    budget_ms: float | Sequence[float] | None = None,
    out: str | Path | None = None,
    resume: bool = False,
    progress: "SearchProgress | None" = None,
    **options: Unpack[SearchOptions],
) -> dict[str, SearchRun]:
    """Search once for several targets: a front for each; equal candidates are evaluated once.

    Args:
        luts: folders of the targets' latency tables.
        checkpoint: the base network, as ``search`` takes it.
        budget_ms: one for all targets, or one for each.
        out: the folder of the runs, each named after its table.
        resume: continue the runs in ``out``; they remember all other options, and may
            be given another executor.
        progress: is called at every step of every run.
        **options: see below.

    Returns:
        The runs, by the names of their tables.

    Raises:
        UserError: anything that the user can fix.
    """
    from netadapt.search.start import default_folder
    from netadapt.search.targets import resume_targets, start_targets

    given = _given(options)
    accept = _accepted(given, resume)
    if resume:
        if out is None:
            raise UserError("to resume a search name its run folder: --out")
        return resume_targets(Path(out), given, progress, accept_changed=accept)
    budgets = [budget_ms] if isinstance(budget_ms, int | float) else list(budget_ms or [])
    folder = Path(out) if out is not None else default_folder(str(checkpoint))
    names = [str(lut) for lut in luts]
    return start_targets(names, budgets, {"model": str(checkpoint), **given}, folder, progress)


def _accepted(given: dict[str, Any], resume: bool) -> bool:
    """Take ``accept_changed`` out of ``given``."""
    accept = bool(given.pop("accept_changed", False))
    require_resumed(accept, resume)
    return accept


def _given(options: Mapping[str, Any]) -> dict[str, Any]:
    """Return the options that are not ``None``: paths as text, a single pattern as a list."""
    given = {name: value for name, value in options.items() if value is not None}
    for name, value in given.items():
        if isinstance(value, Path):
            given[name] = str(value)
        elif name in ("lock", "metrics", "inputs") and isinstance(value, str):
            given[name] = (value,)
    return given


def _spec_of(network: "nn.Module") -> "ModelSpec":
    """Return how ``network`` was built, which a folder must know to load it again."""
    from netadapt.models.spec import ModelSpec

    spec = getattr(network, "spec", None)
    if not isinstance(spec, ModelSpec):
        raise UserError(
            f"{type(network).__name__} has no record of how it was built; build it with "
            "netadapt.load_model, or give its package.module:factory"
        )
    return spec


def network_of(
    model: "nn.Module | str | Path", output: str | None = None, *, deployed: bool = False
) -> "nn.Module":
    """Return the network itself; a name or a file is loaded, with seed 0 for fresh weights.

    Args:
        model: a network, a checkpoint, a registry name or ``package.module:factory``.
        output: as ``--output``.
        deployed: whether an exported file may be loaded.
    """
    from netadapt.models import with_output
    from netadapt.training.checkpoint import load_seeded

    network = load_seeded(model, 0, deployed=deployed) if isinstance(model, str | Path) else model
    return network if output is None else with_output(network, output)


class _Silent:
    """Nobody watches the profile."""

    def started(self, stage: str, total: int) -> None:
        """Do nothing."""

    def advanced(self) -> None:
        """Do nothing."""
