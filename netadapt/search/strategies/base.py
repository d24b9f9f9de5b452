"""What a strategy decides; everything else of a search is shared."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import ClassVar

from netadapt.search.candidate import Candidate, Proposal
from netadapt.search.evaluation import Adaptation, Job
from netadapt.search.goal import Goal, Limits
from netadapt.search.networks import Networks
from netadapt.search.problem import Problem
from netadapt.search.saliency import OF_WEIGHTS, Criterion, Scores
from netadapt.search.schedule import ReductionSchedule
from netadapt.search.seeds import derive_seed
from netadapt.search.state import SearchState, best


class Strategy(ABC):
    """Proposes the candidates of an iteration and selects one of them.

    A strategy keeps nothing that the journal does not tell: what it answers depends on the state,
    the problem and the run's weights, so that a resumed search goes on as if it had never stopped.

    Attributes:
        problem: the base network, its task, costs and width grid, and the run's settings.
        networks: the networks candidates are cut from, and how much their channels matter.
        importance: which channels of a group go first; one read off the weights gives way to
            the one that was asked for.
        adaptation: what a candidate gets before it is scored.
        distils: whether candidates learn from the base network too, in both fine-tunes.
    """

    importance: ClassVar[Criterion] = "l2"
    adaptation: ClassVar[Adaptation] = "fine-tune"
    distils: ClassVar[bool] = False

    def __init__(self, problem: Problem, networks: Networks) -> None:
        self.problem = problem
        self.networks = networks

    @abstractmethod
    def propose(self, state: SearchState, limits: Limits) -> list[Proposal]:
        """Return the candidates of the iteration, each within ``limits``; empty if there are none.

        Asked again with limits nearer to the current network while there are none.
        """

    def select(self, state: SearchState, scored: Sequence[Candidate], goal: Goal) -> Candidate:
        """Return the candidate that the next iteration starts from: the best score."""
        return best(state, scored)

    def target(self, state: SearchState, goal: Goal) -> float:
        """Return the load to reach in this iteration."""
        return self.schedule(state, goal).next(goal.load(state.current.costs), state.iteration)

    def ended(self, state: SearchState, goal: Goal) -> bool:
        """Whether the walk is over."""
        return goal.ended(state.current.costs, state.current.score)

    def iterations_left(self, state: SearchState, goal: Goal) -> int:
        """About how many iterations are still to come."""
        load = goal.load(state.current.costs)
        return self.schedule(state, goal).iterations(load, state.iteration)

    def points(self, state: SearchState, goal: Goal) -> list[Candidate]:
        """Return what the walk has found, the base first and the end, which is kept, last."""
        walk = [state.candidates[name] for name in state.walk]
        while not goal.accurate(walk[-1].score):
            walk.pop()
        return walk

    def parent(self, state: SearchState) -> Candidate:
        """Return the network that the iteration's candidates are cut from."""
        return state.current

    def job(self, state: SearchState, proposal: Proposal) -> Job:
        """Return how ``proposal`` is to be evaluated."""
        seed = derive_seed(self.problem.settings.seed, proposal.iteration, "short")
        parent, teacher = self.parent(state).checkpoint, self.teacher(state)
        return Job(proposal, "short", parent, seed, self.order, self.adaptation, teacher)

    def long_job(self, state: SearchState, name: str) -> Job:
        """Return how the candidate called ``name`` is to be fine-tuned long."""
        row = state.candidates[name]
        proposal = Proposal(
            name=name,
            iteration=row.iteration,
            group="",
            widths=row.widths,
            predicted_ms=row.predicted_ms,
        )
        seed = derive_seed(self.problem.settings.seed, 0, "long")
        return Job(proposal, "long", row.checkpoint, seed, teacher=self.teacher(state))

    @property
    def order(self) -> Criterion:
        """Which channels of a group go first."""
        asked = self.problem.settings.importance
        return asked if asked and self.importance in OF_WEIGHTS else self.importance

    def teacher(self, state: SearchState) -> str | None:
        """Return the weights that candidates learn from beside the truth, if any."""
        return state.candidates[state.walk[0]].checkpoint if self.distils else None

    def proposing_samples(self) -> int:
        """Return how many training images an iteration reads to propose and to cut."""
        return self.networks.scoring_samples(self.importance)

    def schedule(self, state: SearchState, goal: Goal) -> ReductionSchedule:
        """Return the targets of the iterations on the way to ``goal``, as loads."""
        base = goal.load(state.candidates[state.walk[0]].costs)
        settings = self.problem.settings
        return ReductionSchedule(base, goal.floor, settings.initial_reduction, settings.decay)

    def scores(self, state: SearchState) -> Scores:
        """Return how much each channel of the current network matters, by ``importance``."""
        checkpoint = self.parent(state).checkpoint
        return self.networks.scores(checkpoint, self.importance, state.iteration)

    def proposal(self, state: SearchState, name: str, widths: Mapping[str, int]) -> Proposal:
        """Return ``widths`` as the iteration's proposal called ``name``."""
        row = self.problem.prunable.vector(widths)[None]
        return Proposal(
            name=f"{state.iteration}-{name}",
            iteration=state.iteration,
            group="",
            widths={group: int(widths[group]) for group in self.problem.grid.full},
            predicted_ms=float(self.problem.costs.batch("ms", row)[0]),
        )
