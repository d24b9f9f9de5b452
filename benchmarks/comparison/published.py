"""The widths that FastDepth's authors published: cut from the base, and trained without a base."""

import time
from pathlib import Path

import torch

from comparison.arena import Arena
from comparison.others import tuned_long
from netadapt.depth.models.fastdepth import PRESETS
from netadapt.errors import UserError
from netadapt.models import ModelSpec
from netadapt.pruning import trace
from netadapt.search.problem import Problem
from netadapt.training import (
    TrainConfig,
    TrainSettings,
    compute_device,
    load_checkpoint,
    load_model,
    run_training,
    save_checkpoint,
)

CUT, TRAINED = "published widths", "published widths, no base"
SINGLE = (CUT, TRAINED)  # methods of one network, wherever its latency lies
WIDTHS = PRESETS["pruned"]


def compete_with_cut(arena: Arena, problem: Problem) -> None:
    """Cut the base to the published widths, smallest filters first, and fine-tune it long."""
    share = _share(problem)
    if arena.missing(CUT, problem.settings.seed, [share]):
        model = problem.base.prunable.pruned(WIDTHS, "l2")
        folder = arena.folder / f"published-{problem.settings.seed}"
        tuned_long(arena, problem, model, CUT, share, folder, 0, 0.0)


def compete_with_trained(arena: Arena, problem: Problem, weights: Path, how: TrainSettings) -> None:
    """Train the published widths as the base was trained, then fine-tune them as long as all.

    They start from the filters of ``weights`` that are largest, since no published ImageNet
    weights have these widths. The training goes on where it was interrupted.
    """
    share, task = _share(problem), problem.base.task
    if not arena.missing(TRAINED, problem.settings.seed, [share]):
        return
    start = time.perf_counter()
    folder = arena.folder / f"trained-{problem.settings.seed}"
    folder.mkdir(exist_ok=True)
    first = folder / "start.safetensors"
    if not first.exists():
        torch.manual_seed(problem.settings.seed)
        full = load_model("fastdepth", init_from=weights)
        cut = trace(full, problem.base.example_input).pruned(WIDTHS, "l2")
        save_checkpoint(cut, first, input_size=problem.base.input_size)
    config = TrainConfig(str(first), task.spec, task.input_size, how, eval_every=500)
    training = folder / "training"
    device = compute_device(problem.settings.train_on)
    final = run_training(config, task, training, resume=training.exists(), device=device)
    samples, seconds = how.steps * how.batch_size, time.perf_counter() - start
    model = load_checkpoint(final)
    tuned_long(arena, problem, model, TRAINED, share, folder, samples, seconds)


def _share(problem: Problem) -> float:
    """Return the latency of the published widths as a share of the base's, both predicted."""
    spec = getattr(problem.base.model, "spec", None)
    if not isinstance(spec, ModelSpec) or spec.name != "fastdepth" or spec.widths or spec.options:
        raise UserError("the published widths are those of a full fastdepth; give one as --base")
    return problem.space.cost("ms", WIDTHS) / problem.space.cost("ms", {})
