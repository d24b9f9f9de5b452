import pytest
from hypothesis import given
from hypothesis import strategies as st

from netadapt.errors import UserError
from netadapt.latency.calibration import NetworkCalibration
from netadapt.latency.target import Options, Target, cores_of

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


def calibration(model: str, input: str) -> NetworkCalibration:
    return NetworkCalibration(
        model=model, input=input, scale=1, call_us=0, workload_us=0, networks=1
    )


def test_each_network_has_its_calibration_and_others_the_nearest() -> None:
    small, large = calibration("a", "1x3x64x64"), calibration("a", "1x3x96x96")
    other = calibration("b", "1x3x64x64")
    target = TARGET.calibrated(small).calibrated(large).calibrated(other)
    assert target.calibrations == (small, large, other)
    for one in target.calibrations:
        assert target.calibration_of(one.model, one.input) == one
    assert target.calibration_of("a", "1x3x32x32") == large  # the last one of the same model
    assert target.calibration_of("c", "1x3x96x96") == large
    assert target.calibration_of("c", "1x3x64x64") == other
    assert target.calibration_of("c", "1x3x32x32") == other
    assert TARGET.calibration_of("a", "1x3x64x64") is None


def test_a_network_profiled_again_replaces_its_own_calibration_alone() -> None:
    first, other = calibration("a", "1x3x64x64"), calibration("b", "1x3x64x64")
    again = first.model_copy(update={"scale": 2.0})
    target = TARGET.calibrated(first).calibrated(other).calibrated(again)
    assert target.calibrations == (other, again)


@given(cores=st.sets(st.integers(0, 70), min_size=1))
def test_cores_are_read_as_they_are_written(cores: set[int]) -> None:
    assert cores_of(",".join(map(str, cores))) == cores
    first, last = min(cores), max(cores)
    assert cores_of(f"{first}-{last}") == set(range(first, last + 1))


@pytest.mark.parametrize(
    ("cpus", "words"),
    [("1-0", "1-0 counts downwards; write 0-1"), ("99999", "no core 99999"), ("a", "match")],
)
def test_cores_that_cannot_be_are_refused(cpus: str, words: str) -> None:
    with pytest.raises(UserError, match=words) as caught:
        Options.parse(cpus=cpus)
    assert str(caught.value).startswith(f"--cpus {cpus}: ")
