import json
import re
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from netadapt.errors import UserError
from netadapt.latency.table import COLUMNS, Latency, LatencyTable
from netadapt.latency.target import Target
from netadapt.latency.workloads import Workload

TARGET = Target(hardware="A Fine CPU @ 3 GHz", runtime_version="1.2.3")

sizes = st.integers(1, 4096)
pairs = st.tuples(sizes, sizes)
shapes = st.tuples(sizes, sizes, sizes, sizes)
workloads = st.builds(
    Workload,
    kind=st.sampled_from(["conv2d", "linear", "upsample_nearest", "_softmax"]),
    inputs=st.lists(shapes, min_size=1, max_size=3).map(tuple),
    out_channels=sizes,
    kernel=st.one_of(st.just(()), pairs),
    stride=st.one_of(st.just(()), pairs),
    padding=st.one_of(st.just(()), st.tuples(st.integers(-2, 9), st.integers(-2, 9))),
    dilation=st.one_of(st.just(()), pairs),
    groups=sizes,
    activation=st.sampled_from(["", "relu", "relu6", "clamp(-1,1)", "clamp(0,1e+06)"]),
    dtype=st.sampled_from(["float32", "int8"]),
)
hundredths = st.integers(1, 10**9).map(lambda n: n / 100)
latencies = st.tuples(st.lists(hundredths, min_size=3, max_size=3).map(sorted), sizes).map(
    lambda parts: Latency(parts[0][0], parts[0][1], parts[0][2], parts[1])
)
measured = st.dictionaries(workloads, latencies, min_size=1, max_size=8)


def filled(lut: Path) -> LatencyTable:
    """A table of three rows, one of which needs quotes."""
    table = LatencyTable.open(lut, TARGET)
    image = (1, 3, 64, 64)
    convolution = ((3, 3), (2, 2), (1, 1), (1, 1))
    table.append(
        {
            Workload("conv2d", (image,), 32, *convolution, 1, "relu6"): Latency(1, 2.5, 3, 40),
            Workload("conv2d", (image,), 16, *convolution, 1, "clamp(0,1)"): Latency(1, 2, 3, 40),
            Workload("add", ((1, 8, 32, 32),) * 2, 8): Latency(0.25, 0.5, 0.75, 40),
        }
    )
    table.save_target(TARGET)
    return table


@pytest.fixture
def table(tmp_path: Path) -> LatencyTable:
    return filled(tmp_path)


@pytest.fixture(scope="module")
def stored() -> Iterator[tuple[Path, bytes]]:
    """A folder to damage, and what its ``latency.csv`` ought to hold."""
    with TemporaryDirectory() as name:
        folder = filled(Path(name)).folder
        yield folder, (folder / "latency.csv").read_bytes()


def one_line(error: pytest.ExceptionInfo[UserError]) -> str:
    assert "\n" not in str(error.value)
    return str(error.value)


@settings(max_examples=60, deadline=None)
@given(first=measured, second=measured)
def test_a_table_reads_back_what_was_appended(
    first: dict[Workload, Latency], second: dict[Workload, Latency]
) -> None:
    with TemporaryDirectory() as name:
        table = LatencyTable.open(Path(name), TARGET)
        table.append(first)
        table.append(second)
        again = LatencyTable.open(Path(name), TARGET)
        assert again.rows == table.rows == second | first  # what is known stays
        assert again.target == TARGET
        assert again.missing([*first, *second]) == []


def test_appending_adds_lines_and_changes_none(table: LatencyTable) -> None:
    path = table.folder / "latency.csv"
    before = path.read_text()
    table.append(dict(table.rows))
    assert path.read_text() == before
    table.append({Workload("add", ((1, 8, 4, 4),) * 2, 8): Latency(1, 1, 1, 1)})
    assert path.read_text().startswith(before)
    assert path.read_text().count("\n") == 5


def test_pandas_opens_a_table(table: LatencyTable) -> None:
    frame = pd.read_csv(table.folder / "latency.csv")
    assert tuple(frame.columns) == COLUMNS
    assert frame["p50_us"].tolist() == [2.5, 2.0, 0.5]
    assert json.loads((table.folder / "target.json").read_text())["hardware"] == TARGET.hardware


def test_missing_names_each_workload_once(table: LatencyTable) -> None:
    known = next(iter(table.rows))
    unknown = Workload("add", ((1, 9, 4, 4),) * 2, 9)
    assert table.missing([unknown, known, unknown]) == [unknown]


def test_opening_writes_nothing_before_something_is_measured(tmp_path: Path) -> None:
    LatencyTable.open(tmp_path / "lut", TARGET)
    assert not (tmp_path / "lut").exists()


@settings(max_examples=150, deadline=None)
@given(data=st.data())
def test_a_truncated_table_loses_the_torn_line_or_is_refused(
    stored: tuple[Path, bytes], data: st.DataObject
) -> None:
    folder, content = stored
    (folder / "latency.csv").write_bytes(content)
    whole = list(LatencyTable.load(folder).rows.items())
    kept = content[: data.draw(st.integers(0, len(content)))]
    (folder / "latency.csv").write_bytes(kept)
    lines = kept.count(b"\n")
    if lines == 0:
        with pytest.raises(UserError, match="line 1: expected the columns"):
            LatencyTable.load(folder)
        return
    table = LatencyTable.load(folder)
    assert list(table.rows.items()) == whole[: lines - 1]
    table.append(dict(whole))  # an interrupted profile goes on
    assert list(LatencyTable.load(folder).rows.items()) == whole
    assert (folder / "latency.csv").read_bytes() == content


