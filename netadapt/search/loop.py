"""The search: walk down to the budget, then finish the front."""

import time
from collections import Counter
from collections.abc import Iterator, Sequence

from netadapt.errors import UserError
from netadapt.search.breakdown import write_breakdown
from netadapt.search.candidate import LONG, QAT, Candidate, Proposal
from netadapt.search.course import course_of
from netadapt.search.deployed import deployed_scores
from netadapt.search.evaluation import Job, Outcome
from netadapt.search.executors.base import Executor
from netadapt.search.finish import already_met, choose_points, pick_final, shown, why_ended
from netadapt.search.goal import Goal, Kind
from netadapt.search.jobs import Jobs
from netadapt.search.journal import (
    Anchored,
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
    Tuned,
)
from netadapt.search.last_step import BEFORE
from netadapt.search.problem import Problem
from netadapt.search.progress import SearchProgress
from netadapt.search.proposer import Proposer
from netadapt.search.replay import replayed
from netadapt.search.results import Ending, write_results
from netadapt.search.run_folder import RunFolder
from netadapt.search.samples import write_samples
from netadapt.search.state import SearchState
from netadapt.search.strategies.base import Strategy
from netadapt.training.checkpoint import is_file_reference

MAX_CORRECTIONS = 10
MEASURING_SHARE = 0.1  # of the search's time


