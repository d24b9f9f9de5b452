"""Kill a search, a training and a profile at each of their writes in turn, and let them go on.

    python benchmarks/faults.py

Each write, of a journal's line, a checkpoint, a batch of a table's rows or anything else, is the
last that one process makes: killed (SIGKILL) in its middle, and once it is whole but has no effect
yet. Writes ``benchmarks/results/faults.md``; fails if what is there in the end differs from what a
command leaves that nobody disturbed. Of a profile, that is which workloads and networks were
measured, and that rows measured before the kill have stayed; latencies are the clock's.
"""

import sys
import tempfile
from pathlib import Path

import torch

from netadapt.files import write_atomic

sys.path.extend(
    str(Path(__file__).parents[1] / "tests" / room)
    for room in ("", "faults", "search", "depth", "profiling")
)

from killable import Command, commands
from mortal import MOMENTS, dies, watched_writes

RESULT = Path(__file__).parent / "results" / "faults.md"


def differing(name: str, command: Command, folder: Path) -> tuple[int, list[str]]:
    """How many writes there are, and the deaths that changed the end."""
    whole = folder / f"{name} undisturbed"
    with watched_writes(whole) as writes:
        command.go_on(whole)
    expected = command.results(whole)
    found = []
    for write in range(1, len(writes) + 1):
        for moment in MOMENTS:
            out = folder / f"{name} {write} {moment}"
            died = dies(command.go_on, out, write, moment)
            command.go_on(out)
            if not died or command.results(out) != expected:
                found.append(f"{name}, write {write}, {moment}")
            print(f"{name}: write {write} of {len(writes)}, {moment}", file=sys.stderr, flush=True)
    return len(writes), found


def main() -> None:
    torch.set_num_threads(1)
    rows = ["| command | writes | kills | ended as if never killed |", "|---|---|---|---|"]
    wrong = []
    with tempfile.TemporaryDirectory() as name:
        for command, what in commands(Path(name)).items():
            writes, found = differing(command, what, Path(name))
            kills = writes * len(MOMENTS)
            rows.append(f"| {command} | {writes} | {kills} | {kills - len(found)} |")
            wrong += found
    said = (
        "Each write was the last of one process, which was killed with SIGKILL in its middle, and "
        "once it was whole but had no effect yet. Of a search and a training all files were "
        "compared, byte for byte; of a profile, which workloads and networks were measured and "
        "that no measured row was lost."
    )
    text = "\n".join(
        [
            "# Killed at every write",
            "",
            "By `python benchmarks/faults.py`.",
            "",
            said,
            "",
            *rows,
            "",
        ]
    )
    write_atomic(RESULT, text)
    print(text)
    if wrong:
        sys.exit(f"differing: {'; '.join(wrong)}")


if __name__ == "__main__":
    main()
