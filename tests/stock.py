"""What a user may have lying about, made once for all tests of commands."""

import re
import shutil
import sys
from pathlib import Path

import h5py
import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image
from torch import nn

from netadapt.api import search
from netadapt.depth import open_depth
from netadapt.depth.models import FastDepth
from netadapt.depth.models.fastdepth import GROUPS
from netadapt.latency.calibration import NetworkCalibration
from netadapt.latency.fusion import FUSIONS
from netadapt.latency.table import Latency, LatencyTable
from netadapt.latency.validation import save_validation
from netadapt.latency.workloads import Workload, workload_map
from netadapt.models import build
from netadapt.profiling.design import design_networks
from netadapt.profiling.devices import load_device
from netadapt.profiling.runtimes import load_runtime
from netadapt.pruning import trace
from netadapt.training import (
    TrainConfig,
    TrainSettings,
    load_model,
    run_training,
    save_checkpoint,
)

SIZE = (32, 32)
MADE_UP_US = 100_000.0
BUDGET_MS = 150.0
NETWORKS = Path(__file__).parent / "cli"  # where cli_networks lies


@pytest.fixture(scope="session")
def stock(tmp_path_factory, one_thread) -> Path:
    """What a user may have lying about; no test changes it.

    ``tiny.safetensors`` (FastDepth, 16 channels everywhere), ``small.safetensors`` (a network of
    the user's own), ``lut/made-up`` (a table of both on this machine), ``lut/board`` (the same on
    a machine that is not here), ``training``, ``run``, sound and broken data, pictures and
    checkpoints.
    """
    folder = tmp_path_factory.mktemp("stock")
    rng = np.random.default_rng(0)
    _write_data(folder, rng)
    _write_checkpoints(folder, rng)
    (folder / "empty").mkdir()
    (folder / "file").write_text("not what you think")
    _train(folder)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "path", [str(NETWORKS), *sys.path])
        _write_small(folder / "small.safetensors")
        _write_tables(folder)
        search(
            str(folder / "small.safetensors"),
            data=f"pairs:{folder}/pairs",
            lut=folder / "lut/board",
            budget_ms=BUDGET_MS,
            out=folder / "run",
            short_steps=1,
            long_steps=1,
        )
    return folder


def _write_small(path: Path) -> None:
    """All its answers are far off, so that its scores are 0 on any machine."""
    network = build("cli_networks:Small")
    nn.init.constant_(network.get_submodule("last").bias, -100)
    save_checkpoint(network, path, input_size=SIZE)


def _write_checkpoints(folder: Path, rng: np.random.Generator) -> None:
    with torch.random.fork_rng([]):
        torch.manual_seed(0)
        network = FastDepth(dict.fromkeys(GROUPS, 16))
    network.set_depth_statistics(4, 2)
    save_checkpoint(network, folder / "tiny.safetensors", input_size=SIZE)
    sound = (folder / "tiny.safetensors").read_bytes()
    (folder / "torn.safetensors").write_bytes(sound[:-100])
    (folder / "beheaded.safetensors").write_bytes(sound[300:])
    (folder / "noise.safetensors").write_bytes(rng.bytes(3000))
    (folder / "empty.safetensors").write_bytes(b"")
    renamed = sound.replace(b"decode_conv6.0.weight", b"decode_conv9.0.weight")
    renamed = re.sub(rb'(checksum\\":)\\"\w{8}\\"', rb"\1        null", renamed)
    (folder / "renamed.safetensors").write_bytes(renamed)
    (folder / "folder.safetensors").mkdir()
    torch.save({"epoch": 3, "model": nn.Conv2d(3, 1, 1)}, folder / "pickled.pth.tar")
    torch.save({"weight": torch.zeros(3)}, folder / "foreign.pth")
    (folder / "text.pth").write_text("hello")


