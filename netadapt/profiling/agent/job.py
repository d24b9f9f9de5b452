"""A job: the networks to time and how, as a folder holds them; what is done is not done again.

``job.json`` names the runtime, its options and the stages; the graphs and the input lie beside
it, and ``results.jsonl`` grows there.
"""

from __future__ import annotations

import json
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from netadapt.profiling.agent.host import cores, cpu_features, energy_counter, pinned
from netadapt.profiling.agent.precision import problem
from netadapt.profiling.agent.record_file import RecordFile
from netadapt.profiling.agent.runtimes import BOARD_RUNTIMES, BoardError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from netadapt.profiling.agent.session import ProfiledSession, Session

    Tell = Callable[[dict[str, Any]], None]

FORMAT = 1
JOB_FILE = "job.json"
INPUT_FILE = "input.npy"
RESULTS_FILE = "results.jsonl"
OPERATIONS = "operations"
WHOLE = "whole"


def read_job(folder: Path) -> dict[str, Any]:
    """Read a folder's job. Raises ``BoardError`` if there is none that this agent can run."""
    try:
        job: dict[str, Any] = json.loads((folder / JOB_FILE).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise BoardError(f"{folder} holds no job: {error}") from error
    if job.get("format") != FORMAT:
        raise BoardError(f"{folder / JOB_FILE} is of another version of netadapt")
    if job["runtime"] not in BOARD_RUNTIMES:
        raise BoardError("this agent does not know the runtime {}".format(job["runtime"]))
    reason = problem(job["runtime"], job["precision"], cpu_features())
    if reason:
        raise BoardError(reason)
    absent = sorted(set(job["cores"] or ()) - cores())
    if absent or job["threads"] > len(job["cores"] or cores()):
        wanted = f"core {absent[0]}" if absent else f"{job['threads']} threads"
        raise BoardError(f"cannot use {wanted}: the board has {len(cores())} cores")
    return job


def run_job(folder: Path, tell: Tell) -> list[dict[str, Any]]:
    """Run what is not done yet of a folder's job; return and tell every record, in order.

    A second agent on the same folder waits for the first to end.

    Args:
        folder: the job's.
        tell: is given every record, and ``{"loaded": n}`` for every network loaded.
    """
    with _locked(folder):
        job = read_job(folder)
        record_file = RecordFile(folder / RESULTS_FILE)
        records: list[dict[str, Any]] = []

        def finished(record: dict[str, Any]) -> None:
            records.append(record)
            tell(record)

        chosen = set(job["cores"]) if job["cores"] else None
        with pinned(chosen):
            for stage in job["stages"]:
                run = _operations if stage["kind"] == OPERATIONS else _whole
                run(_Networks(folder, job, tell), stage, record_file, finished)
    return records


class _Networks:
    """Loads the networks of a job."""

    def __init__(self, folder: Path, job: dict[str, Any], tell: Tell) -> None:
        BOARD_RUNTIMES[job["runtime"]].version()  # or says what to install, numpy included
        import numpy as np

        self._folder, self._job, self._tell = folder, job, tell
        self._runtime = BOARD_RUNTIMES[job["runtime"]]
        loaded = np.load(str(folder / INPUT_FILE), allow_pickle=False)
        several = not isinstance(loaded, np.ndarray)  # an archive, a file for each
        self._example = [loaded[name] for name in sorted(loaded)] if several else loaded

    def whole(self, graphs: list[str]) -> Iterator[Session]:
        for count, graph in enumerate(graphs, start=1):
            with self._named(graph):
                session = self._runtime.load(self._path(graph), self._example, self._job)
            self._tell({"loaded": count})
            yield session

    def profiled(self, graphs: list[str]) -> Iterator[ProfiledSession]:
        for graph in graphs:
            with self._named(graph):
                session = self._runtime.load_profiled(
                    self._path(graph), self._example, self._job, self._job["operations"]
                )
            yield session

    def _path(self, graph: str) -> str:
        return str(self._folder / graph)

    @contextmanager
    def _named(self, graph: str) -> Iterator[None]:
        """Turn whatever a runtime raises into one line."""
        try:
            yield
        except BoardError:
            raise
        except Exception as error:
            line = (str(error).strip().splitlines() or [type(error).__name__])[0]
            raise BoardError(f"{self._job['runtime']} cannot load {graph}: {line}") from error


def _operations(
    networks: _Networks, stage: dict[str, Any], record_file: RecordFile, tell: Tell
) -> None:
    """Time networks operation by operation; a record each."""
    import numpy as np

    from netadapt.profiling.agent.timing import operation_times

    done = {record["graph"]: record for record in record_file.of(stage["key"])}
    todo = []
    for graph in stage["graphs"]:
        if graph in done:
            tell(done[graph])
        else:
            todo.append(graph)
    order = np.random.default_rng([stage["seed"], len(done)])
    timed = operation_times(
        networks.profiled(todo),
        stage["chunk"],
        stage["rounds"],
        stage["runs"],
        order,
        lambda: next(networks.profiled([stage["reference"]])),
    )
    for graph, runs in zip(todo, timed):
        record = {
            "stage": stage["key"],
            "graph": graph,
            "us": runs.us.round(3).tolist(),
            "reference_us": round(runs.reference_us, 3),
        }
        record_file.append(record)
        tell(record)


def _whole(networks: _Networks, stage: dict[str, Any], record_file: RecordFile, tell: Tell) -> None:
    """Time networks whole, all of them in every round; a record a round."""
    import numpy as np

    from netadapt.profiling.agent.timing import rounds_of

    done = list(record_file.of(stage["key"]))[: stage["rounds"]]
    for record in done:
        tell(record)
    if len(done) == stage["rounds"]:
        return
    sessions = []
    try:
        for session in networks.whole(stage["graphs"]):
            sessions.append(session)
        order = np.random.default_rng([stage["seed"], len(done)])
        left = stage["rounds"] - len(done)
        rounds = rounds_of(sessions, left, stage["runs"], order=order, energy_mj=energy_counter())
        for number, timed in enumerate(rounds, start=len(done)):
            record = {
                "stage": stage["key"],
                "round": number,
                "seconds": timed.seconds.round(9).tolist(),
                "runs": timed.runs.tolist(),
                "energy_mj": None if timed.energy_mj is None else timed.energy_mj.tolist(),
            }
            record_file.append(record)
            tell(record)
    finally:
        for session in sessions:
            session.close()


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """Hold the folder; it is free again when this process ends, however it ends."""
    try:
        import fcntl
    except ImportError:  # not Unix: nobody but the user starts agents there
        yield
        return
    with (folder / "lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
