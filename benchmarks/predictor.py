"""How many width vectors a second the predictor evaluates (bar: 100,000).

python benchmarks/predictor.py lut/SLUG HxW
"""

import statistics
import sys
import time

import numpy as np
import torch

from netadapt import LatencyPredictor, LatencyTable, load_model, trace
from netadapt.profiling.design import random_networks

COUNT, ROUNDS = 50_000, 7


def main() -> None:
    table = LatencyTable.load(sys.argv[1])
    height, width = map(int, sys.argv[2].split("x"))
    prunable = trace(load_model("fastdepth"), torch.rand(table.target.batch, 3, height, width))
    predictor = LatencyPredictor(prunable, table)
    widths = random_networks(prunable.widths, COUNT, 8, np.random.default_rng(0))
    predictor.batch(widths)
    rates = []
    for _ in range(ROUNDS):
        start = time.perf_counter()
        predictor.batch(widths)
        rates.append(COUNT / (time.perf_counter() - start))
    print(
        f"median {statistics.median(rates):,.0f} width vectors/s, {min(rates):,.0f} to "
        f"{max(rates):,.0f} over {ROUNDS} rounds of {COUNT:,}"
    )


if __name__ == "__main__":
    main()
