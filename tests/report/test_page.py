import json
import re
import shlex
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import typer
from hypothesis import given
from hypothesis import strategies as st
from run_folders import MakeRun, write_samples

from netadapt.cli.main import app
from netadapt.errors import UserError
from netadapt.report import read_run, read_samples
from netadapt.report.page import html, write_page
from netadapt.report.page.html import MAX_BYTES, page
from netadapt.report.page.reproduce import commands

REPOSITORY = Path(__file__).parents[2]
TABLE = REPOSITORY / "lut" / "amd-epyc-onnxruntime-1.31.1-1t-fp32-b1"
REFERENCE_RUNS = sorted(path.parent for path in REPOSITORY.glob("search_runs/*/candidates.csv"))
HOSTILE = '</script><img src=x onerror="alert(1)">&amp;\u2028<b>'


def data_of(text: str) -> dict[str, Any]:
    """The JSON inside a page, cut out as an HTML parser would: at the first end of its element."""
    (inside,) = re.findall(r'<script type="application/json" id="data">(.*?)</script', text, re.S)
    found: dict[str, Any] = json.loads(inside)
    return found


def test_the_page_holds_every_candidate_with_its_numbers(make_run: MakeRun) -> None:
    folder = make_run(journal=True)
    (shown,) = data_of(page([folder]))["runs"]
    rows = read_run(folder).candidates
    assert shown["candidates"]["name"] == rows["candidate"].tolist()
    np.testing.assert_allclose(shown["candidates"]["predicted"], rows["predicted_ms"])
    np.testing.assert_allclose(shown["candidates"]["holdout"], rows["delta1_holdout"])
    assert shown["candidates"]["widths"] == rows[shown["groups"]].astype(int).values.tolist()
    timed = [value is not None for value in shown["candidates"]["measured"]]
    assert timed == rows["measured_ms"].notna().tolist()


def test_the_walk_names_proposals_and_picks(make_run: MakeRun) -> None:
    with_journal = make_run("a", journal=True)
    tables_alone = make_run("b")
    walks = [data_of(page([run]))["runs"][0]["walk"] for run in (with_journal, tables_alone)]
    for one, other in zip(*walks, strict=True):
        assert (one["number"], one["proposals"], one["picked"]) == (
            other["number"], other["proposals"], other["picked"],
        )  # fmt: skip
        assert one["target_ms"] is not None


@given(text=st.text(max_size=60))
def test_no_name_ends_the_data_of_the_page(text: str) -> None:
    embedded = str(html._embedded({"name": text, text: [text, float("nan")]}))
    assert not set("<>&\u2028\u2029") & set(embedded)
    assert json.loads(embedded) == {"name": text, text: [text, None]}


def test_hostile_names_stay_words(make_run: MakeRun) -> None:
    folder = make_run("a<i>b", groups={HOSTILE: 64, "b": 32}, iterations=2, journal=True)
    path = folder / "run.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"model": HOSTILE, "data": HOSTILE}))
    text = page([folder])
    assert tags_of(text) == {
        "html", "head", "meta", "title", "style", "body", "noscript", "p", "div", "script",
    }  # fmt: skip
    assert HOSTILE in data_of(text)["runs"][0]["groups"]
    assert "<title>a&lt;i&gt;b" in text


def tags_of(text: str) -> set[str]:
    """Every element that an HTML parser finds."""
    tags: set[str] = set()
    parser: Any = HTMLParser()
    parser.handle_starttag = lambda tag, attributes: tags.add(tag)
    parser.feed(text)
    return tags


def test_the_page_needs_nothing_else(make_run: MakeRun) -> None:
    text = page([make_run(samples=True)])
    assert not re.findall(r"<(?:link|iframe|object)|<(?:script|img)[^>]* src=", text)
    assert "default-src 'none'" in text
    assert "unsafe-eval" not in text
    assert re.search(r"script-src( 'sha256-[A-Za-z0-9+/=]+')+;", text)
    assert "connect-src" not in text


def test_the_same_run_gives_the_same_page(make_run: MakeRun, tmp_path: Path) -> None:
    folder = make_run(samples=True, journal=True)
    first, second = (write_page([folder], tmp_path / name) for name in ("a.html", "b.html"))
    assert first.read_bytes() == second.read_bytes()
    written = write_page([folder])
    assert written == folder / "report.html"
    assert written.read_bytes() == first.read_bytes() == write_page([folder]).read_bytes()


