"""Dealing jobs to workers that may die, hang or run out of memory."""

import statistics
import time
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable, Hashable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

from netadapt.errors import UserError
from netadapt.search.evaluation import Job, Outcome
from netadapt.search.executors.base import Executor
from netadapt.search.journal import Retried
from netadapt.search.progress import SearchProgress

TICK_SECONDS = 1.0
PEERS = 50  # candidates whose durations say how long one takes
MAX_FAILED_STARTS = 6
MAX_REASON = 300  # characters


class WorkerFault(Exception):  # noqa: N818  (named for what happened)
    """An attempt failed; the text gives the reason, such as "its worker died"."""


class OutOfMemory(WorkerFault):
    """A candidate, or its worker, ran out of memory."""


class Crew(ABC):
    """The workers of one engine.

    A ticket stands for what a worker was asked to do. Nothing but ``done`` waits.
    """

    @abstractmethod
    def room(self) -> int:
        """Return how many workers there can be, running ones included."""

    @abstractmethod
    def hire(self) -> tuple[Hashable, Hashable]:
        """Start a worker; return it and a ticket that is done once it is ready."""

    @abstractmethod
    def begin(self, jobs: Sequence[Job]) -> None:
        """Prepare what the workers need for ``jobs``."""

    @abstractmethod
    def ask(self, worker: Any, job: Job) -> Hashable:
        """Let ``worker`` evaluate ``job``; return the ticket."""

    @abstractmethod
    def done(self, tickets: Sequence[Any], seconds: float) -> list[Any]:
        """Wait until some of ``tickets`` are done, for ``seconds`` at most; return those."""

    @abstractmethod
    def take(self, ticket: Any) -> Any:
        """Return the outcome of a finished ticket; its weights are in the run folder.

        Raises:
            WorkerFault: the attempt failed: no worker, no memory, an error.
            UserError: the weights cannot be written here.
        """

    @abstractmethod
    def idle_seconds(self, worker: Any) -> float:
        """Return how many seconds ``worker`` has shown no sign of work."""

    @abstractmethod
    def dismiss(self, worker: Any) -> None:
        """Stop ``worker`` at once."""

    @abstractmethod
    def check(self) -> None:
        """Raise a ``UserError`` if the engine has stopped."""

    @abstractmethod
    def close(self) -> None:
        """Stop all workers, and the engine if it was started for them."""

    def now(self) -> float:
        """Return the seconds of a monotonic clock."""
        return time.monotonic()


@dataclass(frozen=True)
class Patience:
    """How many failures and how much waiting are tolerated.

    Attributes:
        attempts: of one candidate, in all.
        factor: a candidate hangs after this many times the median duration of its peers (the
            latest of its stage), doubled at each further attempt;
        least_seconds: but not before.
        idle_seconds: it hangs as well once its worker has been idle for so long, doubled alike;
            this needs no peer that is done.
    """

    attempts: int = 5
    factor: float = 5.0
    least_seconds: float = 30.0
    idle_seconds: float = 25.0


@dataclass(frozen=True)
class _Attempt:
    job: Job
    number: int = 1


@dataclass(frozen=True)
class _InFlight:
    attempt: _Attempt
    worker: Hashable
    began: float


