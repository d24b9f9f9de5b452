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
        """Yield each job's outcome, in the order in which they are done.

        The weights are in the run folder by then. An attempt that failed through no fault of the
        candidate is reported and made again. Ends early if it is drained.
        """

    def keep(self, job: Job) -> None:  # noqa: B027  (a hook, not a duty)
        """See to it that the weights of a candidate that is to go on are in the run folder."""

    def drain(self) -> None:
        """Begin no further job; those in flight are finished."""
        self.draining = True

    def close(self) -> None:  # noqa: B027  (a hook, not a duty)
        """Let go of all that it holds; jobs in flight are lost."""
