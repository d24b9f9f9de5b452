"""A network may be pruned, saved and loaded again and again."""

from pathlib import Path

import generation_networks
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from torch import nn

from netadapt import load_model, save_checkpoint
from netadapt.pruning import trace

FIXTURES = Path(__file__).resolve().parents[1] / "fixtures" / "checkpoints"
NETWORKS = ("Split", "Slice", "Concat", "Grouped")
IMAGE = torch.rand(1, 3, 16, 16, generator=torch.Generator().manual_seed(0))


def built(name: str) -> nn.Module:
    with torch.random.fork_rng([]):
        torch.manual_seed(0)
        return load_model(f"{generation_networks.__name__}:{name}").eval()


@pytest.mark.parametrize("name", NETWORKS)
@settings(
    max_examples=2, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(data=st.data())
def test_any_number_of_generations_load_and_keep_their_names(
    name: str, data: st.DataObject, tmp_path: Path
) -> None:
    model = built(name)
    names = set(trace(model, IMAGE).groups)
    for generation in range(3):
        prunable = trace(model, IMAGE)
        assert set(prunable.groups) <= names
        widths = {
            group.name: data.draw(st.integers(1, group.width // group.step)) * group.step
            for group in prunable.groups.values()
        }
        pruned = prunable.pruned(widths).eval()
        assert set(pruned.spec.widths) <= names
        path = tmp_path / f"{generation}.safetensors"
        save_checkpoint(pruned, path, input_size=(16, 16))
        model = load_model(path)
        assert torch.equal(model(IMAGE), pruned(IMAGE))
        left = {key: width for key, width in prunable.widths.items() if key in widths}
        assert pruned.spec.widths == (prunable.model.spec.widths or {}) | left | widths


@pytest.mark.parametrize("name", NETWORKS)
def test_a_network_descended_from_one_that_was_pruned_keeps_the_names(name: str) -> None:
    prunable = trace(built(name), IMAGE)
    half = {key: max(1, g.width // g.step // 2) * g.step for key, g in prunable.groups.items()}
    child = prunable.pruned(half)
    assert prunable.descend(child).groups == trace(child, IMAGE).groups


@pytest.mark.parametrize("path", sorted(FIXTURES.glob("*.safetensors")), ids=lambda path: path.stem)
def test_files_of_earlier_versions_load(path: Path) -> None:
    model = load_model(path)
    widths = model.spec.widths
    prunable = trace(model, IMAGE)
    assert prunable.widths == {name: widths[name] for name in prunable.widths}
    assert torch.isfinite(model(IMAGE)).all()


def test_there_are_files_of_earlier_versions() -> None:
    assert len(list(FIXTURES.glob("*.safetensors"))) >= 5
