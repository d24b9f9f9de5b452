from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from matplotlib.text import Text
from run_folders import write_samples

from netadapt.errors import UserError
from netadapt.report import Samples, colour_depth, plot_predictions, plot_samples, read_samples


@given(st.floats(0.1, 5), st.floats(0.1, 20), st.floats(-2, 30))
def test_depth_keeps_to_the_ends_of_its_scale(near: float, span: float, depth: float) -> None:
    far = near + span
    ends = colour_depth(np.array([[near, far]]), near, far)
    given_colour = colour_depth(np.array([[depth]]), near, far)[0, 0]
    if depth <= 0:
        assert len(set(given_colour)) == 1
    elif depth <= near:
        np.testing.assert_array_equal(given_colour, ends[0, 0])
    elif depth >= far:
        np.testing.assert_array_equal(given_colour, ends[0, 1])


def test_depth_that_is_not_known_is_the_grey_of_no_depth() -> None:
    depth = np.array([[0.0, np.nan, np.inf, -1.0, 2.0]])
    coloured = colour_depth(depth, 1.0, 3.0)
    assert coloured.dtype == np.uint8
    assert coloured.shape == (1, 5, 3)
    assert (coloured[0, :4] == coloured[0, 0]).all()
    scale = colour_depth(np.linspace(1, 3, 500)[None], 1.0, 3.0)[0]
    assert not (scale == coloured[0, 0]).all(axis=-1).any()


def test_depth_scale_must_have_a_range() -> None:
    with pytest.raises(ValueError, match="far must lie beyond near"):
        colour_depth(np.ones((2, 2)), 3.0, 3.0)


def strip(truth: np.ndarray, base: np.ndarray, pruned: np.ndarray) -> list[str]:
    rgb = np.zeros((*truth.shape, 3), np.uint8)
    names = tuple(str(index) for index in range(len(truth)))
    figure = plot_samples(Samples(rgb, truth, {"0": base, "1-a": pruned}, "1-a", names))
    figure.canvas.draw()
    assert len(figure.axes) == 4 * len(truth) + 1
    return [text.get_text() for text in figure.findobj(Text)]


def test_strip_scores_each_prediction_where_there_is_truth() -> None:
    truth = np.full((1, 4, 4), 2.0, np.float32)
    truth[0, 0] = 0
    pruned = np.full_like(truth, 2.0)
    pruned[0, 1] = 4.0
    pruned[0, 0] = 99.0
    written = strip(truth, truth + np.float32(0.1), pruned)
    assert "δ1 1.000   RMSE 0.10 m" in written
    assert f"δ1 0.667   RMSE {2 / np.sqrt(3):.2f} m" in written
    assert "grey: no depth (25 %)" in written
    assert "depth, m" in written


def test_strip_without_any_truth_says_so() -> None:
    nothing = np.zeros((1, 4, 4), np.float32)
    assert strip(nothing, nothing + 1, nothing + 1).count("no ground truth") == 2


def test_predictions_stand_beside_the_photograph() -> None:
    figure = plot_predictions(np.zeros((6, 8, 3), np.uint8), np.full((3, 4), 2.0, np.float32))
    assert len(figure.axes) == 3
    assert figure.axes[2].get_ylabel() == "depth, m"


def test_samples_are_read_as_written(tmp_path: Path) -> None:
    write_samples(tmp_path / "samples.npz", count=2)
    samples = read_samples(tmp_path / "samples.npz")
    assert samples.names == ("00000", "00001")
    assert samples.rgb.shape == (*samples.truth.shape, 3)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"rgb": np.zeros((3, 48, 64), np.uint8)}, "rgb is uint8"),
        ({"rgb": np.zeros((3, 48, 64, 3), np.float32)}, "rgb is float32"),
        ({"base": np.zeros((3, 48, 60), np.float32)}, "base is float32"),
        ({"truth": np.zeros((3, 48, 64), np.int64)}, "truth is int64"),
        ({"names": np.array(["one"])}, "1 names for 3"),
        ({"pruned": None}, "pruned"),
        ({"names": np.array([{}, {}, {}], dtype=object)}, "not a file of samples"),
    ],
)
def test_samples_that_do_not_fit_are_refused(
    tmp_path: Path, changes: dict[str, np.ndarray | None], said: str
) -> None:
    path = tmp_path / "samples.npz"
    write_samples(path)
    with np.load(path) as archive:
        arrays = dict(archive) | changes
    np.savez(path, **{key: value for key, value in arrays.items() if value is not None})
    with pytest.raises(UserError, match=said) as error:
        read_samples(path)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("keep", [0, 10, 5000])
def test_torn_samples_are_refused(tmp_path: Path, keep: int) -> None:
    path = tmp_path / "samples.npz"
    write_samples(path)
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(UserError, match=r"samples\.npz is not a file of samples"):
        read_samples(path)
