import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from netadapt.depth.data import DepthDataset, open_data
from netadapt.errors import UserError

SIZE = (16, 16)


def blocks(dataset: DepthDataset) -> set[str]:
    return {dataset.block(index) for index in range(len(dataset))}


def names(dataset: DepthDataset) -> list[str]:
    return [dataset.name(index) for index in range(len(dataset))]


def decode(folder: Path, stem: str) -> None:
    data = open_data(f"pairs:{folder}", SIZE)
    for dataset in (data.train, data.holdout, data.test):
        for index, name in enumerate(names(dataset)):
            if Path(name).stem == stem:
                dataset.evaluation_example(index)


def test_examples_are_rgb_in_unit_range_and_depth_in_metres(pairs: Path) -> None:
    data = open_data(f"pairs:{pairs}", (16, 24))
    rng = np.random.default_rng(0)
    for rgb, depth in (data.train.evaluation_example(0), data.train.training_example(0, rng)):
        assert rgb.shape == (3, 16, 24)
        assert depth.shape == (1, 16, 24)
        assert rgb.dtype == depth.dtype == np.float32
        assert rgb.min() >= 0
        assert rgb.max() <= 1
    raw = np.array(Image.open(pairs / "depth" / f"{Path(data.train.name(0)).stem}.png"))
    seen = data.train.evaluation_example(0)[1]
    assert np.isin(np.round(seen * 1000), raw).all()


def test_frames_without_a_test_split_are_cut_in_three(pairs: Path) -> None:
    data = open_data(f"pairs:{pairs}", SIZE)
    everything = names(data.train) + names(data.holdout) + names(data.test)
    assert len(everything) == len(set(everything)) == 20
    assert len(data.holdout) == len(data.test) == 2
    assert not blocks(data.train) & blocks(data.holdout)
    assert not blocks(data.test) & (blocks(data.train) | blocks(data.holdout))


def test_the_test_split_is_the_same_for_every_seed(pairs: Path) -> None:
    splits = [open_data(f"pairs:{pairs}", SIZE, seed=seed) for seed in range(8)]
    assert len({tuple(names(data.test)) for data in splits}) == 1
    assert len({tuple(names(data.holdout)) for data in splits}) > 1


def test_a_test_folder_is_the_test_split(tmp_path: Path, write_pair: Callable[..., None]) -> None:
    for split, count in (("train", 10), ("test", 3)):
        for number in range(count):
            write_pair(tmp_path / split, f"{split}{number}")
    data = open_data(f"pairs:{tmp_path}", SIZE)
    assert [Path(name).stem for name in names(data.test)] == ["test0", "test1", "test2"]
    assert len(data.train) + len(data.holdout) == 10


@pytest.mark.parametrize("beside", [False, True])
def test_the_holdout_is_cut_by_the_index_blocks(
    tmp_path: Path, write_pair: Callable[..., None], beside: bool
) -> None:
    rows = ["index,split,block"]
    for number in range(24):
        write_pair(tmp_path / "train", f"{number:05d}")
        rows.append(f"{number},train,{number % 6}")
    (tmp_path / "index.csv").write_text("\n".join(rows))
    folder = tmp_path / "train" if beside else tmp_path
    for seed in range(5):
        data = open_data(f"pairs:{folder}", SIZE, holdout_fraction=0.4, seed=seed)
        assert len(blocks(data.holdout)) == 2
        assert not blocks(data.holdout) & blocks(data.train)


def test_missing_and_saturated_depth_is_no_ground_truth(
    tmp_path: Path, write_pair: Callable[..., None]
) -> None:
    depth = np.full((24, 32), 2000, np.uint16)
    depth[:, :10], depth[:, 22:] = 0, 65535
    for number in range(3):
        write_pair(tmp_path, str(number), depth=depth)
    seen = open_data(f"pairs:{tmp_path}", SIZE).train.evaluation_example(0)[1]
    assert set(np.unique(seen)) == {0, 2}


def test_camera_json_sets_the_depth_unit(pairs: Path) -> None:
    before = open_data(f"pairs:{pairs}", SIZE).train.evaluation_example(0)[1]
    (pairs / "camera.json").write_text(json.dumps({"depth_unit_m": 1 / 256}))
    after = open_data(f"pairs:{pairs}", SIZE).train.evaluation_example(0)[1]
    assert np.allclose(after, before * 1000 / 256)


@pytest.mark.parametrize("content", ["{", "[]", '{"depth_unit_m": "mm"}', '{"depth_unit_m": 0}'])
def test_a_bad_camera_json_is_named(pairs: Path, content: str) -> None:
    (pairs / "camera.json").write_text(content)
    with pytest.raises(UserError, match=r"camera\.json"):
        open_data(f"pairs:{pairs}", SIZE)


