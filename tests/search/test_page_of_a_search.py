import json
import re

from netadapt.api import search
from netadapt.cli.report import tell_of_page


def data_of(page):
    (inside,) = re.findall(
        r'<script type="application/json" id="data">(.*?)</script', page.read_text(), re.S
    )
    return json.loads(inside)


def test_the_page_of_a_search_shows_what_it_found(finished):
    page = finished.report
    assert page == finished.folder / "report.html"
    (shown,) = data_of(page)["runs"]
    assert f"checkpoints/{shown['answer']}.safetensors" == str(
        finished.final.relative_to(finished.folder)
    )
    names = [
        name
        for name, on in zip(shown["candidates"]["name"], shown["candidates"]["front"], strict=True)
        if on
    ]
    assert {*names, shown["answer"]} == set(finished.front["candidate"])
    assert set(shown["samples"]["answers"]) >= {shown["base"], shown["answer"]}
    assert shown["answer"] in shown["breakdown"]["spent"]


def test_a_page_that_cannot_be_written_is_said_and_nothing_more(finished, tmp_path, capsys):
    (tmp_path / "run.json").write_text("{}")
    tell_of_page(tmp_path)
    assert capsys.readouterr().err.startswith(f"no page was written: {tmp_path}")


def test_every_fine_tune_leaves_its_curve(elsewhere, finished, tmp_path):
    again = search(**elsewhere, log_dir=str(tmp_path / "logs"), out=tmp_path / "run")
    trained = again.candidates[again.candidates["stage"] != "base"]
    assert {path.name for path in (tmp_path / "logs").iterdir()} == set(trained["candidate"])
    for folder in (tmp_path / "logs").iterdir():
        assert len(list(folder.glob("events.out.tfevents.*"))) == 1
    assert again.front.equals(finished.front)
