"""Files cut short or with flipped bits: refused in one line, or read as what was written."""

import json
import shutil
import zlib
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import netadapt
from netadapt.errors import UserError
from netadapt.latency.table import LatencyTable
from netadapt.search.journal import Journal
from netadapt.training.checkpoint import load_checkpoint

PLACES = st.integers(0, 10**9)
BITS = st.integers(0, 7)
thorough = settings(
    max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


@pytest.fixture(scope="module")
def journal(undisturbed):
    return undisturbed.folder


def flipped(path, place, bit):
    content = bytearray(path.read_bytes())
    content[place % len(content)] ^= 1 << bit
    return bytes(content)


def cut(path, place):
    content = path.read_bytes()
    return content[: place % len(content)]


def read_or_refused(load):
    """What ``load`` gives and None, or None and the one line that refuses it."""
    try:
        return load(), None
    except UserError as error:
        line = str(error)
    assert "\n" not in line
    return None, line


@thorough
@given(place=PLACES, bit=BITS)
def test_a_checkpoint_with_a_flipped_bit_is_never_loaded(case, tmp_path, place, bit):
    path = tmp_path / "flipped.safetensors"
    path.write_bytes(flipped(Path(case["model"]), place, bit))
    with pytest.raises(UserError) as caught:
        load_checkpoint(path)
    assert "\n" not in str(caught.value)


@thorough
@given(place=PLACES)
def test_a_checkpoint_cut_short_is_never_loaded(case, tmp_path, place):
    path = tmp_path / "cut.safetensors"
    path.write_bytes(cut(Path(case["model"]), place))
    with pytest.raises(UserError) as caught:
        load_checkpoint(path)
    assert "\n" not in str(caught.value)


def test_a_checkpoint_older_than_the_checksum_loads(case, tmp_path):
    from safetensors import safe_open
    from safetensors.torch import save_file

    path = tmp_path / "old.safetensors"
    with safe_open(case["model"], framework="pt") as file:
        metadata = file.metadata()["netadapt"]
        stored = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    start = metadata.index(',"checksum"')
    save_file(stored, path, {"netadapt": metadata[:start] + "}"})
    old, new = load_checkpoint(path).state_dict(), load_checkpoint(case["model"]).state_dict()
    assert all(torch.equal(old[name], new[name]) for name in new)


@thorough
@given(place=PLACES, bit=BITS)
def test_a_journal_with_a_flipped_bit_is_refused_or_only_its_torn_end_is_lost(
    journal, tmp_path, place, bit
):
    path = tmp_path / "journal.jsonl"
    path.write_bytes(flipped(journal / "journal.jsonl", place, bit))
    whole = Journal(journal / "journal.jsonl").events
    opened, refused = read_or_refused(lambda: Journal(path))
    if opened is None:
        assert " is damaged: " in refused
    else:
        assert opened.events in (whole, whole[:-1])


@settings(
    max_examples=8, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(place=PLACES)
def test_a_run_whose_journal_was_cut_goes_on_to_the_same_front(journal, tmp_path, place):
    out = tmp_path / "run"
    shutil.rmtree(out, ignore_errors=True)
    shutil.copytree(journal, out)
    (out / "journal.jsonl").write_bytes(cut(journal / "journal.jsonl", place))
    run, refused = read_or_refused(lambda: netadapt.search(out=out, resume=True))
    if run is None:  # weights that were dropped since cannot be asked for again
        assert "does not exist" in refused
    else:
        for name in ("journal.jsonl", "pareto.csv"):
            assert (out / name).read_bytes() == (journal / name).read_bytes()


def damaged_table(case, tmp_path, content):
    whole = Path(case["lut"])
    folder = tmp_path / whole.name
    shutil.copytree(whole, folder, dirs_exist_ok=True)
    (folder / "latency.csv").write_bytes(content)
    with pytest.raises(UserError) as caught:
        LatencyTable.load(folder)
    assert "\n" not in str(caught.value)


@thorough
@given(place=PLACES, bit=BITS)
def test_a_table_with_a_flipped_bit_is_refused(case, tmp_path, place, bit):
    damaged_table(case, tmp_path, flipped(Path(case["lut"]) / "latency.csv", place, bit))


@thorough
@given(place=PLACES)
def test_a_table_cut_short_is_refused(case, tmp_path, place):
    damaged_table(case, tmp_path, cut(Path(case["lut"]) / "latency.csv", place))


def test_a_table_older_than_the_checksum_loads_and_one_that_grew_does(case, tmp_path):
    whole = LatencyTable.load(case["lut"])
    folder = tmp_path / whole.folder.name
    shutil.copytree(whole.folder, folder)
    table = LatencyTable.load(folder)
    more = {replace(one, dtype="float16"): latency for one, latency in whole.rows.items()}
    table.append(more)
    assert LatencyTable.load(folder).rows == whole.rows | more
    target = json.loads((folder / "target.json").read_text())
    del target["latency_bytes"], target["latency_crc32"]
    (folder / "target.json").write_text(json.dumps(target))
    assert LatencyTable.load(folder).rows == whole.rows | more


@thorough
@given(place=PLACES, other=PLACES, how=st.sampled_from(["doubled", "swapped", "lost", "moved"]))
def test_a_journal_whose_lines_are_not_in_their_order_is_refused(
    journal, tmp_path, place, other, how
):
    lines = (journal / "journal.jsonl").read_bytes().splitlines(keepends=True)
    wrong = list(lines)
    here, there = place % (len(lines) - 1), other % len(lines)
    if how == "doubled":
        wrong.insert(there, lines[here])
    elif how == "swapped":
        wrong[here], wrong[there] = lines[there], lines[here]
    elif how == "lost":
        del wrong[here]
    else:
        wrong.insert(there, wrong.pop(here))
    path = tmp_path / "journal.jsonl"
    path.write_bytes(b"".join(wrong))
    if wrong == lines:
        Journal(path)
        return
    with pytest.raises(UserError, match=r"line \d+ is damaged: its checksum is wrong"):
        Journal(path)


def test_lines_of_one_run_do_not_pass_in_another(journal, tmp_path):
    """Even where they say the same: what came before them differs."""
    first, *rest = (journal / "journal.jsonl").read_bytes().splitlines(keepends=True)
    path = tmp_path / "journal.jsonl"
    begun = Journal(path)
    begun.append(Journal(journal / "journal.jsonl").events[0])
    assert path.read_bytes() == first
    begun.append(Journal(journal / "journal.jsonl").events[0])
    path.write_bytes(path.read_bytes() + b"".join(rest))
    with pytest.raises(UserError, match="line 3 is damaged"):
        Journal(path)


def test_a_journal_from_before_the_chain_is_read_and_goes_on_in_one(journal, tmp_path):
    path = tmp_path / "journal.jsonl"
    events = Journal(journal / "journal.jsonl").events
    old = [event.model_dump_json() for event in events[:-1]]
    sealed = [f'{line[:-1]},"crc32":"{zlib.crc32(line.encode()):08x}"}}' for line in old]
    path.write_text("".join(f"{line}\n" for line in sealed))
    Journal(path).append(events[-1])
    assert Journal(path).events == events
    lines = path.read_text().splitlines()
    path.write_text("\n".join([*lines, sealed[-1]]) + "\n")
    with pytest.raises(UserError, match="no checksum that ties it to the line before"):
        Journal(path)
