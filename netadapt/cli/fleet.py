"""``netadapt profile-lut --devices``."""

from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from netadapt.cli.common import print_json, say
from netadapt.errors import UserError
from netadapt.profiling.request import ProfileRequest

if TYPE_CHECKING:
    from netadapt.profiling.fleet import Outcome
    from netadapt.pruning import PrunableModel


def measure_fleet(
    devices: Path,
    model: str,
    request: ProfileRequest,
    as_json: bool,
) -> None:
    """Profile the devices of a file side by side.

    Raises:
        UserError: a wrong file or network; or, after all have come to an end, how many have
            dropped out.
    """
    from netadapt.cli.models import load_with_input, say_if_fresh
    from netadapt.profiling.fleet import profile_fleet, read_fleet

    fleet = read_fleet(devices)
    load_with_input(model, request.input_size, inputs=request.inputs, output=request.output)
    say_if_fresh(model)
    outcomes = profile_fleet(
        fleet,
        partial(_traced, model, request),
        Path(request.lut),
        _Lines(),
        channel_multiple=request.channel_multiple,
    )
    if as_json:
        print_json({"devices": {name: _facts(outcome) for name, outcome in outcomes.items()}})
    else:
        for outcome in outcomes.values():
            if outcome.failure is None:
                print(outcome.folder)
    lost = [name for name, outcome in outcomes.items() if outcome.failure is not None]
    if lost:
        raise UserError(
            f"{len(lost)} of {len(fleet)} devices dropped out: {', '.join(lost)}; "
            "give the same command again to go on with them"
        )


def _traced(model: str, request: ProfileRequest, batch: int) -> "PrunableModel":
    from netadapt.cli.models import load_with_input
    from netadapt.pruning import trace

    network = load_with_input(model, request.input_size, batch, request.inputs, request.output)
    return trace(*network, request.lock, request.allow_approximate)


def _facts(outcome: "Outcome") -> dict[str, Any]:
    report = {} if outcome.report is None else asdict(outcome.report)
    return {"lut": outcome.folder, **report, "failure": outcome.failure}


class _Lines:
    """A line for every stage of every device."""

    def started(self, device: str, stage: str, total: int) -> None:
        say(f"{device}: {stage}, {total} steps")

    def advanced(self, device: str) -> None:
        pass

    def finished(self, device: str, outcome: "Outcome") -> None:
        report = outcome.report
        if report is None:
            say(f"{device}: dropped out: {outcome.failure}")
            return
        say(
            f"{device}: {outcome.folder}: {report.added} of {report.workloads} workloads measured "
            f"now; whole networks: error {report.mape:.2f} %, twice {report.repeatability:.2f} %"
        )
