"""``netadapt search``."""

import shlex
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from netadapt.checksums import Resuming
from netadapt.cli.common import BadSample, Loss, NoDevice, counted, say, with_task_options_of_depth
from netadapt.cli.declared import with_options
from netadapt.cli.report import tell_of_page
from netadapt.cli.resuming import resumable
from netadapt.errors import UserError
from netadapt.factories import trust_words
from netadapt.options import NETWORK, OUTPUT
from netadapt.search.settings import SearchSettings

if TYPE_CHECKING:
    from netadapt.cli.search_view import SearchView
    from netadapt.search.search_run import SearchRun


@with_options(SearchSettings, Resuming)
def search(
    checkpoint: Annotated[
        str | None,
        typer.Option(
            help="Trained network to start from; the same as --model. [default: none]",
            rich_help_panel=NETWORK,
            metavar="FILE",
        ),
    ] = None,
    loss: Loss = None,
    on_bad_sample: BadSample = None,
    out: Annotated[
        Path | None,
        typer.Option(
            help="Folder of the run. [default: a new one under search_runs/]",
            rich_help_panel=OUTPUT,
            metavar="FOLDER",
        ),
    ] = None,
    resume: Annotated[
        bool,
        typer.Option(
            "--resume",
            help="Continue the run in --out; it remembers all other options. [default: off]",
            rich_help_panel=OUTPUT,
            show_default=False,
        ),
    ] = False,
    device: NoDevice = None,
    **given: Any,
) -> None:
    """Search: make a network narrower until it meets its budgets, and keep the front."""
    model = given.pop("model", None)
    if checkpoint and model:
        raise UserError("give --checkpoint or --model, not both")
    if resume and out is None:
        raise UserError("--resume needs --out, the run to continue")
    given = with_task_options_of_depth(given, loss=loss, on_bad_sample=on_bad_sample)
    from netadapt.cli.search_view import SearchView
    from netadapt.search.start import default_folder

    base = model or checkpoint
    folder = out or default_folder(base or "")
    view = SearchView()

    def again() -> str | None:
        if not any((folder / name).exists() for name in ("run.json", "targets.json", "sizes.json")):
            return None
        return f"netadapt search --resume --out {shlex.quote(str(folder))}{_again(given)}"

    with resumable(again), closing(view):
        results = _searched(base, folder, resume, view, given)
    for result in results:
        _tell(result)
        tell_of_page(result.folder)
    if len(results) > 1:
        runs = " ".join(str(result.folder) for result in results)
        say(f"all fronts in one picture: netadapt plot {runs} --out fronts.png")
        tell_of_page(folder)


def _searched(
    base: str | None, folder: Path, resume: bool, view: "SearchView", given: dict[str, Any]
) -> "list[SearchRun]":
    from netadapt.api import search, search_targets
    from netadapt.search.targets import is_for_targets

    if resume and is_for_targets(folder):
        if base or "lut" in given or "budget_ms" in given:
            raise UserError(
                f"{folder} holds searches for several targets, which remember their own options; "
                "resume them with --resume --out alone"
            )
        runs = search_targets([], checkpoint="", out=folder, resume=True, progress=view, **given)
        return list(runs.values())
    luts, budgets = given.pop("lut", ()), given.pop("budget_ms", ())
    if len(luts) > 1:
        if base is None:
            raise UserError("a search needs --checkpoint (or --model)")
        runs = search_targets(
            luts, checkpoint=base, budget_ms=budgets, out=folder, progress=view, **given
        )
        return list(runs.values())
    if len(budgets) > 1:
        raise UserError(f"{len(budgets)} budgets for one table; give one --budget-ms")
    given["lut"], given["budget_ms"] = next(iter(luts), None), next(iter(budgets), None)
    return [search(base, out=folder, resume=resume, progress=view, **given)]


def _again(given: dict[str, Any]) -> str:
    """Return the options that the command needs again to resume this run."""
    address = f" --address {given['address']}" if "address" in given else ""
    return address + trust_words()


def _tell(result: "SearchRun") -> None:
    if result.predicted_only:
        say(f"latencies are predicted, not measured: {result.predicted_only}")
    for note in result.notes:
        say(note)
    samples = result.summary["training_samples"]
    if samples is not None:
        say(f"training images read: {', '.join(f'{n} {stage}' for stage, n in samples.items())}")
    say(f"front of {counted(len(result.front), 'point')} in {result.folder / 'pareto.csv'}")
    print(result.final)
