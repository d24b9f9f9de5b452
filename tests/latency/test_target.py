import pytest

from netadapt.latency.calibration import NetworkCalibration
from netadapt.latency.target import Target

TARGET = Target(hardware="A Fine CPU @ 3 GHz", runtime_version="1.2.3")


@pytest.mark.parametrize(
    "change",
    [
        {"device": "cuda"}, {"hardware": "B"}, {"runtime": "torch"}, {"runtime_version": "2"},
        {"threads": 2}, {"batch": 2},
    ],
)  # fmt: skip
def test_targets_differ_in_what_the_clock_depends_on(change: dict[str, object]) -> None:
    other = TARGET.model_copy(update=change)
    assert next(iter(change)) in str(TARGET.difference(other))
    assert other.slug != TARGET.slug
    calibrated = TARGET.model_copy(
        update={
            "calibrations": (NetworkCalibration(scale=1, call_us=0, workload_us=0, networks=1),),
            "date": "2001-01-01",
        }
    )
    assert TARGET.difference(calibrated) is None


def test_the_slug_is_a_plain_folder_name() -> None:
    assert TARGET.slug == "a-fine-cpu-3-ghz-onnxruntime-1.2.3-1t-fp32-b1"
    assert "/" not in Target(hardware="../../etc").slug
