"""Our channel groups are Torch-Pruning's, where its dependency graph can follow a network."""

import pytest
import timm
import torch
import torch_pruning
from torch import nn

from netadapt.models import build
from netadapt.pruning import check, trace

# not fastdepth-skip-concat: a depthwise layer behind a concat ties what was concatenated there into
# one group, where ours stay apart
NETWORKS = {
    "fastdepth": lambda: build("fastdepth"),
    "fastdepth-nnconv5": lambda: build("fastdepth-nnconv5"),
    "resnet18": lambda: timm.create_model("resnet18"),
    "mobilenetv2": lambda: timm.create_model("mobilenetv2_050"),
    "efficientnet": lambda: timm.create_model("efficientnet_lite0"),
    "regnet": lambda: timm.create_model("regnetx_002"),
}


@pytest.fixture(autouse=True)
def few_trials(monkeypatch: pytest.MonkeyPatch) -> None:
    """Groups are compared with others here: they need not be cut as often as elsewhere."""
    monkeypatch.setattr(check, "BUDGET", 0.0)


def torch_prunings_groups(model: nn.Module, image: torch.Tensor) -> set[frozenset[str]]:
    """The layers that make the channels of each group; output layers have none."""
    graph = torch_pruning.DependencyGraph().build_dependency(model, image, verbose=False)
    names = {module: name for name, module in model.named_modules()}
    found = set()
    for group in graph.get_all_groups(root_module_types=[nn.Conv2d, nn.Linear]):
        makers = set()
        for item in group.items:
            module = item.dep.target.module
            makes = graph.is_out_channel_pruning_fn(item.dep.handler)
            if makes and isinstance(module, nn.Conv2d | nn.Linear):
                depthwise = isinstance(module, nn.Conv2d) and module.groups > 1
                makers |= set() if depthwise else {names[module]}
        found.add(frozenset(makers))
    return found


@pytest.mark.parametrize("name", NETWORKS)
def test_groups_are_those_of_torch_pruning(name: str) -> None:
    model = NETWORKS[name]().eval()
    image = torch.rand(1, 3, 64, 64)
    prunable = trace(model, image)
    ours = set()
    for group in prunable.groups.values():
        modules = {producer: model.get_submodule(producer) for producer in group.producers}
        ours.add(
            frozenset(
                producer
                for producer, module in modules.items()
                if not (isinstance(module, nn.Conv2d) and module.groups > 1)
            )
        )
    theirs = torch_prunings_groups(model, image)
    assert ours <= theirs
    outputs = {producer for group in theirs - ours for producer in group}
    assert outputs <= set(prunable.locked)
