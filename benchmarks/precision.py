"""Networks at the precisions that they are deployed in, side by side on this machine.

python benchmarks/precision.py table OUT.jsonl base=CKPT published=CKPT pruned-fp32=CKPT ours=CKPT
    [--data DATA]
python benchmarks/precision.py ranges [CHECKPOINT]

``table`` times every network at every precision in interleaved rounds and prints each as a share
of the first network's fp32 latency in onnxruntime, the median over rounds. The rounds are appended
to OUT.jsonl; started again with the same arguments, it adds to them. For each network but the first
a line says what "prune, then quantise" gives: name one that was searched for in fp32. With
``--data`` it also scores the networks in fp32, as int8 files and in bf16, as OpenVINO computes it.
Networks run at the size that they were trained at.

``ranges`` shows that the ranges of an int8 graph do not change its time: one network, quantised
with the ranges that tables are profiled with, with those of real images, and with each of these a
hundred times as wide and as narrow.
"""

import argparse
import json
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path

import numpy as np
import onnx
import openvino
import torch
from onnxruntime.quantization.calibrate import TensorData, TensorsData
from torch import nn

from netadapt import export, load_model
from netadapt.deployment.exporter import exported_program
from netadapt.deployment.quantise import Ranges, observed_ranges, quantised
from netadapt.deployment.rewrites import commute_upsampling, simplified
from netadapt.latency.target import Options
from netadapt.models import ModelSpec
from netadapt.profiling.agent.onnxruntime import OnnxSession
from netadapt.profiling.agent.session import Session
from netadapt.profiling.agent.timing import interleaved
from netadapt.profiling.devices import load_device
from netadapt.profiling.runtimes import load_runtime
from netadapt.profiling.runtimes.loaders import loader_for
from netadapt.training.calibration import calibration_frames
from netadapt.training.tasks import open_task

WAYS = (
    ("onnxruntime", "fp32"),
    ("onnxruntime", "int8"),
    ("openvino", "fp32"),
    ("openvino", "bf16"),
    ("openvino", "int8"),
    ("executorch", "fp32"),
    ("executorch", "int8"),
)
RUNS = 5  # of each session in a round
FRAMES = 64
UNTRAINED_SIZE = (224, 224)

Seconds = dict[str, list[float]]  # of one round, by network and way


def table(out: Path, networks: Mapping[str, str], rounds: int, data: str | None) -> None:
    """Time ``networks``, add the rounds to ``out`` and print the table."""
    done = [json.loads(line) for line in out.read_text().splitlines()] if out.exists() else []
    if done and done[0] != header(networks):
        raise SystemExit(f"{out} is of other networks or another machine; name another file")
    with out.open("a", encoding="utf-8") as file:
        if not done:
            file.write(json.dumps(header(networks)) + "\n")
        for one in timed_rounds(sessions_of(networks), rounds, seed=len(done)):
            file.write(json.dumps(one) + "\n")
            file.flush()
    show(out)
    if data is not None:
        show_scores(networks, data)


def header(networks: Mapping[str, str]) -> dict[str, object]:
    """What must agree for rounds to be put together."""
    target = load_device("cpu").target(load_runtime("onnxruntime"))
    return {
        "networks": dict(networks),
        "hardware": target.hardware,
        "ways": [list(w) for w in WAYS],
    }


def sessions_of(networks: Mapping[str, str]) -> dict[str, Session]:
    """Load every network in every way."""
    found = {}
    for name, reference in networks.items():
        model = load_model(reference).eval()
        example = noise_for(model)
        for runtime, precision in WAYS:
            options = Options.parse(precision=precision)
            target = load_device("cpu").target(load_runtime(runtime), options)
            session = loader_for(model, example, target).session(model)
            found[f"{name} {runtime} {precision}"] = session
    return found


def size_of(model: nn.Module) -> tuple[int, int]:
    """Return ``(H, W)`` of the images that ``model`` was trained with."""
    assert isinstance(model.spec, ModelSpec)
    return model.spec.input_size or UNTRAINED_SIZE


def noise_for(model: nn.Module) -> torch.Tensor:
    """Return a ``(1, 3, H, W)`` random image."""
    return torch.rand(1, 3, *size_of(model), generator=torch.Generator().manual_seed(0))


def timed_rounds(sessions: Mapping[str, Session], rounds: int, seed: int) -> Iterator[Seconds]:
    """Yield rounds in which every session runs ``RUNS`` times, in a new order each round."""
    order = np.random.default_rng(seed)
    with ExitStack() as stack:
        for session in sessions.values():
            stack.callback(session.close)
        for _ in range(rounds):
            timing = interleaved(list(sessions.values()), 1, RUNS, order=order)
            yield dict(zip(sessions, timing.seconds[:, 0].tolist(), strict=True))


