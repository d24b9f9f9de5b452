"""The results file of a TensorRT bundle, in the formats that ``trtexec`` documents."""

from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import (
    BaseModel,
    ConfigDict,
    Discriminator,
    Field,
    Tag,
    ValidationError,
    model_validator,
)

from netadapt.errors import UserError
from netadapt.profiling.results import MAX_NETWORKS, Date, Manifest, Results, Word
from netadapt.profiling.tensorrt.layers import LayerBook
from netadapt.profiling.tensorrt.script import FORMAT
from netadapt.wording import first_problem

Graph = Annotated[str, Field(pattern=r"^[0-9a-f]{32}\.onnx$")]
Graphs = Annotated[list[Graph], Field(min_length=1, max_length=MAX_NETWORKS)]
Milliseconds = Annotated[float, Field(ge=0, le=1e9, allow_inf_nan=False)]
LayerName = Annotated[str, Field(min_length=1, max_length=20_000)]
MAX_LAYERS = 10_000
MAX_RUNS = 100_000


class _Timed(BaseModel):
    """A line of a file of trtexec, of which more fields than these may be written."""

    model_config = ConfigDict(frozen=True, extra="ignore")


class LayerTime(_Timed):
    """One layer in a file of ``--exportProfile``; older versions write no median."""

    name: LayerName
    average: Annotated[Milliseconds, Field(alias="averageMs")]
    median: Annotated[Milliseconds | None, Field(alias="medianMs")] = None

    @property
    def ms(self) -> float:
        """The median where there is one, else the average."""
        return self.average if self.median is None else self.median


class RunTime(_Timed):
    """One run in a file of ``--exportTimes``."""

    ms: Annotated[float, Field(alias="latencyMs", gt=0, le=1e9, allow_inf_nan=False)]


class LayerInformation(_Timed):
    """One layer in a file of ``--exportLayerInfo``."""

    name: Annotated[LayerName, Field(alias="Name")]
    metadata: Annotated[str, Field(alias="Metadata", max_length=100_000)] = ""


class Layers(_Timed):
    """A file of ``--exportLayerInfo``; without details a layer is its name."""

    layers: Annotated[
        list[LayerInformation | LayerName], Field(alias="Layers", max_length=MAX_LAYERS)
    ]

    def metadata(self) -> dict[str, str]:
        """What is noted of the layers, by name."""
        return {one.name: one.metadata for one in self.layers if isinstance(one, LayerInformation)}


class ProfileHeader(_Timed):
    """The first entry of a file of ``--exportProfile``."""

    count: Annotated[int, Field(ge=1)]


def _line(entry: object) -> str:
    header = isinstance(entry, ProfileHeader) or (isinstance(entry, dict) and "count" in entry)
    return "header" if header else "layer"


Line = Annotated[
    Annotated[ProfileHeader, Tag("header")] | Annotated[LayerTime, Tag("layer")],
    Discriminator(_line),
]
Profile = Annotated[list[Line], Field(min_length=2, max_length=MAX_LAYERS)]
Times = Annotated[list[RunTime], Field(max_length=MAX_RUNS)]


class GraphNames(BaseModel):
    """The networks' files, in the order of the manifest's ``design`` and ``whole``."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    design: Graphs
    whole: Graphs


class TensorRtResults(BaseModel):
    """What the script of a bundle put together; ``version`` as trtexec writes it, ``8602``."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    format: Literal["tensorrt-1"]
    hardware: Word
    system: Word
    version: Annotated[str, Field(pattern=r"^([0-9]{4,7}|unknown)$")]
    date: Date
    manifest: Manifest
    graphs: GraphNames
    layers: Annotated[dict[Graph, Layers], Field(max_length=MAX_NETWORKS)]
    profiles: Annotated[dict[Graph, list[Profile]], Field(max_length=MAX_NETWORKS)]
    times: Annotated[dict[Graph, list[Times]], Field(max_length=MAX_NETWORKS)]

    @model_validator(mode="after")
    def _measured_what_was_asked(self) -> Self:
        asked, schedule = self.manifest, self.manifest.schedule
        sizes = (len(self.graphs.design), len(self.graphs.whole))
        _demand(asked.runtime == "tensorrt", "it is of another runtime")
        _demand(schedule.runs == 1, "the schedule is another one's")
        _demand(sizes == (len(asked.design), len(asked.whole)), "networks are missing")
        for name in self.graphs.design:
            rounds = self.profiles.get(name, [])
            _demand(name in self.layers and len(rounds) == schedule.rounds, f"{name} lacks layers")
            for one in rounds:
                named = all(isinstance(layer, LayerTime) for layer in one[1:])
                _demand(isinstance(one[0], ProfileHeader) and named, f"{name} has an odd profile")
        for name in self.graphs.whole:
            visits = self.times.get(name, [])
            enough = all(len(visit) >= schedule.validation_runs for visit in visits)
            complete = len(visits) == 2 * schedule.validation_rounds and enough
            _demand(complete, f"{name} lacks runs")
        return self

    @property
    def runtime_version(self) -> str:
        """``8602`` as 8.6.2, and ``100300`` as 10.3.0."""
        if self.version == "unknown":
            return self.version
        number = int(self.version)
        step = 1000 if number < 10_000 else 10_000
        return f"{number // step}.{number % step // 100}.{number % 100}"

    def as_measured(self) -> Results:
        """Return the results as those of any bundle.

        Raises:
            UserError: the layers cannot be told apart by operation.
        """
        asked, schedule = self.manifest, self.manifest.schedule
        workloads = asked.executed()
        operations_us = []
        for name, row in zip(self.graphs.design, asked.design, strict=True):
            kinds = [workload.kind for workload in workloads[tuple(row)]]
            book = LayerBook(asked.members, kinds, asked.operations)
            metadata = self.layers[name].metadata()
            rounds = [
                [(one.name, one.ms) for one in profile if isinstance(one, LayerTime)]
                for profile in self.profiles[name]
            ]
            operations_us.append([book.microseconds(one, metadata).tolist() for one in rounds])
        visits = [
            [self.times[name][round][-schedule.validation_runs :] for name in self.graphs.whole]
            for round in range(2 * schedule.validation_rounds)
        ]
        return Results(
            format=1,
            manifest=asked,
            hardware=self.hardware,
            system=self.system,
            clock={},
            runtime_version=self.runtime_version,
            date=self.date,
            operations_us=operations_us,
            whole_seconds=[[[run.ms / 1000 for run in one] for one in visit] for visit in visits],
            whole_runs=[[list(range(len(one))) for one in visit] for visit in visits],
            whole_energy_mj=None,
        )


def is_of_tensorrt(document: object) -> bool:
    """Whether a JSON document is a results file of a TensorRT bundle."""
    return isinstance(document, dict) and document.get("format") == FORMAT


def tensorrt_results(document: dict[str, Any], path: Path) -> Results:
    """Check the document of a TensorRT bundle's results file and return what it says.

    Raises:
        UserError: it is damaged, or its layers cannot be told apart by operation.
    """
    try:
        return TensorRtResults.model_validate(document).as_measured()
    except ValidationError as error:
        raise UserError(f"{path} is no results file: {first_problem(error)}") from None
    except ValueError as error:
        raise UserError(f"{path} is no results file: a workload: {error}") from None


def _demand(kept: bool, otherwise: str) -> None:
    if not kept:
        raise ValueError(otherwise)
