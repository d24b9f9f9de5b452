"""Profiling many devices at once, each into a table of its own."""

import multiprocessing
import queue
import signal
from collections import defaultdict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Annotated, Any, Protocol

from pydantic import ConfigDict, Field, ValidationError

from netadapt.errors import UserError
from netadapt.files import existing_file
from netadapt.latency.table import LatencyTable
from netadapt.latency.target import Options
from netadapt.latency.validation import Report
from netadapt.profiling.devices import load_device
from netadapt.profiling.profiler import profile
from netadapt.profiling.runtimes import load_runtime
from netadapt.profiling.schedule import ProfileSchedule
from netadapt.pruning import PrunableModel
from netadapt.texts import toml_of
from netadapt.wording import first_problem

MAX_DEVICES = 1000
MAX_AT_ONCE = 16
PATIENCE = 0.5  # seconds between two looks at whether the processes live

Traced = Callable[[int], PrunableModel]


class FleetDevice(Options):
    """One device of a fleet, and what is to be measured on it.

    Attributes:
        device: ``ssh://user@host[:port]``, ``cpu`` or ``cuda[:N]``.
        runtime: as of ``--runtime``; the other fields are those of ``Options``.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    device: Annotated[str, Field(min_length=1, max_length=500)]
    runtime: Annotated[str, Field(max_length=100)] = "onnxruntime"

    @property
    def host(self) -> str:
        """The machine it is on; what is measured on one machine is measured in turn."""
        if not self.device.startswith("ssh:"):
            return ""
        return self.device.rpartition("@")[2].removeprefix("ssh://").partition(":")[0]

    @property
    def options(self) -> Options:
        """What is chosen of its target."""
        return Options(**self.model_dump(exclude={"device", "runtime"}))


class FleetProgress(Protocol):
    """Told what the devices do."""

    def started(self, device: str, stage: str, total: int) -> None:
        """A stage of ``total`` steps begins on a device."""

    def advanced(self, device: str) -> None:
        """One step is done there."""

    def finished(self, device: str, outcome: "Outcome") -> None:
        """A device is done, or has dropped out."""


@dataclass(frozen=True)
class Outcome:
    """What became of one device.

    Attributes:
        folder: its table, or None if it dropped out before there was one.
        report: how good the table is, or None if the device dropped out.
        failure: why it dropped out; what was measured by then stays in its table.
    """

    folder: Path | None = None
    report: Report | None = None
    failure: str | None = None


def read_fleet(path: Path) -> dict[str, FleetDevice]:
    """Read ``devices.toml``: a table a device, named as messages shall call it.

    Raises:
        UserError: no such file, or not of that form; names the device and the field.
    """
    try:
        tables = toml_of(existing_file(path, "list of devices"))
    except ValueError as error:
        raise UserError(f"{path} is no list of devices: {error}") from None
    if not tables:
        raise UserError(f'{path} names no device; give one as [name] with device = "ssh://..."')
    if len(tables) > MAX_DEVICES:
        raise UserError(f"{path} names {len(tables)} devices; {MAX_DEVICES} are the most")
    fleet = {}
    for name, values in tables.items():
        try:
            fleet[name] = FleetDevice.model_validate(values)
        except ValidationError as error:
            raise UserError(f"{path}: {first_problem(error, f'device {name}')}") from None
    return fleet


def profile_fleet(
    fleet: Mapping[str, FleetDevice],
    traced: Traced,
    lut: Path,
    progress: FleetProgress,
    **schedule: int,
) -> dict[str, Outcome]:
    """Profile every device of ``fleet``, machines side by side, into tables under ``lut``.

    Each machine has a process of its own here, up to 16 at a time; what is measured on one
    machine is measured in turn. A device that drops out does not disturb the others, and goes on
    where it was when profiled again.

    Args:
        fleet: what ``read_fleet`` returns.
        traced: ``batch -> PrunableModel``, the network with an example input of that batch; it
            must be picklable, as a function of a module or a ``functools.partial`` of one.
        lut: the folder that holds the tables.
        progress: told of every step, from this process.
        **schedule: fields of ``ProfileSchedule`` to change, such as ``channel_multiple``.

    Returns:
        what became of each device, in the order of ``fleet``.
    """
    spawn = multiprocessing.get_context("spawn")
    events: Any = spawn.Queue()
    waiting = [
        (list(part), spawn.Process(target=_profile_all, args=(part, traced, lut, schedule, events)))
        for part in _by_machine(fleet)
    ]
    outcomes: dict[str, Outcome] = {}
    running: list[tuple[list[str], BaseProcess]] = []
    try:
        while waiting or running:
            while waiting and len(running) < MAX_AT_ONCE:
                running.append(waiting.pop(0))
                running[-1][1].start()
            ended = [entry for entry in running if not entry[1].is_alive()]
            _listen(events, outcomes, progress)  # after the look: all an ended one said is there
            for names, process in ended:
                running.remove((names, process))
                for name in names:
                    if name not in outcomes:
                        outcomes[name] = Outcome(failure=_ending(process.exitcode))
                        progress.finished(name, outcomes[name])
    finally:
        for _, process in running:
            process.terminate()
            process.join()
    return {name: outcomes[name] for name in fleet}


def _by_machine(fleet: Mapping[str, FleetDevice]) -> list[dict[str, FleetDevice]]:
    machines: dict[str, dict[str, FleetDevice]] = defaultdict(dict)
    for name, device in fleet.items():
        machines[device.host][name] = device
    return list(machines.values())


def _listen(events: Any, outcomes: dict[str, Outcome], progress: FleetProgress) -> None:
    """Pass on what the processes say, until they are silent for a while."""
    while True:
        try:
            name, kind, *rest = events.get(timeout=PATIENCE)
        except queue.Empty:
            return
        if kind == "started":
            progress.started(name, *rest)
        elif kind == "advanced":
            progress.advanced(name)
        else:
            outcomes[name] = rest[0]
            progress.finished(name, rest[0])


def _ending(exitcode: int | None) -> str:
    if exitcode is not None and exitcode < 0:
        return f"its process was ended by signal {signal.Signals(-exitcode).name}"
    return f"its process ended with exit code {exitcode}"


def _profile_all(
    part: Mapping[str, FleetDevice],
    traced: Traced,
    lut: Path,
    schedule: Mapping[str, int],
    events: Any,
) -> None:
    """In a process of its own: the devices of one machine in turn."""
    for name, device in part.items():
        outcome = Outcome()
        try:
            runtime = load_runtime(device.runtime)
            target = load_device(device.device).target(runtime, device.options)
            table = LatencyTable.open(lut, target)
            outcome = replace(outcome, folder=table.folder)
            changed: ProfileSchedule = replace(runtime.schedule, **schedule)
            report = profile(traced(target.batch), table, _Teller(name, events), changed)
            outcome = replace(outcome, report=report)
        except UserError as error:
            outcome = replace(outcome, failure=str(error))
        except KeyboardInterrupt:
            return
        except Exception as error:  # the others go on
            outcome = replace(outcome, failure=f"{type(error).__name__}: {error}")
        events.put((name, "finished", outcome))


class _Teller:
    """Sends the progress of one device to the process that asked."""

    def __init__(self, name: str, events: Any) -> None:
        self._name, self._events = name, events

    def started(self, stage: str, total: int) -> None:
        self._events.put((self._name, "started", stage, total))

    def advanced(self) -> None:
        self._events.put((self._name, "advanced"))
