"""Timing on a machine that has no netadapt: jobs for its agent, and what the agent answers."""

import hashlib
import json
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from netadapt.errors import UserError
from netadapt.latency.target import Options
from netadapt.profiling.agent.job import FORMAT, JOB_FILE, OPERATIONS, WHOLE
from netadapt.profiling.agent.runtimes import BOARD_RUNTIMES
from netadapt.profiling.agent.timing import OperationRuns, Round, Timing, stacked
from netadapt.profiling.devices.base import Bench
from netadapt.profiling.runtimes.base import Runtime
from netadapt.profiling.shared_weights import Graphs

NO_MEASUREMENT = "the board sent what is no measurement; profile again"

Record = Mapping[str, Any]
Files = dict[str, bytes]


class Board(ABC):
    """A machine with the agent, and a folder for it."""

    @abstractmethod
    def run(self, files: Files) -> Iterator[Record]:
        """Bring a job there and yield its records; some may come twice.

        Raises:
            UserError: the machine cannot be reached any more, or its agent gives up.
        """


def require_board_runtime(runtime: Runtime) -> None:
    """Raise a ``UserError`` if ``runtime`` does not run without PyTorch."""
    if runtime.name not in BOARD_RUNTIMES:
        raise UserError(
            f"runtime {runtime.name} is not for another machine, where there is no PyTorch; "
            f"choose one of: {', '.join(BOARD_RUNTIMES)}"
        )


def job_of(runtime: str, options: Options, operations: int, stages: Sequence[Record]) -> Files:
    """The file that tells an agent what to do."""
    cores = options.cores()
    job = {
        "format": FORMAT,
        "runtime": runtime,
        "threads": options.threads,
        "cores": sorted(cores) if cores else None,
        "precision": options.precision,
        "provider": options.provider,
        "tune": options.tune,
        "operations": operations,
        "stages": list(stages),
    }
    return {JOB_FILE: json.dumps(job).encode()}


def operations_stage(
    graphs: Sequence[str], reference: str, chunk: int, rounds: int, runs: int
) -> Record:
    """Networks to time operation by operation, each graph once; ``reference`` in every chunk."""
    return {
        "kind": OPERATIONS,
        "key": identity(OPERATIONS, reference, rounds, runs),
        "graphs": list(dict.fromkeys(graphs)),
        "reference": reference,
        "chunk": chunk,
        "rounds": rounds,
        "runs": runs,
        "seed": 0,
    }


def whole_stage(graphs: Sequence[str], rounds: int, runs: int) -> Record:
    """Networks to time whole, all of them in every round."""
    return {
        "kind": WHOLE,
        "key": identity(WHOLE, runs, *graphs),
        "graphs": list(graphs),
        "rounds": rounds,
        "runs": runs,
        "seed": 0,
    }


def identity(*parts: object) -> str:
    """A hexadecimal name that follows from ``parts``."""
    digest = hashlib.sha256()
    for part in parts:
        data = part if isinstance(part, bytes) else str(part).encode()
        digest.update(b"%d:" % len(data) + data)
    return digest.hexdigest()[:32]


def time_whole(
    board: Board,
    files: Files,
    stage: Record,
    job: Files,
    on_step: Callable[[], None] = lambda: None,
) -> Timing:
    """Have a board time whole networks; ``on_step`` is called for each and for every round."""
    count, rounds = len(stage["graphs"]), stage["rounds"]
    found: dict[int, Round] = {}
    steps = _Steps(on_step)
    for record in board.run({**files, **job}):
        if "loaded" in record:
            steps.reach(min(int(record["loaded"]), count))
        elif record.get("stage") == stage["key"]:
            found[int(record["round"])] = read_round(record, (count, stage["runs"]))
            steps.reach(count + len(found))
    if sorted(found) != list(range(rounds)):
        raise UserError(f"the board sent {len(found)} of {rounds} rounds; profile again")
    return stacked([found[number] for number in range(rounds)])


def read_operations(record: Record, shape: tuple[int, int]) -> OperationRuns:
    """Return a record's ``(rounds * runs, operations)`` microseconds, and the reference's.

    Raises:
        UserError: it has another shape, or what is no duration.
    """
    us = _durations(record.get("us"), shape)
    reference_us = float(_durations(record.get("reference_us"), ()))
    if not reference_us:
        raise UserError(NO_MEASUREMENT)
    return OperationRuns(us, reference_us)


def read_round(record: Record, shape: tuple[int, int]) -> Round:
    """Return a record's ``(networks, runs)``. Raises ``UserError`` as ``read_operations`` does."""
    energy = record.get("energy_mj")
    return Round(
        _durations(record.get("seconds"), shape),
        _durations(record.get("runs"), shape).astype(np.int64),
        None if energy is None else _durations(energy, shape[:1]),
    )


def _durations(values: Any, shape: tuple[int, ...]) -> NDArray[np.float64]:
    try:
        found = np.asarray(values, dtype=np.float64)
    except (TypeError, ValueError):
        found = np.zeros(0)
    if found.shape != shape or not np.isfinite(found).all() or (found < 0).any():
        raise UserError(NO_MEASUREMENT)
    return found


class _Steps:
    """Counts steps; a step that is reported twice counts once."""

    def __init__(self, on_step: Callable[[], None]) -> None:
        self._on_step = on_step
        self._done = 0

    def reach(self, steps: int) -> None:
        while self._done < steps:
            self._done += 1
            self._on_step()


class RemoteBench(Bench):
    """Times networks on a board: graphs travel there, durations come back."""

    def __init__(self, graphs: Graphs, board: Board, runtime: str, options: Options) -> None:
        self._graphs = graphs
        self._board = board
        self._runtime = runtime
        self._options = options

    def operations(
        self, rows: NDArray[np.int64], chunk: int, rounds: int, runs: int
    ) -> Iterator[OperationRuns]:
        """Time networks operation by operation."""
        graphs = [self._graphs.at(row) for row in rows]
        base, content = self._graphs.base()
        stage = operations_stage([name for name, _ in graphs], base, chunk, rounds, runs)
        records = self._board.run({**dict(graphs), base: content, **self._job(stage)})
        shape = (rounds * runs, self._graphs.operations)
        found: dict[str, OperationRuns] = {}
        for name, _ in graphs:
            while name not in found:
                record = next(records, None)
                if record is None:
                    raise UserError("the board sent too few measurements; profile again")
                if record.get("stage") == stage["key"]:
                    found[str(record["graph"])] = read_operations(record, shape)
            yield found[name]

    def whole(
        self,
        rows: NDArray[np.int64],
        rounds: int,
        runs: int,
        on_step: Callable[[], None],
    ) -> Timing:
        """Time whole networks in interleaved rounds."""
        graphs = [self._graphs.at(row) for row in rows]
        stage = whole_stage([name for name, _ in graphs], rounds, runs)
        return time_whole(self._board, dict(graphs), stage, self._job(stage), on_step)

    def _job(self, stage: Record) -> Files:
        return job_of(self._runtime, self._options, self._graphs.operations, [stage])
