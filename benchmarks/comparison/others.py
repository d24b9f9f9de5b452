"""What a user would reach for instead: Torch-Pruning's own pruner, and ModelOpt's FastNAS."""

import copy
import json
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch.nn.functional as F
import torch_pruning
from numpy.typing import NDArray
from torch import Tensor, nn

from comparison.arena import Arena, Point
from netadapt.depth.models import FastDepth
from netadapt.depth.models.fastdepth import SKIPS
from netadapt.search.evaluation import tune_settings
from netadapt.search.problem import Problem
from netadapt.search.seeds import derive_seed
from netadapt.training.checkpoint import load_checkpoint, save_checkpoint
from netadapt.training.device import compute_device
from netadapt.training.loop import fit

STEPS = 8  # of the iterative pruner; a short fine-tune follows each
HALVINGS = 12  # of a bisection
NEAR = 0.01  # of the wanted latency
CALIBRATION_BATCHES = 4  # of batch norms, before each of FastNAS's scores
TORCH_PRUNING, FASTNAS = "torch-pruning iterative", "ModelOpt FastNAS"


def compete_with_torch_pruning(arena: Arena, problem: Problem) -> None:
    """Prune to each share in ``STEPS`` steps: global l2 ranking, a short fine-tune after each."""
    seed, share_of = problem.settings.seed, _latency(problem)
    device = compute_device(problem.settings.train_on)
    missing = arena.missing(TORCH_PRUNING, seed, arena.shares)
    path = arena.folder / f"torch-pruning-{seed}"
    for share in missing:
        start = time.perf_counter()

        def after_pruning(ratio: float) -> float:
            model = copy.deepcopy(problem.base.model)
            _prune(problem, model, ratio, lambda step: None)
            return share_of(model)

        ratio = bisected(after_pruning, share)
        model = copy.deepcopy(problem.base.model)

        def tune(step: int, model: nn.Module = model) -> None:
            settings = tune_settings(
                problem.settings, "short", derive_seed(seed, step + 1, "short")
            )
            if settings is not None:
                fit(model.to(device), problem.base.task, settings)
                model.cpu()

        _prune(problem, model, ratio, tune)
        settings = problem.settings
        samples = STEPS * settings.short_steps * settings.batch_size
        seconds = time.perf_counter() - start
        tuned_long(arena, problem, model, TORCH_PRUNING, share, path, samples, seconds)


def _prune(
    problem: Problem, model: nn.Module, ratio: float, between: Callable[[int], None]
) -> None:
    settings = problem.settings
    pruner = torch_pruning.pruner.BasePruner(
        model.eval(),
        problem.base.example_input,
        importance=torch_pruning.importance.GroupMagnitudeImportance(p=2),
        global_pruning=True,
        pruning_ratio=ratio,
        max_pruning_ratio=1 - settings.lowest_share,
        iterative_steps=STEPS,
        round_to=settings.channel_multiple,
        ignored_layers=[model.get_submodule(name) for name in problem.base.prunable.locked],
    )
    for step in range(STEPS):
        pruner.step()
        between(step)
        model.eval()


def compete_with_fastnas(arena: Arena, problems: Mapping[int, Problem]) -> None:
    """Search once (it draws nothing at random), for each share; fine-tune with every seed.

    FLOPs are what it takes a limit for, so they are bisected until the latency is as wanted.
    """
    first = next(iter(problems.values()))
    path = arena.folder / "fastnas"
    path.mkdir(exist_ok=True)
    facts_file = path / "facts.json"
    facts = json.loads(facts_file.read_text()) if facts_file.exists() else {}
    for share in arena.shares:
        file = path / f"{share:g}.safetensors"
        if not file.exists():
            start = time.perf_counter()
            model, samples = _fastnas(first, share, path / "sensitivities.pt")
            facts[f"{share:g}"] = {"samples": samples, "seconds": time.perf_counter() - start}
            save_checkpoint(model, file, input_size=first.base.input_size)
            facts_file.write_text(json.dumps(facts))
    samples = sum(fact["samples"] for fact in facts.values())
    seconds = sum(fact["seconds"] for fact in facts.values())
    for seed, problem in problems.items():
        for share in arena.missing(FASTNAS, seed, arena.shares):
            model = load_checkpoint(path / f"{share:g}.safetensors")
            out = arena.folder / f"fastnas-{seed}"
            tuned_long(arena, problem, model, FASTNAS, share, out, samples, seconds)


