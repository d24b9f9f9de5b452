"""How many procedural rooms a second one core renders (bar: 60 at 128x128).

python benchmarks/synthetic.py
"""

import statistics
import time

from netadapt.depth.data.rooms.layout import make_scene
from netadapt.depth.data.rooms.render import render

SIZE = (128, 128)
BATCH, ROUNDS = 40, 7


def main() -> None:
    rates, cpu_rates = [], []
    for round_ in range(ROUNDS):
        start, cpu = time.perf_counter(), time.process_time()
        for seed in range(round_ * BATCH, (round_ + 1) * BATCH):
            render(make_scene(seed), *SIZE)
        rates.append(BATCH / (time.perf_counter() - start))
        cpu_rates.append(BATCH / (time.process_time() - cpu))
    for name, values in (("wall", rates), ("cpu", cpu_rates)):
        print(
            f"{name}: median {statistics.median(values):.0f} images/s at {SIZE[0]}x{SIZE[1]}, "
            f"{min(values):.0f} to {max(values):.0f} over {ROUNDS} rounds of {BATCH}"
        )


if __name__ == "__main__":
    main()
