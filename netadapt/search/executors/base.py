"""How the candidates of an iteration are evaluated: in this process, in a pool, on a cluster."""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence

from netadapt.search.evaluation import Job, Outcome
from netadapt.search.journal import Retried


class Executor(ABC):
    """Evaluates jobs of one run.

    What becomes of a job depends on the job alone, so results are the same wherever it runs.

    Attributes:
        draining: whether it begins no further job.
    """

    draining = False

    @abstractmethod
    def map(self, jobs: Sequence[Job]) -> Iterator[Outcome | Retried]:
        """Yield the outcome of each job when it is done.

        The weights are in the run folder by then. An attempt that failed through no fault of the
        candidate is reported and made again. Ends early if it is drained.
        """

    def keep(self, job: Job) -> None:  # noqa: B027  (a hook, not a duty)
        """Make sure that the weights of a picked candidate are in the run folder."""

    def drain(self) -> None:
        """Start no further job; those in progress are finished."""
        self.draining = True

    def close(self) -> None:  # noqa: B027  (a hook, not a duty)
        """Free all resources; jobs in progress are lost."""
