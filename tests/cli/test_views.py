import io

import pytest
from rich.console import Console

from netadapt.cli.views import SearchView
from netadapt.search.candidate import Candidate, Proposal
from netadapt.search.journal import IterationBegan, Scored, Started
from netadapt.search.state import SearchState


def candidate(name, iteration, stage, ms, score):
    return Candidate(
        name=name,
        iteration=iteration,
        stage=stage,
        widths={"a": 8, "b": 8},
        predicted_ms=ms,
        macs=1,
        params=1,
        score=score,
        checkpoint=f"checkpoints/{name}.safetensors",
    )


@pytest.fixture
def halfway():
    proposals = tuple(
        Proposal(name=f"1-{g}", iteration=1, group=g, widths={"a": 8, "b": 8}, predicted_ms=9.5)
        for g in "ab"
    )
    return SearchState().replay(
        [
            Started(base=candidate("0", 0, "base", 10.0, 0.8)),
            IterationBegan(iteration=1, target_ms=9.6, proposals=proposals),
            Scored(candidate=candidate("1-a", 1, "short", 9.5, 0.79)),
        ]
    )


def test_the_live_view_shows_where_a_search_stands(halfway):
    view = SearchView()
    try:
        view.began(halfway, 5.0, 12)
        view.scored(halfway, "1-a")
        page = io.StringIO()
        Console(file=page, width=100).print(view._rendered(halfway))
    finally:
        view.close()
    shown = " ".join(page.getvalue().split())
    for fact in (
        "budget 5 ms predicted",
        "now 10 ms, score 0.8000",
        "iteration 1 target 9.6 ms, candidate 1/2, about 12 iterations to go",
        "best so far 1-a, score 0.7900",
        "front (2 points)",
        "ETA",
    ):
        assert fact in shown


def test_without_a_terminal_a_search_tells_its_steps_in_lines(halfway, capsys):
    view = SearchView()
    view.began(halfway, 5.0, 12)
    view.selected(halfway, "1-a", 11)
    view.close()
    lines = capsys.readouterr().err.splitlines()
    assert lines[0] == "walking from 10 to 5 ms, about 12 iterations"
    assert lines[1].startswith("iteration 1: a -> 9.5 ms, score 0.7900, about 11 to go")