def test_a_missing_partner_is_named(pairs: Path) -> None:
    (pairs / "depth" / "007.png").unlink()
    with pytest.raises(UserError, match=r"rgb/007\.png has no partner in .*depth"):
        open_data(f"pairs:{pairs}", SIZE)


def test_two_photographs_of_one_stem_are_named(pairs: Path) -> None:
    Image.new("RGB", (32, 24)).save(pairs / "rgb" / "007.jpg")
    with pytest.raises(UserError, match=r"007\.(jpg|png) .*share a stem"):
        open_data(f"pairs:{pairs}", SIZE)


def test_an_empty_folder_is_named(tmp_path: Path) -> None:
    for name in ("rgb", "depth"):
        (tmp_path / name).mkdir()
    with pytest.raises(UserError, match=r"no .*files in .*rgb"):
        open_data(f"pairs:{tmp_path}", SIZE)


def test_a_folder_of_another_layout_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="holds neither rgb/ and depth/ nor train/"):
        open_data(f"pairs:{tmp_path}", SIZE)


def test_a_frame_missing_from_the_index_is_named(pairs: Path) -> None:
    (pairs / "index.csv").write_text("index,block\n0,a\n1,b\n")
    with pytest.raises(UserError, match=r"index\.csv has no row for .*002\.png"):
        open_data(f"pairs:{pairs}", SIZE)


@pytest.mark.parametrize("content", ["number,scene\n0,a\n", "index,block\n0\n", "\x00\xff"])
def test_a_broken_index_is_named(pairs: Path, content: str) -> None:
    (pairs / "index.csv").write_text(content, encoding="latin-1")
    with pytest.raises(UserError, match=r"index\.csv"):
        open_data(f"pairs:{pairs}", SIZE)


@pytest.mark.parametrize("folder", ["rgb", "depth"])
@pytest.mark.parametrize("damage", [b"", b"not an image", None])
def test_a_corrupt_image_is_named_when_it_is_read(
    pairs: Path, folder: str, damage: bytes | None
) -> None:
    path = pairs / folder / "007.png"
    path.write_bytes(path.read_bytes()[:200] if damage is None else damage)
    with pytest.raises(UserError, match=rf"{folder}/007\.png.*replace or remove it"):
        decode(pairs, "007")


def test_an_eight_bit_depth_image_is_refused(pairs: Path) -> None:
    Image.new("L", (32, 24)).save(pairs / "depth" / "007.png")
    with pytest.raises(UserError, match=r"007\.png has mode L; save it as a 16-bit"):
        decode(pairs, "007")


def test_a_sixteen_bit_photograph_is_refused(pairs: Path) -> None:
    Image.fromarray(np.zeros((24, 32), np.uint16)).save(pairs / "rgb" / "007.png")
    with pytest.raises(UserError, match=r"007\.png has mode I;16; convert it to 8-bit RGB"):
        decode(pairs, "007")


def test_depth_of_another_size_is_refused(pairs: Path) -> None:
    Image.fromarray(np.full((12, 16), 900, np.uint16)).save(pairs / "depth" / "007.png")
    with pytest.raises(UserError, match=r"007\.png: image is 24x32 but depth is 12x16"):
        decode(pairs, "007")


def test_real_nyu_frames_split_by_scene(nyu: Path) -> None:
    data = open_data(f"pairs:{nyu}", (64, 80))
    assert len(data.train) + len(data.holdout) == 795
    assert len(data.test) == 320
    assert 70 <= len(data.holdout) <= 80
    assert not blocks(data.train) & blocks(data.holdout)
    assert not blocks(data.test) & (blocks(data.train) | blocks(data.holdout))
    for index in range(0, 320, 40):
        rgb, depth = data.test.evaluation_example(index)
        assert 0.02 < rgb.mean() < 0.95
        assert depth.min() >= 0.69
        assert depth.max() <= 10


def test_real_kitti_and_redkitchen_depths_are_plausible(nyu: Path) -> None:
    drive = open_data(f"pairs:{nyu.parent / 'kitti_drive'}", (96, 320)).test
    depth = drive.evaluation_example(0)[1]
    assert 0.05 < (depth > 0).mean() < 0.25
    assert 5 < np.median(depth[depth > 0]) < 20
    kitchen = open_data(f"pairs:{nyu.parent / 'redkitchen'}", (64, 80)).test
    depth = kitchen.evaluation_example(0)[1]
    assert 1 < np.median(depth[depth > 0]) < 3
