"""A strategy of one's own: the example of docs/strategy.md, through --strategy."""

import json
import re
import shutil
import sys
from pathlib import Path

import pytest
from strategy_case import Case

import netadapt
from netadapt.errors import UserError
from netadapt.search.journal import IterationBegan, Journal
from netadapt.search.names import STRATEGIES
from netadapt.search.strategies.base import Strategy

GUIDE = Path(__file__).parents[2] / "docs" / "strategy.md"
QUICK = {"short_steps": 0, "long_steps": 0, "long_points": 1, "initial_reduction": 0.1}


def own(arguments, strategy):
    """Those of a quick search with ``strategy``."""
    return arguments | QUICK | {"strategy": strategy}


@pytest.fixture
def example(tmp_path, monkeypatch):
    """The guide's example in a module of the user's, in the current folder."""
    (code,) = re.findall(r"```python\n(.*?)```", GUIDE.read_text("utf-8"), re.DOTALL)
    assert len(code.splitlines()) <= 25
    (tmp_path / "my_strategy.py").write_text(code)
    monkeypatch.chdir(tmp_path)
    return code


def test_the_guides_example_searches(example, elsewhere, tmp_path):
    run = netadapt.search(**own(elsewhere, "my_strategy:Widest"), out=tmp_path / "run")
    events = Journal(run.folder / "journal.jsonl").events
    iterations = [event for event in events if isinstance(event, IterationBegan)]
    assert iterations
    for event in iterations:
        assert event.target_ms is not None
        assert [p.name for p in event.proposals] == [
            f"{event.iteration}-{proposal.group}" for proposal in event.proposals
        ]
        assert all(p.predicted_ms <= event.target_ms for p in event.proposals)
    final = run.candidates.set_index("candidate").loc[run.final.stem]
    assert final["predicted_ms"] <= elsewhere["budget_ms"]
    assert (
        netadapt.search(out=tmp_path / "run", resume=True, strategy="my_strategy:Widest").final
        == run.final
    )


def test_a_run_does_not_bring_a_strategy_of_its_own(example, finished, tmp_path, monkeypatch):
    shutil.copytree(finished.folder, tmp_path / "run")
    path = tmp_path / "run" / "run.json"
    facts = json.loads(path.read_text())
    path.write_text(json.dumps(facts | {"strategy": "my_strategy:Widest"}))
    monkeypatch.delenv("NETADAPT_TRUST", raising=False)
    monkeypatch.delitem(sys.modules, "my_strategy", raising=False)
    with pytest.raises(UserError, match="asks for the strategy my_strategy:Widest"):
        netadapt.search(out=tmp_path / "run", resume=True)
    assert "my_strategy" not in sys.modules


class TooWide(Strategy):
    """Proposes the network itself, again and again."""

    def propose(self, state, limits):
        return {"same": state.current.widths}


class Unknown(Strategy):
    """Proposes a group that there is not."""

    def propose(self, state, limits):
        return {"new": {**state.current.widths, "attic": 8}}


class Negative(Strategy):
    """Proposes a width that no group has."""

    def propose(self, state, limits):
        return {"none": dict.fromkeys(state.current.widths, 0)}


class BadName(Strategy):
    """Proposes a name that cannot be a file's."""

    def propose(self, state, limits):
        return {"../up": self.space.grid.narrowest()}


class Unfinished(Strategy):
    """Proposes nothing, for want of a method."""


@pytest.mark.parametrize(
    ("strategy", "message"),
    [
        ("magic", "unknown strategy; known: netadapt, "),
        ("test_own_strategy:nothing", "has no 'nothing'"),
        ("test_own_strategy:Path", "is no subclass of netadapt.search.strategies.base.Strategy"),
        ("test_own_strategy:Unfinished", "lacks the method propose"),
        ("test_own_strategy:TooWide", "same, which is not within the limits"),
        ("test_own_strategy:Unknown", "unknown group attic"),
        ("test_own_strategy:Negative", "0 channels for group"),
        ("test_own_strategy:BadName", "'../up'"),
    ],
)
def test_what_is_no_strategy_is_refused_in_one_line(elsewhere, tmp_path, strategy, message):
    with pytest.raises(UserError, match=re.escape(message)) as caught:
        netadapt.search(**own(elsewhere, strategy), out=tmp_path / "run")
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "run").exists()


def test_every_strategy_of_ours_overrides_the_two_methods_alone(elsewhere, tmp_path):
    case = Case(elsewhere, tmp_path)
    for name in STRATEGIES:
        own = type(case.strategy(name))
        shared = {name for name in vars(Strategy) if not name.startswith("_")}
        methods = {name for name in shared if callable(getattr(Strategy, name))}
        changed = {name for name in methods if getattr(own, name) is not getattr(Strategy, name)}
        assert changed <= {"propose", "select"}
