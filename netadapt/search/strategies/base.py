"""What a strategy decides; everything else of a search is shared."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import ClassVar

from netadapt.pruning import Widths
from netadapt.search.candidate import Candidate
from netadapt.search.evaluation import Adaptation
from netadapt.search.goal import Goal, Limits
from netadapt.search.networks import Networks
from netadapt.search.saliency import Criterion, Scores
from netadapt.search.settings import SearchSettings
from netadapt.search.space import Space
from netadapt.search.state import SearchState, best


class Strategy(ABC):
    """Proposes the networks of an iteration and selects one of them.

    Write ``propose``, and ``select`` if the best score is not what you want; see
    docs/strategy.md. A strategy keeps nothing that the journal does not tell: its answers depend
    on the state, the settings and the run's weights, so that a resumed search goes on as if it had
    never stopped.

    Attributes:
        channel_order: which channels of a group go first: ``l2`` or ``share`` (of the weights;
            ``--importance`` can replace one by the other), or any ``Criterion``.
        group_value: what ``scores`` measures, to compare groups by; ``None`` if nothing.
        adaptation: what a candidate gets before it is scored: its short-term fine-tune, or only
            new statistics for its batch norms (``recalibrate``).
        distils: whether candidates learn from the base network too, in both fine-tunes.
        stride: factor on the reduction of each iteration.
        drops_blocks: whether it knows the blocks in ``space.grid.ties`` (``--blocks``).
        from_base: whether candidates are always cut from the base. Iterations then are
            ``--generations`` whose limits are the budgets themselves.
        settings: what the search was asked for.
        space: which networks there are, and what they cost.
        networks: the networks that candidates are cut from.
    """

    channel_order: ClassVar[Criterion] = "l2"
    group_value: ClassVar[Criterion | None] = None
    adaptation: ClassVar[Adaptation] = "fine-tune"
    distils: ClassVar[bool] = False
    stride: ClassVar[float] = 1.0
    drops_blocks: ClassVar[bool] = False
    from_base: ClassVar[bool] = False

    def __init__(self, settings: SearchSettings, space: Space, networks: Networks) -> None:
        self.settings = settings
        self.space = space
        self.networks = networks

    @abstractmethod
    def propose(self, state: SearchState, limits: Limits) -> Mapping[str, Widths]:
        """Return the networks of this iteration by name, each within ``limits``.

        Names are letters, digits, ``_`` and ``.``; widths are those of all groups. Empty if no
        network is within the limits: it is then asked again with limits nearer to the current
        network.
        """

    def select(self, state: SearchState, scored: Sequence[Candidate], goal: Goal) -> Candidate:
        """Return the candidate that the next iteration starts from: the best score."""
        return best(state, scored)

    def parent(self, state: SearchState) -> Candidate:
        """Return the network that the iteration's candidates are cut from."""
        return state.base if self.from_base else state.current

    def scores(self, state: SearchState) -> Scores:
        """Return how much each channel of that network matters, by ``group_value``."""
        assert self.group_value is not None, f"{type(self).__name__} has no group_value"
        return self.networks.scores(
            self.parent(state).checkpoint, self.group_value, state.iteration
        )
