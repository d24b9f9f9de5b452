"""Workers on Ray: the cores and GPUs of this machine, or of a cluster."""

import os
import socket
import time
from collections.abc import Callable, Hashable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # nobody is told of a search
os.environ.setdefault("RAY_worker_niceness", "0")  # workers give way no more than this process does

import ray
import ray.exceptions as faults

from netadapt.errors import UserError
from netadapt.files import write_atomic
from netadapt.search.base_network import BaseNetwork
from netadapt.search.evaluation import Job, Outcome, failed
from netadapt.search.executors.pool import Crew, OutOfMemory, Pool, WorkerFault
from netadapt.search.executors.worker import Worker, WorkerRecipe
from netadapt.search.jobs import BASE
from netadapt.search.progress import SearchProgress

CONNECT_SECONDS = 5.0
LOST_SECONDS = 15.0  # without an answer from the head, after which it is lost
LOCAL_STORE_BYTES = 2**29
PULSE_SECONDS = 2.0  # between two questions whether a worker is at work
BUSY_SECONDS = 0.1  # of processor time in between show that it is; Ray itself takes 0.04


def open_ray(base: BaseNetwork, folder: Path, progress: SearchProgress) -> Pool:
    """Return an executor for the run in ``folder`` on the Ray that its settings name.

    Raises:
        UserError: the cluster cannot be reached, or no node of it is large enough.
    """
    settings = base.settings
    cpus, gpus = settings.cpus_per_candidate, settings.gpus_per_candidate
    crew = RayCrew(
        settings.address, cpus, gpus, folder, lambda: WorkerRecipe.of(base, folder / BASE)
    )
    return Pool(crew, lambda job, why: failed(settings, job, why), settings.batch_size, progress)


class _Actor:
    """A worker in a process of Ray's."""

    def __init__(self, recipe: WorkerRecipe, threads: int, device: str) -> None:
        self._worker = Worker(recipe, threads, device)

    def ready(self) -> None:
        """Return once the worker is built."""

    def evaluate(
        self, job: Job, weights: Mapping[str, "ray.ObjectRef[bytes]"]
    ) -> tuple[Outcome, bytes]:
        """As of the worker; fetches the weights that it lacks."""
        lacking = any(self._worker.lacks(name) for name in weights)
        fetched = {name: ray.get(ref) for name, ref in weights.items()} if lacking else {}
        return self._worker.evaluate(job, fetched)

    @ray.method(concurrency_group="pulse")
    def pulse(self) -> float:
        """Processor time of this process in seconds, also while it evaluates."""
        return time.process_time()


@dataclass
class _Pulse:
    """What is known of a worker that was asked to do something.

    Attributes:
        ticket: of the last question, put at ``asked``.
        busy: processor time in seconds, by the last answer.
        seen: when it last was at work.
    """

    ticket: "ray.ObjectRef[float]"
    asked: float
    seen: float
    busy: float = 0.0


