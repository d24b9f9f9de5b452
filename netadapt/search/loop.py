"""The search: walk down to the budget, then finish the front."""

from netadapt.errors import UserError
from netadapt.search.candidate import Candidate, Proposal
from netadapt.search.evaluation import Evaluator, Job, derive_seed
from netadapt.search.executors import Executor
from netadapt.search.finish import choose_points, measure_points, pick_final
from netadapt.search.journal import (
    Chosen,
    Finished,
    IterationBegan,
    Journal,
    Measured,
    Scored,
    Selected,
    Started,
    Tightened,
    Tuned,
)
from netadapt.search.problem import Problem
from netadapt.search.progress import SearchProgress
from netadapt.search.results import write_results
from netadapt.search.run_folder import RunFolder
from netadapt.search.samples import write_samples
from netadapt.search.schedule import Schedule
from netadapt.search.state import SearchState
from netadapt.search.strategies import Strategy
from netadapt.training.checkpoint import is_file_reference

MAX_CORRECTIONS = 10


class Search:
    """One run, from wherever its journal stands to the end."""

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
        self._folder = folder
        self._strategy = strategy
        self._executor = executor
        self._progress = progress
        self._journal = Journal(folder.journal)
        self._evaluate = Evaluator(problem, folder.path)
        self.state = SearchState(problem.task.higher_is_better).replay(self._journal.events)

    def run(self) -> SearchState:
        """Search until a model within the budget is found, and finish the front."""
        state = self.state
        self._clear_leftovers()
        if not state.walk:
            self._start()
        while not state.finished:
            if not state.chosen:
                self._walk()
                self._record(Chosen(names=choose_points(state, self._settings.long_points)))
            if not state.was_measured:
                self._measure()
            if self._met() is None:
                self._tighten()
                continue
            self._tune()
            final = pick_final(state, self._settings.budget_ms)
            write_samples(self._problem, self._folder, state.candidates[final])
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
        self._record(Started(base=self._evaluate(job)))

    def _walk(self) -> None:
        """NetAdapt's loop, from the current network to the predicted budget."""
        state, problem = self.state, self._problem
        schedule = problem.schedule(state.predicted_budget_ms or self._settings.budget_ms)
        left = schedule.iterations(state.current.predicted_ms, state.iteration)
        self._progress.began(state, schedule.budget_ms, left)
        while state.current.predicted_ms > schedule.budget_ms:
            if not state.proposals:
                self._record(self._proposed(schedule))
            self._progress.proposed(state)
            jobs = [self._short_job(proposal) for proposal in state.pending]
            for _, candidate in self._executor.map(self._evaluate, jobs):
                self._record(Scored(candidate=candidate))
                self._progress.scored(state, candidate.name)
            picked = self._strategy.select(state, self._survivors())
            self._record(Selected(iteration=state.iteration, name=picked.name))
            left = schedule.iterations(state.current.predicted_ms, state.iteration)
            self._progress.selected(state, picked.name, left)
            self._drop_weights()
            self._write_results()

    def _proposed(self, schedule: Schedule) -> IterationBegan:
        """Propose at the schedule's target, or nearer where no group reaches it by itself."""
        state, problem = self.state, self._problem
        current = state.current.predicted_ms
        step = current - schedule.next(current, state.iteration)
        while step > schedule.base_ms * 1e-4:
            target = current - step
            proposals = self._strategy.propose(state, problem.grid, problem.predictor, target)
            if proposals:
                return IterationBegan(
                    iteration=state.iteration, target_ms=target, proposals=tuple(proposals)
                )
            step /= 2
        raise UserError(
            f"stuck at {current:.3g} ms of {schedule.budget_ms:.3g}: no group can be made "
            "narrower; allow narrower ones with --lowest-share"
        )

    def _short_job(self, proposal: Proposal) -> Job:
        seed = derive_seed(self._settings.seed, proposal.iteration, "short")
        return Job(proposal, "short", self.state.current.checkpoint, seed)

    def _survivors(self) -> list[Candidate]:
        scored = self.state.scored
        if not scored:
            failures = [self.state.candidates[p.name].failure for p in self.state.proposals]
            raise UserError(
                f"every candidate of iteration {self.state.iteration} failed, the first with: "
                f"{failures[0]}; try a lower --short-lr"
            )
        return scored

    def _measure(self) -> None:
        self._progress.stage(self.state, "measuring the chosen points")
        self._record(Measured(p50_ms=measure_points(self._problem, self.state, self._folder)))

    def _met(self) -> str | None:
        """Return a chosen point within the budget: by the clock, or as predicted without one."""
        state, budget = self.state, self._settings.budget_ms
        for name in reversed(state.chosen):
            latency = state.measured_ms.get(name) if state.measured_ms else None
            if (state.candidates[name].predicted_ms if latency is None else latency) <= budget:
                return name
        return None

    def _tighten(self) -> None:
        """The clock says the budget is not met: walk on to what it says would be."""
        state, budget = self.state, self._settings.budget_ms
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
        jobs = []
        for name in waiting:
            row = state.candidates[name]
            proposal = Proposal(
                name=name,
                iteration=row.iteration,
                group="",
                widths=row.widths,
                predicted_ms=row.predicted_ms,
            )
            seed = derive_seed(self._settings.seed, 0, "long")
            jobs.append(Job(proposal, "long", row.checkpoint, seed))
        for _, candidate in self._executor.map(self._evaluate, jobs):
            self._record(Tuned(candidate=candidate))
            self._progress.tuned(state, candidate.name)

    def _record(self, event: object) -> None:
        self._journal.append(event)  # type: ignore[arg-type]
        self.state.apply(event)

    def _write_results(self) -> None:
        task, settings = self._problem.task, self._settings
        write_results(self._folder, self.state, task.primary, settings.metrics)

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
