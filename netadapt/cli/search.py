"""``netadapt search``."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from netadapt.cli.common import BadSample, TaskOption, counted, parse_size, say, task_options
from netadapt.cli.report import tell_of_page
from netadapt.errors import UserError
from netadapt.factories import trust_words
from netadapt.search.names import EXECUTORS, STRATEGIES

if TYPE_CHECKING:
    from netadapt.cli.search_view import SearchView
    from netadapt.search.search_run import SearchRun


def search(
    checkpoint: Annotated[str | None, typer.Option(help="Trained base network.")] = None,
    model: Annotated[
        str | None, typer.Option(help="Registry name or package.module:factory.")
    ] = None,
    input_size: Annotated[
        str | None, typer.Option(help="HxW; a checkpoint brings its own.")
    ] = None,
    task: Annotated[
        str | None,
        typer.Option(
            help="depth, self-supervised, digits or package.module:factory; "
            "the network's recipe's if not given."
        ),
    ] = None,
    data: Annotated[
        str | None, typer.Option(help="synthetic[:N], nyu:, pairs:, tum:, kitti:, sequence:")
    ] = None,
    lut: Annotated[
        list[str] | None, typer.Option(help="lut/SLUG; repeated: a front for each target.")
    ] = None,
    budget_ms: Annotated[
        list[float] | None,
        typer.Option(help="Latency to reach, p50; one for all targets or one for each."),
    ] = None,
    budget_macs: Annotated[float | None, typer.Option(help="Multiply-accumulates.")] = None,
    budget_params: Annotated[float | None, typer.Option(help="Parameters.")] = None,
    budget_mb: Annotated[
        float | None, typer.Option(help="Weights and peak activations in fp32, 10^6 bytes.")
    ] = None,
    min_accuracy: Annotated[
        float | None, typer.Option(help="Instead of budgets: stop above this holdout score.")
    ] = None,
    out: Annotated[Path | None, typer.Option(help="Run folder.")] = None,
    on_bad_sample: BadSample = None,
    task_option: TaskOption = None,
    short_steps: Annotated[int | None, typer.Option(help="Steps of each short fine-tune.")] = None,
    long_steps: Annotated[int | None, typer.Option(help="Steps of each long fine-tune.")] = None,
    long_points: Annotated[int | None, typer.Option(help="Points to fine-tune long.")] = None,
    batch_size: Annotated[int | None, typer.Option()] = None,
    short_lr: Annotated[float | None, typer.Option()] = None,
    long_lr: Annotated[float | None, typer.Option()] = None,
    optimizer: Annotated[str | None, typer.Option(help="sgd or adamw.")] = None,
    loss: Annotated[
        str | None, typer.Option(help="Of task depth; the recipe's if not given.")
    ] = None,
    initial_reduction: Annotated[
        float | None, typer.Option(help="Share of the base latency.")
    ] = None,
    decay: Annotated[float | None, typer.Option(help="Of the reduction, an iteration.")] = None,
    select: Annotated[str | None, typer.Option(help="Of netadapt: accuracy or ratio.")] = None,
    importance: Annotated[
        str | None, typer.Option(help="Which channels go first: by l2 norm, or share of weights.")
    ] = None,
    candidates: Annotated[
        int | None, typer.Option(help="Of random: candidates an iteration.")
    ] = None,
    saliency_batches: Annotated[
        int | None, typer.Option(help="Of netadapt-fast, taylor, knapsack: batches of gradients.")
    ] = None,
    population: Annotated[int | None, typer.Option(help="Of evolution.")] = None,
    generations: Annotated[int | None, typer.Option(help="Of evolution.")] = None,
    recalibration_batches: Annotated[
        int | None, typer.Option(help="Of evolution: batches for the batch norms.")
    ] = None,
    channel_multiple: Annotated[int | None, typer.Option()] = None,
    lowest_share: Annotated[float | None, typer.Option(help="Of a group's width.")] = None,
    seed: Annotated[int | None, typer.Option()] = None,
    strategy: Annotated[str | None, typer.Option(help=", ".join(STRATEGIES))] = None,
    executor: Annotated[str | None, typer.Option(help=", ".join(EXECUTORS))] = None,
    device: Annotated[
        str | None, typer.Option(help="Of inline: train and score on cpu, cuda[:N] or auto.")
    ] = None,
    address: Annotated[
        str | None, typer.Option(help="Of ray: HOST:PORT of the cluster's head; else this machine.")
    ] = None,
    cpus_per_candidate: Annotated[
        int | None, typer.Option(help="Of ray: cores and threads of each.")
    ] = None,
    gpus_per_candidate: Annotated[
        float | None, typer.Option(help="Of ray: 0.25 lets four share one.")
    ] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on; needs only --out.")] = False,
) -> None:
    """Walk a network down to its budgets and keep the front."""
    if checkpoint and model:
        raise UserError("give --checkpoint or --model, not both")
    given: dict[str, Any] = {
        "input_size": parse_size(input_size),
        "task": task,
        "data": data,
        "budget_macs": budget_macs,
        "budget_params": budget_params,
        "budget_mb": budget_mb,
        "min_accuracy": min_accuracy,
        "task_options": task_options(task_option, loss=loss, on_bad_sample=on_bad_sample) or None,
        "short_steps": short_steps,
        "long_steps": long_steps,
        "long_points": long_points,
        "batch_size": batch_size,
        "short_lr": short_lr,
        "long_lr": long_lr,
        "optimizer": optimizer,
        "initial_reduction": initial_reduction,
        "decay": decay,
        "select": select,
        "importance": importance,
        "candidates": candidates,
        "saliency_batches": saliency_batches,
        "population": population,
        "generations": generations,
        "recalibration_batches": recalibration_batches,
        "channel_multiple": channel_multiple,
        "lowest_share": lowest_share,
        "seed": seed,
        "strategy": strategy,
        "executor": executor,
        "device": device,
        "address": address,
        "cpus_per_candidate": cpus_per_candidate,
        "gpus_per_candidate": gpus_per_candidate,
    }
    if resume and out is None:
        raise UserError("--resume needs --out, the run to go on with")
    from netadapt.cli.search_view import SearchView
    from netadapt.search.api import default_folder

    base = model or checkpoint
    folder = out or default_folder(base or "")
    view = SearchView()
    try:
        results = _searched(base, folder, resume, view, lut or [], budget_ms or [], given)
    except KeyboardInterrupt:
        view.close()
        if (folder / "run.json").exists() or (folder / "targets.json").exists():
            say(f"stopped; go on with: netadapt search --resume --out {folder}{_again(given)}")
        raise
    finally:
        view.close()
    for result in results:
        _tell(result)
        tell_of_page(result.folder)
    if len(results) > 1:
        runs = " ".join(str(result.folder) for result in results)
        say(f"all fronts in one picture: netadapt plot {runs} --out fronts.png")
        tell_of_page(folder)


def _searched(
    base: str | None,
    folder: Path,
    resume: bool,
    view: "SearchView",
    luts: list[str],
    budgets: list[float],
    given: dict[str, Any],
) -> "list[SearchRun]":
    from netadapt.search.api import search
    from netadapt.search.targets import is_for_targets, search_targets

    if resume and is_for_targets(folder):
        if base or luts or budgets:
            raise UserError(
                f"{folder} holds searches for several targets, which keep their own arguments; "
                "resume them with --resume --out alone"
            )
        runs = search_targets([], checkpoint="", out=folder, resume=True, progress=view, **given)
        return list(runs.values())
    if len(luts) > 1:
        if base is None:
            raise UserError("a search needs --checkpoint (or --model)")
        runs = search_targets(
            luts, checkpoint=base, budget_ms=budgets, out=folder, progress=view, **given
        )
        return list(runs.values())
    if len(budgets) > 1:
        raise UserError(f"{len(budgets)} budgets for one table; give one --budget-ms")
    given = {**given, "lut": next(iter(luts), None), "budget_ms": next(iter(budgets), None)}
    return [search(base, out=folder, resume=resume, progress=view, **given)]


def _again(given: dict[str, Any]) -> str:
    """The words without which a resumed search would refuse what its run asks for."""
    address = f" --address {given['address']}" if given["address"] else ""
    return address + trust_words()


def _tell(result: "SearchRun") -> None:
    if result.predicted_only:
        say(f"latencies are predicted, not measured: {result.predicted_only}")
    for note in result.notes:
        say(note)
    samples = result.summary["training_samples"]
    if samples is not None:
        say(f"training images read: {', '.join(f'{n} {stage}' for stage, n in samples.items())}")
    say(f"front of {counted(len(result.front), 'point')} in {result.folder / 'pareto.csv'}")
    print(result.final)
