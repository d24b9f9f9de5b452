"""One knapsack over all groups: the most importance that the limits allow."""

import ctypes
import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import Bounds, LinearConstraint, milp

from netadapt.pruning import Widths
from netadapt.pruning.blocks import Ties, tied_rows
from netadapt.search.costs import Costs
from netadapt.search.goal import Limits
from netadapt.search.proposals import WidthGrid
from netadapt.search.saliency import Criterion
from netadapt.search.state import SearchState
from netadapt.search.strategies.base import Strategy

ROUNDS = 12
NODES = 20_000  # of the solver's tree; a count, unlike a time, gives the same answer everywhere
SCALE = 1e6  # of the largest loss: the solver takes what differs by less than 1e-6 as equal

Vector = NDArray[np.float64]


class KnapsackStrategy(Strategy):
    """All groups at once: the widths that keep the most importance within the limits.

    Source: Shen et al., HALP (Structural Pruning via Latency-Saliency Knapsack), NeurIPS 2022,
    with one integer programme over widths in place of its augmented knapsack, and costs that are
    looked up again around each solution.
    """

    channel_order: ClassVar[Criterion] = "first-order"
    group_value: ClassVar[Criterion | None] = "first-order"

    def propose(self, state: SearchState, limits: Limits) -> Mapping[str, Widths]:
        """Solve for the current network, whose channels matter by their first-order Taylor term."""
        choice = Choice.of(self.scores(state), state.current.widths, self.space.grid)
        found = solve_within(choice, self.space.costs, limits)
        return {} if found is None else {"knapsack": choice.network(found)}