def _write_data(folder: Path, rng: np.random.Generator) -> None:
    for name in ("pairs", "torn_photos", "torn_depths", "sizes", "eight_bit", "alone"):
        for part in ("rgb", "depth"):
            (folder / name / part).mkdir(parents=True)
        for number in range(12):
            photo = folder / name / "rgb" / f"{number:02d}.jpg"
            depth = folder / name / "depth" / f"{number:02d}.png"
            Image.fromarray(rng.integers(0, 256, (48, 64, 3), dtype=np.uint8)).save(photo)
            shape = (24, 64) if name == "sizes" else (48, 64)
            metres = rng.integers(700, 9000, shape, dtype=np.uint16)
            Image.fromarray((metres >> 8).astype(np.uint8) if name == "eight_bit" else metres).save(
                depth
            )
            if name == "torn_photos":
                photo.write_bytes(photo.read_bytes()[:400])
            if name == "torn_depths":
                depth.write_bytes(depth.read_bytes()[:-500])
    (folder / "alone" / "depth" / "03.png").unlink()
    shutil.copytree(folder / "pairs", folder / "single")
    for path in folder.glob("single/*/*"):
        if path.stem != "00":
            path.unlink()
    for name in ("h5", "torn_h5", "turned_h5"):
        for number in range(4):
            for split in ("train/kitchen_0001", "val/official"):
                path = folder / name / split / f"{number}.h5"
                path.parent.mkdir(parents=True, exist_ok=True)
                photo_shape = (48, 64, 3) if name == "turned_h5" else (3, 48, 64)
                with h5py.File(path, "w") as file:
                    file["rgb"] = rng.integers(0, 256, photo_shape, dtype=np.uint8)
                    file["depth"] = rng.uniform(1, 9, (48, 64)).astype(np.float32)
                if name == "torn_h5":
                    path.write_bytes(path.read_bytes()[:3000])
    (folder / "noise.mat").write_bytes(rng.bytes(3000))
    (folder / "noise.png").write_bytes(rng.bytes(3000))
    shutil.copy(folder / "pairs/rgb/00.jpg", folder / "photo.jpg")
    (folder / "torn.jpg").write_bytes((folder / "photo.jpg").read_bytes()[:700])
    Image.open(folder / "photo.jpg").save(folder / "photo.png")
    (folder / "torn.png").write_bytes((folder / "photo.png").read_bytes()[:500])


def _write_tables(folder: Path) -> None:
    """Tables as if every workload took as long as it has channels."""
    runtime = load_runtime("torch")
    wanted: set[Workload] = set()
    for name in ("tiny", "small"):
        prunable = trace(load_model(folder / f"{name}.safetensors"), torch.rand(1, 3, *SIZE))
        workloads = workload_map(prunable.operations, FUSIONS["torch"])
        for row in design_networks(workloads, prunable.widths, 8):
            wanted.update(workloads.at(row))
    here = load_device("cpu").target(runtime)
    calibration = NetworkCalibration(scale=1, call_us=10, workload_us=0, networks=12)
    boards = {"made-up": {}, "board": {"hardware": "some board"}}
    for name, change in boards.items():
        target = here.model_copy(update={"calibrations": (calibration,), **change})
        table = LatencyTable(folder / "lut" / name, target, {})
        table.append({w: _made_up(w.out_channels) for w in sorted(wanted, key=repr)})
    networks = np.arange(1.0, 9.0)
    validation = {"network": networks, "predicted_ms": networks, "measured_ms": networks * 1.02}
    validation["repeat_ms"] = networks * 1.01
    save_validation(folder / "lut" / "made-up", pd.DataFrame(validation))


def _made_up(channels: int) -> Latency:
    middle = MADE_UP_US * channels / 16
    return Latency(0.9 * middle, middle, 1.1 * middle, 16)


def _train(folder: Path) -> None:
    data = f"pairs:{folder}/pairs"
    settings = TrainSettings(steps=2, batch_size=2)
    config = TrainConfig(str(folder / "tiny.safetensors"), data, SIZE, settings, 1)
    run_training(config, open_depth(data, SIZE), folder / "training")
