"""Every strategy, and two pruners from elsewhere, from one base down to a third of its latency.

pip install -e '.[bench,evolution]'
python benchmarks/fronts.py --base MODEL --data DATA --lut LUT --out WORK [--seeds 0 1 2]

Each method walks down to the smallest share of the base's predicted latency; the points nearest
to the shares are fine-tuned equally long, with the same batches, as is the base; then all are
timed on the device in interleaved rounds, and the tables are written to RESULTS (.csv, .md, .png,
.svg). What is in WORK is not done again; processes with other seeds or methods can share it, all
but the last with --points-only. The table's target must be this machine. A sitting of its own for
each seed, with a base trained anew, is joined to the earlier ones by --join.

What --blocks adds: --methods "netadapt-fast" "netadapt-fast, blocks" "netadapt, ratio"
"netadapt, blocks"; these variants run only when they are named.

FastDepth's published widths join as two rows of one network each: cut from the base, and, with
--weights, trained from ImageNet weights without a base, for as many steps as the base.
"""

import argparse
import json
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from bases import BASES
from comparison import others, published
from comparison.arena import Arena, compete
from comparison.arguments import search_parser
from comparison.report import BASE, write_tables

from netadapt.cli.common import key_values
from netadapt.files import write_atomic
from netadapt.profiling.measurement import measure_all
from netadapt.search.journal import Journal, Scored
from netadapt.search.names import STRATEGIES
from netadapt.search.settings import SearchSettings
from netadapt.search.strategies.registry import load_strategy
from netadapt.training.checkpoint import load_checkpoint

VARIANTS: dict[str, tuple[str, dict[str, Any]]] = {  # strategies, with other settings
    "netadapt, share": ("netadapt", {"importance": "share"}),
    "netadapt, blocks": ("netadapt", {"blocks": True, "select": "ratio"}),
    "netadapt, ratio": ("netadapt", {"select": "ratio"}),
    "netadapt-fast, blocks": ("netadapt-fast", {"blocks": True}),
}
WHEN_NAMED = ("netadapt, blocks", "netadapt, ratio", "netadapt-fast, blocks")
EXTERNAL = (others.TORCH_PRUNING, others.FASTNAS, *published.SINGLE)
ORDER = ("netadapt-fast", "netadapt", "uniform", "taylor", "knapsack", "magnitude", "random")
OWN = (
    "short_steps", "long_steps", "batch_size", "short_lr", "long_lr", "initial_reduction", "decay",
    "saliency_batches", "candidates", "population", "generations", "recalibration_batches",
    "anchor_every", "train_on",
)  # fmt: skip


def main(arguments: list[str] | None = None) -> None:
    given = _parser().parse_args(arguments)
    if given.threads:
        torch.set_num_threads(given.threads)
    settings = settings_of(given)
    given.out.mkdir(parents=True, exist_ok=True)
    arena = Arena(given.out, settings, sorted(given.shares, reverse=True))
    for seed in given.seeds:
        base = arena.problem(seed, budget_ms=1e9, speedup=None)
        compete(arena, BASE, load_strategy("uniform"), base, (1.0,))
        for method in given.methods:
            _compete(arena, method, seed, given)
    if others.FASTNAS in given.methods:
        others.compete_with_fastnas(arena, {seed: arena.problem(seed) for seed in given.seeds})
    if given.points_only:
        return
    notes = [_heading(arena, given), *repeated(arena, given.seeds)]
    points = measured(arena)
    if given.join:
        points = joined(points, given.results.with_suffix(".csv"))
    print(write_tables(points, arena.shares, notes, given.results, published.SINGLE))


def settings_of(given: argparse.Namespace) -> SearchSettings:
    """Return what all searches have in common."""
    changes = {name: getattr(given, name) for name in OWN if getattr(given, name) is not None}
    if given.task_option:
        changes["task_options"] = key_values("--task-option", given.task_option)
    return SearchSettings.parse(
        {"model": given.base, "data": given.data, "lut": given.lut, "budget_ms": 1.0, **changes}
    )


def joined(points: pd.DataFrame, file: Path) -> pd.DataFrame:
    """Return ``points`` and those of ``file`` that are of other seeds.

    A seed is measured in one sitting, against a base of its own: only shares of the base's
    latency and scores are compared.
    """
    earlier = pd.read_csv(file)
    return pd.concat([earlier[~earlier["seed"].isin(points["seed"])], points], ignore_index=True)