@dataclass(frozen=True)
class Choice:
    """What each group may become, and how much importance it keeps then.

    Attributes:
        groups: the groups' names.
        widths: for each group, its possible widths, widest (the present one) first.
        kept: for each group, the summed importance of the channels that stay at each width.
        ties: of the blocks among ``groups`` (see ``WidthGrid``).
    """

    groups: tuple[str, ...]
    widths: tuple[NDArray[np.int64], ...]
    kept: tuple[Vector, ...]
    ties: Ties = field(default_factory=dict)

    @classmethod
    def of(
        cls, scores: Mapping[str, Vector], widths: Mapping[str, int], grid: WidthGrid
    ) -> "Choice":
        """Return the choice that ``grid`` leaves to a network of ``widths``."""
        options, kept = [], []
        for group in grid.full:
            possible = np.array(grid.options(group, widths[group]))
            total = np.cumsum([0.0, *np.sort(scores[group])[::-1]])
            step = max(1, widths[group] // max(1, len(scores[group])))  # what goes at once
            options.append(possible)
            kept.append(total[possible // step])
        return cls(tuple(grid.full), tuple(options), tuple(kept), grid.ties)

    @property
    def widest(self) -> NDArray[np.int64]:
        """``(G,)`` widths as they are."""
        return np.array([options[0] for options in self.widths])

    def value(self, network: NDArray[np.int64]) -> float:
        """Return the importance that ``(G,)`` widths keep."""
        return float(self.values(network[None])[0])

    def values(self, rows: NDArray[np.int64]) -> Vector:
        """Return ``(B,)``: the importance that ``(B, G)`` widths keep."""
        total = np.zeros(len(rows))
        for column, options, kept in zip(rows.T, self.widths, self.kept, strict=True):
            total += kept[::-1][np.searchsorted(options[::-1], column)]
        return total

    def tied(self, rows: NDArray[np.int64]) -> NDArray[np.int64]:
        """Narrow ``(B, G)`` widths until those that dropped blocks tie are the same."""
        return tied_rows(rows, self.groups, self.ties)

    @property
    def different(self) -> Vector:
        """``(C, N)``: for all N options, C sums that must not be above 0.

        Each says that the group on one side of a dropped block is not wider than that on the other.
        """
        starts = np.cumsum([0, *map(len, self.widths)])
        column = {name: place for place, name in enumerate(self.groups)}
        sums = []
        for block, tie in self.ties.items():
            for one, other in (tie, tie[::-1]) if tie else ():
                row = np.zeros(starts[-1])
                places = [column[name] for name in (block, one, other)]
                there, wider, narrower = (slice(starts[p], starts[p + 1]) for p in places)
                row[wider], row[narrower] = self.widths[places[1]], -self.widths[places[2]]
                row[there] = -self.widths[places[0]] * self.widths[places[1]].max()
                sums.append(row / max(1, self.widths[places[1]].max()))
        return np.array(sums).reshape(len(sums), starts[-1])

    def network(self, row: NDArray[np.int64]) -> dict[str, int]:
        """Return ``(G,)`` widths by group."""
        return dict(zip(self.groups, row.tolist(), strict=True))

    def single_changes(self, network: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return ``(N, G)``: ``network`` with one group at each of its widths, group by group."""
        rows = []
        for column, options in enumerate(self.widths):
            block = np.tile(network, (len(options), 1))
            block[:, column] = options
            rows.append(block)
        return np.concatenate(rows)


def solve_within(choice: Choice, costs: Costs, limits: Limits) -> NDArray[np.int64] | None:
    """Return the ``(G,)`` widths that keep the most importance within ``limits``.

    What a group saves depends on its neighbours' widths. So the costs are taken as linear around
    a network, beginning with the present one, the programme is solved, and the costs are looked
    up anew around its solution, until that moves no more. Of all solutions on the way that are
    within the limits the best is returned. If none is, the last is narrowed on, a group at a time,
    as loses the least importance for what it saves.

    Returns:
        ``None`` if no widths are within the limits.
    """
    around = choice.widest
    seen: set[tuple[int, ...]] = set()
    best: NDArray[np.int64] | None = None
    for _ in range(ROUNDS):
        solution = _solve_around(choice, costs, limits, around)
        if solution is None:
            break
        if costs.meet(solution[None], limits)[0] and (
            best is None or choice.value(solution) > choice.value(best)
        ):
            best = solution
        if tuple(solution) in seen:  # it moves no more, or in circles
            break
        seen.add(tuple(solution))
        around = solution
    return _narrowed_on(choice, costs, limits, around) if best is None else best


def _solve_around(
    choice: Choice, costs: Costs, limits: Limits, around: NDArray[np.int64]
) -> NDArray[np.int64] | None:
    rows = choice.single_changes(around)
    added, room = [], []
    for kind, limit in limits.items():
        present = float(costs.batch(kind, around[None])[0])
        added.append((costs.batch(kind, rows) - present) / limit)
        room.append(1.0 - present / limit)
    picks = knapsack(choice.kept, np.stack(added), np.array(room), choice.different)
    if picks is None:
        return None
    return np.array([options[pick] for options, pick in zip(choice.widths, picks, strict=True)])


def knapsack(
    kept: Sequence[Vector], added: Vector, room: Vector, different: Vector | None = None
) -> list[int] | None:
    """Choose one option a group: the most kept in sum, with no sum of costs above its room.

    Args:
        kept: for each group, what each of its options keeps.
        added: ``(K, N)`` costs of all N options, group by group; one with a NaN is not chosen.
        room: ``(K,)`` limits on the sums.
        different: ``(C, N)``: what else must not be above 0 in sum.

    Returns:
        The index of each group's option, or ``None`` if there is no choice within the room. Of
        options that keep the same (within a millionth of the most that a group can lose) the
        earlier is chosen, so that a group stays wide where nothing is won by narrowing it.
    """
    group = np.repeat(np.arange(len(kept)), [len(values) for values in kept])
    lost = np.concatenate([values.max() - values for values in kept])
    place = np.concatenate([np.arange(len(values)) / len(values) for values in kept])
    known = ~np.isnan(added).any(axis=0)
    least = np.zeros((0, len(lost))) if different is None else different
    one_each = (group == np.arange(len(kept))[:, None]).astype(np.float64)
    with _quiet_stdout():
        result = milp(
            lost * (SCALE / max(float(lost.max()), 1e-300)) + place,
            integrality=np.ones(len(lost)),
            bounds=Bounds(0, known.astype(np.float64)),
            constraints=[
                LinearConstraint(one_each, 1, 1),
                LinearConstraint(np.nan_to_num(added), -np.inf, room),
                *([LinearConstraint(least, -np.inf, 1e-9)] if len(least) else []),
            ],
            options={"mip_rel_gap": 0.0, "node_limit": NODES},
        )
    if result.x is None:
        return None
    chosen = np.flatnonzero(np.rint(result.x))
    starts = np.flatnonzero(np.append(True, np.diff(group) != 0))
    return [int(index) for index in chosen - starts]


@contextmanager
def _quiet_stdout() -> Iterator[None]:
    """Keep HiGHS from printing: one of its lines comes even when it is told to be silent."""
    sys.stdout.flush()
    with open(os.devnull, "wb") as nowhere:
        stdout = os.dup(1)
        os.dup2(nowhere.fileno(), 1)
        try:
            yield
        finally:
            ctypes.CDLL(None).fflush(None)  # what the solver printed may still be in its buffer
            os.dup2(stdout, 1)
            os.close(stdout)


def _narrowed_on(
    choice: Choice, costs: Costs, limits: Limits, network: NDArray[np.int64]
) -> NDArray[np.int64] | None:
    network = network.copy()
    while not costs.meet(network[None], limits)[0]:
        load = float(costs.load(network[None], limits)[0])
        rows = choice.tied(choice.single_changes(network))
        narrower = (rows <= network).all(axis=1) & (rows < network).any(axis=1)
        saved = load - costs.load(rows, limits)
        lost = choice.value(network) - choice.values(rows)
        price = np.where(narrower & (saved > 0), lost / np.where(saved > 0, saved, 1), np.inf)
        if np.isinf(price).all():
            return None
        network = rows[np.argmin(price)]
    return network
