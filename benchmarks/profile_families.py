"""How well one table predicts whole networks, family by family.

python benchmarks/profile_families.py [NETWORK...] [--runtime onnxruntime] [--brief] [--again]
    [--lut work/lut-families] [--out benchmarks/results]

Each network of ``families.py`` is traced at 64x64 and profiled into the table of this machine; then
networks that are in no fit are timed whole, twice, and held against the prediction. Writes a row a
network to ``families-RUNTIME.csv``: ``error_mean`` and ``error_max`` of the prediction and
``repeats_to`` (the same networks measured twice), all in percent, or why it cannot be profiled.
Networks that are named are measured, in place of their rows; else those that have no row yet, so
that an interrupted run goes on (``--again`` also tries those whose row names a problem). The rows
are also written as a table for people, ``families-RUNTIME.md``. ``--brief`` measures as little as
it can, to see that all of it runs; its figures mean nothing, and its rows and its latency table go
to files of their own.
"""

import argparse
import time
from dataclasses import replace
from functools import partial
from multiprocessing import Pool
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from families import BUILDERS, example, network, read_rows

from netadapt import trace
from netadapt.errors import UserError
from netadapt.latency.table import LatencyTable
from netadapt.latency.validation import load_validation
from netadapt.profiling.devices import load_device
from netadapt.profiling.profiler import profile
from netadapt.profiling.runtimes import load_runtime
from netadapt.profiling.schedule import ProfileSchedule

USUAL = ProfileSchedule(
    rounds=4, refinements=1, calibration_networks=10, validation_networks=20, validation_rounds=6
)
BAR_PERCENT = 3.0
BRIEF = ProfileSchedule(
    levels=2,
    rounds=1,
    runs=1,
    refinements=0,
    calibration_networks=2,
    validation_networks=2,
    validation_rounds=2,
    validation_runs=1,
)


class Silent:
    """Nobody watches the profile."""

    def started(self, stage: str, total: int) -> None:
        """Do nothing."""

    def advanced(self) -> None:
        """Do nothing."""


def measured(name: str, runtime: str, lut: Path, brief: bool, approximate: bool) -> dict[str, Any]:
    """Profile one network; return its row."""
    torch.set_num_threads(1)
    start = time.perf_counter()
    row: dict[str, Any] = {"network": name, "problem": ""}
    try:
        prunable = trace(network(name), example(name), allow_approximate=approximate)
        row["groups"] = len(prunable.groups)
        target = load_device("cpu").target(load_runtime(runtime))
        table = LatencyTable.open(lut, target)
        schedule = BRIEF if brief else replace(USUAL)
        report = profile(prunable, table, Silent(), schedule)
    except Exception as problem:  # of any class: the others are to be measured all the same
        return row | {"problem": problem_of(problem), "seconds": time.perf_counter() - start}
    validation = load_validation(table.folder)
    error = np.abs(validation["predicted_ms"] / validation["measured_ms"] - 1) * 100
    return row | {
        "workloads": report.workloads,
        "networks": len(validation),
        "slowest_ms": float(validation["measured_ms"].max()),
        "fastest_ms": float(validation["measured_ms"].min()),
        "error_mean": float(error.mean()),
        "error_max": float(error.max()),
        "repeats_to": report.repeatability,
        "spearman": report.spearman,
        "seconds": time.perf_counter() - start,
    }


def problem_of(error: Exception) -> str:
    """Return what went wrong in one line."""
    text = " ".join(str(error).split())[:200]
    return text if isinstance(error, UserError) else f"{type(error).__name__}: {text}"


def written(rows: list[dict[str, Any]], runtime: str) -> str:
    """Return the rows as a page, the best predicted first."""
    done = sorted((row for row in rows if not row["problem"]), key=lambda row: row["error_mean"])
    within = sum(row["error_mean"] <= BAR_PERCENT for row in done)
    lines = [
        f"# How well one {runtime} table predicts networks of many families",
        "",
        f"`python benchmarks/profile_families.py --runtime {runtime}`: inputs of 64x64, one",
        "thread, fp32. Errors are those of whole networks that are in no fit; the clock repeats to",
        "what the same networks gave when they were measured again.",
        f"{within} of {len(done)} networks are predicted to {BAR_PERCENT:g} % on average.",
        "",
        "| network | groups | networks | latency, ms | error, mean | error, largest "
        "| the clock repeats to |",
        "|---|---|---|---|---|---|---|",
    ]
    lines += [
        f"| {row['network']} | {row['groups']:.0f} | {row['networks']:.0f} "
        f"| {row['fastest_ms']:.2f} to {row['slowest_ms']:.2f} | {row['error_mean']:.1f} % "
        f"| {row['error_max']:.1f} % | {row['repeats_to']:.1f} % |"
        for row in done
    ]
    failed = [f"- {row['network']}: {row['problem']}" for row in rows if row["problem"]]
    return "\n".join([*lines, *(["", "Not profiled:", "", *failed] if failed else []), ""])


def main() -> None:
    """Profile the networks named, or those that have no row, and write the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("networks", nargs="*", metavar="NETWORK")
    parser.add_argument("--runtime", default="onnxruntime")
    parser.add_argument("--brief", action="store_true")
    parser.add_argument("--again", action="store_true")
    parser.add_argument("--allow-approximate", action="store_true")
    parser.add_argument("--lut", type=Path, default=Path("work/lut-families"))
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results"))
    given = parser.parse_args()
    given.out.mkdir(parents=True, exist_ok=True)
    suffix = "-brief" if given.brief else ""
    suffix += "-approximate" if given.allow_approximate else ""
    path = given.out / f"families-{given.runtime}{suffix}.csv"
    rows = read_rows(path)
    known = {name for name, row in rows.items() if not (given.again and row["problem"])}
    names = given.networks or [name for name in BUILDERS if name not in known]
    measure = partial(
        measured,
        runtime=given.runtime,
        lut=given.lut.with_name(given.lut.name + suffix),
        brief=given.brief,
        approximate=given.allow_approximate,
    )
    with Pool(1, maxtasksperchild=1) as pool:  # the exporter keeps what it has traced
        for row in pool.imap(measure, names):
            rows[row["network"]] = row
            pd.DataFrame(rows.values()).to_csv(path, index=False, float_format="%.4g")
            path.with_suffix(".md").write_text(written(list(rows.values()), given.runtime))
            if row["problem"]:
                print(f"{row['network']}: {row['problem']}", flush=True)
            else:
                print(
                    f"{row['network']}: error {row['error_mean']:.2f} % on average, "
                    f"{row['error_max']:.1f} % at most, repeats to {row['repeats_to']:.2f} %, "
                    f"{row['seconds']:.0f} s",
                    flush=True,
                )


if __name__ == "__main__":
    main()
