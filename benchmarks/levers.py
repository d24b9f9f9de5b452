"""What each lever of netadapt-fast is worth, alone and together.

python benchmarks/levers.py --base MODEL --data DATA --lut LUT --out WORK [--seeds 0 1]

As benchmarks/fronts.py, but scored on the holdout only: the test split has no say in what is
kept. Levers that were dropped live on here, so that the table can be made again.
"""

import argparse
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import ClassVar
from unittest import mock

import numpy as np
import pandas as pd
import torch
from comparison.arena import Arena, compete
from comparison.arguments import search_parser
from torch import Tensor, nn

from netadapt.files import write_atomic
from netadapt.search import evaluation
from netadapt.search.candidate import Proposal
from netadapt.search.distillation import DistilledTask
from netadapt.search.evaluation import Job
from netadapt.search.goal import Goal, Limits
from netadapt.search.proposals import narrowed_until
from netadapt.search.recalibration import recalibrate
from netadapt.search.saliency import Criterion
from netadapt.search.schedule import Schedule
from netadapt.search.seeds import derive_seed
from netadapt.search.settings import SearchSettings
from netadapt.search.state import SearchState
from netadapt.search.strategies.base import Strategy
from netadapt.search.strategies.fast import FastStrategy
from netadapt.search.strategies.knapsack import Choice, KnapsackStrategy, solve_within
from netadapt.search.strategies.netadapt import NetAdaptStrategy
from netadapt.search.strategies.ranking import ranked_steps
from netadapt.search.strategies.uniform import UniformStrategy
from netadapt.training.task import Targets

FINALISTS = 3
RECALIBRATION = 2  # batches before a zero-step score


class Distilled(NetAdaptStrategy):
    """The paper's search, learning from the base too."""

    distils: ClassVar[bool] = True


class Screened(NetAdaptStrategy):
    """The paper's search, with the candidates that lose the least Fisher importance alone."""

    def propose(self, state: SearchState, limits: Limits) -> list[Proposal]:
        checkpoint = self.parent(state).checkpoint
        scores = self.networks.scores(checkpoint, "fisher", state.iteration)
        proposals = super().propose(state, limits)

        def lost(proposal: Proposal) -> float:
            before, after = state.current.widths[proposal.group], proposal.widths[proposal.group]
            return float(np.sort(scores[proposal.group])[: before - after].sum())

        kept = {p.name for p in sorted(proposals, key=lost)[:FINALISTS]}
        return [p for p in proposals if p.name in kept]

    def proposing_samples(self) -> int:
        return self.networks.scoring_samples("fisher")


class ZeroStep(NetAdaptStrategy):
    """The paper's search with recalibrated batch norms in place of the short-term fine-tune."""

    adaptation: ClassVar[evaluation.Adaptation] = "recalibrate"


class WarmStart(NetAdaptStrategy):
    """The paper's search; a candidate is cut from the last one that narrowed the same group."""

    def job(self, state: SearchState, proposal: Proposal) -> Job:
        job = super().job(state, proposal)
        last = [
            row
            for row in state.candidates.values()
            if row.name == f"{proposal.iteration - 1}-{proposal.group}" and row.score is not None
        ]
        kept = [row for row in last if (self.networks.folder / row.checkpoint).exists()]
        fits = [r for r in kept if all(r.widths[g] >= w for g, w in proposal.widths.items())]
        if not fits:
            return job
        return Job(proposal, "short", fits[-1].checkpoint, job.seed, job.importance)


class NetAdaptShare(NetAdaptStrategy):
    """The paper's search with the channels that netadapt-fast keeps."""

    importance: ClassVar[Criterion] = "share"


class UniformL2(UniformStrategy):
    """Uniform widths with the paper's channels."""

    importance: ClassVar[Criterion] = "l2"


class UniformDistilled(UniformStrategy):
    """Uniform widths, learning from the base too."""

    distils: ClassVar[bool] = True


class FisherDistilled(FastStrategy):
    """A knapsack of Fisher saliencies, learning from the base too, in the paper's steps."""

    def schedule(self, state: SearchState, goal: Goal) -> Schedule:
        return Strategy.schedule(self, state, goal)


class FisherPlain(FisherDistilled):
    """A knapsack of Fisher saliencies, nothing else."""

    distils: ClassVar[bool] = False


class LargePlain(FastStrategy):
    """netadapt-fast, learning from the truth alone."""

    distils: ClassVar[bool] = False


class FisherL2(FisherPlain):
    """Fisher decides on the widths, the l2 norm on the channels."""

    importance: ClassVar[Criterion] = "l2"


class FisherChannels(FisherPlain):
    """Fisher decides on the channels, too."""

    importance: ClassVar[Criterion] = "fisher"


