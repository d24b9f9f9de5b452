"""Data that is missing, damaged or of the wrong shape; photographs that are none."""

import pytest

COMMANDS = {
    "evaluate": "evaluate @tiny.safetensors",
    "train": "train --model @tiny.safetensors --input-size 32x32 --steps 2 --out new/training",
    "search": "search --checkpoint @small.safetensors --lut @lut/made-up --budget-ms 150 "
    "--short-steps 1 --out new/run",
}
NEVER_OPENED = {
    "pictures:@pairs": "use synthetic[:N], nyu:DIR, nyu:FILE.mat, tum:DIR, pairs:DIR, kitti:DIR or "
    "sequence:DIR",
    "@pairs": "use synthetic[:N]",
    "pairs:": "names no folder",
    "pairs:missing": "missing does not exist",
    "pairs:@file": "file is not a folder",
    "pairs:@empty": "neither rgb/ and depth/ nor train/",
    "pairs:@alone": "03.jpg has no partner in",
    "pairs:@single": "add frames",
    "nyu:@empty": "no h5 files",
    "nyu:@pairs": "no h5 files",
    "nyu:@missing.mat": "missing.mat does not exist",
    "nyu:@noise.mat": "noise.mat",
    "tum:@empty": "rgb.txt does not exist",
    "synthetic:0": "from 1 to",
    "synthetic:many": "from 1 to",
}
FOUND_ON_READING = {
    "pairs:@torn_photos": ("cannot read image @torn_photos/rgb", "replace or remove it"),
    "pairs:@torn_depths": ("cannot read depth @torn_depths/depth", "replace or remove it"),
    "pairs:@sizes": ("image is 48x64 but depth is 24x64",),
    "pairs:@eight_bit": ("has mode L; save it as a 16-bit",),
    "nyu:@torn_h5": ("cannot read @torn_h5/", "not sound HDF5"),
    "nyu:@turned_h5": ("rgb is uint8 (48, 64, 3); expected uint8 (3, H, W)",),
}


@pytest.mark.parametrize("data", NEVER_OPENED)
@pytest.mark.parametrize("command", COMMANDS)
def test_data_that_cannot_be_opened_is_named(netadapt, command, data):
    line = netadapt.refused_at_once(COMMANDS[command], f"--data={data}")
    assert NEVER_OPENED[data] in line


@pytest.mark.parametrize("data", FOUND_ON_READING)
@pytest.mark.parametrize("command", COMMANDS)
def test_a_damaged_frame_is_named_and_nothing_stays_behind(netadapt, command, data):
    line = netadapt.refused(COMMANDS[command], f"--data={data}")
    for words in FOUND_ON_READING[data]:
        assert netadapt.at_stock(words) in line


def test_an_empty_folder_that_was_there_is_still_there(netadapt, here):
    (here / "mine").mkdir()
    netadapt.refused(
        "train --model @tiny.safetensors --input-size 32x32 --steps 2 --out mine",
        "--data pairs:@torn_photos",
    )
    assert (here / "mine").is_dir()


PHOTOS = {
    "missing.jpg": "image missing.jpg does not exist",
    "@pairs": "is not a file",
    "@file": "cannot identify image file",
    "@noise.png": "cannot identify image file",
    "@torn.png": "torn.png",
    "@torn.jpg": "torn.jpg",
    "@tiny.safetensors": "cannot identify image file",
    "@pairs/depth/00.png": "convert it to 8-bit RGB",
}


@pytest.mark.parametrize("photo", PHOTOS)
def test_one_photograph_that_is_none_stops_the_others(netadapt, photo):
    line = netadapt.refused_at_once("predict @tiny.safetensors @photo.jpg", photo, "--out new")
    assert netadapt.at_stock(PHOTOS[photo]) in line


def test_photographs_of_one_name_do_not_replace_each_other(netadapt):
    line = netadapt.refused_at_once("predict @tiny.safetensors @photo.jpg @photo.png --out new")
    assert netadapt.at_stock("@photo.jpg and @photo.png") in line
