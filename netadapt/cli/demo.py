"""``netadapt demo``: the whole way in a few minutes, on procedural rooms."""

import shlex
from importlib.resources import files
from pathlib import Path
from typing import Annotated, Any

import typer

from netadapt.cli.common import say
from netadapt.cli.resuming import resumable

BASE = files("netadapt") / "depth" / "weights" / "rooms.safetensors"  # benchmarks/bases.py
DATA = "synthetic:2000"
SPEEDUP = 2
HERE = Path("demo")


def demo(
    context: typer.Context,
    out: Annotated[
        Path, typer.Option(metavar="FOLDER", help="Folder for everything that the demo makes.")
    ] = HERE,
) -> None:
    """Make a depth network twice as fast on this machine: profile, search, plot.

    The network comes with netadapt: FastDepth, half as wide, trained on procedural rooms. Every
    step is a command you could have typed. An interrupted demo goes on where it stopped.
    """
    again = "netadapt demo" + (f" --out {shlex.quote(str(out))}" if out != HERE else "")
    with resumable(lambda: again):
        _all_steps(context.find_root().command, out)


def _all_steps(netadapt: Any, out: Path) -> None:
    from netadapt.files import write_atomic
    from netadapt.profiling.devices import load_device
    from netadapt.profiling.runtimes import load_runtime

    base, lut, run = out / "base.safetensors", out / "lut", out / "run"
    if not base.exists():
        write_atomic(base, BASE.read_bytes())
    table = lut / load_device("cpu").target(load_runtime("onnxruntime")).slug
    if not (table / "validation.csv").exists():
        _run(netadapt, f"profile-lut --device cpu --model {_word(base)} --lut {_word(lut)}")
    if (run / "run.json").exists():
        _run(netadapt, f"search --resume --out {_word(run)}")
    else:
        _run(
            netadapt,
            f"search --checkpoint {_word(base)} --data {DATA} --loss l1-log "
            f"--task-option augmentation=mild --lut {_word(table)} --speedup {SPEEDUP} "
            "--initial-reduction 0.035 --decay 1 --saliency-batches 4 "
            f"--short-steps 10 --long-steps 80 --long-points 7 --long-lr 5e-4 --out {_word(run)}",
        )
    _run(netadapt, f"plot {_word(run)}")
    plots = run / "plots"
    say(f"\nPhotographs, truth, base and pruned network: {plots / 'samples.png'}")
    say(f"The front: {plots / 'front.png'}")
    say(f"The page to look at: {run / 'report.html'}")


def _run(netadapt: Any, command: str) -> None:
    """Show a command and run it as if it had been typed."""
    say(f"\n$ netadapt {command}")
    with netadapt.make_context("netadapt", shlex.split(command)) as context:
        context.command.invoke(context)


def _word(path: Path) -> str:
    return shlex.quote(str(path))
