"""``netadapt lut``: tables listed, described, compared and drawn."""

import json
import shutil
from pathlib import Path

import pytest


@pytest.fixture
def tables(here, stock) -> Path:
    """Copies to change: ``lut/old`` and ``lut/new``, which runs twice as fast."""
    for name in ("old", "new"):
        folder = shutil.copytree(stock / "lut" / "made-up", here / "lut" / name)
        header, *lines = (folder / "validation.csv").read_text().splitlines()
        widths = [f"{line},{8 * place}" for place, line in enumerate(lines, start=1)]
        (folder / "validation.csv").write_text("\n".join([f"{header},group", *widths, ""]))
    new = here / "lut" / "new"
    header, *lines = (new / "latency.csv").read_text().splitlines()
    rows = [line.rsplit(",", 4) for line in lines]
    halved = [[row[0], *(f"{float(us) / 2:.2f}" for us in row[1:4]), row[4]] for row in rows]
    (new / "latency.csv").write_text("\n".join([header, *map(",".join, halved), ""]))
    change(new / "target.json", runtime_version="99.0")
    return here / "lut"


def change(path: Path, **fields: object) -> None:
    path.write_text(json.dumps(json.loads(path.read_text()) | fields))


def test_without_a_command_the_help_is_printed(netadapt):
    result = netadapt("lut")
    assert (result.code, result.err) == (0, "")
    for command in ("list", "show", "diff", "plot"):
        assert f"  {command} " in result.out
        assert netadapt("lut", command, "--help").code == 0


def test_tables_are_listed_with_size_and_error(netadapt, stock):
    result = netadapt("lut list --lut @lut")
    assert (result.code, result.err) == (0, "")
    heading, board, made_up = result.out.splitlines()
    assert "error %" in heading
    assert "note" not in heading  # nothing to say
    assert board.split()[0] == "board"
    workloads = len((stock / "lut/made-up/latency.csv").read_text().splitlines()) - 1
    assert made_up.split()[0] == "made-up"
    assert made_up.split()[2:4] == [str(workloads), "8"]
    assert "1.961" in made_up


def test_a_damaged_or_unfinished_table_is_listed_as_such(netadapt, tables):
    (tables / "old" / "latency.csv").unlink()
    change(tables / "new" / "target.json", calibrations=[])
    result = netadapt("lut list --json")
    assert result.code == 0
    new, old = result.json["tables"]
    assert (new["slug"], new["note"]) == ("new", "interrupted")
    assert new["workloads"] > 0
    assert (old["slug"], old["workloads"], old["mape_percent"]) == ("old", None, None)
    assert "latency.csv does not exist" in old["note"]


def test_a_folder_without_tables_says_how_to_make_one(netadapt, here):
    (here / "lut").mkdir()
    result = netadapt("lut list")
    assert (result.code, result.out) == (0, "")
    assert "lut holds no latency table; run: netadapt profile-lut" in result.err
    assert netadapt("lut list --json").json == {"lut": "lut", "tables": []}
    assert "missing does not exist" in netadapt.refused_at_once("lut list --lut missing")


@pytest.mark.parametrize("name", ["old", "lut/old"])
def test_a_table_is_shown_as_info_shows_it(netadapt, tables, name):
    shown = netadapt("lut show", name)
    assert (shown.code, shown.err) == (0, "")
    assert shown.out == netadapt("info lut/old").out
    facts = netadapt("lut show --json", name).json
    assert facts == netadapt("info --json lut/old").json
    assert facts["workloads"] == sum(row["workloads"] for row in facts["coverage"])
    assert facts["validation"]["mape_percent"] == pytest.approx(1.961)
    assert [one["call_us"] for one in facts["calibrations"]] == [10]
    assert "state" not in facts


def test_a_table_whose_profile_was_interrupted_says_so(netadapt, tables):
    change(tables / "old" / "target.json", calibrations=[])
    assert "state: interrupted: give the same netadapt profile-lut" in netadapt("lut show old").out


