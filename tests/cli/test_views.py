import io
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from netadapt.cli.eta import Eta
from netadapt.cli.search_view import SearchView
from netadapt.cli.views import stage_progress, training_view
from netadapt.search.candidate import Candidate, Proposal
from netadapt.search.course import Course
from netadapt.search.goal import Goal
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
    return SearchState(higher_is_better=True).replay(
        [
            Started(base=candidate("0", 0, "base", 10.0, 0.8)),
            IterationBegan(iteration=1, target_ms=9.6, proposals=proposals),
            Scored(candidate=candidate("1-a", 1, "short", 9.5, 0.79)),
        ]
    )


class Steady(Course):
    """A course that has always as many iterations to go."""

    def __init__(self, left):
        self._left = left

    def iterations_left(self, state, goal):
        return self._left


def test_the_live_view_shows_where_a_search_stands(halfway):
    view = SearchView()
    try:
        view.opened(halfway, Steady(12), lambda state: Goal({"ms": 5.0}))
        view.scored(halfway, "1-a")
        page = io.StringIO()
        Console(file=page, width=100).print(view._rendered(halfway))
    finally:
        view.close()
    shown = " ".join(page.getvalue().split())
    for fact in (
        "budget 5 ms",
        "now 10 ms predicted, score 0.8000",
        "iteration 1 target 9.6 ms, candidate 1/2, about 12 iterations to go",
        "best so far 1-a, score 0.7900",
        "front (2 points)",
    ):
        assert fact in shown


def test_without_a_terminal_a_search_tells_its_steps_in_lines(halfway, capsys):
    view = SearchView()
    view.opened(halfway, Steady(12), lambda state: Goal({"ms": 5.0}))
    view.selected(halfway, "1-a")
    view.close()
    lines = capsys.readouterr().err.splitlines()
    assert lines[0] == "walking from 10 to 5 ms, about 12 iterations"
    assert lines[1].startswith("iteration 1: a -> 9.5 ms, score 0.7900, about 12 to go")


class TestDrawingThatFails:
    """An error in a view is said once, in one line, and never reaches what is shown."""

    def test_of_a_search(self, halfway, capsys, monkeypatch):
        view = SearchView()
        monkeypatch.setattr(view, "_line", fails)
        view.chosen(halfway)
        view.selected(halfway, "1-a")
        view.close()
        assert capsys.readouterr().err == (
            "the progress display failed (ZeroDivisionError: of the test); work goes on\n"
        )

    def test_of_stages(self, capsys, monkeypatch):
        with stage_progress() as view:
            monkeypatch.setattr(view, "_line", fails)
            view.started("measuring", 2)
            view.advanced()
        assert capsys.readouterr().err.count("display failed") == 1

    def test_of_a_training(self, capsys, monkeypatch):
        with training_view() as view:
            monkeypatch.setattr(view._eta, "advance", fails)
            view.started(0, 2)
            view.step(1, 0.5, 0.1)
            view.step(2, 0.5, 0.1)
        assert capsys.readouterr().err.count("display failed") == 1

    def test_an_interrupt_is_no_such_error(self, halfway, monkeypatch):
        view = SearchView()
        monkeypatch.setattr(view, "_line", interrupted)
        with pytest.raises(KeyboardInterrupt):
            view.chosen(halfway)

    def test_nothing_is_raised_where_stderr_is_closed(self, halfway, monkeypatch):
        closed = io.StringIO()
        closed.close()
        monkeypatch.setattr(sys, "stderr", closed)
        view = SearchView()
        view.opened(halfway, Steady(12), lambda state: Goal({"ms": 5.0}))
        view.noted("a note")
        view.close()


def fails(*arguments):
    raise ZeroDivisionError("of the test")


def interrupted(*arguments):
    raise KeyboardInterrupt


class TestEta:
    def test_there_is_none_before_it_means_something(self):
        assert Eta().text(100) == ""

    def test_there_is_none_after_a_step_or_two(self):
        time = [0.0]
        eta = Eta(lambda: time[0])
        for _ in range(3):
            time[0] += 60
            eta.advance()
            assert eta.text(100) == ""

    @given(steps=st.integers(5, 50), left=st.integers(1, 1000))
    def test_it_is_the_mean_time_of_a_step_times_the_steps_left(self, steps, left):
        time = [0.0]
        eta = Eta(lambda: time[0])
        time[0] += 100  # the first step loads and compiles: not counted
        for _ in range(steps):
            eta.advance()
            time[0] += 2
        seconds = eta.seconds(left)
        assert seconds == pytest.approx(2 * steps / (steps - 1) * left)

    def test_nothing_is_left_of_a_stage_that_is_done(self):
        assert Eta().text(0) == ""