def _fastnas(problem: Problem, share: float, memory: Path) -> tuple[nn.Module, int]:
    """Return the network at ``share`` of the latency, and how many training images were read."""
    import modelopt.torch.prune as modelopt_prune
    from modelopt.torch.prune.fastnas import FastNASConfig

    settings, task, share_of = problem.settings, problem.base.task, _latency(problem)
    config = FastNASConfig().model_dump()
    config["nn.Conv2d"]["*"]["channel_divisor"] = settings.channel_multiple
    config["nn.BatchNorm2d"]["*"]["feature_divisor"] = settings.channel_multiple
    scored = 0

    def score(model: nn.Module) -> float:
        nonlocal scored
        scored += 1
        return task.score(model, "holdout")[task.primary]

    seed = derive_seed(0, 0, "recalibration")
    batches = [
        task.train_batch(draw, settings.batch_size, seed)[0] for draw in range(CALIBRATION_BATCHES)
    ]
    found: dict[float, nn.Module] = {}

    def pruned(ratio: float) -> nn.Module:
        model = _straight(problem.base.model)
        modelopt_prune.prune(
            model,
            mode=[("fastnas", config)],
            constraints={"flops": f"{100 * (1 - ratio):.4f}%"},
            dummy_input=problem.base.example_input,
            config={
                "data_loader": batches,
                "collect_func": lambda images: images,
                "max_iter_data_loader": len(batches),
                "score_func": score,
                "checkpoint": str(memory),
                "verbose": False,
            },
        )
        return _with_widths(problem, model)

    def after_pruning(ratio: float) -> float:
        found[ratio] = pruned(ratio)
        return share_of(found[ratio])

    ratio = bisected(after_pruning, share)
    return found[ratio], scored * settings.batch_size * len(batches)


class _StraightFastDepth(FastDepth):
    """FastDepth without the check of its input's size, which torch.fx cannot follow."""

    def forward(self, image: Tensor) -> Tensor:
        x, skips = image, {}
        for block in range(14):
            x = getattr(self, f"conv{block}")(x)
            if block in SKIPS.values():
                skips[block] = x
        for stage in range(1, 6):
            x = F.interpolate(getattr(self, f"decode_conv{stage}")(x), scale_factor=2)
            if stage in SKIPS:
                x = x + skips[SKIPS[stage]]
        depth: Tensor = self.decode_conv6(x)
        return depth


def _straight(model: nn.Module) -> nn.Module:
    copied = copy.deepcopy(model)
    if isinstance(copied, FastDepth):
        copied.__class__ = _StraightFastDepth
    return copied


def _with_widths(problem: Problem, model: nn.Module) -> nn.Module:
    """Return the network of ``model``'s widths and weights as we build it."""
    widths = _widths(problem, model)
    plain = problem.base.prunable.pruned(widths)
    plain.load_state_dict(model.state_dict())
    return plain


def _widths(problem: Problem, model: nn.Module) -> dict[str, int]:
    return {name: _channels(model.get_submodule(name)) for name in problem.base.prunable.groups}


def _row(problem: Problem, model: nn.Module) -> NDArray[np.int64]:
    """Return ``(1, G)`` widths to predict the latency of ``model`` by.

    Others' pruners also leave widths below the smallest of the search, which no table has: such a
    group counts as that smallest, and the network as a little slower than it is.
    """
    lowest = problem.base.prunable.vector(problem.space.grid.narrowest())
    return np.maximum(problem.base.prunable.vector(_widths(problem, model)), lowest)[None]


def _channels(module: Any) -> int:
    return int(module.out_channels)


def _latency(problem: Problem) -> Callable[[nn.Module], float]:
    """Return a network's predicted latency as a share of the base's."""
    base = problem.space.cost("ms", {})

    def share(model: nn.Module) -> float:
        return float(problem.space.costs.batch("ms", _row(problem, model))[0]) / base

    return share


def bisected(share_after: Callable[[float], float], wanted: float) -> float:
    """Return the ratio to prune by after which the latency is nearest to ``wanted``."""
    low, high = 0.0, 0.98
    tried: dict[float, float] = {}
    for _ in range(HALVINGS):
        middle = (low + high) / 2
        tried[middle] = share_after(middle)
        if abs(tried[middle] - wanted) <= NEAR * wanted:
            break
        if tried[middle] > wanted:
            low = middle
        else:
            high = middle
    return min(tried, key=lambda ratio: abs(tried[ratio] - wanted))


def tuned_long(
    arena: Arena,
    problem: Problem,
    model: nn.Module,
    method: str,
    share: float,
    path: Path,
    samples: int,
    seconds: float,
) -> None:
    """Fine-tune ``model`` as every other point is, and keep it as ``method``'s at ``share``."""
    seed, task = problem.settings.seed, problem.base.task
    row = _row(problem, model)
    settings = tune_settings(problem.settings, "long", derive_seed(seed, 0, "long"))
    model.to(compute_device(problem.settings.train_on))
    if settings is not None:
        fit(model, task, settings)
    widths = _widths(problem, model)
    spec: Any = problem.base.model.spec
    model.spec = replace(spec, widths=widths)
    path.mkdir(exist_ok=True)
    save_checkpoint(model, path / f"{share:g}.safetensors", input_size=problem.base.input_size)
    arena.add(
        Point(
            method=method,
            seed=seed,
            share=share,
            checkpoint=f"{path.name}/{share:g}.safetensors",
            predicted_ms=float(problem.space.costs.batch("ms", row)[0]),
            holdout=task.score(model, "holdout")[task.primary],
            test=task.score(model, "test"),
            samples=samples,
            seconds=seconds,
        )
    )
