"""``netadapt search``."""

from pathlib import Path
from typing import Annotated, Any

import typer

from netadapt.cli.common import parse_size, say
from netadapt.errors import UserError
from netadapt.search.strategies.registry import STRATEGIES


def search(
    checkpoint: Annotated[str | None, typer.Option(help="Trained base network.")] = None,
    model: Annotated[
        str | None, typer.Option(help="Registry name or package.module:factory.")
    ] = None,
    input_size: Annotated[
        str | None, typer.Option(help="HxW; a checkpoint brings its own.")
    ] = None,
    data: Annotated[str | None, typer.Option(help="synthetic[:N], nyu:, pairs:, tum:")] = None,
    lut: Annotated[str | None, typer.Option(help="lut/SLUG")] = None,
    budget_ms: Annotated[float | None, typer.Option(help="Latency to reach, p50.")] = None,
    budget_macs: Annotated[float | None, typer.Option(help="Multiply-accumulates.")] = None,
    budget_params: Annotated[float | None, typer.Option(help="Parameters.")] = None,
    budget_mb: Annotated[
        float | None, typer.Option(help="Weights and peak activations in fp32, 10^6 bytes.")
    ] = None,
    min_accuracy: Annotated[
        float | None, typer.Option(help="Instead of budgets: stop above this holdout score.")
    ] = None,
    out: Annotated[Path | None, typer.Option(help="Run folder.")] = None,
    short_steps: Annotated[int | None, typer.Option(help="Steps of each short fine-tune.")] = None,
    long_steps: Annotated[int | None, typer.Option(help="Steps of each long fine-tune.")] = None,
    long_points: Annotated[int | None, typer.Option(help="Points to fine-tune long.")] = None,
    batch_size: Annotated[int | None, typer.Option()] = None,
    short_lr: Annotated[float | None, typer.Option()] = None,
    long_lr: Annotated[float | None, typer.Option()] = None,
    optimizer: Annotated[str | None, typer.Option(help="sgd or adamw.")] = None,
    loss: Annotated[str | None, typer.Option(help="l1 or berhu.")] = None,
    initial_reduction: Annotated[
        float | None, typer.Option(help="Share of the base latency.")
    ] = None,
    decay: Annotated[float | None, typer.Option(help="Of the reduction, an iteration.")] = None,
    select: Annotated[str | None, typer.Option(help="Of netadapt: accuracy or ratio.")] = None,
    candidates: Annotated[
        int | None, typer.Option(help="Of random: candidates an iteration.")
    ] = None,
    saliency_batches: Annotated[
        int | None, typer.Option(help="Of taylor, knapsack: batches of gradients.")
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
    executor: Annotated[str | None, typer.Option(help="inline")] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on; needs only --out.")] = False,
) -> None:
    """Walk a network down to its budgets and keep the front."""
    if checkpoint and model:
        raise UserError("give --checkpoint or --model, not both")
    given: dict[str, Any] = {
        "input_size": parse_size(input_size),
        "data": data,
        "lut": lut,
        "budget_ms": budget_ms,
        "budget_macs": budget_macs,
        "budget_params": budget_params,
        "budget_mb": budget_mb,
        "min_accuracy": min_accuracy,
        "short_steps": short_steps,
        "long_steps": long_steps,
        "long_points": long_points,
        "batch_size": batch_size,
        "short_lr": short_lr,
        "long_lr": long_lr,
        "optimizer": optimizer,
        "loss": loss,
        "initial_reduction": initial_reduction,
        "decay": decay,
        "select": select,
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
    }
    if resume and out is None:
        raise UserError("--resume needs --out, the run to go on with")
    from netadapt.cli.views import SearchView
    from netadapt.search.api import default_folder
    from netadapt.search.api import search as run

    base = model or checkpoint
    folder = out or default_folder(base or "")
    view = SearchView()
    try:
        result = run(
            base,
            out=folder,
            resume=resume,
            progress=view,
            **given,
        )
    except KeyboardInterrupt:
        view.close()
        if (folder / "run.json").exists():
            say(f"stopped; go on with: netadapt search --resume --out {folder}")
        raise
    finally:
        view.close()
    if result.predicted_only:
        say(f"latencies are predicted, not measured: {result.predicted_only}")
    samples = result.summary["training_samples"]
    if samples is not None:
        say(f"training images read: {', '.join(f'{n} {stage}' for stage, n in samples.items())}")
    say(f"front of {len(result.front)} points in {result.folder / 'pareto.csv'}")
    print(result.final)
