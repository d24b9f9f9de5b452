"""A table against the clock: its validation, and FastDepth at given widths.

The widths are the full ones, those of the official pruned network, and a half, a quarter and an
eighth of every group.

python benchmarks/table_accuracy.py lut/SLUG [HxW]

Bars (onnxruntime, 224x224): error <= 2 % on average, >= 98 % of networks within 5 %, Spearman
>= 0.995; the official pruned widths predicted within 2 %. The table's target must be this machine.
"""

import sys

import numpy as np
import torch

from netadapt import LatencyPredictor, LatencyTable, load_model, trace
from netadapt.depth.models.fastdepth import fastdepth_widths
from netadapt.latency.validation import load_validation, summarise
from netadapt.profiling.devices import load_device
from netadapt.profiling.measurement import require_attached
from netadapt.profiling.plan import with_typical_statistics
from netadapt.profiling.profiler import typical_ms

# the widths of the released pruned network
ENCODER = (16, 56, 88, 120, 144, 256, 408, 376, 272, 288, 296, 328, 480, 512)
DECODER = (200, 256, 120, 56, 16)
ROUNDS, RUNS = 20, 5


def main() -> None:
    table = LatencyTable.load(sys.argv[1])
    height, width = map(int, (sys.argv[2] if len(sys.argv) > 2 else "224x224").split("x"))
    require_attached(table.target)
    report = summarise(load_validation(table.folder))
    print(
        f"{table.target.slug}: error {report.mape:.2f} %, {report.within_5:.0f} % within 5 %, "
        f"{report.within_10:.0f} % within 10 %, Spearman {report.spearman:.4f}, "
        f"repeatability {report.repeatability:.2f} %"
    )
    prunable = trace(load_model("fastdepth"), torch.rand(table.target.batch, 3, height, width))
    official = fastdepth_widths(ENCODER, DECODER)
    networks = {"unpruned": {}, "official pruned widths": official}
    for part in (2, 4, 8):
        networks[f"1/{part} of every group"] = {
            name: max(8, full // part // 8 * 8) for name, full in prunable.widths.items()
        }
    rows = np.stack([prunable.vector(widths) for widths in networks.values()])
    predicted = LatencyPredictor(prunable, table).batch(rows)
    device = load_device(table.target.device)
    with device.bench(with_typical_statistics(prunable), table.target) as bench:
        timing = bench.whole(rows, ROUNDS, RUNS, lambda: None)
    measured = typical_ms(timing.seconds)
    spread = np.quantile(timing.seconds.reshape(len(rows), -1) * 1000, (0.1, 0.9), axis=1)
    for place, name in enumerate(networks):
        print(
            f"{name}: predicted {predicted[place]:.3f} ms, measured {measured[place]:.3f} ms "
            f"(p10 {spread[0, place]:.3f}, p90 {spread[1, place]:.3f}), "
            f"error {(predicted[place] / measured[place] - 1) * 100:+.2f} %"
        )


if __name__ == "__main__":
    main()
