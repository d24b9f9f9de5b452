from pathlib import Path

import numpy as np
import pytest

from netadapt.depth.data import DepthDataset, open_data, open_sequences
from netadapt.depth.data import dataset as dataset_module
from netadapt.depth.data.frames import Depth, Frame, Rgb
from netadapt.errors import UserError

SIZE = (32, 32)


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("nonsense", "unknown data 'nonsense'; use synthetic"),
        ("coco:/data", "unknown data 'coco:/data'"),
        ("pairs", "names no folder"),
        ("pairs:", "names no folder"),
        ("pairs:missing", "data folder missing does not exist"),
        ("tum:missing", "data folder missing does not exist"),
        ("nyu:missing", "data folder missing does not exist"),
        ("nyu:missing.mat", r"labelled set missing\.mat does not exist"),
        ("kitti:missing", "data folder missing does not exist"),
        ("sequence:missing", "data folder missing does not exist"),
        ("sequence:", "names no folder"),
        ("synthetic:", "N must be a whole number"),
        ("synthetic:0", "N must be a whole number"),
        ("synthetic:-3", "N must be a whole number"),
        ("synthetic:many", "N must be a whole number"),
        ("synthetic:1e3", "N must be a whole number"),
        ("synthetic:10000000", "N must be a whole number"),
    ],
)
def test_a_wrong_spec_is_one_line_that_names_it(
    spec: str, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match=message) as caught:
        open_data(spec, SIZE)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("nonsense", "unknown data 'nonsense'; use synthetic"),
        ("pairs:here", "data 'pairs:here' holds no triplets; use synthetic.* or sequence:DIR"),
        ("nyu:here.mat", "holds no triplets"),
        ("sequence", "names no folder"),
        ("tum:missing", "data folder missing does not exist"),
        ("kitti:missing", "data folder missing does not exist"),
        ("sequence:missing", "data folder missing does not exist"),
        ("synthetic:0", "N must be a whole number"),
    ],
)
def test_a_spec_that_gives_no_triplets_is_one_line_that_names_it(spec: str, message: str) -> None:
    with pytest.raises(UserError, match=message) as caught:
        open_sequences(spec, SIZE)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("opened", [open_data, open_sequences])
def test_synthetic_splits_have_the_same_sizes_either_way(opened) -> None:
    data = opened("synthetic:200", SIZE, holdout_fraction=0.2)
    assert [len(part) for part in (data.train, data.holdout, data.test)] == [200, 40, 20]


@pytest.mark.parametrize("size", [(0, 32), (32, -1), (7, 32), (32, 100_000)])
def test_an_impossible_input_size_is_an_error(size: tuple[int, int]) -> None:
    with pytest.raises(UserError, match="input size"):
        open_data("synthetic:4", size)


@pytest.mark.parametrize("fraction", [0.0, 1.0, -0.5, float("nan")])
def test_an_impossible_holdout_is_an_error(fraction: float) -> None:
    with pytest.raises(UserError, match="holdout fraction"):
        open_data("synthetic:4", SIZE, holdout_fraction=fraction)
    with pytest.raises(UserError, match="holdout fraction"):
        open_sequences("synthetic:4", SIZE, holdout_fraction=fraction)


def test_too_few_frames_name_the_data(tmp_path: Path, write_pair) -> None:
    for number in range(2):
        write_pair(tmp_path, str(number))
    with pytest.raises(UserError, match=r"data pairs:.*cannot be cut into two splits"):
        open_data(f"pairs:{tmp_path}", SIZE)


class Counted:
    def __init__(self) -> None:
        self.calls = 0

    def __call__(self) -> tuple[Rgb, Depth]:
        self.calls += 1
        return np.zeros((48, 64, 3), np.uint8), np.ones((48, 64), np.float32)


def test_nothing_is_decoded_until_used_and_then_once() -> None:
    decode = Counted()
    dataset = DepthDataset([Frame("one", "a", decode)], SIZE)
    assert decode.calls == 0
    for _ in range(3):
        dataset.evaluation_example(0)
        dataset.training_example(0, np.random.default_rng(0))
    assert decode.calls == 1


def test_frames_beyond_the_memory_limit_are_decoded_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dataset_module, "CACHE_BYTES", 0)
    decode = Counted()
    dataset = DepthDataset([Frame("one", "a", decode)], SIZE)
    for _ in range(3):
        dataset.evaluation_example(0)
    assert decode.calls == 3


def test_an_example_is_its_callers_to_change() -> None:
    dataset = DepthDataset([Frame("one", "a", Counted())], SIZE)
    rgb, depth = dataset.evaluation_example(0)
    rgb += 1
    depth += 1
    again = dataset.evaluation_example(0)
    assert again[0].max() == 0
    assert again[1].max() == 1


def test_the_full_view_is_the_whole_frame_with_depth_as_it_was() -> None:
    rgb = np.random.default_rng(0).integers(0, 256, (48, 64, 3), dtype=np.uint8)
    depth = np.arange(48 * 64, dtype=np.float32).reshape(48, 64)
    depth[0] = np.nan
    dataset = DepthDataset([Frame("one", "a", lambda: (rgb, depth))], (16, 32))
    image, truth = dataset.full_example(0)
    assert image.shape == (3, 16, 32)
    assert np.array_equal(truth[0], np.nan_to_num(depth))
    whole = DepthDataset([Frame("one", "a", lambda: (rgb, depth))], (48, 64)).full_example(0)[0]
    assert np.array_equal(np.round(whole * 255), rgb.transpose(2, 0, 1))
