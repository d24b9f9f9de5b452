"""Profiles of a machine without a network: a bundle goes there, a results file comes back."""

import json
import shutil
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import cast

import numpy as np
from numpy.typing import NDArray

from netadapt.errors import UserError
from netadapt.files import write_atomic
from netadapt.latency.fields import workload_fields
from netadapt.latency.fusion import FUSIONS, Fusion, rules_of
from netadapt.latency.table import LatencyTable
from netadapt.latency.target import Options, Target
from netadapt.latency.validation import Report
from netadapt.latency.workloads import Workload, workload_map
from netadapt.profiling.agent.job import INPUT_FILE
from netadapt.profiling.agent.offline import JOB, MANIFEST_FILE
from netadapt.profiling.agent.precision import PRECISIONS
from netadapt.profiling.agent.runtimes import BOARD_RUNTIMES
from netadapt.profiling.agent.timing import OperationRuns, Timing
from netadapt.profiling.agent_file import agent_files, archive
from netadapt.profiling.design import LOWEST_SHARE, random_networks
from netadapt.profiling.devices.base import Bench
from netadapt.profiling.devices.remote import (
    Files,
    identity,
    job_of,
    operations_stage,
    require_board_runtime,
    whole_stage,
)
from netadapt.profiling.drift import Drift
from netadapt.profiling.plan import Plan, make_plan, with_typical_statistics
from netadapt.profiling.profiler import Profile, ProfileProgress
from netadapt.profiling.results import Results, checked_results, read_document
from netadapt.profiling.runtimes.base import Runtime
from netadapt.profiling.schedule import ProfileSchedule
from netadapt.profiling.shared_weights import Graphs
from netadapt.profiling.tensorrt.results import is_of_tensorrt, tensorrt_results
from netadapt.profiling.tensorrt.script import require_options, script_files
from netadapt.pruning import PrunableModel

TENSORRT = "tensorrt"
README = """\
This file is a latency profile that waits to be measured, by netadapt.

On the device, with Python 3.8 or newer, in a folder that can be written:

    python3 -m pip install numpy {package}
    python3 {name}

It needs no network and leaves one file, netadapt-results-{id}.json. Interrupted, it goes on when
it is started again. Then, where netadapt is installed:

    netadapt profile-lut --import netadapt-results-{id}.json
"""


def write_bundle(
    prunable: PrunableModel,
    runtime: Runtime,
    options: Options,
    path: Path,
    schedule: ProfileSchedule | None = None,
) -> None:
    """Write a zip that profiles ``prunable`` wherever ``python3 FILE.zip`` runs it.

    A zip for TensorRT holds a shell script instead.

    Raises:
        UserError: the runtime needs PyTorch, or cannot run the network; or ``path`` cannot be
            written.
    """
    of_tensorrt = runtime.name == TENSORRT
    if of_tensorrt:
        require_options(options)
    else:
        _require_on_a_board(runtime, options)
    options.require_for(runtime.name)
    schedule = schedule or runtime.schedule
    plan = _unrefined_plan(prunable, runtime, options, schedule)
    # TensorRT rounds float32 graphs itself
    rules = rules_of(runtime.name, options.precision)
    graphs = Graphs(
        with_typical_statistics(prunable),
        "fp32" if of_tensorrt else options.precision,
        upsampling_last=rules.upsampling_last,
    )
    design = [graphs.at(row) for row in plan.design]
    whole = [graphs.at(row) for row in plan.whole]
    manifest = _manifest(plan, runtime, options, schedule, graphs.operations)
    inside: Files = {**graphs.common_files, **dict(design), **dict(whole)}
    designed, timed = [name for name, _ in design], [name for name, _ in whole]
    if of_tensorrt:
        manifest["id"] = identity(json.dumps(manifest, sort_keys=True), *designed, *timed)
        del inside[INPUT_FILE]  # trtexec makes up its own
        inside |= script_files(manifest, designed, timed, options, schedule, path.name)
    else:
        base, base_graph = graphs.base()
        inside[base] = base_graph
        names = designed, timed, base
        inside = _with_agent(inside, manifest, names, runtime, options, schedule, path.name)
    write_atomic(path, archive(inside))


def _require_on_a_board(runtime: Runtime, options: Options) -> None:
    require_board_runtime(runtime)
    if options.precision not in PRECISIONS[runtime.name]:
        known = ", ".join(PRECISIONS[runtime.name])
        raise UserError(
            f"--precision {options.precision} is not for {runtime.name} on a CPU; known: {known}"
        )


def _with_agent(
    graphs: Files,
    manifest: dict[str, object],
    names: tuple[list[str], list[str], str],
    runtime: Runtime,
    options: Options,
    schedule: ProfileSchedule,
    archive_name: str,
) -> Files:
    """Return what is in a zip that Python runs: the agent, and its job on ``graphs``."""
    design, whole, base = names
    stages = [
        operations_stage(design, base, schedule.chunk, schedule.rounds, schedule.runs),
        whole_stage(whole, 2 * schedule.validation_rounds, schedule.validation_runs),
    ]
    job = job_of(runtime.name, options, cast(int, manifest["operations"]), stages)
    manifest["id"] = identity(*job.values(), json.dumps(manifest, sort_keys=True))
    files: Files = {**graphs, **job, MANIFEST_FILE: json.dumps(manifest).encode()}
    readme = README.format(
        package=BOARD_RUNTIMES[runtime.name].package, name=archive_name, id=manifest["id"]
    )
    inside = {**agent_files(), "README.txt": readme.encode()}
    inside.update({JOB + name: content for name, content in files.items()})
    return inside


