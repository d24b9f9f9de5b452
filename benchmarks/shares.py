"""What of each network can be pruned: its share of parameters, multiply-accumulates and latency.

python benchmarks/shares.py [NETWORK...] [--lut lut/SLUG] [--out benchmarks/results]

A share is what goes when every group is cut to a single step: 1 - cost of the narrowest / cost of
the whole. ``exact`` is what is pruned by default; ``approximate`` is with ``--allow-approximate``.
``exact_latency`` is what goes, by the table of ``--lut``, when every group is cut to the eighth of
its channels down to which a profile measures; empty where the table does not know the network
(``profile_families.py`` fills one). Networks of ``families.py``, at 64x64. Writes a row a network
to ``prunable.csv``, and all rows as a table for people to ``prunable.md``; networks that are named
are computed anew, else those that have no row.
"""

import argparse
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from families import BUILDERS, example, network, read_rows

from netadapt import LatencyPredictor, LatencyTable, PrunableModel, trace
from netadapt.errors import UserError
from netadapt.profiling.design import extreme_networks
from netadapt.profiling.plan import multiples_of
from netadapt.profiling.schedule import ProfileSchedule


def prunable_shares(prunable: PrunableModel) -> tuple[float, float]:
    """Return the shares of parameters and of multiply-accumulates in percent."""
    if not prunable.groups:
        return 0.0, 0.0
    narrowest = {name: group.step for name, group in prunable.groups.items()}
    parameters = prunable.parameter_count(narrowest) / prunable.parameter_count()
    row, full = (prunable.vector(widths) for widths in (narrowest, {}))
    macs = prunable.operations.macs(row) / prunable.operations.macs(full)
    return 100 * (1 - parameters), 100 * (1 - macs)


def latency_share(prunable: PrunableModel, table: LatencyTable | None) -> float | None:
    """Return the share of the predicted latency in percent; ``None`` where no table tells it."""
    if table is None or not prunable.groups:
        return None
    multiple = multiples_of(prunable, ProfileSchedule().channel_multiple)
    try:
        predictor = LatencyPredictor(prunable, table)
        narrow, whole = predictor.batch_or_nan(extreme_networks(prunable.widths, multiple))
    except UserError:
        return None
    share = round(100 * (1 - narrow / whole), 1)
    return None if np.isnan(share) else share


def row_of(name: str, table: LatencyTable | None) -> dict[str, Any]:
    """Trace a network in both ways."""
    model, image = network(name), example(name)
    exact, approximate = (trace(model, image, allow_approximate=way) for way in (False, True))
    shares = [*prunable_shares(exact), *prunable_shares(approximate)]
    columns = [f"{way}_{what}" for way in ("exact", "approximate") for what in ("params", "macs")]
    return {
        "network": name,
        "params_m": exact.parameter_count() / 1e6,
        "macs_m": exact.operations.macs(exact.vector({})) / 1e6,
        "groups": len(exact.groups),
        "groups_approximate": len(approximate.groups),
        **dict(zip(columns, np.round(shares, 1).tolist(), strict=True)),
        "exact_latency": latency_share(exact, table),
    }


def written(rows: list[dict[str, Any]]) -> str:
    """Return the rows as a table, what can be pruned most first."""
    known = any(row.get("exact_latency") is not None for row in rows)
    head = ["network", "parameters", "MACs", "groups", "share of parameters", "share of MACs"]
    head += ["share of latency"] * known + ["with `--allow-approximate`: parameters", "MACs"]
    lines = [f"| {' | '.join(head)} |", "|---" * len(head) + "|"]
    for row in sorted(rows, key=lambda row: -row["exact_macs"]):
        latency = row.get("exact_latency")
        cells = [
            row["network"],
            f"{row['params_m']:.1f} M",
            f"{row['macs_m']:.0f} M",
            f"{row['groups']:.0f}",
            f"{row['exact_params']:.0f} %",
            f"{row['exact_macs']:.0f} %",
            *(["" if latency is None else f"{latency:.0f} %"] if known else []),
            *_approximate(row),
        ]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join([*lines, ""])


def _approximate(row: dict[str, Any]) -> list[str]:
    """The shares with the option, where it gives more."""
    if row["groups_approximate"] == row["groups"]:
        return ["", ""]
    return [f"{row['approximate_params']:.0f} %", f"{row['approximate_macs']:.0f} %"]


def main() -> None:
    """Compute the rows that are missing, or those named."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("networks", nargs="*", metavar="NETWORK")
    parser.add_argument("--lut", type=Path)
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results"))
    given = parser.parse_args()
    given.out.mkdir(parents=True, exist_ok=True)
    path = given.out / "prunable.csv"
    rows = read_rows(path)
    table = LatencyTable.load(given.lut) if given.lut else None
    torch.set_num_threads(1)
    for name in given.networks or [name for name in BUILDERS if name not in rows]:
        rows[name] = row_of(name, table)
        print(rows[name], flush=True)
        pd.DataFrame(rows.values()).to_csv(path, index=False, float_format="%.4g")
    path.with_suffix(".md").write_text(written(list(rows.values())))


if __name__ == "__main__":
    main()
