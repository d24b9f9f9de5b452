"""The results file of a bundle: what another machine measured, checked before anything is used."""

import json
import math
from pathlib import Path
from typing import Annotated, Any, Literal, Self

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from netadapt.errors import UserError
from netadapt.files import existing_file
from netadapt.latency.fields import WORKLOAD_COLUMNS, parse_workload
from netadapt.latency.fusion import Fusion
from netadapt.latency.target import Options, Text
from netadapt.latency.workloads import Workload
from netadapt.profiling.agent.offline import FORMAT, digest
from netadapt.profiling.agent.timing import OperationRuns, Timing
from netadapt.profiling.schedule import ProfileSchedule
from netadapt.wording import first_problem

MAX_BYTES = 500_000_000
MAX_NETWORKS = 10_000
MAX_WIDTH = 1 << 20

Word = Annotated[str, Field(max_length=200, pattern=r"^[^\x00-\x1f\x7f]+$")]
Count = Annotated[int, Field(ge=0, le=1 << 20)]
Network = Annotated[list[Annotated[int, Field(ge=1, le=MAX_WIDTH)]], Field(max_length=10_000)]
Networks = Annotated[list[Network], Field(min_length=1, max_length=MAX_NETWORKS)]
Places = Annotated[list[Count], Field(max_length=100_000)]
Fields = Annotated[
    list[Text], Field(min_length=len(WORKLOAD_COLUMNS), max_length=len(WORKLOAD_COLUMNS))
]
Duration = Annotated[float, Field(ge=0, le=1e12, allow_inf_nan=False)]
Date = Annotated[str, Field(pattern=r"^[0-9]{4}-[0-9]{2}-[0-9]{2}$")]


class Manifest(BaseModel):
    """The contents of a bundle.

    Attributes:
        id: of the bundle.
        runtime: as ``--runtime`` names it.
        options: what was chosen of the target.
        subject: the network and its input, by name.
        groups: the columns of ``design`` and ``whole``.
        design: widths of the networks timed operation by operation.
        whole: widths of the networks timed whole.
        workloads: every workload once, in the fields of ``latency.csv``.
        design_executes: for each designed network, the places of its workloads.
        whole_executes: likewise.
        members: for each workload of a network, the places of its operations.
        operations: how many a network has.
        schedule: how it was timed.
        fusion: the rules by which operations were merged; older bundles say none.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    id: Annotated[str, Field(pattern=r"^[0-9a-f]{32}$")]
    runtime: Word
    options: Options
    subject: Annotated[dict[Word, Word], Field(max_length=10)]
    groups: Annotated[list[Word], Field(max_length=10_000)]
    design: Networks
    whole: Networks
    workloads: Annotated[list[Fields], Field(min_length=1, max_length=1_000_000)]
    design_executes: Annotated[list[Places], Field(max_length=MAX_NETWORKS)]
    whole_executes: Annotated[list[Places], Field(max_length=MAX_NETWORKS)]
    members: Annotated[list[Places], Field(min_length=1, max_length=100_000)]
    operations: Annotated[int, Field(ge=1, le=100_000)]
    schedule: ProfileSchedule
    fusion: Fusion | None = None

    @model_validator(mode="after")
    def _agrees(self) -> Self:
        networks = [*self.design, *self.whole]
        executes = [*self.design_executes, *self.whole_executes]
        _demand(len(set(self.groups)) == len(self.groups), "a group is named twice")
        _demand(all(len(row) == len(self.groups) for row in networks), "a network lacks groups")
        _demand(
            len(self.design) == len(self.design_executes)
            and len(self.whole) == len(self.whole_executes)
            and all(len(places) == len(self.members) for places in executes)
            and all(place < len(self.workloads) for row in executes for place in row),
            "the networks' workloads are not told",
        )
        _demand(
            all(unit and max(unit) < self.operations for unit in self.members),
            "a workload has no operations",
        )
        _demand(
            all(0 <= value <= MAX_WIDTH for value in vars(self.schedule).values())
            and min(self.schedule.chunk, self.schedule.calibration_networks) > 0
            and min(self.schedule.validation_networks, self.schedule.validation_rounds) > 0,
            "the schedule cannot be",
        )
        known = self.schedule.calibration_networks + self.schedule.validation_networks
        _demand(known == len(self.whole), "the schedule is another one's")
        return self

    def executed(self) -> dict[tuple[int, ...], tuple[Workload, ...]]:
        """The workloads of every network by its widths. Raises ``ValueError`` if one is none."""
        workloads = [parse_workload(fields) for fields in self.workloads]
        rows = [*self.design, *self.whole]
        places = [*self.design_executes, *self.whole_executes]
        return {
            tuple(row): tuple(workloads[place] for place in executes)
            for row, executes in zip(rows, places, strict=True)
        }


class Results(BaseModel):
    """What a bundle measured: ``(networks, runs, operations)`` and ``(rounds, networks, runs)``.

    ``reference_us`` is what the base network took beside each of the networks; files of older
    bundles have none.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    format: Literal[1]
    manifest: Manifest
    hardware: Word
    system: Word
    clock: Annotated[dict[Word, Word], Field(max_length=20)]
    runtime_version: Word
    date: Date
    operations_us: list[list[list[Duration]]]
    reference_us: list[Annotated[Duration, Field(gt=0)]] | None = None
    whole_seconds: list[list[list[Annotated[Duration, Field(gt=0)]]]]
    whole_runs: list[list[list[Count]]]
    whole_energy_mj: list[list[Duration]] | None

    @model_validator(mode="after")
    def _measured_what_was_asked(self) -> Self:
        asked, schedule = self.manifest, self.manifest.schedule
        rounds, networks = 2 * schedule.validation_rounds, len(asked.whole)
        shape = (len(asked.design), schedule.rounds * schedule.runs, asked.operations)
        _demand(_shaped(self.operations_us, shape), "operations are missing")
        reference = self.reference_us
        _demand(
            reference is None or _shaped(reference, (len(asked.design),)),
            "times of the base network are missing",
        )
        shape = (rounds, networks, schedule.validation_runs)
        _demand(
            _shaped(self.whole_seconds, shape) and _shaped(self.whole_runs, shape),
            "whole networks are missing",
        )
        energy = self.whole_energy_mj
        _demand(energy is None or _shaped(energy, (rounds, networks)), "energies are missing")
        return self

    def operations(self) -> list[OperationRuns]:
        """What each of the designed networks took, in their order."""
        reference = self.reference_us or [1.0] * len(self.operations_us)
        return [
            OperationRuns(np.array(us, dtype=np.float64), took)
            for us, took in zip(self.operations_us, reference, strict=True)
        ]

    def whole(self) -> Timing:
        """The whole networks' durations."""
        energy = self.whole_energy_mj
        return Timing(
            np.array(self.whole_seconds, dtype=np.float64).transpose(1, 0, 2),
            np.array(self.whole_runs, dtype=np.int64).transpose(1, 0, 2),
            None if energy is None else np.array(energy, dtype=np.float64).T,
        )


