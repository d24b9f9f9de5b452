import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from netadapt.errors import UserError
from netadapt.search.candidate import Candidate, Proposal
from netadapt.search.journal import (
    Chosen,
    Event,
    IterationBegan,
    Journal,
    Scored,
    Selected,
    Started,
)
from netadapt.search.state import SearchState


def candidate(name, iteration, ms, score, stage="short"):
    return Candidate(
        name=name,
        iteration=iteration,
        stage=stage,
        widths={"a": 8},
        predicted_ms=ms,
        macs=1,
        params=1,
        score=score,
        checkpoint=f"checkpoints/{name}.safetensors",
    )


def proposal(name, ms):
    return Proposal(name=name, iteration=1, group="a", widths={"a": 8}, predicted_ms=ms)


EVENTS: list[Event] = [
    Started(base=candidate("0", 0, 10.0, 0.8, "base")),
    IterationBegan(
        iteration=1, target_ms=9.0, proposals=(proposal("1-a", 9.0), proposal("1-b", 8.5))
    ),
    Scored(candidate=candidate("1-a", 1, 9.0, 0.7)),
    Scored(candidate=candidate("1-b", 1, 8.5, 0.75)),
    Selected(iteration=1, name="1-b"),
    Chosen(names=("0", "1-b")),
]


@pytest.fixture
def written(tmp_path):
    journal = Journal(tmp_path / "journal.jsonl")
    for event in EVENTS:
        journal.append(event)
    return tmp_path / "journal.jsonl"


def test_replay_gives_back_every_event(written):
    assert Journal(written).events == EVENTS


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(cut=st.integers(0, 10_000))
def test_a_journal_cut_anywhere_replays_its_whole_lines(written, tmp_path, cut):
    content = written.read_bytes()
    path = tmp_path / "cut.jsonl"
    path.write_bytes(content[: cut % (len(content) + 1)])
    whole = path.read_bytes().count(b"\n")
    journal = Journal(path)
    assert journal.events == EVENTS[:whole]
    journal.append(EVENTS[-1])
    assert Journal(path).events == [*EVENTS[:whole], EVENTS[-1]]


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(place=st.integers(0, 10_000), value=st.integers(0, 255))
def test_a_damaged_line_is_named_or_harmless(written, tmp_path, place, value):
    content = bytearray(written.read_bytes())
    content[place % len(content)] = value
    path = tmp_path / "damaged.jsonl"
    path.write_bytes(content)
    try:
        events = Journal(path).events
    except UserError as error:
        message = str(error)
    else:
        message = "x line y"
        assert len(events) <= len(EVENTS)
    assert " line " in message
    assert "\n" not in message


def test_state_follows_the_events():
    state = SearchState(higher_is_better=True).replay(EVENTS[:3])
    assert state.iteration == 1
    assert [p.name for p in state.pending] == ["1-b"]
    state.replay(EVENTS[3:])
    assert state.walk == ["0", "1-b"]
    assert state.iteration == 2
    assert not state.pending
    assert state.chosen == ("0", "1-b")
    assert [c.name for c in state.front()] == ["1-b", "0"]
    assert state.needed_checkpoints() == {
        "checkpoints/0.safetensors",
        "checkpoints/1-b.safetensors",
    }


def test_a_journal_that_picks_what_was_never_scored_is_refused():
    with pytest.raises(UserError, match="names candidate 1-z before it was scored"):
        SearchState(higher_is_better=True).replay([*EVENTS[:2], Selected(iteration=1, name="1-z")])


def test_a_candidate_cannot_name_a_file_outside_the_run():
    with pytest.raises(ValueError, match="checkpoint"):
        candidate("0", 0, 1.0, 0.5).model_validate(
            candidate("0", 0, 1.0, 0.5).model_dump() | {"checkpoint": "../../etc/x.safetensors"}
        )


def test_an_event_that_is_not_known_is_an_error(written):
    with written.open("a") as file:
        file.write('{"event":"magic","name":"1-b"}\n')
    with pytest.raises(UserError, match=f"line {len(EVENTS) + 1} is damaged"):
        Journal(written)
    with pytest.raises(AssertionError):
        SearchState(higher_is_better=True).apply("magic")  # type: ignore[arg-type]


def test_whoever_only_reads_changes_nothing(written):
    """A search may be in the middle of its next line."""
    with written.open("ab") as file:
        file.write(b'{"event":"sco')
    before = written.read_bytes()
    assert Journal(written).events == EVENTS
    assert written.read_bytes() == before
    going_on = Journal(written)
    going_on.append(EVENTS[-1])
    assert written.read_bytes().startswith(before.removesuffix(b'{"event":"sco'))
    assert Journal(written).events == [*EVENTS, EVENTS[-1]]