def test_a_difference_is_told_by_kind(netadapt, tables):
    result = netadapt("lut diff old new")
    assert (result.code, result.err) == (0, "")
    lines = [line.split() for line in result.out.splitlines()]
    assert lines[:2] == [["a:", "lut/old"], ["b:", "lut/new"]]
    (version,) = (line for line in lines if line[:1] == ["runtime_version"])
    assert version[2] == "99.0"
    (every,) = (line for line in lines if line[:1] == ["all"])
    assert every[4:8] == ["0.5"] * 4
    (networks,) = (line for line in lines if line[:1] == ["networks:"])
    assert networks == ["networks:", "8"]


def test_a_difference_as_json_holds_the_biggest_changes(netadapt, tables):
    facts = netadapt("lut diff old new --json --top 3").json
    assert len(facts["movers"]) == 3
    changes = [abs(row["change_us"]) for row in facts["movers"]]
    assert changes == sorted(changes, reverse=True)
    assert facts["kinds"][-1]["kind"] == "all"
    assert facts["whole_networks"]["ratio_p50"] == 1
    assert facts["only_a"] == facts["only_b"] == []


def test_what_only_one_table_has_is_counted(netadapt, tables):
    path = tables / "new" / "latency.csv"
    lines = path.read_text().splitlines(keepends=True)
    path.write_text("".join(lines[:-7]))
    facts = netadapt("lut diff old new --json").json
    assert sum(row["workloads"] for row in facts["only_a"]) == 7
    assert "only in a" in netadapt("lut diff old new").out
    assert "only in b" not in netadapt("lut diff old new").out


def test_tables_that_share_nothing_say_what_to_do(netadapt, tables):
    path = tables / "new" / "latency.csv"
    path.write_text(path.read_text().replace(",1x", ",7x"))
    result = netadapt("lut diff old new")
    assert result.code == 0
    assert "the tables share no workload" in result.err


def test_a_picture_goes_beside_the_table_or_where_it_is_told(netadapt, tables, here):
    result = netadapt("lut plot old")
    assert (result.code, result.out, result.err) == (0, "lut/old/plots/table.png\n", "")
    assert (here / "lut/old/plots/table.png").stat().st_size > 1000
    (tables / "old" / "validation.csv").unlink()
    result = netadapt("lut plot lut/old --out new.svg")
    assert (result.code, result.out) == (0, "new.svg\n")
    drawn = (here / "new.svg").read_text()
    netadapt("lut plot lut/old --out again.svg")
    assert (here / "again.svg").read_text() == drawn


@pytest.mark.parametrize("command", ["show {}", "diff old {}", "diff {} old", "plot {}"])
def test_a_table_that_is_not_there_is_told_with_those_that_are(netadapt, tables, command):
    line = netadapt.refused_at_once("lut", command.format("newer"))
    assert "there is no latency table newer, here or in lut; known: new, old" in line


@pytest.mark.parametrize("command", ["show {}", "diff old {}", "plot {}"])
def test_a_damaged_table_is_refused(netadapt, tables, command):
    path = tables / "new" / "latency.csv"
    path.write_text(path.read_text().replace("conv2d", "conv 2d", 1))
    line = netadapt.refused_at_once("lut", command.format("new"))
    assert "lut/new/latency.csv line" in line
    assert "'conv 2d' is no kind" in line


def test_a_picture_is_refused_where_it_cannot_be_drawn(netadapt, tables):
    assert ".png, .svg or .pdf" in netadapt.refused_at_once("lut plot old --out table.txt")
    path = tables / "new" / "latency.csv"
    path.write_text(path.read_text().splitlines(keepends=True)[0])
    assert "lut/new has no rows yet" in netadapt.refused_at_once("lut plot new")


def test_a_table_that_forgot_its_network_asks_for_it(netadapt, tables):
    assert "does not remember its network; give it with --model" in netadapt.refused_at_once(
        "lut validate old"
    )


def test_only_an_attached_target_is_measured_again(netadapt, tables):
    path = tables / "old" / "target.json"
    target = json.loads(path.read_text())
    target["hardware"] = "another machine"
    path.write_text(json.dumps(target))
    line = netadapt.refused("lut validate old --model @small.safetensors")
    assert "is not attached: this machine has hardware" in line
