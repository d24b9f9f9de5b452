"""The target of each iteration, and the end of the walk."""

from netadapt.search.candidate import Candidate
from netadapt.search.goal import Goal
from netadapt.search.schedule import ReductionSchedule
from netadapt.search.settings import SearchSettings
from netadapt.search.state import SearchState
from netadapt.search.strategies.base import Strategy


class Course:
    """A walk down to the goal; each iteration's target is a little lower than the last.

    Targets are loads (see ``Goal``). What the clock says of a network counts before predictions.
    """

    def __init__(self, settings: SearchSettings, strategy: Strategy) -> None:
        self._settings = settings
        self._strategy = strategy

    def target(self, state: SearchState, goal: Goal) -> float:
        """Return the load to reach in this iteration."""
        return self._schedule(state, goal).next(self.load(state, goal), state.iteration)

    def ended(self, state: SearchState, goal: Goal) -> bool:
        """Whether the walk is over."""
        return goal.ended(state.costs(state.current), state.current.score)

    def iterations_left(self, state: SearchState, goal: Goal) -> int:
        """About how many iterations are still to come."""
        return self._schedule(state, goal).iterations(self.load(state, goal), state.iteration)

    def points(self, state: SearchState, goal: Goal) -> list[Candidate]:
        """Return what the walk has found, the base first and the end, which is kept, last."""
        walk = [state.candidates[name] for name in state.walk]
        while not goal.accurate(walk[-1].score):
            walk.pop()
        return walk

    def load(self, state: SearchState, goal: Goal) -> float:
        """Return the load of the current network."""
        return goal.load(state.costs(state.current))

    def _schedule(self, state: SearchState, goal: Goal) -> ReductionSchedule:
        base, settings = goal.load(state.costs(state.base)), self._settings
        initial = self._strategy.stride * settings.initial_reduction
        return ReductionSchedule(base, goal.floor, initial, settings.decay)


class Generations(Course):
    """A number of generations of networks, each pruned from the base to any size."""

    def target(self, state: SearchState, goal: Goal) -> float:
        """Return the budget itself: generations do not approach it step by step."""
        return goal.floor

    def ended(self, state: SearchState, goal: Goal) -> bool:
        """Whether all generations are over and the best network is within budget."""
        return self.iterations_left(state, goal) == 0 and goal.met(state.costs(state.current))

    def iterations_left(self, state: SearchState, goal: Goal) -> int:
        """Return the generations still to come."""
        return max(0, self._settings.generations + 1 - state.iteration)

    def points(self, state: SearchState, goal: Goal) -> list[Candidate]:
        """Return the base, the front between it and the end, and the best network within budget."""
        base, end = state.base, state.current
        slowest, fastest = (state.latency(row).ms for row in (base, end))
        between = [
            row
            for row in state.front(("base", "short"))
            if fastest < state.latency(row).ms < slowest
        ]
        return [base, *reversed(between), end]


def course_of(settings: SearchSettings, strategy: Strategy) -> Course:
    """Return the course that ``strategy`` takes."""
    return (Generations if strategy.from_base else Course)(settings, strategy)