class Search:
    """One run, from the state in its journal to the end."""

    def __init__(
        self,
        problem: Problem,
        folder: RunFolder,
        strategy: Strategy,
        executor: Executor,
        progress: SearchProgress,
    ) -> None:
        self._problem = problem
        self._settings = problem.settings
        self._space = problem.space
        self._folder = folder
        self._strategy = strategy
        self._executor = executor
        self._progress = progress
        self._jobs = Jobs(problem.settings, strategy)
        self._course = course_of(problem.settings, strategy)
        self._proposer = Proposer(problem, strategy, self._course)
        self._journal = Journal(folder.journal)
        self._began = time.monotonic()
        self._corrections = 0
        higher_is_better, full = problem.base.task.higher_is_better, problem.base.prunable.widths
        self.state = replayed(self._journal, higher_is_better, full)
        if self.state.anchor:
            self._use(self.state.anchor)

    def run(self) -> SearchState:
        """Search until a model within the budget is found, and finish the front."""
        state = self.state
        self._folder.clear_leftovers()
        if state.all_failed:
            self._begin_again()
        while not state.finished:
            if not state.chosen:
                self.walk()
                if self._met_by_base():
                    self._progress.noted(already_met(state, self.goal))
                    self._finish(state.base.name, already_met(state, self.goal))
                    break
                self._choose()
            if not state.was_measured:
                self._measure()
            if not self._met():
                self._go_on()
                continue
            self._tune()
            end = self._course.points(state, self.goal)[-1]
            self._finish(pick_final(state, self.goal), why_ended(state, self.goal, end))
        return state

    def walk(self) -> None:
        """Walk from the base, or the last pick, to the goal."""
        state, strategy = self.state, self._strategy
        self._progress.opened(state, self._course, lambda at: self._problem.goal(at.base_ms))
        if not state.walk:
            self._start()
        if self._anchor_is_due():
            self._anchor()
        while not self._course.ended(state, self.goal):
            if not state.proposals:
                proposed = self._proposer.propose(state, self.goal)
                if proposed is None:
                    break
                self._record(proposed)
            for candidate in self._evaluated([self._jobs.short(state, p) for p in state.pending]):
                self._record(Scored(candidate=candidate))
            picked = strategy.select(state, self._survivors(), self.goal)
            self._keep(picked)
            self._record(Selected(iteration=state.iteration, name=picked.name))
            if self._anchor_is_due():
                self._anchor()
            self._folder.drop_weights(state.needed_checkpoints())
            self._write_results()

    @property
    def goal(self) -> Goal:
        """Where the walk ends, by what the base takes now."""
        return self._problem.goal(self.state.base_ms)

    def _start(self) -> None:
        base = Proposal(
            name="0",
            iteration=0,
            group="",
            widths=self._problem.base.prunable.widths,
            predicted_ms=self._space.cost("ms", {}),
        )
        model = self._settings.model
        if not is_file_reference(model):
            self._progress.noted(f"{model}: fresh weights, not trained")
        (scored,) = self._evaluated([self._jobs.base(base)])
        if scored.score is None:
            raise UserError(f"the base network cannot be scored: {scored.failure}")
        if not self.goal.accurate(scored.score):
            raise UserError(
                f"--min-accuracy {self._settings.min_accuracy:g} is above what the base network "
                f"scores on the holdout: {scored.score:.4g}; train it on or give a lower one"
            )
        self._record(Started(base=scored))

    def _anchor(self) -> None:
        """Measure base and current network side by side, and predict relative to that."""
        current = self.state.current
        others = [] if current is self.state.base else [current.widths]
        times = self._problem.clock.time(others)
        ms = times.ms[0] if others else times.base_ms
        mj = times.mj[0] if others and times.mj else times.base_mj
        self._record(
            Anchored(name=current.name, base_ms=times.base_ms, ms=ms, base_mj=times.base_mj, mj=mj)
        )

    def _anchor_is_due(self) -> bool:
        """Whether to measure now: at the start, near the budget, and as the settings say."""
        state, every = self.state, self._settings.anchor_every
        known = state.anchor is not None and state.anchor.name == state.current.name
        if self._problem.clock.not_attached or known or state.proposals:
            return False
        if state.anchor is None or self._course.load(state, self.goal) < 1 + BEFORE:
            return True
        if every is not None:
            return (state.iteration - 1) % every == 0
        elapsed = time.monotonic() - self._began
        return self._problem.clock.seconds <= MEASURING_SHARE * elapsed

    def _keep(self, picked: Candidate) -> None:
        """Make sure that the weights of the pick are in the run folder."""
        for proposal in self.state.proposals:
            if proposal.name == picked.name:
                self._executor.keep(self._jobs.short(self.state, proposal))

    def _met_by_base(self) -> bool:
        """Whether the base is within the budget already, and that is all there is to it."""
        state, goal = self.state, self.goal
        if self._settings.base_share is not None:  # it was trained at another input size
            return False
        alone = len(state.walk) == 1 and goal.minimum is None
        return alone and goal.met(state.costs(state.base))

    def _choose(self) -> None:
        """Choose the points to measure and fine-tune long."""
        points = self._course.points(self.state, self.goal)
        if self.goal.minimum is not None:
            self._progress.noted(why_ended(self.state, self.goal, points[-1]))
        names = choose_points(self.state, points, self._settings.long_points)
        self._record(Chosen(names=names))

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
        """Measure all chosen points in the same rounds."""
        state, clock = self.state, self._problem.clock
        if clock.not_attached:
            self._record(Measured(p50_ms=None))
            return
        others = [name for name in state.chosen if name != state.base.name]
        times = clock.time([state.candidates[name].widths for name in others])
        p50_ms = {state.base.name: times.base_ms, **dict(zip(others, times.ms, strict=True))}
        energy_mj = None
        if times.base_mj is not None:
            energy_mj = {state.base.name: times.base_mj, **dict(zip(others, times.mj, strict=True))}
        self._record(Measured(p50_ms=p50_ms, energy_mj=energy_mj))

    def _met(self) -> bool:
        """Whether a chosen point is within budget: by the clock, or as predicted without one."""
        state, goal = self.state, self.goal
        return any(goal.met(state.costs(state.candidates[name])) for name in state.chosen)

    def _go_on(self) -> None:
        """Continue the walk from its end, which was measured above the budget."""
        state = self.state
        base_ms, ms = state.base_ms, state.measured_ms(state.current)
        if base_ms is None or ms is None or self._corrections >= MAX_CORRECTIONS:
            raise UserError(
                f"the budget is not met after {self._corrections} corrections: "
                f"{shown(state, self.goal, state.current)}; profile the device again: "
                f"{self._settings.lut}"
            )
        self._corrections += 1
        base_mj, mj = state.base_mj, state.measured_mj(state.current)
        self._record(
            Anchored(name=state.current.name, base_ms=base_ms, ms=ms, base_mj=base_mj, mj=mj)
        )

    def _tune(self) -> None:
        state = self.state
        waiting = [n for n in state.chosen if f"{n}-long" not in state.candidates]
        for candidate in self._evaluated([self._jobs.long(state, name) for name in waiting]):
            self._record(Tuned(candidate=candidate))
        if self._settings.qat:
            tuned = [n for n in state.chosen if state.candidates[n + LONG].score is not None]
            waiting = [n for n in tuned if n + LONG + QAT not in state.candidates]
            for candidate in self._evaluated([self._jobs.qat(state, name) for name in waiting]):
                self._record(Tuned(candidate=candidate))

    def _finish(self, final: str, why: str) -> None:
        """Write the results and end the run."""
        write_samples(self._problem.base.task, self._folder, self.state, final)
        write_breakdown(self._space.costs.predictor, self._folder, self.state)
        self._write_results(Ending(final, why))
        self._record(Finished(name=final))

    def _begin_again(self) -> None:
        """Evaluate an iteration again in which all candidates failed before the run stopped."""
        journal = reversed(self._journal.events)
        began = next(event for event in journal if isinstance(event, IterationBegan))
        self._record(began.model_copy(update={"training_samples": 0}))

    def _evaluated(self, jobs: Sequence[Job]) -> Iterator[Candidate]:
        """Yield the candidates of ``jobs`` as they are done.

        Raises:
            KeyboardInterrupt: the search was asked to stop; what was in flight is done by then.
        """
        asked = {job.name: job for job in jobs}
        for outcome in self._executor.map(jobs):
            if isinstance(outcome, Retried):
                self._record(outcome)
            else:
                yield self._candidate(asked[outcome.name], outcome)
        if self._executor.draining:
            raise KeyboardInterrupt

    def _candidate(self, job: Job, outcome: Outcome) -> Candidate:
        widths, space = job.proposal.widths, self._space
        kinds: list[Kind] = ["macs", "params"]
        if "mb" in self._settings.budgets:
            kinds.append("mb")
        if space.costs.predictor.has_energy:
            kinds.append("mj")
        costs = {kind: space.cost(kind, widths) for kind in kinds}
        return self._deployed(outcome.candidate(job, costs))

    def _deployed(self, candidate: Candidate) -> Candidate:
        """Score the file of a point that may be deployed, where the target is int8."""
        int8 = self._problem.table.target.precision == "int8"
        if not int8 or candidate.stage == "short" or candidate.score is None:
            return candidate
        checkpoint = self._folder.path / candidate.checkpoint
        found = deployed_scores(self._problem.base, checkpoint)
        return candidate.model_copy(update={"deployed": found.test, "score": found.holdout})

    def _record(self, event: Event) -> None:
        """Journal ``event``, move the state on, and report it."""
        self._journal.append(event)
        self.state.apply(event)
        if isinstance(event, Anchored):
            self._use(event)
        self._progress.recorded(event, self.state)

    def _use(self, anchor: Anchored) -> None:
        """Predict relative to the network that ``anchor`` measured."""
        widths = self.state.candidates[anchor.name].widths
        self._space.costs.anchor(widths, anchor.ms, anchor.mj)

    def _write_results(self, ending: Ending | None = None) -> None:
        problem = self._problem
        primary, reported = problem.base.task.primary, problem.reported
        write_results(self._folder, self.state, primary, reported, ending)
