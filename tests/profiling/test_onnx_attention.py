"""Networks with attention are timed in onnxruntime: one graph serves all numbers of heads."""

from functools import partial
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
import torch
from quick_profile import assert_profiles
from timm.layers import RelPosBias
from timm.models.maxxvit import AttentionCl
from timm.models.vision_transformer import Block
from torch import Tensor, nn

from netadapt.latency.fusion import FUSIONS
from netadapt.latency.workloads import family, workload_map
from netadapt.profiling.agent.session import operation_of
from netadapt.profiling.onnx_model import OnnxTemplate
from netadapt.profiling.traced import TracedNetwork
from netadapt.pruning import PrunableModel, trace


class Transformer(nn.Module):
    """A block whose attention is fused, one whose attention is written out, and a head."""

    def __init__(self) -> None:
        super().__init__()
        self.patch = nn.Conv2d(3, 32, 8, 8)
        self.fused, self.plain = Block(32, 4, mlp_ratio=2), Block(32, 4, mlp_ratio=2)
        self.plain.attn.fused_attn = False  # type: ignore[assignment]
        self.head = nn.Conv2d(32, 1, 1)

    def forward(self, image: Tensor) -> Tensor:
        x = self.patch(image)
        tokens = self.plain(self.fused(x.flatten(2).transpose(1, 2)))
        return self.head(tokens.transpose(1, 2).reshape(x.shape))


@pytest.fixture(scope="module")
def transformer() -> PrunableModel:
    with torch.random.fork_rng([]):
        torch.manual_seed(0)
        return trace(Transformer().eval(), torch.rand(1, 3, 32, 32))


@pytest.fixture(scope="module")
def its_template(transformer: PrunableModel) -> OnnxTemplate:
    return OnnxTemplate(TracedNetwork.of(transformer))


def test_one_graph_answers_at_every_number_of_heads(
    transformer: PrunableModel, its_template: OnnxTemplate
) -> None:
    assert its_template.serves_all
    assert {group.width // group.step for group in transformer.groups.values()} == {4, 64}
    random = np.random.default_rng(0)
    for _ in range(4):
        model = transformer.pruned(
            {
                name: int(random.integers(1, group.width // group.step + 1)) * group.step
                for name, group in transformer.groups.items()
            }
        )
        with torch.no_grad():
            wanted = model(transformer.example_input).numpy()
        content = its_template.filled(model).SerializeToString()
        session = onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])
        feed = dict(zip(its_template.input_names, its_template.example, strict=True))
        (got,) = session.run(None, feed)
        np.testing.assert_allclose(got, wanted, rtol=1e-4, atol=1e-5)


def test_what_multiplies_has_nodes_of_its_own(
    transformer: PrunableModel, its_template: OnnxTemplate
) -> None:
    operations = transformer.operations.operations
    nodes = its_template.filled(transformer.model).graph.node
    booked: dict[int, set[str]] = {}
    for node in nodes:
        place = operation_of(node.name)
        if place is not None:
            booked.setdefault(place, set()).add(node.op_type)
    by_kind: dict[str, list[set[str]]] = {}
    for place, operation in enumerate(operations):
        by_kind.setdefault(operation.kind, []).append(booked.get(place, set()))
    fused = next(kind for kind in by_kind if kind.startswith("_scaled_dot_product"))
    for kind, node in (("linear", "MatMul"), ("bmm", "MatMul"), ("_softmax", "Softmax")):
        assert all(node in found or "Gemm" in found for found in by_kind[kind]), kind
    assert {"MatMul", "Softmax"} <= by_kind[fused][0]
    assert all("LayerNormalization" in found for found in by_kind["native_layer_norm"])


def test_workloads_of_all_widths_are_of_the_same_families(transformer: PrunableModel) -> None:
    mapped = workload_map(transformer.operations, FUSIONS["onnxruntime"])
    steps = np.array([group.step for group in transformer.groups.values()])
    at_full = [family(one) for one in mapped.at(transformer.vector({}))]
    assert [family(one) for one in mapped.at(steps)] == at_full


def test_openvino_times_the_same_graph(
    transformer: PrunableModel, its_template: OnnxTemplate
) -> None:
    from netadapt.profiling.agent.openvino import ProfiledOpenVinoSession

    narrow = transformer.pruned({name: group.step for name, group in transformer.groups.items()})
    session = ProfiledOpenVinoSession(
        its_template.filled(narrow).SerializeToString(),
        its_template.example,
        threads=1,
        operations=its_template.operation_count,
    )
    with torch.no_grad():
        wanted = narrow(transformer.example_input).numpy()
    np.testing.assert_allclose(session.output(), wanted, rtol=1e-3, atol=1e-4)
    operations = transformer.operations.operations
    linear = {place for place, one in enumerate(operations) if one.kind in ("linear", "conv2d")}
    assert linear <= session.named_operations()


@pytest.mark.parametrize("runtime", ["onnxruntime", "torch"])
def test_a_transformer_is_profiled(
    transformer: PrunableModel, runtime: str, tmp_path: Path
) -> None:
    assert_profiles(transformer, runtime, tmp_path)


class Windows(nn.Module):
    """Attention within windows as MaxViT has it, and a ramp of whole numbers beside."""

    def __init__(self) -> None:
        super().__init__()
        bias = partial(RelPosBias, window_size=(2, 2))
        self.patch, self.head = nn.Conv2d(3, 16, 8, 8), nn.Linear(16, 1)
        self.attention = AttentionCl(16, dim_head=8, rel_pos_cls=bias)

    def forward(self, image: Tensor) -> Tensor:
        x = self.patch(image).permute(0, 2, 3, 1)
        windows = x.unflatten(1, (-1, 2)).unflatten(3, (-1, 2)).transpose(2, 3).flatten(0, 2)
        ramp = torch.arange(len(windows)).to(x)[:, None, None, None]
        return self.head(self.attention(windows)) + ramp


def test_attention_that_is_reshaped_behind_is_exported() -> None:
    torch.manual_seed(0)
    prunable = trace(Windows().eval(), torch.rand(1, 3, 32, 32))
    assert prunable.groups["attention.qkv"].step == 24
    assert OnnxTemplate(TracedNetwork.of(prunable)).serves_all
