"""A network of the kind of Depth Anything is searched as any other: heads, MLPs, the DPT head."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from depth_anything import DepthAnything
from search_case import made_up_table

import netadapt
from netadapt.pruning import PrunableModel

SMALL: dict[str, Any] = {"stream": 32, "heads": 2, "levels": [8, 8, 16, 16], "features": 8}
QUICK: dict[str, Any] = {
    "short_steps": 1,
    "long_steps": 2,
    "long_points": 1,
    "batch_size": 2,
    "initial_reduction": 0.2,
    "strategy": "netadapt-fast",
    "saliency_batches": 1,
}


@pytest.fixture(scope="module")
def network() -> PrunableModel:
    with torch.random.fork_rng([]):
        torch.manual_seed(0)
        model = DepthAnything((32, 32), **SMALL)
        model.set_depth_statistics(3, 1)
        return netadapt.trace(model.eval(), torch.rand(1, 3, 32, 32))


def test_heads_hidden_widths_and_the_decoder_are_groups(network: PrunableModel) -> None:
    for block in range(4):
        heads = network.groups[f"blocks.{block}.attn.qkv"]
        assert heads.width // heads.step == 2
        assert network.groups[f"blocks.{block}.mlp.fc1"].width == 128
    assert {"project.0", "project.3", "fuse.0.level.first", "head.0"} <= network.groups.keys()
    assert "--allow-approximate" in network.locked["patch"]
    random = np.random.default_rng(0)
    scores = {name: random.random(group.width) for name, group in network.groups.items()}
    widths = {name: group.step for name, group in network.groups.items()}
    with torch.no_grad():
        image = network.example_input.double()
        got = network.pruned(widths, scores).double()(image)
        wanted = network.masked(widths, scores).double()(image)
        whole = network.model.double()(image)
        network.model.float()
    assert torch.allclose(got, wanted, rtol=1e-9)
    assert not torch.allclose(got, whole, rtol=1e-3)


def test_a_block_of_one_head_is_cut_no_further_while_others_are() -> None:
    model = netadapt.load_model("depth_anything:network", height=32, width=32, **SMALL)
    whole = netadapt.trace(model, torch.rand(1, 3, 32, 32))
    heads = whole.groups["blocks.3.attn.qkv"]
    narrow = whole.descend(whole.pruned({heads.name: heads.step}))
    assert narrow.widths == whole.widths | {heads.name: heads.step}
    other = whole.groups["blocks.0.mlp.fc1"]
    again = narrow.pruned(narrow.widths | {other.name: other.width // 2})
    assert again(whole.example_input).shape == (1, 1, 32, 32)


def test_it_is_searched(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NETADAPT_TRUST", "depth_anything")
    base, image = tmp_path / "base.safetensors", torch.rand(1, 3, 32, 32)
    model = netadapt.load_model("depth_anything:network", height=32, width=32, **SMALL)
    netadapt.save_checkpoint(model, base, input_size=(32, 32))
    table = made_up_table(tmp_path, model, image, attached=False)
    prunable = netadapt.trace(model, image)
    full = netadapt.LatencyPredictor(prunable, netadapt.LatencyTable.load(table))({})
    options = QUICK | {"budget_ms": 0.8 * full, "data": "synthetic:6", "lut": table}
    run = netadapt.search(base, out=tmp_path / "run", **options)
    assert (run.front["predicted_ms"] <= 0.8 * full).any()
    assert netadapt.load_checkpoint(run.final)(image).shape == (1, 1, 32, 32)
    least = run.front[list(prunable.groups)].min()
    assert any(least[name] < prunable.widths[name] for name in least.index)
