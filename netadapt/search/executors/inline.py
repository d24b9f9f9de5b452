"""One candidate after the other, in this process."""

from collections.abc import Callable, Iterator, Sequence

from netadapt.search.evaluation import Job, Outcome
from netadapt.search.executors.base import Executor


class InlineExecutor(Executor):
    """Evaluates jobs one after the other in the process of the search."""

    def __init__(self, evaluate: Callable[[Job], Outcome]) -> None:
        self._evaluate = evaluate

    def map(self, jobs: Sequence[Job]) -> Iterator[Outcome]:
        """Yield the jobs' outcomes in order."""
        for job in jobs:
            if self.draining:
                return
            yield self._evaluate(job)
