from collections import Counter
from pathlib import Path

import onnx
import onnxruntime
import pytest
from tiny_network import WORKLOADS

from netadapt.profiling.onnx_model import OnnxTemplate
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
