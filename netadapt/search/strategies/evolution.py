"""NSGA-II over widths: the search as a black box."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from pymoo.algorithms.moo.nsga2 import NSGA2
from pymoo.core.problem import Problem as Objectives
from pymoo.operators.crossover.sbx import SBX
from pymoo.operators.mutation.pm import PM
from pymoo.operators.repair.rounding import RoundingRepair

from netadapt.pruning import Widths
from netadapt.search.candidate import Candidate
from netadapt.search.evaluation import Adaptation
from netadapt.search.goal import Goal, Limits
from netadapt.search.saliency import Criterion
from netadapt.search.seeds import derive_seed
from netadapt.search.state import SearchState
from netadapt.search.strategies.base import Strategy

WORST = 1e9  # both objectives of what has no score
SPREAD = 0.2  # of a group's share about that of its network, in the first generation
IDLE = 100  # generations without a new network after which there is none to be found

Row = tuple[int, ...]  # widths in the order of the groups


class EvolutionStrategy(Strategy):
    """Generations of networks cut from the base, towards a front of load and accuracy.

    An iteration is a generation. Networks are scored without any fine-tuning, after a
    recalibration of their batch norms. The first generation holds the base and the narrowest
    network, the others being random networks of all sizes. The algorithm is replayed from the
    journal's scores for every generation, so it needs no memory of its own.

    Source: Deb et al., NSGA-II, 2002; pymoo's, with its defaults for integers.
    """

    channel_order: ClassVar[Criterion] = "share"
    adaptation: ClassVar[Adaptation] = "recalibrate"
    from_base: ClassVar[bool] = True

    def propose(self, state: SearchState, limits: Limits) -> Mapping[str, Widths]:
        """Return the networks of this generation that were not scored before."""
        over = state.iteration > self.settings.generations
        if over and not self.space.meets(self.space.grid.narrowest(), limits):
            return {}
        return {
            str(index): dict(zip(self._full, row, strict=True))
            for index, row in enumerate(self._generation(state))
        }

    def select(self, state: SearchState, scored: Sequence[Candidate], goal: Goal) -> Candidate:
        """Return the best network within budget so far or, without one, that of the least load."""
        needed = state.needed_checkpoints()  # what is on no front has lost its weights
        known = [
            row
            for row in state.candidates.values()
            if row.score is not None and row.stage != "long" and row.checkpoint in needed
        ]
        within = [row for row in known if goal.met(state.costs(row))]
        if not within:
            return min(known, key=lambda row: goal.load(state.costs(row)))
        sign = 1.0 if state.higher_is_better else -1.0
        return max(within, key=lambda row: (sign * (row.score or 0.0), -state.latency(row).ms))

    def _generation(self, state: SearchState) -> list[Row]:
        """Replay all generations before this one, and return what is new in this one."""
        known = {tuple(state.base.widths.values()): state.base}
        later = [row for row in state.candidates.values() if row.stage == "short"]
        for iteration, new in enumerate(self._generations(known, self._goal(state)), start=1):
            if iteration == state.iteration:
                return new
            known |= {
                tuple(row.widths.values()): row for row in later if row.iteration == iteration
            }
        return []

    def _generations(self, known: Mapping[Row, Candidate], goal: Goal) -> Iterator[list[Row]]:
        """Yield what is new in each generation that has anything new.

        The scores of what was yielded must be in ``known`` before the next one is asked for.
        """
        options = [np.array(self.space.grid.options(g, w)) for g, w in self._full.items()]
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
            objectives = [self._objectives(known.get(n), goal) for n in networks]
            generation.set("F", np.array(objectives))
            algorithm.tell(infills=generation)

    @property
    def _full(self) -> dict[str, int]:
        return dict(self.space.grid.full)

    def _measured(self, networks: list[Row]) -> set[Row]:
        """Those of ``networks`` whose latency the table can tell."""
        latency = self.space.costs.batch("ms", np.array(networks))
        return {n for n, ms in zip(networks, latency, strict=True) if not np.isnan(ms)}

    def _goal(self, state: SearchState) -> Goal:
        """The budgets as they were at the start: what the clock says later changes no replay."""
        base_ms = state.first_base_ms or self.space.cost("ms", {})
        return self.settings.goal(base_ms, state.higher_is_better)

    def _objectives(self, row: Candidate | None, goal: Goal) -> tuple[float, float]:
        if row is None or row.score is None:
            return (WORST, WORST)
        return (goal.load(row.costs), -row.score if goal.higher_is_better else row.score)

    def _algorithm(self, options: list[NDArray[Any]]) -> Any:
        settings = self.settings
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
