"""What of each network can be pruned: its share of parameters and multiply-accumulates.

python benchmarks/shares.py [NETWORK...] [--out benchmarks/results]

A share is what goes when every group is cut to a single step: 1 - cost of the narrowest / cost of
the whole. ``exact`` is what is pruned by default; ``approximate`` is with ``--allow-approximate``.
Multiply-accumulates are those of convolutions and linear layers. Networks of ``families.py``, at
64x64. Writes a row a network to ``prunable.csv``; networks that are named are computed anew, else
those that have no row.
"""

import argparse
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from families import BUILDERS, example, network, read_rows

from netadapt import PrunableModel, trace


def prunable_shares(prunable: PrunableModel) -> tuple[float, float]:
    """Return the shares of parameters and of multiply-accumulates in percent."""
    if not prunable.groups:
        return 0.0, 0.0
    narrowest = {name: group.step for name, group in prunable.groups.items()}
    parameters = prunable.parameter_count(narrowest) / prunable.parameter_count()
    row, full = (prunable.vector(widths) for widths in (narrowest, {}))
    macs = prunable.operations.macs(row) / prunable.operations.macs(full)
    return 100 * (1 - parameters), 100 * (1 - macs)


def row_of(name: str) -> dict[str, Any]:
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
    }


def main() -> None:
    """Compute the rows that are missing, or those named."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("networks", nargs="*", metavar="NETWORK")
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results"))
    given = parser.parse_args()
    given.out.mkdir(parents=True, exist_ok=True)
    path = given.out / "prunable.csv"
    rows = read_rows(path)
    torch.set_num_threads(1)
    for name in given.networks or [name for name in BUILDERS if name not in rows]:
        rows[name] = row_of(name)
        print(rows[name], flush=True)
        pd.DataFrame(rows.values()).to_csv(path, index=False, float_format="%.4g")


if __name__ == "__main__":
    main()
