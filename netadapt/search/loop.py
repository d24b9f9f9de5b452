"""The search: walk down to the budget, then finish the front."""

from collections import Counter
from collections.abc import Iterator, Sequence

from netadapt.errors import UserError
from netadapt.search.breakdown import write_breakdown
from netadapt.search.candidate import Candidate, Proposal
from netadapt.search.evaluation import Job
from netadapt.search.executors.base import Executor
from netadapt.search.finish import choose_points, ending, measure_points, pick_final
from netadapt.search.goal import Goal
from netadapt.search.journal import (
    Chosen,
    Event,
    Finished,
    IterationBegan,
    Journal,
    Measured,
    Retried,
    Scored,
    Selected,
    Started,
    Tightened,
    Tuned,
)
from netadapt.search.networks import Networks
from netadapt.search.problem import UNITS, Problem
from netadapt.search.progress import SearchProgress
from netadapt.search.results import write_results
from netadapt.search.run_folder import RunFolder
from netadapt.search.samples import write_samples
from netadapt.search.state import SearchState
from netadapt.search.strategies.base import Strategy
from netadapt.training.checkpoint import is_file_reference

MAX_CORRECTIONS = 10


class Search:
    """One run, from wherever its journal stands to the end."""

    def __init__(
        self,
        problem: Problem,
        folder: RunFolder,
        networks: Networks,
        strategy: type[Strategy],
        executor: Executor,
        progress: SearchProgress,
    ) -> None:
        self._problem = problem
        self._settings = problem.settings
        self._folder = folder
        self._executor = executor
        self._progress = progress
        self._journal = Journal(folder.journal)
        self._strategy = strategy(problem, networks)
        self.state = SearchState(problem.task.higher_is_better).replay(self._journal.events)

    def run(self) -> SearchState:
        """Search until a model within the budget is found, and finish the front."""
        state = self.state
        self._clear_leftovers()
        if state.all_failed:
            self._begin_again()
        while not state.finished:
            if not state.chosen:
                self.walk()
                self._choose()
            if not state.was_measured:
                self._measure()
            if not self._met():
                self._tighten()
                continue
            self._tune()
            final = pick_final(state, self._problem.goal())
            write_samples(self._problem, self._folder, state, final)
            write_breakdown(self._problem.predictor, self._folder, state)
            self._write_results()
            self._record(Finished(name=final))
        return state

    def _start(self) -> None:
        problem = self._problem
        model = problem.settings.model
        fresh = "" if is_file_reference(model) else f" ({model}: fresh weights, not trained)"
        self._progress.stage(self.state, f"scoring the base network{fresh}")
        base = Proposal(
            name="0",
            iteration=0,
            group="",
            widths=problem.prunable.widths,
            predicted_ms=problem.predictor({}),
        )
        job = Job(base, "base", "checkpoints/0.safetensors", self._settings.seed)
        (scored,) = self._evaluated([job])
        if scored.score is None:
            raise UserError(f"the base network cannot be scored: {scored.failure}")
        if not self._goal().accurate(scored.score):
            raise UserError(
                f"--min-accuracy {self._settings.min_accuracy:g} is above what the base network "
                f"scores on the holdout: {scored.score:.4g}; train it on or give a lower one"
            )
        self._record(Started(base=scored))

    def walk(self) -> None:
        """From the base, or wherever the walk stands, to the goal."""
        if not self.state.walk:
            self._start()
        state, strategy, goal = self.state, self._strategy, self._goal()
        left = strategy.iterations_left(state, goal)
        budget_ms = None if goal.minimum is not None else goal.limits.get("ms")
        self._progress.began(state, budget_ms, left)
        while not strategy.ended(state, goal):
            if not state.proposals:
                proposed = self._proposed(goal)
                if proposed is None:
                    break
                self._record(proposed)
            self._progress.proposed(state)
            jobs = [strategy.job(state, proposal) for proposal in state.pending]
            for candidate in self._evaluated(jobs):
                self._record(Scored(candidate=candidate))
                self._progress.scored(state, candidate.name)
            picked = strategy.select(state, self._survivors(), goal)
            for proposal in state.proposals:
                if proposal.name == picked.name:
                    self._executor.keep(strategy.job(state, proposal))
            self._record(Selected(iteration=state.iteration, name=picked.name))
            self._progress.selected(state, picked.name, strategy.iterations_left(state, goal))
            self._drop_weights()
            self._write_results()

    def _proposed(self, goal: Goal) -> IterationBegan | None:
        """Propose at the iteration's target, or nearer where nothing reaches it.

        Returns:
            ``None`` if nothing narrower is left and none is needed: an accuracy ends the walk.
        """
        state, strategy = self.state, self._strategy
        current = goal.load(state.current.costs)
        base = goal.load(state.candidates[state.walk[0]].costs)
        target = strategy.target(state, goal)
        while True:
            limits = goal.at(target)
            proposals = strategy.propose(state, limits)
            if proposals:
                return IterationBegan(
                    iteration=state.iteration,
                    target_ms=limits.pop("ms", None),
                    targets=limits,
                    proposals=tuple(proposals),
                    training_samples=strategy.proposing_samples(),
                )
            target = (target + current) / 2
            if current - target <= base * 1e-4:
                break
        if goal.minimum is not None:
            return None
        raise UserError(
            f"stuck at {_shown(goal, state.current)}: no group can be made "
            "narrower; allow narrower ones with --lowest-share"
        )

    def _goal(self) -> Goal:
        return self._problem.goal(self.state.predicted_budget_ms)

    def _choose(self) -> None:
        """Choose the points to go on with, and say where the walk has ended if no budget did."""
        state, goal = self.state, self._goal()
        points = self._strategy.points(state, goal)
        end = ending(state, goal, points)
        if end is not None:
            self._progress.stage(state, end)
        self._record(Chosen(names=choose_points(points, self._settings.long_points)))

    def _survivors(self) -> list[Candidate]:
        scored = self.state.scored
        if not scored:
            failures = Counter(self.state.candidates[p.name].failure for p in self.state.proposals)
            failure, times = failures.most_common(1)[0]
            raise UserError(
                f"every candidate of iteration {self.state.iteration} failed, {times} of "
                f"{failures.total()} with: {failure}; --resume evaluates them again"
            )
        return scored

    def _measure(self) -> None:
        self._progress.stage(self.state, "measuring the chosen points")
        self._record(Measured(p50_ms=measure_points(self._problem, self.state, self._folder)))

    def _met(self) -> bool:
        """Whether a chosen point is within budget: by the clock, or as predicted without one."""
        state, goal = self.state, self._problem.goal()
        return any(goal.met(state.costs(state.candidates[name])) for name in state.chosen)

    def _tighten(self) -> None:
        """The clock says the budget is not met: walk on to what it says would be."""
        state, budget = self.state, self._settings.budgets["ms"]
        corrections = sum(isinstance(event, Tightened) for event in self._journal.events)
        current = state.current
        measured = state.measured_ms[current.name]
        if corrections >= MAX_CORRECTIONS:
            raise UserError(
                f"the clock says {measured:.3g} ms for what the table predicts as "
                f"{current.predicted_ms:.3g} ms, after {corrections} corrections; "
                f"profile the device again: {self._settings.lut}"
            )
        lower = 0.998 * min(current.predicted_ms, current.predicted_ms * budget / measured)
        self._record(Tightened(predicted_budget_ms=lower))

    def _tune(self) -> None:
        state = self.state
        waiting = [n for n in state.chosen if f"{n}-long" not in state.candidates]
        if waiting:
            text = f"long-term fine-tune of {len(waiting)} points"
            self._progress.stage(state, text)
        jobs = [self._strategy.long_job(state, name) for name in waiting]
        for candidate in self._evaluated(jobs):
            self._record(Tuned(candidate=candidate))
            self._progress.tuned(state, candidate.name)

    def _begin_again(self) -> None:
        """Evaluate the candidates of an iteration anew that all failed before the run stopped."""
        journal = reversed(self._journal.events)
        began = next(event for event in journal if isinstance(event, IterationBegan))
        self._record(began.model_copy(update={"training_samples": 0}))

    def _evaluated(self, jobs: Sequence[Job]) -> Iterator[Candidate]:
        """Yield the candidates of ``jobs`` as they are done.

        Raises:
            KeyboardInterrupt: the search was asked to stop; what was in flight is done by then.
        """
        for outcome in self._executor.map(jobs):
            if isinstance(outcome, Retried):
                self._record(outcome)
                self._progress.retried(self.state, outcome)
            else:
                yield outcome
        if self._executor.draining:
            raise KeyboardInterrupt

    def _record(self, event: Event) -> None:
        self._journal.append(event)
        self.state.apply(event)

    def _write_results(self) -> None:
        problem = self._problem
        write_results(self._folder, self.state, problem.task.primary, problem.reported)

    def _drop_weights(self) -> None:
        """Delete weights that no later step can ask for."""
        needed = self.state.needed_checkpoints()
        for path in self._folder.checkpoints.glob("*.safetensors"):
            if f"checkpoints/{path.name}" not in needed:
                path.unlink(missing_ok=True)

    def _clear_leftovers(self) -> None:
        """Remove temporary files of a process that was killed while it wrote."""
        for path in (*self._folder.path.glob(".*.tmp*"), *self._folder.checkpoints.glob(".*.tmp*")):
            path.unlink(missing_ok=True)


def _shown(goal: Goal, candidate: Candidate) -> str:
    """What ``candidate`` costs of each limit."""
    return ", ".join(
        f"{candidate.costs[kind]:.3g} {UNITS[kind]} of {limit:.3g}"
        for kind, limit in goal.limits.items()
    )