def _demand(kept: bool, otherwise: str) -> None:
    if not kept:
        raise ValueError(otherwise)


def _shaped(values: Any, shape: tuple[int, ...]) -> bool:
    if len(values) != shape[0]:
        return False
    return len(shape) == 1 or all(_shaped(inner, shape[1:]) for inner in values)


def load_results(path: Path) -> Results:
    """Read and check a results file.

    Its checksum tells a file that was cut off or changed, by accident or by an editor. It is no
    signature: who computes it anew can claim any latencies, so take results from whom you trust.
    Whatever they claim, nothing of them is run, or used as a path.

    Raises:
        UserError: it is missing, damaged, changed, or not what a bundle writes.
    """
    return checked_results(read_document(path), path)


def read_document(path: Path) -> Any:
    """Read a JSON file of finite numbers.

    Raises:
        UserError: it is missing, too large, or no such file.
    """
    existing_file(path, "results")
    if path.stat().st_size > MAX_BYTES:
        raise UserError(f"{path} is larger than {MAX_BYTES} bytes; it is no results file")
    try:
        # not strict: TensorRT separates names with control characters
        return json.loads(
            path.read_bytes(), parse_constant=_refuse, parse_float=_finite, strict=False
        )
    except (ValueError, RecursionError):
        raise UserError(f"{path} is cut off or is no results file of a bundle") from None


def checked_results(document: Any, path: Path) -> Results:
    """Check the document of a results file. Raises as :func:`load_results` does."""
    if not isinstance(document, dict) or set(document) != {"sha256", "content"}:
        raise UserError(f"{path} is no results file of a bundle")
    content = document["content"]
    found = content.get("format") if isinstance(content, dict) else None
    if found != FORMAT:
        raise UserError(f"{path} is no results file of this version (format {FORMAT})")
    if digest(content) != document["sha256"]:
        raise UserError(f"{path} was changed or damaged: its checksum does not fit; copy it again")
    try:
        results = Results.model_validate(content)
        results.manifest.executed()
    except ValidationError as error:
        raise UserError(f"{path} is no results file: {first_problem(error)}") from None
    except ValueError as error:
        raise UserError(f"{path} is no results file: a workload: {error}") from None
    return results


def _refuse(constant: str) -> float:
    raise ValueError(f"{constant} is no number")


def _finite(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise ValueError(f"{text} is too large")
    return number
