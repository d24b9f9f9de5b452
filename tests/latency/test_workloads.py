from collections import Counter
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from recorded import recorded_workloads
from tiny_network import WORKLOADS

from netadapt.depth.models import FastDepth
from netadapt.latency.fusion import FUSIONS
from netadapt.latency.workloads import (
    Workload,
    coordinates,
    family,
    workload_map,
)
from netadapt.pruning import PrunableModel


def test_onnxruntime_runs_fastdepth_as_46_workloads(thin: PrunableModel) -> None:
    workloads = workload_map(thin.operations, FUSIONS["onnxruntime"]).at(thin.vector({}))
    kinds = Counter(w.kind for w in workloads)
    assert kinds == {"conv2d": 38, "upsample_nearest": 5, "add": 3}
    convolutions = [w for w in workloads if w.kind == "conv2d"]
    encoder = [w.activation for w in convolutions[:27]]
    decoder = [w.activation for w in convolutions[27:]]
    assert (encoder, decoder) == (["relu6"] * 27, ["relu"] * 11)


def test_torch_runs_every_operation_as_a_workload_of_its_own(thin: PrunableModel) -> None:
    mapped = workload_map(thin.operations, FUSIONS["torch"])
    assert [unit.members for unit in mapped.units] == [(n,) for n in range(len(mapped.units))]
    kinds = Counter(w.kind for w in mapped.at(thin.vector({})))
    assert kinds == {
        "conv2d": 38, "batch_norm": 38, "activation": 38, "upsample_nearest": 5, "add": 3
    }  # fmt: skip


@pytest.mark.parametrize("runtime", ["onnxruntime", "torch"])
def test_workloads_of_a_network_worked_out_by_hand(small: PrunableModel, runtime: str) -> None:
    workloads = workload_map(small.operations, FUSIONS[runtime]).at(small.vector({}))
    assert [w.kind for w in workloads] == WORKLOADS[runtime]


def test_every_operation_belongs_to_exactly_one_workload(
    thin: PrunableModel, small: PrunableModel
) -> None:
    for prunable in (thin, small):
        for runtime in ("onnxruntime", "torch"):
            units = workload_map(prunable.operations, FUSIONS[runtime]).units
            members = sorted(place for unit in units for place in unit.members)
            assert members == list(range(len(prunable.operations.operations)))


def test_a_fused_addition_carries_its_other_side(small: PrunableModel) -> None:
    mapped = workload_map(small.operations, FUSIONS["onnxruntime"])
    stem, depthwise, _, project, _, _ = mapped.at(small.vector({}))
    assert stem.inputs == ((1, 3, 64, 64),)
    assert stem.stride == (2, 2)
    assert depthwise.groups == 64
    assert project.inputs == ((1, 128, 32, 32), (1, 64, 32, 32))
    assert project.activation == "relu"
    assert "+ relu + add at 32x32" in str(project)


@settings(max_examples=15, deadline=None)
@given(data=st.data())
@pytest.mark.parametrize("runtime", ["onnxruntime", "torch"])
def test_mapped_workloads_are_those_of_the_network_itself(
    thin: PrunableModel, runtime: str, data: st.DataObject
) -> None:
    widths = {name: data.draw(st.integers(2, full)) for name, full in thin.widths.items()}
    mapped = workload_map(thin.operations, FUSIONS[runtime])
    expected = recorded_workloads(FastDepth(widths).eval(), thin.example_input, runtime)
    vector = thin.vector(widths)
    assert mapped.at(vector) == expected
    sizes = thin.operations.sizes(vector[None])[0]
    for columns, one in zip(mapped.columns, expected, strict=True):
        assert tuple(sizes[list(columns)].tolist()) == coordinates(one)


CONV = Workload(
    "conv2d", ((1, 24, 56, 56),), 40, (1, 1), (1, 1), (0, 0), (1, 1), activation="relu6"
)
DEPTHWISE = replace(CONV, out_channels=24, kernel=(3, 3), padding=(1, 1), groups=24)
ADD = Workload("add", ((1, 16, 8, 8), (1, 16, 8, 8)), 16)


@pytest.mark.parametrize(
    ("one", "place", "text"),
    [
        (CONV, (24, 40), "conv2d 1x1 24->40 + relu6 at 56x56"),
        (DEPTHWISE, (24,), "conv2d 3x3 depthwise 24->24 + relu6 at 56x56"),
        (replace(CONV, stride=(2, 2)), (24, 40), "conv2d 1x1 24->40 stride 2x2 + relu6 at 56x56"),
        (ADD, (16,), "add 16->16 at 8x8"),
    ],
)
def test_coordinates_and_names(one: Workload, place: tuple[int, ...], text: str) -> None:
    assert coordinates(one) == place
    assert str(one) == text


def test_a_family_is_what_differs_in_channels_only() -> None:
    wider = replace(CONV, inputs=((1, 32, 56, 56),), out_channels=8)
    assert family(wider) == family(CONV)
    thinner = replace(DEPTHWISE, inputs=((1, 8, 56, 56),), out_channels=8, groups=8)
    assert family(thinner) == family(DEPTHWISE)
    others = [
        replace(CONV, kind="linear"),
        replace(CONV, inputs=((1, 24, 28, 28),)),
        replace(CONV, inputs=((2, 24, 56, 56),)),
        replace(CONV, inputs=(*CONV.inputs, (1, 40, 56, 56))),
        replace(CONV, kernel=(3, 3)),
        replace(CONV, stride=(2, 2)),
        replace(CONV, padding=(1, 1)),
        replace(CONV, dilation=(2, 2)),
        replace(CONV, groups=4),
        replace(CONV, groups=8),
        replace(CONV, activation="relu"),
        replace(CONV, dtype="float16"),
        DEPTHWISE,
    ]
    assert len({family(one) for one in (CONV, *others)}) == len(others) + 1
