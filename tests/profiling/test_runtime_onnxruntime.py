from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from tiny_network import WORKLOADS

from netadapt.errors import UserError
from netadapt.latency.target import Options, Target
from netadapt.latency.workloads import FusedOperation, fuse
from netadapt.profiling.devices import load_device
from netadapt.profiling.onnx_model import OnnxTemplate
from netadapt.profiling.runtimes import load_runtime
from netadapt.profiling.traced import TracedNetwork
from netadapt.pruning import PrunableModel


def executed(model: onnx.ModelProto, folder: Path) -> Counter[str]:
    """The nodes of the graph that onnxruntime makes of ``model``, as kinds of workloads."""
    kinds = {"Conv": "conv2d", "Resize": "upsample_nearest", "Upsample": "upsample_nearest"}
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    options.optimized_model_filepath = str(folder / "optimised.onnx")
    onnxruntime.InferenceSession(model.SerializeToString(), options, ["CPUExecutionProvider"])
    types = [node.op_type for node in onnx.load(folder / "optimised.onnx").graph.node]
    names = [t.removeprefix("Fused") for t in types if t not in ("ReorderInput", "ReorderOutput")]
    return Counter(kinds.get(name, name.lower()) for name in names)


def test_onnxruntime_executes_what_the_workloads_say(small: PrunableModel, tmp_path: Path) -> None:
    template = OnnxTemplate(TracedNetwork.of(small))
    model = template.filled(small.model)
    assert executed(model, tmp_path) == Counter(WORKLOADS["onnxruntime"])


@pytest.mark.parametrize("width", [8, 5])
def test_onnxruntime_executes_a_pruned_fastdepth_as_46_workloads(
    thin: PrunableModel, template: OnnxTemplate, width: int, tmp_path: Path
) -> None:
    model = template.filled(thin.pruned(dict.fromkeys(thin.groups, width)))
    assert executed(model, tmp_path) == {"conv2d": 38, "upsample_nearest": 5, "add": 3}


def test_fp16_is_computed_in_fp16(thin: PrunableModel) -> None:
    """A float32 graph would be timed in float32: this runtime rounds nothing itself."""
    runtime, device = load_runtime("onnxruntime"), load_device("cpu")
    target = device.target(runtime)
    halved = target.model_copy(update={"precision": "fp16"})
    network = TracedNetwork.of(thin)
    single, half = (runtime.loader(network, one) for one in (target, halved))
    sessions: list[Any] = [loader.session(thin.model) for loader in (single, half)]
    whole, rounded = (session.output() for session in sessions)
    difference = np.abs(rounded - whole).max() / np.abs(whole).max()
    assert 1e-6 < difference < 1e-2
    session = half.profiled_session(thin.model)
    for _ in range(5):
        session.run()
    longest = session.operation_us().max(axis=0)
    named = [sum(longest[list(unit.members)]) > 0 for unit in units(network, halved)]
    assert len(named) == 38
    assert np.mean(named) > 0.9  # what takes less than a microsecond is told as none


def units(network: TracedNetwork, target: Target) -> list[FusedOperation]:
    """The workloads of the network's convolutions."""
    fused = fuse(network.operations, target.fusion_rules)
    return [one for one in fused if network.operations[one.main].kind == "conv2d"]


@pytest.mark.parametrize("precision", ["int8", "bf16"])
def test_on_a_gpu_it_has_fp32_and_fp16(monkeypatch: pytest.MonkeyPatch, precision: str) -> None:
    monkeypatch.setattr("torch.cuda.device_count", lambda: 1)
    options = Options.parse(provider="cuda", precision=precision)
    with pytest.raises(UserError, match=f"--precision {precision} .* cuda; known: fp32, fp16$"):
        load_device("cuda").target(load_runtime("onnxruntime"), options)
