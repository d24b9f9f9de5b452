"""Frames that cannot be used, in the middle of an epoch: fatal, or skipped; always named."""

import numpy as np
import pytest
from PIL import Image

from netadapt.errors import UserError
from netadapt.training import open_task

SIZE = (32, 32)
FRAMES = 40


def truncate(folder, stem):
    path = folder / "rgb" / f"{stem}.png"
    path.write_bytes(path.read_bytes()[:100])


def resize(folder, stem):
    Image.fromarray(np.full((20, 20), 1500, np.uint16)).save(folder / "depth" / f"{stem}.png")


def eight_bits(folder, stem):
    Image.fromarray(np.full((36, 48), 9, np.uint8)).save(folder / "depth" / f"{stem}.png")


def blacken(folder, stem):
    Image.fromarray(np.zeros((36, 48), np.uint16)).save(folder / "depth" / f"{stem}.png")


BROKEN = {
    truncate: "cannot read image",
    resize: "image is 36x48 but depth is 20x20",
    eight_bits: "has mode L; save it as a 16-bit",
}


@pytest.fixture
def frames(tmp_path):
    random = np.random.default_rng(0)
    for kind in ("rgb", "depth"):
        (tmp_path / kind).mkdir()
    for number in range(FRAMES):
        photo = random.integers(0, 255, (36, 48, 3), np.uint8)
        depth = random.integers(500, 5000, (36, 48), np.uint16)
        Image.fromarray(photo).save(tmp_path / "rgb" / f"{number:03}.png")
        Image.fromarray(depth).save(tmp_path / "depth" / f"{number:03}.png")
    return tmp_path


def opened(folder, on_bad_sample):
    return open_task("depth", f"pairs:{folder}", SIZE, {"on_bad_sample": on_bad_sample})


def trained_on(task):
    return [task.data.train.name(index) for index in range(len(task.data.train))]


def seen_in_an_epoch(task):
    for draw in range(task.batches_per_epoch(4) + 1):
        task.train_batch(draw, 4, seed=0)


@pytest.mark.parametrize("spoil", BROKEN)
def test_a_bad_frame_ends_the_epoch_and_is_named(frames, spoil):
    stem = trained_on(opened(frames, "fail"))[7].rpartition("/")[2].partition(".")[0]
    spoil(frames, stem)
    with pytest.raises(UserError, match=BROKEN[spoil]) as caught:
        seen_in_an_epoch(opened(frames, "fail"))
    assert stem in str(caught.value)
    assert "\n" not in str(caught.value)


def test_bad_frames_are_skipped_named_and_counted(frames):
    whole = opened(frames, "skip")
    assert whole.note == opened(frames, "fail").note
    names = trained_on(whole)
    stems = [name.rpartition("/")[2].partition(".")[0] for name in names[3:7]]
    for spoil, stem in zip((*BROKEN, blacken), stems, strict=True):
        spoil(frames, stem)
    task = opened(frames, "skip")
    assert f"skipped 4 of {FRAMES} frames" in task.note
    assert all(stem in task.note for stem in stems)
    assert "depth is 0 everywhere" in task.note
    assert "\n" not in task.note
    assert trained_on(task) == names[:3] + names[7:]
    seen_in_an_epoch(task)
    for split in ("holdout", "test"):
        before, after = getattr(whole.data, split), getattr(task.data, split)
        assert len(before) == len(after)


def test_many_bad_frames_are_named_in_part(frames):
    for name in trained_on(opened(frames, "fail"))[:15]:
        truncate(frames, name.rpartition("/")[2].partition(".")[0])
    assert opened(frames, "skip").note.endswith("; and 5 more")


def test_data_without_one_good_frame_is_refused(frames):
    for number in range(FRAMES):
        truncate(frames, f"{number:03}")
    with pytest.raises(UserError, match="no frame of the training split can be used: cannot read"):
        opened(frames, "skip")


def test_other_tasks_have_their_own_way():
    with pytest.raises(UserError, match="task digits has no option 'on_bad_sample'"):
        open_task("digits", None, SIZE, {"on_bad_sample": "skip"})