def repeated(arena: Arena, seeds: Sequence[int], method: str = "netadapt") -> list[str]:
    """Say which group the first iteration picks, seed by seed, and how alike its scores are.

    That iteration starts from the same network with the same candidates; batches differ.
    """
    scores = {}
    for seed in seeds:
        journal = arena.folder / f"{method}-{seed}" / "journal.jsonl"
        scored = [e.candidate for e in Journal(journal).events if isinstance(e, Scored)]
        first = {row.name: row.score for row in scored if row.iteration == 1}
        if first:
            scores[seed] = pd.Series(first)
    if len(scores) < 2:
        return []
    picks = [str(rows.idxmax()) for rows in scores.values()]
    alike = max(picks.count(pick) for pick in picks)
    ranks = pd.DataFrame(scores).corr("spearman").to_numpy()[np.triu_indices(len(scores), 1)]
    return [
        f"The first iteration of {method}, repeated with {len(picks)} seeds, picks "
        f"{', '.join(picks)}: the same group in {alike} of {len(picks)}. Spearman between the "
        f"seeds' scores of its candidates: {ranks.mean():.2f} on average."
    ]


def _compete(arena: Arena, method: str, seed: int, given: argparse.Namespace) -> None:
    if method == others.FASTNAS:  # searches once for all seeds, at the end
        return
    if method == published.TRAINED and given.weights is None:
        return
    if method == published.CUT:
        published.compete_with_cut(arena, arena.problem(seed))
    elif method == published.TRAINED:
        base = replace(BASES["nyu-128x160"], steps=given.base_steps)
        how = replace(base.settings(None), seed=seed)
        published.compete_with_trained(arena, arena.problem(seed), given.weights, how)
    elif method == others.TORCH_PRUNING:
        others.compete_with_torch_pruning(arena, arena.problem(seed))
    else:
        strategy, changes = VARIANTS.get(method, (method, {}))
        problem = arena.problem(seed, strategy=strategy, **changes)
        compete(arena, method, load_strategy(strategy), problem)
    found = [p for p in arena.points if (p.method, p.seed) == (method, seed)]
    text = ", ".join(f"{p.share:g}x {p.holdout:.4f}" for p in found)
    print(
        f"{method}, seed {seed}: on the holdout {text}; {found[0].samples} images read, "
        f"{found[0].seconds:.0f} s",
        file=sys.stderr,
        flush=True,
    )


def measured(arena: Arena) -> pd.DataFrame:
    """Return all points, with their p50 in ms as timed in interleaved rounds with the base."""
    file = arena.folder / "measured.json"
    known = json.loads(file.read_text()) if file.exists() else {}
    points = arena.points
    if set(known) != {point.checkpoint for point in points}:
        problem = arena.shared
        models = [load_checkpoint(arena.folder / p.checkpoint) for p in points]
        stats = measure_all(
            models, problem.base.example_input, problem.table.target, traced=problem.base.prunable
        )
        known = {p.checkpoint: s.p50_ms for p, s in zip(points, stats, strict=True)}
        write_atomic(file, json.dumps(known))
    rows = pd.DataFrame(
        [
            {
                "method": point.method,
                "seed": point.seed,
                "share": point.share,
                "predicted_ms": point.predicted_ms,
                "measured_ms": known[point.checkpoint],
                "delta1_holdout": point.holdout,
                **point.test,
                "samples": point.samples,
                "seconds": point.seconds,
            }
            for point in points
        ]
    )
    base_ms = rows.loc[rows["method"] == BASE, "measured_ms"].median()
    rows.insert(5, "measured_share", rows["measured_ms"] / base_ms)
    return rows


def _heading(arena: Arena, given: argparse.Namespace) -> str:
    settings = arena.problem(given.seeds[0]).settings
    base = [point.test["delta1"] for point in arena.points if point.method == BASE]
    height, width = arena.shared.base.example_input.shape[-2:]
    return (
        f"Base: δ1 {sum(base) / len(base):.3f} on the test split (fine-tuned as long as the "
        f"points, mean over seeds), {height}x{width}. "
        f"Short-term fine-tunes of {settings.short_steps} steps, long of {settings.long_steps}, "
        f"{settings.batch_size} images each. Medians over seeds (range)."
    )


def _parser() -> argparse.ArgumentParser:
    parser = search_parser(__doc__, "fronts")
    known = [*ORDER, *(name for name in STRATEGIES if name not in ORDER), *VARIANTS, *EXTERNAL]
    usual = [name for name in known if name not in WHEN_NAMED]
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--methods", nargs="+", choices=known, default=usual)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--shares", type=float, nargs="+", default=[0.75, 0.5, 0.33])
    parser.add_argument("--weights", type=Path, help="ImageNet weights, to train from")
    parser.add_argument(
        "--base-steps", type=int, default=BASES["nyu-128x160"].steps, help="steps of the base"
    )
    parser.add_argument("--threads", type=int)
    parser.add_argument("--task-option", action="append", metavar="KEY=VALUE")
    parser.add_argument("--points-only", action="store_true", help="write no tables")
    parser.add_argument(
        "--join", action="store_true", help="keep the rows of other seeds that RESULTS has already"
    )
    for name in OWN:
        number = float if name.endswith(("lr", "decay", "reduction")) else int
        kind = str if name == "train_on" else number
        parser.add_argument(f"--{name.replace('_', '-')}", type=kind)
    return parser


if __name__ == "__main__":
    main()
