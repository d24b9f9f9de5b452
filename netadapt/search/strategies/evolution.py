"""NSGA-II over widths: the search as a black box."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from pymoo.algorithms.moo.nsga2 import NSGA2  # type: ignore[import-untyped]
from pymoo.core.problem import Problem as Objectives  # type: ignore[import-untyped]
from pymoo.operators.crossover.sbx import SBX  # type: ignore[import-untyped]
from pymoo.operators.mutation.pm import PM  # type: ignore[import-untyped]
from pymoo.operators.repair.rounding import RoundingRepair  # type: ignore[import-untyped]

from netadapt.search.candidate import Candidate, Proposal
from netadapt.search.evaluation import Adaptation, Job
from netadapt.search.goal import Goal, Limits
from netadapt.search.saliency import Criterion
from netadapt.search.seeds import derive_seed
from netadapt.search.state import SearchState
from netadapt.search.strategies.base import Strategy

WORST = 1e9  # both objectives of what has no score
SPREAD = 0.2  # of a group's share about that of its network, in the first generation
IDLE = 100  # generations without a new network after which there is none to be found

Widths = tuple[int, ...]


class EvolutionStrategy(Strategy):
    """Generations of networks cut from the base, towards a front of load and accuracy.

    An iteration is a generation. Networks are scored without any fine-tuning, after a
    recalibration of their batch norms. The first generation holds the base and the narrowest
    network, the others being random networks of all sizes. The algorithm is replayed from the
    journal's scores for every generation, so it needs no memory of its own.

    Source: Deb et al., NSGA-II, 2002; pymoo's, with its defaults for integers.
    """

    importance: ClassVar[Criterion] = "share"
    adaptation: ClassVar[Adaptation] = "recalibrate"

    def propose(self, state: SearchState, limits: Limits) -> list[Proposal]:
        """Return the networks of this generation that were not scored before."""
        if state.iteration > self.problem.settings.generations and not self._possible(limits):
            return []
        return [
            self.proposal(state, str(index), dict(zip(self.problem.grid.full, row, strict=True)))
            for index, row in enumerate(self._generation(state))
        ]

    def target(self, state: SearchState, goal: Goal) -> float:
        """The budget itself: generations do not approach it step by step."""
        return goal.floor

    def ended(self, state: SearchState, goal: Goal) -> bool:
        """Whether all generations are over and the best network is within budget."""
        return self.iterations_left(state, goal) == 0 and goal.met(state.current.costs)

    def iterations_left(self, state: SearchState, goal: Goal) -> int:
        """Return the generations still to come."""
        return max(0, self.problem.settings.generations + 1 - state.iteration)

    def select(self, state: SearchState, scored: Sequence[Candidate], goal: Goal) -> Candidate:
        """Return the best network within budget so far or, without one, that of the least load."""
        needed = state.needed_checkpoints()  # what is on no front has lost its weights
        known = [
            row
            for row in state.candidates.values()
            if row.score is not None and row.stage != "long" and row.checkpoint in needed
        ]
        within = [row for row in known if goal.met(row.costs)]
        if not within:
            return min(known, key=lambda row: goal.load(row.costs))
        sign = 1.0 if state.higher_is_better else -1.0
        return max(within, key=lambda row: (sign * (row.score or 0.0), -row.predicted_ms))

    def points(self, state: SearchState, goal: Goal) -> list[Candidate]:
        """Return the base, the front between it and the end, and the best network within budget."""
        base, end = state.candidates[state.walk[0]], state.current
        front = state.front(("base", "short"))
        between = [row for row in front if end.predicted_ms < row.predicted_ms < base.predicted_ms]
        return [base, *reversed(between), end]

    def parent(self, state: SearchState) -> Candidate:
        """Return the base: every network is cut from it."""
        return state.candidates[state.walk[0]]

    def job(self, state: SearchState, proposal: Proposal) -> Job:
        """As any; all networks ever see the same batches, so that their scores compare."""
        seed = derive_seed(self.problem.settings.seed, 0, "recalibration")
        parent = self.parent(state).checkpoint
        return Job(proposal, "short", parent, seed, self.order, self.adaptation)

    def _possible(self, limits: Limits) -> bool:
        narrowest = self.problem.prunable.vector(self.problem.grid.narrowest())
        return bool(self.problem.costs.meet(narrowest[None], limits)[0])

    def _generation(self, state: SearchState) -> list[Widths]:
        """Replay all generations before this one, and return what is new in this one."""
        known = {tuple(state.candidates[state.walk[0]].widths.values()): state.candidates["0"]}
        later = [row for row in state.candidates.values() if row.stage == "short"]
        for iteration, new in enumerate(self._generations(known), start=1):
            if iteration == state.iteration:
                return new
            known |= {
                tuple(row.widths.values()): row for row in later if row.iteration == iteration
            }
        return []

    def _generations(self, known: Mapping[Widths, Candidate]) -> Iterator[list[Widths]]:
        """Yield what is new in each generation that has anything new.

        The scores of what was yielded must be in ``known`` before the next one is asked for.
        """
        options = [np.array(self.problem.grid.options(g, w)) for g, w in self._full.items()]
        algorithm = self._algorithm(options)
        idle = 0
        while idle < IDLE:
            generation = algorithm.ask()
            if generation is None or not len(generation):
                return
            networks = [
                tuple(int(o[int(i)]) for o, i in zip(options, row, strict=True))
                for row in generation.get("X")
            ]
            measured = self._measured(networks)
            new = [n for n in dict.fromkeys(networks) if n in measured and n not in known]
            idle = 0 if new else idle + 1
            if new:
                yield new
            objectives = [self._objectives(known.get(n)) for n in networks]
            generation.set("F", np.array(objectives))
            algorithm.tell(infills=generation)

    @property
    def _full(self) -> dict[str, int]:
        return dict(self.problem.grid.full)

    def _measured(self, networks: list[Widths]) -> set[Widths]:
        """Those of ``networks`` whose latency the table can tell."""
        latency = self.problem.costs.batch("ms", np.array(networks))
        return {n for n, ms in zip(networks, latency, strict=True) if not np.isnan(ms)}

    def _objectives(self, row: Candidate | None) -> tuple[float, float]:
        if row is None or row.score is None:
            return (WORST, WORST)
        goal = self.problem.goal()  # as asked for: what the clock says must not change the replay
        return (goal.load(row.costs), -row.score if goal.higher_is_better else row.score)

    def _algorithm(self, options: list[NDArray[Any]]) -> Any:
        settings = self.problem.settings
        last = np.array([len(o) - 1 for o in options])
        seed = derive_seed(settings.seed, 0, "evolution")
        objectives = Objectives(
            n_var=len(last), n_obj=2, xl=np.zeros(len(last)), xu=last, vtype=int
        )
        algorithm = NSGA2(
            pop_size=settings.population,
            sampling=_first_generation(last, settings.population, np.random.default_rng(seed)),
            crossover=SBX(prob=0.9, eta=15, vtype=float, repair=RoundingRepair()),
            mutation=PM(eta=20, vtype=float, repair=RoundingRepair()),
        )
        algorithm.setup(objectives, termination=("n_gen", 10**9), seed=seed, verbose=False)
        return algorithm


def _first_generation(
    last: NDArray[np.int64], population: int, random: np.random.Generator
) -> NDArray[np.int64]:
    """Return ``(population, G)`` places in the groups' options: 0 is the full width."""
    size = random.random((population, 1))
    shares = np.clip(size + SPREAD * random.standard_normal((population, len(last))), 0, 1)
    places = np.rint(shares * last).astype(np.int64)
    places[0], places[1] = 0, last
    return places