def _unrefined_plan(
    prunable: PrunableModel, runtime: Runtime, options: Options, schedule: ProfileSchedule
) -> Plan:
    """Plan as for a device at hand, with random networks instead of refining ones.

    Where interpolation is least sure shows only once the coarse grid is measured.
    """
    rules = rules_of(runtime.name, options.precision)
    mapped = workload_map(prunable.operations, rules, options.dtype)
    plan = make_plan(prunable, mapped, schedule)
    more = random_networks(
        prunable.widths,
        schedule.refinements * schedule.chunk,
        plan.multiples,
        np.random.default_rng([schedule.seed, 2]),
        LOWEST_SHARE,
    )
    return replace(plan, design=np.concatenate([plan.design, more]))


def _manifest(
    plan: Plan, runtime: Runtime, options: Options, schedule: ProfileSchedule, operations: int
) -> dict[str, object]:
    places: dict[Workload, int] = {}

    def executes(rows: NDArray[np.int64]) -> list[list[int]]:
        return [
            [places.setdefault(one, len(places)) for one in plan.workloads(row)] for row in rows
        ]

    return {
        "runtime": runtime.name,
        "options": options.model_dump(),
        "subject": dict(plan.subject),
        "groups": list(plan.groups),
        "design": plan.design.tolist(),
        "whole": plan.whole.tolist(),
        "design_executes": executes(plan.design),
        "whole_executes": executes(plan.whole),
        "workloads": [workload_fields(one) for one in places],
        "members": [list(unit) for unit in plan.members],
        "operations": operations,
        "schedule": dict(vars(schedule)),
        "fusion": rules_of(runtime.name, options.precision).model_dump(),
    }


def import_results(path: Path, lut: Path, progress: ProfileProgress) -> tuple[LatencyTable, Report]:
    """Make the table of a results file under ``lut``, or add to it what it lacks.

    Raises:
        UserError: the file is damaged, or the folder there is another target's. Nothing is
            written then.
    """
    document = read_document(path)
    read = tensorrt_results if is_of_tensorrt(document) else checked_results
    results = read(document, path)
    into = LatencyTable.open(lut, _target(results))
    folder = into.folder
    with into.locked(), tempfile.TemporaryDirectory(prefix="netadapt-import-") as temporary:
        if folder.exists():
            shutil.copytree(folder, Path(temporary) / folder.name)
        table = LatencyTable.open(Path(temporary), _target(results))
        try:
            report = _fill(table, results, progress)
        except UserError as error:
            raise UserError(str(error).replace(str(table.folder), str(path))) from None
        for name in ("latency.csv", "target.json", "validation.csv"):
            write_atomic(folder / name, (table.folder / name).read_bytes())
    return LatencyTable.load(folder), report


def _fill(table: LatencyTable, results: Results, progress: ProfileProgress) -> Report:
    plan = _plan(results)
    added = len(table.missing(plan.designed()))
    bench = ResultsBench(results)
    # without times of the base network there is no drift to be seen
    drift = Drift() if results.reference_us is None else Drift.since(table, plan)
    measurement = Profile(bench, plan, results.manifest.schedule, table, progress, drift)
    measurement.measure_workloads(plan.design)
    return measurement.validate(added)


def _target(results: Results) -> Target:
    runtime = results.manifest.runtime
    if runtime not in FUSIONS:
        raise UserError(f"unknown runtime {runtime!r}; known: {', '.join(FUSIONS)}")
    precision = results.manifest.options.precision
    return Target(
        device="cuda" if runtime == TENSORRT else "cpu",
        hardware=results.hardware,
        system=results.system,
        runtime=runtime,
        runtime_version=results.runtime_version,
        clock=dict(results.clock),
        date=results.date,
        fusion=results.manifest.fusion or _older_rules(runtime, precision),
        **results.manifest.options.model_dump(),
    )


def _older_rules(runtime: str, precision: str) -> Fusion:
    """The rules of bundles that say none: float graphs upsampled where the network does."""
    rules = rules_of(runtime, precision)
    return rules.model_copy(update={"upsampling_last": precision == "int8"})


def _plan(results: Results) -> Plan:
    manifest = results.manifest
    executed = manifest.executed()
    return Plan(
        groups=tuple(manifest.groups),
        design=np.array(manifest.design, dtype=np.int64),
        whole=np.array(manifest.whole, dtype=np.int64),
        workloads=lambda row: executed[tuple(row.tolist())],
        members=tuple(map(tuple, manifest.members)),
        subject=manifest.subject,
    )


class ResultsBench(Bench):
    """Hands on what was measured elsewhere."""

    def __init__(self, results: Results) -> None:
        self._timing = results.whole()
        measured = results.operations()
        self._operations = {
            tuple(row): us for row, us in zip(results.manifest.design, measured, strict=True)
        }

    def operations(
        self, rows: NDArray[np.int64], chunk: int, rounds: int, runs: int
    ) -> Iterator[OperationRuns]:
        """Return what each of the designed networks took."""
        return (self._operations[tuple(row.tolist())] for row in rows)

    def whole(
        self,
        rows: NDArray[np.int64],
        rounds: int,
        runs: int,
        on_step: Callable[[], None],
    ) -> Timing:
        """Return how long the whole networks took."""
        for _ in range(len(rows) + rounds):
            on_step()
        return self._timing