@settings(max_examples=300, deadline=None)
@given(data=st.data())
def test_a_garbled_table_is_refused_by_line(
    stored: tuple[Path, bytes], data: st.DataObject
) -> None:
    folder, content = stored
    place = data.draw(st.integers(0, len(content) - 2))
    junk = data.draw(st.sampled_from([b"\x00", b"\xff", b'"', b" ", b"#", b"\n", b"\t"]))
    garbled = content[:place] + junk + content[place + 1 :]
    (folder / "latency.csv").write_bytes(garbled)
    if garbled == content:
        return
    with pytest.raises(UserError, match=str(folder)) as caught:
        LatencyTable.load(folder)
    line = content[:place].count(b"\n") + 1
    split = rf"latency.csv line ({line}|{line + 1})\b"  # a new line may have cut it in two
    assert re.search(split, one_line(caught)) or junk == b"\xff"


@pytest.mark.parametrize(
    "field",
    ["1_0", "\u0663", "+5", " 5", "0x3", "1.5", "", "five", "1x", "99999999999999999999x"],
)
def test_what_only_resembles_a_number_is_refused(table: LatencyTable, field: str) -> None:
    path = table.folder / "latency.csv"
    lines = path.read_text().splitlines()
    row = lines[1].split(",")
    row[COLUMNS.index("out_channels")] = field
    path.write_text("\n".join([lines[0], ",".join(row), *lines[2:], ""]))
    with pytest.raises(UserError, match=r"latency.csv line 2 is damaged"):
        LatencyTable.load(table.folder)


@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("p50_us", "nan"),
        ("p50_us", "-1.00"),
        ("p90_us", "inf"),
        ("p90_us", "1.00"),
        ("runs", "0"),
        ("kind", ""),
        ("kind", "conv 2d"),
        ("dtype", ""),
        ("inputs", ""),
        ("inputs", "3"),
        ("out_channels", "0"),
    ],
)
def test_impossible_rows_are_refused_by_line(table: LatencyTable, column: str, value: str) -> None:
    path = table.folder / "latency.csv"
    lines = path.read_text().splitlines()
    row = lines[1].split(",")
    row[COLUMNS.index(column)] = value
    path.write_text("\n".join([lines[0], ",".join(row), *lines[2:], ""]))
    with pytest.raises(UserError, match=r"latency.csv line 2 is damaged") as caught:
        LatencyTable.load(table.folder)
    one_line(caught)


@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_a_damaged_target_is_refused(stored: tuple[Path, bytes], data: st.DataObject) -> None:
    folder, rows = stored
    (folder / "latency.csv").write_bytes(rows)
    path = folder / "target.json"
    content = path.read_bytes()
    place = data.draw(st.integers(0, len(content) - 2))
    damaged = data.draw(
        st.sampled_from([content[:place], content[:place] + b"\x00" + content[place + 1 :]])
    )
    path.write_bytes(damaged)
    try:
        with pytest.raises(UserError, match=r"target.json is not a target") as caught:
            LatencyTable.load(folder)
        one_line(caught)
    finally:
        path.write_bytes(content)


@pytest.mark.parametrize(
    "change",
    [{"threads": 0}, {"precision": "fp7"}, {"format": 2}, {"colour": "red"}, {"batch": "many"}],
)
def test_impossible_targets_are_refused(table: LatencyTable, change: dict[str, object]) -> None:
    path = table.folder / "target.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | change))
    with pytest.raises(UserError, match=next(iter(change))):
        LatencyTable.load(table.folder)


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda folder: folder / "absent", "does not exist"),
        (lambda folder: folder / "latency.csv", "is not a folder"),
        (lambda folder: folder.parent, "is not a latency table"),
    ],
)
def test_what_is_no_table_is_refused(table: LatencyTable, make, words: str) -> None:
    with pytest.raises(UserError, match=words):
        LatencyTable.load(make(table.folder))


def test_a_table_may_have_the_line_ends_of_windows(table: LatencyTable) -> None:
    path = table.folder / "latency.csv"
    path.write_bytes(path.read_bytes().replace(b"\n", b"\r\n"))
    assert LatencyTable.load(table.folder).rows == table.rows


def test_a_table_without_rows_is_refused(table: LatencyTable) -> None:
    (table.folder / "latency.csv").unlink()
    with pytest.raises(UserError, match=r"latency.csv does not exist"):
        LatencyTable.load(table.folder)


def test_a_folder_of_another_target_is_refused(table: LatencyTable) -> None:
    moved = TARGET.model_copy(update={"hardware": "a fine cpu 3 ghz"})
    assert moved.slug == TARGET.slug
    with pytest.raises(UserError, match="another target: hardware A Fine CPU @ 3 GHz instead of a"):
        LatencyTable.open(table.folder.parent, moved)


def test_a_table_that_cannot_be_written_says_so(tmp_path: Path) -> None:
    (tmp_path / "lut").write_text("a file")
    table = LatencyTable.open(tmp_path / "lut", TARGET)
    with pytest.raises(UserError, match="cannot write") as caught:
        table.append({Workload("add", ((1, 8, 4, 4),) * 2, 8): Latency(1, 1, 1, 1)})
    one_line(caught)
    assert table.rows == {}


def test_a_table_is_filled_by_one_process_at_a_time(table: LatencyTable) -> None:
    other = LatencyTable.load(table.folder)
    new = Workload("add", ((1, 8, 4, 4),) * 2, 8)
    with table.locked():
        with pytest.raises(UserError, match="is being filled by another process") as caught:
            other.locked().__enter__()
        one_line(caught)
        table.append({new: Latency(1, 1, 1, 1)})
    assert new not in other.rows
    with other.locked():  # what was added meanwhile is known, and not measured again
        assert other.rows == table.rows
