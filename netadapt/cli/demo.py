"""``netadapt demo``: the whole way in a few minutes, on procedural rooms."""

import shlex
from importlib.resources import files
from pathlib import Path
from typing import Annotated

import typer

from netadapt.cli.common import say
from netadapt.cli.resuming import resumable

BASE = files("netadapt") / "depth" / "weights" / "rooms.safetensors"  # benchmarks/bases.py
DATA = "synthetic:2000"
SPEEDUP = 2
HERE = Path("demo")


def demo(
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
        _all_steps(out)


def _all_steps(out: Path) -> None:
    from netadapt.files import write_atomic
    from netadapt.profiling.devices import load_device
    from netadapt.profiling.runtimes import load_runtime

    base, lut, run = out / "base.safetensors", out / "lut", out / "run"
    if not base.exists():
        write_atomic(base, BASE.read_bytes())
    table = lut / load_device("cpu").target(load_runtime("onnxruntime")).slug
    if not (table / "validation.csv").exists():
        _run(f"profile-lut --device cpu --model {_word(base)} --lut {_word(lut)}")
    if (run / "run.json").exists():
        _run(f"search --resume --out {_word(run)}")
    else:
        _run(
            f"search --checkpoint {_word(base)} --data {DATA} --loss l1-log "
            f"--task-option augmentation=mild --lut {_word(table)} --speedup {SPEEDUP} "
            "--strategy netadapt-fast --initial-reduction 0.035 --decay 1 --short-steps 10 "
            f"--long-steps 150 --long-points 8 --long-lr 5e-4 --out {_word(run)}"
        )
    _run(f"plot {_word(run)}")
    plots = run / "plots"
    say(f"\nPhotographs, truth, base and pruned network: {plots / 'samples.png'}")
    say(f"The front: {plots / 'front.png'}")
    say(f"The page to look at: {run / 'report.html'}")


def _run(command: str) -> None:
    """Show a command and run it as if it had been typed."""
    from netadapt.cli.main import INTERRUPTED, app

    say(f"\n$ netadapt {command}")
    if app(shlex.split(command), standalone_mode=False) == INTERRUPTED:
        raise KeyboardInterrupt


def _word(path: Path) -> str:
    return shlex.quote(str(path))