class RayCrew(Crew):
    """Actors, each with the data open, on whichever nodes have room.

    Args:
        address: ``HOST:PORT`` of a cluster's head, or ``auto``; None starts a Ray on this machine.
        cpus: cores, and threads, of a worker.
        gpus: of a worker; a fraction lets several share one.
        folder: of the run, where weights come from and go to.
        recipe: what the workers are built from, asked for once.
    """

    def __init__(
        self,
        address: str | None,
        cpus: int,
        gpus: float,
        folder: Path,
        recipe: Callable[[], WorkerRecipe],
    ) -> None:
        self._cpus, self._gpus, self._folder = cpus, gpus, folder
        self._ours = not ray.is_initialized()
        if self._ours:
            _connect(address)
        self._head: str = ray.get_runtime_context().gcs_address
        self._answered = self._asked = time.monotonic()
        self._weights: dict[str, ray.ObjectRef[bytes]] = {}
        self._workers: set[Any] = set()
        self._pulses: dict[Any, _Pulse] = {}
        self._room = self._count_room()
        if not self._room:
            self.close()
            raise UserError(
                f"no node of the cluster has {cpus} cores and {gpus:g} GPUs for a worker; "
                "give smaller --cpus-per-candidate and --gpus-per-candidate"
            )
        device = "cuda" if gpus else "cpu"
        self._arguments = (ray.put(recipe()), cpus, device)
        groups: Any = {"concurrency_groups": {"pulse": 1}}
        self._actor: Any = ray.remote(
            num_cpus=cpus, num_gpus=gpus, max_restarts=0, max_task_retries=0, **groups
        )(_Actor)

    def room(self) -> int:
        """How many workers the living nodes have room for."""
        if self._answered == self._asked:  # without its head Ray would wait for it
            self._room = self._count_room()
        return self._room

    def hire(self) -> tuple[Hashable, Hashable]:
        """Ask Ray for an actor; it is ready once a node has taken it and the data is open."""
        worker = self._actor.remote(*self._arguments)
        self._workers.add(worker)
        return worker, worker.ready.remote()

    def begin(self, jobs: Sequence[Job]) -> None:
        """Put the weights that ``jobs`` start from into the object store, once."""
        names = {name for job in jobs for name in (job.parent, job.teacher) if name}
        self._weights = {
            name: self._weights.get(name) or ray.put((self._folder / name).read_bytes())
            for name in names
        }

    def ask(self, worker: Any, job: Job) -> Hashable:
        """Ask an actor to evaluate ``job``."""
        names = [name for name in (job.parent, job.teacher) if name]
        ticket: Hashable = worker.evaluate.remote(
            job, {name: self._weights[name] for name in names}
        )
        now = time.monotonic()
        self._pulses[worker] = _Pulse(worker.pulse.remote(), now, now)
        return ticket

    def done(self, tickets: Sequence[Any], seconds: float) -> list[Any]:
        """Wait for some of ``tickets``."""
        return ray.wait(list(tickets), num_returns=1, timeout=seconds, fetch_local=False)[0]

    def take(self, ticket: Any) -> Outcome | None:
        """Return an outcome whose weights are in the run folder; None of a worker made ready."""
        try:
            made = ray.get(ticket)
        except faults.OutOfMemoryError as error:
            raise OutOfMemory("its worker was ended, for its node ran out of memory") from error
        except faults.RayTaskError as error:
            raise _fault(error.cause) from error
        except faults.ActorDiedError as error:
            if isinstance(error.__cause__, faults.RayTaskError):  # its constructor failed
                raise _fault(error.__cause__.cause) from error
            raise WorkerFault(_death(error)) from error
        except faults.ActorUnavailableError as error:
            raise WorkerFault("its node was lost") from error
        except faults.RayError as error:
            raise WorkerFault(f"{type(error).__name__}: {_first_line(error)}") from error
        if made is None:
            return None
        outcome, weights = made
        write_atomic(self._folder / "checkpoints" / f"{outcome.name}.safetensors", weights)
        checked: Outcome = outcome
        return checked

    def idle_seconds(self, worker: Any) -> float:
        """Return for how long an actor has not answered, or has used almost no processor time."""
        pulse, now = self._pulses[worker], time.monotonic()
        answered = ray.wait([pulse.ticket], timeout=0, fetch_local=False)[0]
        if answered and now - pulse.asked > PULSE_SECONDS:
            with suppress(faults.RayError):  # of a dead worker, as its ticket will tell
                busy = ray.get(pulse.ticket)
                if busy - pulse.busy >= BUSY_SECONDS:
                    pulse.seen = now
                pulse.busy = busy
            pulse.ticket, pulse.asked = worker.pulse.remote(), now
        return now - pulse.seen

    def dismiss(self, worker: Any) -> None:
        """Kill an actor."""
        self._workers.discard(worker)
        self._pulses.pop(worker, None)
        ray.kill(worker)

    def check(self) -> None:
        """Check from time to time that the head still answers."""
        now = time.monotonic()
        if now - self._asked < CONNECT_SECONDS:
            return
        self._asked = now
        if _answers(self._head):
            self._answered = now
        elif now - self._answered > LOST_SECONDS:
            raise UserError(
                f"the head of the Ray cluster at {self._head} does not answer any more; start it "
                "again, then the search, with --resume if its folder is still there"
            )

    def close(self) -> None:
        """Kill the actors; leave the cluster, or stop the Ray that was started here."""
        if self._answered != self._asked:  # Ray would wait for its head
            return
        for worker in list(self._workers):
            self.dismiss(worker)
        if self._ours:
            ray.shutdown()

    def _count_room(self) -> int:
        nodes: list[dict[str, Any]] = ray.nodes()  # type: ignore[no-untyped-call]
        return sum(self._slots(node["Resources"]) for node in nodes if node["Alive"])

    def _slots(self, resources: Mapping[str, float]) -> int:
        slots = resources.get("CPU", 0.0) // self._cpus
        if self._gpus:
            gpus = resources.get("GPU", 0.0)
            fitting = gpus * (1 // self._gpus) if self._gpus < 1 else gpus // self._gpus
            slots = min(slots, fitting)
        return int(slots)


def _connect(address: str | None) -> None:
    """Join the cluster at ``address``, or start a Ray here."""
    options: dict[str, Any] = {"log_to_driver": False, "logging_level": "CRITICAL"}
    if address is None:
        options |= {"include_dashboard": False, "object_store_memory": LOCAL_STORE_BYTES}
        ray.init(address="local", **options)
        return
    if "://" in address or (address != "auto" and not _answers(address)):
        raise UserError(
            f"no Ray cluster answers at {address}; give HOST:PORT of its head, on a machine where "
            "ray start --address=HOST:PORT was run"
        )
    try:
        ray.init(address=address, **options)
    except (ConnectionError, RuntimeError, ValueError, faults.RayError) as error:
        raise UserError(
            f"cannot join the Ray cluster at {address}: {_first_line(error)}"
        ) from error


def _answers(address: str) -> bool:
    host, _, port = address.rpartition(":")
    try:
        with socket.create_connection((host, int(port)), timeout=CONNECT_SECONDS):
            return True
    except (OSError, ValueError, OverflowError):
        return False


def _fault(cause: BaseException) -> WorkerFault:
    """Return the error here that an exception in a worker stands for."""
    if isinstance(cause, WorkerFault):
        return cause
    name = "" if isinstance(cause, UserError) else f"{type(cause).__name__}: "
    return WorkerFault(f"{name}{_first_line(cause)}")


def _death(error: Exception) -> str:
    return "its node was lost" if "node has died" in str(error) else "its worker died"


def _first_line(error: BaseException) -> str:
    return next(iter(str(error).strip().splitlines()), type(error).__name__)
