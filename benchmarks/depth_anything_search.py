"""A small network of the kind of Depth Anything, from real frames to a front by the clock.

python benchmarks/depth_anything_search.py DATA [--out work/depth-anything] [--steps 300]
    [--speedup 1.5] [--allow-approximate]

DATA is what ``--data`` takes, such as ``pairs:DIR`` or ``nyu:DIR``. Trains the network of
``tests/depth/depth_anything.py`` from fresh weights at 96x128, profiles it on onnxruntime, and
searches it to the given speed-up; the front's latencies are measured at the end. Each step goes on
where it was interrupted. So short a training says that the way works, not how accurate such a
network can be.
"""

import argparse
import os
import sys
from pathlib import Path

import netadapt

sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "depth"))
os.environ["NETADAPT_TRUST"] = "depth_anything"  # the checkpoints name it

SIZE = (96, 128)


def main() -> None:
    """Train, profile, search; print the front."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data")
    parser.add_argument("--out", type=Path, default=Path("work/depth-anything"))
    parser.add_argument("--steps", type=int, default=300)
    parser.add_argument("--speedup", type=float, default=1.5)
    parser.add_argument("--allow-approximate", action="store_true")
    given = parser.parse_args()
    base = given.out / "base" / "model.safetensors"
    if (given.out / "base").exists():
        netadapt.train(out=given.out / "base", resume=True)
    else:
        netadapt.train(
            "depth_anything:network",
            given.data,
            given.out / "base",
            input_size=SIZE,
            steps=given.steps,
            batch_size=8,
            optimizer="adamw",
            lr=5e-4,
            schedule="onecycle",
        )
    approximate = given.allow_approximate
    table = netadapt.profile(base, lut=given.out / "lut", allow_approximate=approximate)
    run = given.out / ("run-approximate" if approximate else "run")
    if (run / "run.json").exists():
        found = netadapt.search(out=run, resume=True)
    else:
        found = netadapt.search(
            base,
            data=given.data,
            lut=table.folder,
            speedup=given.speedup,
            out=run,
            strategy="netadapt-fast",
            batch_size=8,
            initial_reduction=0.08,
            short_steps=10,
            long_steps=100,
            long_points=3,
            allow_approximate=approximate,
        )
    columns = [name for name in found.front.columns if "ms" in name or name.startswith("delta1")]
    print(found.front[columns].to_string(index=False))
    print(found.final, found.report)


if __name__ == "__main__":
    main()
