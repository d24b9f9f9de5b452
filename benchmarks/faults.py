"""Kill a search at every line of its journal in turn, resume it, and compare all that it wrote.

    python benchmarks/faults.py

Each line is killed before it is written, in its middle, and after it (SIGKILL). Writes
``benchmarks/results/faults.md``; fails if a file differs from the search that nobody disturbed.
"""

import multiprocessing
import signal
import sys
import tempfile
from pathlib import Path

import torch

import netadapt
from netadapt.files import write_atomic

sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "search"))

from faulty import faulty_case
from search_case import search_until

MOMENTS = ("before", "torn", "after")
RESULT = Path(__file__).parent / "results" / "faults.md"


def written(out: Path) -> dict[str, bytes]:
    """Everything that a run wrote, but for where it says it lies."""
    files = [path for path in out.rglob("*") if path.is_file() and path.name != "run.lock"]
    return {str(path.relative_to(out)): path.read_bytes() for path in files}


def killed_and_resumed(case: dict[str, object], out: Path, line: int, moment: str) -> None:
    child = multiprocessing.get_context("forkserver").Process(
        target=search_until, args=(case, out, line, moment)
    )
    child.start()
    child.join()
    if child.exitcode != -signal.SIGKILL:
        sys.exit(f"the search was not killed {moment} line {line}: it ended with {child.exitcode}")
    netadapt.search(out=out, resume=True)


def main() -> None:
    torch.set_num_threads(1)
    multiprocessing.get_context("forkserver").set_forkserver_preload(["search_case", "faulty"])
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        case = faulty_case(folder)
        netadapt.search(**case, out=folder / "undisturbed")
        expected = written(folder / "undisturbed")
        lines = expected["journal.jsonl"].count(b"\n")
        differing = []
        for line in range(1, lines + 1):
            for moment in MOMENTS:
                out = folder / f"{line}-{moment}"
                killed_and_resumed(case, out, line, moment)
                if written(out) != expected:
                    differing.append(f"{moment} line {line}")
                print(f"{moment} line {line} of {lines}", file=sys.stderr, flush=True)
    kills = lines * len(MOMENTS)
    text = (
        "# Killed at every event\n\nBy `python benchmarks/faults.py`.\n\n"
        f"A search of {lines} journal lines was killed with SIGKILL at each: before the line was "
        f"written, in its middle, after it; {kills} kills. Resumed, {kills - len(differing)} of "
        f"them ended with {len(expected)} files equal byte for byte to the undisturbed search's.\n"
    )
    write_atomic(RESULT, text)
    print(text)
    if differing:
        sys.exit(f"differing: {', '.join(differing)}")


if __name__ == "__main__":
    main()