def test_a_page_is_small_enough_whatever_the_run(
    make_run: MakeRun, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = make_run(iterations=16)
    write_samples(folder / "samples.npz", count=8, height=240, width=320)
    whole = page([folder])
    assert len(whole.encode()) <= MAX_BYTES
    bare = len(page([make_run("bare", iterations=0, long=0)]).encode())
    limit = (len(whole.encode()) + 4 * bare) // 5
    monkeypatch.setattr(html, "MAX_BYTES", limit)
    text = page([folder])
    assert len(text.encode()) <= limit
    (shown,) = data_of(text)["runs"]
    rows = read_run(folder).candidates
    assert shown["left_out"] == len(rows) - len(shown["candidates"]["name"]) > 0
    assert set(rows.loc[rows["selected"], "candidate"]) <= set(shown["candidates"]["name"])
    monkeypatch.setattr(html, "MAX_BYTES", 1000)
    with pytest.raises(UserError, match="name fewer runs"):
        page([folder])


def test_an_unfinished_run_says_how_far_it_is(make_run: MakeRun) -> None:
    folder = make_run(iterations=3, journal=True, finished=False, long=0)
    (shown,) = data_of(page([folder]))["runs"]
    assert shown["state"]["finished"] is False
    assert re.match(
        r"not finished: 2 iterations done, \d+ of \d+ candidates of iteration 3 scored",
        shown["state"]["text"],
    )
    assert shown["answer"] is None
    assert shown["walk"][-1]["waiting"] > 0


def test_a_run_in_its_first_iteration_shows_its_base(make_run: MakeRun) -> None:
    folder = make_run(iterations=1, journal=True, finished=False, long=0)
    for name in ("candidates.csv", "pareto.csv"):
        (folder / name).unlink()
    (shown,) = data_of(page([folder]))["runs"]
    assert shown["candidates"]["name"] == ["0"]
    assert shown["groups"] == list(read_run(folder).groups)


def test_a_failed_candidate_says_why(make_run: MakeRun) -> None:
    folder = make_run(iterations=2, journal=True)
    journal = folder / "journal.jsonl"
    lines = [json.loads(line) for line in journal.read_text().splitlines()]
    failed = next(line for line in lines if line["event"] == "scored")
    failed["candidate"] |= {"score": None, "failure": "the loss became infinite"}
    journal.write_text("".join(json.dumps(line) + "\n" for line in lines))
    (shown,) = data_of(page([folder]))["runs"]
    assert shown["candidates"]["failures"] == {
        failed["candidate"]["name"]: "the loss became infinite"
    }


def test_a_torn_last_line_of_the_journal_is_dropped_and_other_damage_is_named(
    make_run: MakeRun,
) -> None:
    folder = make_run(iterations=2, journal=True)
    journal = folder / "journal.jsonl"
    content = journal.read_text()
    journal.write_text(content[:-20])
    assert data_of(page([folder]))["runs"][0]["state"]["finished"] is False
    journal.write_text("nonsense\n" + content)
    with pytest.raises(UserError, match=r"journal.jsonl line 1"):
        page([folder])


def test_an_error_as_the_score_is_shown_as_one(make_run: MakeRun) -> None:
    folder = make_run(score="error", higher_is_better=False)
    (shown,) = data_of(page([folder]))["runs"]
    assert shown["score"] == {"key": "error", "name": "error", "unit": "", "higher": False}
    assert shown["rule"].startswith("The pick has the lowest error")


def test_a_run_of_tables_alone_is_shown(make_run: MakeRun) -> None:
    folder = make_run()
    (folder / "run.json").unlink()
    (shown,) = data_of(page([folder]))["runs"]
    assert shown["goal"] == "goal not recorded"
    assert shown["answer"] is None
    assert shown["commands"] == []


def test_a_run_without_settings_needs_a_score_whose_direction_is_known(make_run: MakeRun) -> None:
    folder = make_run(score="strangeness")
    (folder / "run.json").unlink()
    with pytest.raises(UserError, match=r"no run\.json to say whether more strangeness is better"):
        page([folder])


def test_an_anchored_walk_shows_what_the_clock_said(make_run: MakeRun) -> None:
    (shown,) = data_of(page([make_run(iterations=3, journal=True, anchored=True)]))["runs"]
    assert [one["iteration"] for one in shown["anchors"]] == [1, 2, 3]
    for one in shown["anchors"]:
        assert one["measured_ms"] == pytest.approx(1.03 * one["predicted_ms"])


def test_several_runs_are_compared_with_the_spread_of_their_seeds(make_run: MakeRun) -> None:
    runs = [make_run(f"run{seed}", seed=seed) for seed in range(3)]
    other = make_run("other", seed=9, budget_ms=4.0)
    compared = data_of(page([*runs, other]))["comparison"]
    assert len(compared["hypervolumes"]) == 4
    (seeds,) = compared["seeds"]
    assert seeds["runs"] == [0, 1, 2]
    assert seeds["mean"] == pytest.approx(np.mean(compared["hypervolumes"][:3]))
    assert (seeds["low"], seeds["high"]) == (
        min(compared["hypervolumes"][:3]), max(compared["hypervolumes"][:3]),
    )  # fmt: skip


def test_a_search_for_several_targets_is_its_runs(make_run: MakeRun) -> None:
    runs = [make_run(f"several/{name}") for name in ("fast", "slow")]
    folder = runs[0].parent
    make_run("outside")
    (folder / "targets.json").write_text(json.dumps({"fast": {}, "slow": {}, "../outside": {}}))
    assert [run["name"] for run in data_of(page([folder]))["runs"]] == ["fast", "slow"]


def test_what_does_not_belong_together_is_refused(make_run: MakeRun, tmp_path: Path) -> None:
    run, other = make_run("a"), make_run("b", score="rmse", higher_is_better=False)
    with pytest.raises(UserError, match="report runs of one score together"):
        page([run, other])
    with pytest.raises(UserError, match="one latency table, or runs"):
        page([run, TABLE])
    with pytest.raises(UserError, match=r"a page is an \.html file"):
        write_page([run], tmp_path / "page.png")
    with pytest.raises(UserError, match="is not a run"):
        page([tmp_path])


@pytest.mark.parametrize("run", REFERENCE_RUNS, ids=lambda path: path.name)
def test_the_committed_page_shows_the_committed_run(run: Path) -> None:
    written = run / "report.html"
    assert written.stat().st_size <= MAX_BYTES
    (shown,) = data_of(written.read_text())["runs"]
    rows = read_run(run).candidates
    assert shown["candidates"]["name"] == rows["candidate"].tolist()
    np.testing.assert_allclose(shown["candidates"]["predicted"], rows["predicted_ms"])


def test_a_table_has_a_page() -> None:
    table = data_of(page([TABLE]))["table"]
    assert table["workloads"] > 1000
    assert len(table["families"]) > 10
    assert len(table["quality"]["measured"]) == 50
    assert {row["kind"] for row in table["errors"]} >= {"conv2d 1x1"}
    for row in table["errors"]:
        assert 0 <= row["p50_percent"] <= row["p90_percent"]
    for family in table["families"]:
        for curve in family["curves"]:
            assert len(curve["channels"]) == len(curve["us"])


def test_the_commands_make_the_same_search() -> None:
    settings = json.loads((REPOSITORY / "search_runs/fastdepth-nyu/run.json").read_text())
    target = json.loads((TABLE / "target.json").read_text())
    profile, search, report = commands(settings, target, Path("runs/it's"))
    words = shlex.split(search)
    assert words[:2] == ["netadapt", "search"]
    assert words[words.index("--budget-ms") + 1] == "4.4"
    assert words[words.index("--out") + 1] == "runs/it's-again"
    assert shlex.split(report) == ["netadapt", "report", "runs/it's-again"]
    for line in (profile, search):
        command = typer.main.get_command(app).commands[shlex.split(line)[1]]  # type: ignore[attr-defined]
        known = {option for parameter in command.params for option in parameter.opts}
        assert {word for word in shlex.split(line) if word.startswith("--")} <= known


def test_the_network_profiled_last_is_profiled_again() -> None:
    calibrations = [
        {"model": "old", "input": "1x3x32x32"},
        {"model": "new.safetensors", "input": "1x3x64x96"},
    ]
    target = {"device": "cpu", "runtime": "onnxruntime", "calibrations": calibrations}
    profile, *_ = commands({"model": "m", "lut": "tables/x"}, target, Path("run"))
    words = shlex.split(profile)
    assert words[words.index("--model") + 1] == "new.safetensors"
    assert words[words.index("--input-size") + 1] == "64x96"
    assert words[words.index("--lut") + 1] == "tables"


def test_samples_are_named_after_their_files(tmp_path: Path) -> None:
    path = tmp_path / "samples.npz"
    write_samples(path, count=2)
    arrays = dict(np.load(path))
    arrays["names"] = np.array(["a/long/path/0051.h5", "scene 12"])
    np.savez(path, **arrays)
    assert read_samples(path).titles == ("0051", "scene 12")


def test_samples_that_declare_more_than_memory_are_refused(tmp_path: Path) -> None:
    import zipfile

    path = tmp_path / "samples.npz"
    header = "{'descr': '|u1', 'fortran_order': False, 'shape': (3, 200000, 200000, 3), }"
    header += " " * (118 - len(header)) + "\n"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(
            "rgb.npy", b"\x93NUMPY\x01\x00" + bytes([len(header), 0]) + header.encode()
        )
    with pytest.raises(UserError, match=r"samples\.npz is not a file of samples: its arrays take"):
        read_samples(path)


def test_a_table_of_a_million_columns_is_refused(make_run: MakeRun) -> None:
    path = make_run() / "candidates.csv"
    path.write_text(",".join(f"c{index}" for index in range(1_000_000)) + "\n")
    with pytest.raises(UserError, match="has 1000000 columns"):
        read_run(path.parent)
