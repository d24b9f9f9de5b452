"""How candidates are evaluated, as the strategy's attributes say."""

from dataclasses import replace

from netadapt.search.candidate import LONG, Proposal
from netadapt.search.evaluation import Job
from netadapt.search.saliency import OF_WEIGHTS, Criterion
from netadapt.search.seeds import derive_seed
from netadapt.search.settings import SearchSettings
from netadapt.search.state import SearchState
from netadapt.search.strategies.base import Strategy

BASE = "checkpoints/0.safetensors"


class Jobs:
    """Turns proposals and chosen points into jobs."""

    def __init__(self, settings: SearchSettings, strategy: Strategy) -> None:
        self._settings = settings
        self._strategy = strategy

    def base(self, proposal: Proposal) -> Job:
        """Return how the base network is scored."""
        return Job(proposal, "base", BASE, self._settings.seed)

    def short(self, state: SearchState, proposal: Proposal) -> Job:
        """Return how a candidate of an iteration is evaluated.

        All candidates that are compared see the same batches: those of one iteration or, where
        every iteration starts from the base, those of all.
        """
        strategy = self._strategy
        when = (0, "recalibration") if strategy.from_base else (proposal.iteration, "short")
        return Job(
            proposal,
            "short",
            strategy.parent(state).checkpoint,
            derive_seed(self._settings.seed, *when),
            self.channel_order,
            strategy.adaptation,
            None if strategy.adaptation == "recalibrate" else self._teacher(state),
        )

    def long(self, state: SearchState, name: str) -> Job:
        """Return how the candidate called ``name`` is fine-tuned long."""
        row = state.candidates[name]
        proposal = Proposal(
            name=name,
            iteration=row.iteration,
            group="",
            widths=row.widths,
            predicted_ms=row.predicted_ms,
        )
        seed = derive_seed(self._settings.seed, 0, "long")
        return Job(proposal, "long", row.checkpoint, seed, teacher=self._teacher(state))

    def qat(self, state: SearchState, name: str) -> Job:
        """Return how the candidate called ``name``, fine-tuned long, learns on in int8."""
        long = self.long(state, name)
        checkpoint = state.candidates[name + LONG].checkpoint
        seed = derive_seed(self._settings.seed, 0, "qat")
        return replace(long, parent=checkpoint, seed=seed, adaptation="qat")

    @property
    def channel_order(self) -> Criterion:
        """Return the order of channels: the strategy's, or the user's if it is by weights."""
        own, asked = self._strategy.channel_order, self._settings.importance
        return asked if asked and own in OF_WEIGHTS else own

    def _teacher(self, state: SearchState) -> str | None:
        """Return the base, unless it was trained at another input size."""
        knows = self._settings.base_share is None
        return state.base.checkpoint if self._strategy.distils and knows else None
