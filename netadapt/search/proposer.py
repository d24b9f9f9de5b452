"""An iteration's candidates: what the strategy proposes at the target, checked and, near the end,
timed before any of them is trained."""

from collections.abc import Callable, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray
from pydantic import ValidationError

from netadapt.errors import UserError
from netadapt.pruning import Widths
from netadapt.search.candidate import Proposal
from netadapt.search.clock import Readings
from netadapt.search.course import Course
from netadapt.search.finish import shown
from netadapt.search.goal import Goal
from netadapt.search.journal import IterationBegan
from netadapt.search.last_step import LastStep, Loads, may_overshoot
from netadapt.search.problem import Problem
from netadapt.search.state import SearchState
from netadapt.search.strategies.base import Strategy
from netadapt.wording import first_problem

FINEST = 1e-4  # of the base's load: targets nearer to the current network are not tried


class Proposer:
    """Asks the strategy for networks at falling targets."""

    def __init__(self, problem: Problem, strategy: Strategy, course: Course) -> None:
        self._problem = problem
        self._space = problem.space
        self._strategy = strategy
        self._course = course

    def propose(self, state: SearchState, goal: Goal) -> IterationBegan | None:
        """Propose at the iteration's target, or nearer to the current network if nothing is there.

        Returns:
            ``None`` if nothing narrower is left and an accuracy, not a budget, ends the walk.

        Raises:
            UserError: nothing narrower is left, or the strategy proposed what cannot be.
        """
        target = self._target(state, goal)
        if target is None:
            return None
        networks = self._networks(state, goal, target)
        measured: dict[str, float] = {}
        base_ms = None
        current = self._course.load(state, goal)
        if self._can_be_timed(goal) and may_overshoot(current, target):
            step = _TimedStep(self._problem)
            last = LastStep(lambda aim: self._networks(state, goal, aim), step.loads)
            networks = last.take(target, current)
            base_ms = step.base_ms
            measured = {key: step.measured_ms(widths) for key, widths in networks.items()}
        limits = goal.at(target)
        named = {key: self._proposal(state, key, widths) for key, widths in networks.items()}
        value = self._strategy.group_value
        return IterationBegan(
            iteration=state.iteration,
            target_ms=limits.pop("ms", None),
            targets=limits,
            proposals=tuple(named.values()),
            training_samples=self._strategy.networks.scoring_samples(value),
            measured_ms={named[key].name: ms for key, ms in measured.items()},
            base_ms=base_ms,
        )

    def _target(self, state: SearchState, goal: Goal) -> float | None:
        """The iteration's target, halfway to the current network as often as nothing reaches it."""
        current = self._course.load(state, goal)
        finest = FINEST * goal.load(state.costs(state.base))
        target = self._course.target(state, goal)
        while not self._networks(state, goal, target):
            target = (target + current) / 2
            if current - target > finest:
                continue
            if goal.minimum is not None:
                return None
            raise UserError(
                f"stuck at {shown(state, goal, state.current)}: no group can be made "
                "narrower; allow narrower ones with --lowest-share"
            )
        return target

    def _can_be_timed(self, goal: Goal) -> bool:
        if "ms" not in goal.limits or goal.minimum is not None or self._strategy.from_base:
            return False
        return not self._problem.clock.not_attached

    def _networks(self, state: SearchState, goal: Goal, target: float) -> dict[str, Widths]:
        """What the strategy proposes at ``target``, checked."""
        limits = goal.at(target)
        who = f"strategy {self._problem.settings.strategy}"
        proposed = self._strategy.propose(state, limits)
        networks = {key: self._space.checked(widths, who) for key, widths in proposed.items()}
        for key, widths in networks.items():
            if not self._strategy.from_base and not self._space.meets(widths, limits):
                raise UserError(
                    f"{who} proposed {key}, which is not within the limits it was given"
                )
        return dict(networks)

    def _proposal(self, state: SearchState, key: str, widths: Widths) -> Proposal:
        parent = self._strategy.parent(state).widths
        changed = [group for group in widths if widths[group] != parent[group]]
        try:
            return Proposal(
                name=f"{state.iteration}-{key}",
                iteration=state.iteration,
                group=changed[0] if len(changed) == 1 else "",
                widths=widths,
                predicted_ms=self._space.cost("ms", widths),
            )
        except ValidationError as error:
            raise UserError(
                f"strategy {self._problem.settings.strategy} proposed {key!r}: "
                f"{first_problem(error)}"
            ) from None


class _TimedStep:
    """Loads by the clock, and what it said of each network."""

    def __init__(self, problem: Problem) -> None:
        self._problem = problem
        self._ratios: dict[tuple[int, ...], float] = {}
        self.base_ms: float | None = None

    def loads(self, networks: Sequence[Widths], enough: Callable[[Loads], bool]) -> list[float]:
        """Time ``networks`` beside the base and return their loads.

        ``enough`` says of the ``(readings, networks)`` loads so far whether no more are needed.
        """

        def sure(readings: Readings) -> bool:
            base_ms = float(np.median(readings[:, 0]))
            return enough(
                np.array([self._loads(networks, base_ms, row) for row in readings[:, 1:]])
            )

        times = self._problem.clock.time(networks, sure)
        self.base_ms = times.base_ms
        ratios = np.array(times.ms) / times.base_ms
        for widths, ratio in zip(networks, ratios.tolist(), strict=True):
            self._ratios[tuple(widths.values())] = ratio
        return self._loads(networks, times.base_ms, ratios)

    def _loads(
        self, networks: Sequence[Widths], base_ms: float, ratios: NDArray[np.float64]
    ) -> list[float]:
        """Return the loads of ``networks`` that take ``(networks,)`` shares of the base's ms."""
        goal, space = self._problem.goal(base_ms), self._problem.space
        loads = []
        for widths, ratio in zip(networks, ratios.tolist(), strict=True):
            costs = {kind: space.cost(kind, widths) for kind in goal.limits}
            loads.append(goal.load({**costs, "ms": ratio * base_ms}))
        return loads

    def measured_ms(self, widths: Mapping[str, int]) -> float:
        """Return the latency of a network that was timed, at the speed of the last round."""
        assert self.base_ms is not None
        return self._ratios[tuple(widths.values())] * self.base_ms