class Pool(Executor):
    """Gives each worker of a crew one job at a time, until every job has an outcome.

    Args:
        crew: the workers.
        failed: makes the outcome of a job that was given up, with the reason.
        batch_size: of the fine-tunes; one that ran out of memory takes it in smaller parts.
        progress: listens to what the workers do.
        patience: when to give up.
    """

    def __init__(
        self,
        crew: Crew,
        failed: Callable[[Job, str], Outcome],
        batch_size: int,
        progress: SearchProgress,
        patience: Patience | None = None,
    ) -> None:
        self._crew = crew
        self._failed = failed
        self._batch_size = batch_size
        self._progress = progress
        self._patience = patience or Patience()
        self._waiting: deque[_Attempt] = deque()
        self._starting: dict[Hashable, Hashable] = {}
        self._idle: list[Hashable] = []
        self._in_flight: dict[Hashable, _InFlight] = {}
        self._failed_starts = 0
        self._seconds: dict[str, deque[float]] = {}

    def map(self, jobs: Sequence[Job]) -> Iterator[Outcome | Retried]:
        """Yield outcomes when they are done, and attempts that are repeated.

        Raises:
            UserError: no worker can be started, or the engine is gone; the run can be resumed.
        """
        self._waiting = deque(_Attempt(job) for job in jobs)
        self._failed_starts = 0
        self._crew.begin(jobs)
        while self._in_flight or (self._waiting and not self.draining):
            if not self.draining:
                self._hire()
                self._deal()
            for ticket in self._crew.done([*self._in_flight, *self._starting], TICK_SECONDS):
                if ticket in self._starting:
                    self._welcome(ticket)
                else:
                    yield self._settled(ticket)
            yield from self._overdue()
            self._crew.check()

    def close(self) -> None:
        """End all workers; jobs in flight are lost."""
        self._crew.close()

    def _hire(self) -> None:
        """Start workers while there are free places and waiting jobs."""
        here = len(self._starting) + len(self._idle) + len(self._in_flight)
        wanted = min(self._crew.room(), len(self._in_flight) + len(self._waiting))
        if self._failed_starts < MAX_FAILED_STARTS:
            for _ in range(wanted - here):
                worker, ticket = self._crew.hire()
                self._starting[ticket] = worker

    def _welcome(self, ticket: Hashable) -> None:
        worker = self._starting.pop(ticket)
        try:
            self._crew.take(ticket)
        except WorkerFault as error:
            self._failed_starts += 1
            self._crew.dismiss(worker)
            nobody = not (self._starting or self._idle or self._in_flight)
            if self._failed_starts >= MAX_FAILED_STARTS and nobody:
                raise UserError(
                    f"no worker can be started: {error}; the run can be resumed"
                ) from error
        else:
            self._idle.append(worker)

    def _deal(self) -> None:
        while self._idle and self._waiting:
            worker, attempt = self._idle.pop(), self._waiting.popleft()
            ticket = self._crew.ask(worker, attempt.job)
            self._in_flight[ticket] = _InFlight(attempt, worker, self._crew.now())
        self._tell()

    def _tell(self) -> None:
        names = [flight.attempt.job.name for flight in self._in_flight.values()]
        self._progress.workers(len(self._idle) + len(names), names)

    def _settled(self, ticket: Hashable) -> Outcome | Retried:
        flight = self._in_flight.pop(ticket)
        try:
            outcome: Outcome = self._crew.take(ticket)
        except WorkerFault as fault:
            return self._again(flight, fault)
        self._idle.append(flight.worker)
        peers = self._seconds.setdefault(flight.attempt.job.stage, deque(maxlen=PEERS))
        peers.append(self._crew.now() - flight.began)
        return outcome

    def _overdue(self) -> Iterator[Outcome | Retried]:
        """Abort attempts that hang."""
        for ticket, flight in list(self._in_flight.items()):
            sign = self._sign_of_hanging(flight)
            if sign is not None:
                del self._in_flight[ticket]
                yield self._again(flight, WorkerFault(f"it hung: {sign}"))

    def _sign_of_hanging(self, flight: _InFlight) -> str | None:
        more = 2 ** (flight.attempt.number - 1)
        limit = more * self._patience.idle_seconds
        if self._crew.idle_seconds(flight.worker) > limit:
            return f"its worker was idle for {limit:.0f} s"
        peers = self._seconds.get(flight.attempt.job.stage)
        if not peers:
            return None
        median = statistics.median(peers)
        limit = more * max(self._patience.least_seconds, self._patience.factor * median)
        if self._crew.now() - flight.began > limit:
            return f"no result in {limit:.0f} s, its peers took {median:.3g}"
        return None

    def _again(self, flight: _InFlight, fault: WorkerFault) -> Outcome | Retried:
        """Repeat a job with another worker, or record it as failed."""
        self._crew.dismiss(flight.worker)
        attempt, reason = flight.attempt, str(fault)[:MAX_REASON]
        if attempt.number >= self._patience.attempts:
            return self._failed(attempt.job, f"given up after {attempt.number} attempts: {reason}")
        job = attempt.job
        if isinstance(fault, OutOfMemory) and self._batch_size >= 4 * job.accumulate:
            job = replace(job, accumulate=2 * job.accumulate)
            reason += f"; again with its batch in {job.accumulate} parts"
        self._waiting.appendleft(_Attempt(job, attempt.number + 1))
        return Retried(name=job.name, attempt=attempt.number, reason=reason)
