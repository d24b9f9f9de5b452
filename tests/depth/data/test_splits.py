from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from netadapt.depth.data.frames import Frame, Splits
from netadapt.depth.data.splits import GAP, RUNS, cut, divided, in_runs
from netadapt.errors import UserError


def undecoded() -> None:
    raise AssertionError("cutting must not decode")


def frames_of(blocks: list[str]) -> list[Frame]:
    return [
        Frame(f"frame {number}", block, undecoded)  # type: ignore[arg-type]
        for number, block in enumerate(blocks)
    ]


block_lists = st.lists(st.sampled_from("abcdefghij"), min_size=2, max_size=80)
fractions = st.floats(0.01, 0.99)
seeds = st.integers(0, 2**32 - 1)


@given(block_lists, fractions, seeds)
def test_a_cut_parts_all_frames_and_leaves_neither_side_empty(
    blocks: list[str], fraction: float, seed: int
) -> None:
    frames = frames_of(blocks)
    kept, taken = cut(frames, fraction, seed)
    assert kept
    assert taken
    assert sorted(kept + taken, key=frames.index) == frames
    assert kept == sorted(kept, key=frames.index)


@given(block_lists, fractions, seeds)
def test_frames_of_one_block_are_never_parted(
    blocks: list[str], fraction: float, seed: int
) -> None:
    kept, taken = cut(frames_of(blocks), fraction, seed)
    if len(set(blocks)) > 1:
        assert not {frame.block for frame in kept} & {frame.block for frame in taken}


@given(block_lists, fractions, seeds)
def test_a_cut_is_no_larger_than_asked_or_else_the_smallest_block(
    blocks: list[str], fraction: float, seed: int
) -> None:
    _, taken = cut(frames_of(blocks), fraction, seed)
    if len(set(blocks)) == 1:
        return
    smallest = min(blocks.count(block) for block in set(blocks))
    assert len(taken) <= max(round(fraction * len(blocks)), smallest)


@given(block_lists, fractions, seeds)
def test_a_cut_is_a_function_of_its_seed(blocks: list[str], fraction: float, seed: int) -> None:
    assert cut(frames_of(blocks), fraction, seed) == cut(frames_of(blocks), fraction, seed)


@given(st.integers(1, 200))
def test_runs_are_consecutive_and_nearly_equal(count: int) -> None:
    blocks = [frame.block for frame in in_runs(frames_of([""] * count))]
    order = list(dict.fromkeys(blocks))
    assert blocks == sorted(blocks, key=order.index)
    sizes = [blocks.count(block) for block in order]
    assert len(order) == min(RUNS, count)
    assert max(sizes) - min(sizes) <= 1


@pytest.mark.parametrize("count", [0, 1])
def test_too_few_frames_to_cut_is_an_error(count: int) -> None:
    with pytest.raises(UserError, match="cannot be cut into two splits"):
        cut(frames_of(["a"] * count), 0.5, 0)


@given(st.lists(st.integers(60, 99), min_size=1, max_size=3), st.floats(0.05, 0.3), seeds)
def test_splits_of_recordings_keep_apart(lengths: list[int], fraction: float, seed: int) -> None:
    frames = [
        replace(frame, block=f"{recording} {frame.block}", moment=(f"{recording}", number))
        for recording, length in enumerate(lengths)
        for number, frame in enumerate(in_runs(frames_of(["a"] * length)))
    ]
    splits = divided(Splits(train=frames, test=[], holdout=[]), fraction, seed)
    named = {"train": splits.train, "holdout": splits.holdout, "test": splits.test}
    assert all(named.values())
    lost = len(frames) - sum(map(len, named.values()))
    moments = {
        name: {frame.moment for frame in part if frame.moment} for name, part in named.items()
    }
    for one, other in (("train", "holdout"), ("train", "test"), ("holdout", "test")):
        for recording, number in moments[one]:
            near = {(recording, number + step) for step in range(-GAP, GAP + 1)}
            assert not near & moments[other]
    edges = 2 * (len({f.block for f in splits.holdout}) + len({f.block for f in splits.test}))
    assert lost <= GAP * edges


@given(block_lists, fractions, seeds)
def test_frames_of_unknown_moments_are_all_kept(
    blocks: list[str], fraction: float, seed: int
) -> None:
    frames = frames_of([*blocks, "y", "z"])
    splits = divided(Splits(train=frames, test=[], holdout=frames_of(["x"])), fraction, seed)
    assert len(splits.train) + len(splits.test) == len(frames)