def show(path: Path) -> None:
    """Print the median share of the first network's fp32 time, and how far rounds spread."""
    _, *rounds = (json.loads(line) for line in path.read_text().splitlines())
    medians = {name: np.array([np.median(one[name]) for one in rounds]) for name in rounds[0]}
    first = next(iter(medians.values()))
    print(f"{len(rounds)} rounds of {RUNS} runs; base {np.median(first) * 1000:.3f} ms")
    for name, seconds in medians.items():
        low, middle, high = np.quantile(seconds / first, (0.25, 0.5, 0.75))
        print(f"{name:<40} {middle:.3f}  ({low:.3f} to {high:.3f})")
    for network in list(dict.fromkeys(name.split()[0] for name in medians))[1:]:
        for runtime in ("onnxruntime", "openvino"):
            fp32, int8 = (medians[f"{network} {runtime} {p}"] for p in ("fp32", "int8"))
            ratio = np.median(int8 / fp32)
            print(
                f"{network} pruned, then quantised, in {runtime}: {np.median(int8 / first):.3f} of "
                f"the base in fp32, {ratio:.3f} of itself in fp32"
            )


def show_scores(networks: Mapping[str, str], data: str) -> None:
    """Print the test scores of every network in fp32, of its int8 file, and in bf16."""
    for name, reference in networks.items():
        model = load_model(reference).eval()
        task = open_task("depth", data, size_of(model))
        frames = calibration_frames(task, FRAMES)
        with tempfile.TemporaryDirectory() as folder:
            plain, quantised = Path(folder) / "fp32.onnx", Path(folder) / "int8.onnx"
            export(model, frames[:1], plain)
            made = export(model, frames[:1], quantised, precision="int8", calibration=frames)
            networks_of = {
                "fp32": model,
                "int8": load_model(quantised, deployed=True),
                "bf16": InBfloat16(plain),
            }
            scores = {
                precision: task.score(network, "test")[task.primary]
                for precision, network in networks_of.items()
            }
        told = "  ".join(f"{precision} {score:.4f}" for precision, score in scores.items())
        print(f"{name:<40} {told}  size of int8 {made.size_bytes / made.fp32_bytes:.2f}")


class InBfloat16(nn.Module):
    """An ONNX file as OpenVINO computes it in bf16."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        # tasks ask a network's first parameter where to compute
        self.register_parameter("where", nn.Parameter(torch.empty(0), requires_grad=False))
        options = {"INFERENCE_PRECISION_HINT": "bf16"}
        self._compiled = openvino.Core().compile_model(str(path), "CPU", options)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Compute the depth of ``(B, 3, H, W)`` images, one by one."""
        answers = [self._compiled(image[None].numpy())[0] for image in images]
        return torch.from_numpy(np.concatenate(answers))


def compare_ranges(reference: str, rounds: int) -> None:
    """Time one int8 network with several sets of ranges; print each relative to the first."""
    model = load_model(reference).eval()
    noise = noise_for(model)
    images = calibration_frames(open_task("depth", "synthetic:32", size_of(model)), 16)
    graph = simplified(exported_program(model, noise, optimize=True).model_proto)
    commute_upsampling(graph)
    profiled = observed_ranges(graph, [(noise.numpy(),)])
    real = observed_ranges(graph, [(image[None].numpy(),) for image in images])
    ways = {"as profiled": profiled, "of images": real}
    ways |= {"of images, x100": scaled(real, 100), "of images, /100": scaled(real, 0.01)}
    sessions: dict[str, Session] = {
        name: session_of(quantised(graph, ranges), noise) for name, ranges in ways.items()
    }
    shares: dict[str, list[float]] = {name: [] for name in sessions}
    for one in timed_rounds(sessions, rounds, seed=0):
        first = np.median(one["as profiled"])
        for name, seconds in one.items():
            shares[name].append(float(np.median(seconds) / first))
    for name, values in shares.items():
        low, middle, high = np.quantile(values, (0.25, 0.5, 0.75))
        print(f"{name:<20} {middle:.3f}  ({low:.3f} to {high:.3f})")


def scaled(ranges: Ranges, factor: float) -> Ranges:
    """Return ``ranges`` with all limits multiplied."""
    data = {
        name: TensorData(
            **{
                end: np.float32(limit * factor)
                for end, limit in zip(("lowest", "highest"), one.range_value, strict=True)
            }
        )
        for name, one in ranges.items()
    }
    return TensorsData(ranges.calibration_method, data)


def session_of(graph: onnx.ModelProto, example: torch.Tensor) -> Session:
    """Load a graph into onnxruntime, on one thread."""
    return OnnxSession(graph.SerializeToString(), example.numpy(), threads=1)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run one of the two comparisons."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    commands = parser.add_subparsers(dest="command", required=True)
    for name in ("table", "ranges"):
        commands.add_parser(name).add_argument("--rounds", type=int, default=40)
    commands.choices["table"].add_argument("out", type=Path)
    commands.choices["table"].add_argument("networks", nargs="+", metavar="NAME=CHECKPOINT")
    commands.choices["table"].add_argument("--data")
    commands.choices["ranges"].add_argument("checkpoint", nargs="?", default="fastdepth")
    given = parser.parse_args(arguments)
    if given.command == "table":
        networks = dict(word.split("=", 1) for word in given.networks)
        table(given.out, networks, given.rounds, given.data)
    else:
        compare_ranges(given.checkpoint, given.rounds)


if __name__ == "__main__":
    main()