class FisherRace(FisherDistilled):
    """Several drafts an iteration; the best zero-step score is fine-tuned."""

    def propose(self, state: SearchState, limits: Limits) -> list[Proposal]:
        drafts = {tuple(w.values()): w for w in self._drafts(state, limits)}
        if not drafts:
            return []
        best = max(drafts.values(), key=lambda widths: self._zero_step(state, widths))
        return [self.proposal(state, "race", best)]

    def proposing_samples(self) -> int:
        each = RECALIBRATION * self.problem.settings.batch_size
        return super().proposing_samples() + 4 * each

    def _drafts(self, state: SearchState, limits: Limits) -> Iterator[Mapping[str, int]]:
        problem, widths, scores = self.problem, state.current.widths, self.scores(state)
        for power in (1.0, 0.5):
            shaped = {group: values**power for group, values in scores.items()}
            choice = Choice.of(shaped, widths, problem.grid)
            found = solve_within(choice, problem.costs, limits)
            if found is not None:
                yield dict(zip(choice.groups, map(int, found), strict=True))
        steps = ranked_steps(scores, widths, problem.grid)
        ranked = narrowed_until(widths, steps, problem.grid, problem.costs, limits)
        if ranked is not None:
            yield ranked
        for proposal in UniformStrategy(problem, self.networks).propose(state, limits):
            yield proposal.widths

    def _zero_step(self, state: SearchState, widths: Mapping[str, int]) -> float:
        task, settings = self.problem.task, self.problem.settings
        model = self.networks.prunable(self.parent(state).checkpoint).pruned(widths, "share")
        seed = derive_seed(settings.seed, state.iteration, "recalibration")
        recalibrate(model, task, RECALIBRATION, settings.batch_size, seed)
        return task.score(model, "holdout")[task.primary]


class FeatureTask(DistilledTask):
    """Learning from where the teacher's layers are active, too (attention maps).

    Source: Zagoruyko and Komodakis, Paying More Attention to Attention, ICLR 2017.
    """

    weight = 1.0

    def loss(self, model: nn.Module, inputs: Tensor, targets: Targets) -> Tensor:
        with _maps(model) as ours, _maps(self._teacher) as theirs:
            loss = super().loss(model, inputs, targets)
        pairs = zip(ours, theirs, strict=True)
        return (
            loss
            + self.weight * torch.stack([(a - b.detach()).abs().mean() for a, b in pairs]).mean()
        )


@contextmanager
def _maps(model: nn.Module) -> Iterator[list[Tensor]]:
    """Collect the mean square over channels of each decoder stage, of mean 1 over the image."""
    found: list[Tensor] = []

    def keep(module: nn.Module, given: object, output: Tensor) -> None:
        energy = output.float().square().mean(1)
        found.append(energy / energy.mean((1, 2), keepdim=True).clamp(min=1e-6))

    stages = [model.get_submodule(f"decode_conv{stage}") for stage in range(1, 6)]
    hooks = [stage.register_forward_hook(keep) for stage in stages]
    try:
        yield found
    finally:
        for hook in hooks:
            hook.remove()


LEVERS: dict[str, type[Strategy]] = {
    "uniform": UniformStrategy,
    "uniform, l2 channels": UniformL2,
    "uniform, distilled": UniformDistilled,
    "knapsack": KnapsackStrategy,
    "fisher": FisherPlain,
    "fisher, l2 channels": FisherL2,
    "fisher, fisher channels": FisherChannels,
    "fisher, distilled": FisherDistilled,
    "fisher, distilled, race": FisherRace,
    "fisher, distilled, features": FisherDistilled,
    "fisher, large steps": LargePlain,
    "fisher, distilled, large steps": FastStrategy,
    "netadapt": NetAdaptStrategy,
    "netadapt, share channels": NetAdaptShare,
    "netadapt, screened": Screened,
    "netadapt, zero-step": ZeroStep,
    "netadapt, warm start": WarmStart,
    "netadapt, distilled": Distilled,
}


def main(arguments: Sequence[str] | None = None) -> None:
    given = _parser().parse_args(arguments)
    torch.set_num_threads(1)
    settings = SearchSettings(
        model=given.base, data=given.data, lut=given.lut, budget_ms=1.0, decay=0.98,
        initial_reduction=given.initial_reduction, short_steps=given.short_steps,
        long_steps=given.long_steps, long_lr=given.long_lr, saliency_batches=2,
        recalibration_batches=RECALIBRATION,
    )  # fmt: skip
    given.out.mkdir(parents=True, exist_ok=True)
    arena = Arena(given.out, settings, (0.5, 0.33))
    for seed in given.seeds:
        for name in given.levers:
            task = FeatureTask if name.endswith("features") else DistilledTask
            with mock.patch.object(evaluation, "DistilledTask", task):
                compete(arena, name, LEVERS[name], arena.problem(seed))
            found = [p for p in arena.points if (p.method, p.seed) == (name, seed)]
            text = ", ".join(f"{p.share:g}x {p.holdout:.4f}" for p in found)
            print(f"{name}, seed {seed}: {text}; {found[0].samples} images", flush=True)
    rows = pd.DataFrame([vars(point) for point in arena.points]).drop(columns="test")
    write_atomic(given.results, rows.to_csv(index=False, float_format="%.6g"))


def _parser() -> argparse.ArgumentParser:
    parser = search_parser(__doc__, "levers.csv")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--levers", nargs="+", choices=LEVERS, default=list(LEVERS))
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1])
    parser.add_argument("--initial-reduction", type=float, default=0.08)
    parser.add_argument("--short-steps", type=int, default=8)
    parser.add_argument("--long-steps", type=int, default=100)
    parser.add_argument("--long-lr", type=float, default=2e-4)
    return parser


if __name__ == "__main__":
    main()
