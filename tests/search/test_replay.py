"""Journals whose lines are sound, and tell what cannot have happened."""

from typing import Any

import pytest

from netadapt.errors import UserError
from netadapt.search.candidate import Candidate, Proposal
from netadapt.search.journal import (
    Anchored,
    Chosen,
    Event,
    Finished,
    IterationBegan,
    Journal,
    Measured,
    Retried,
    Scored,
    Selected,
    Started,
    Tightened,
    Tuned,
)
from netadapt.search.replay import replayed

FULL = {"a": 16, "b": 8}
NARROW = {"a": 8, "b": 8}
OTHER = {"a": 16, "b": 4}


def candidate(name: str, **changes: Any) -> Candidate:
    iteration = int(name.partition("-")[0])
    facts = {
        "name": name,
        "iteration": iteration,
        "stage": "long" if name.endswith("-long") else "short" if iteration else "base",
        "widths": {"0": FULL, "1-b": OTHER}.get(name.removesuffix("-long"), NARROW),
        "predicted_ms": 9.0,
        "macs": 1,
        "params": 1,
        "score": 0.7,
        "checkpoint": f"checkpoints/{name}.safetensors",
    }
    return Candidate.model_validate(facts | changes)


def proposal(name: str, **changes: Any) -> Proposal:
    widths = OTHER if name == "1-b" else NARROW
    facts = {"name": name, "iteration": 1, "group": "a", "widths": widths, "predicted_ms": 9.0}
    return Proposal.model_validate(facts | changes)


def iteration(number: int = 1, *proposals: Proposal, **changes: Any) -> IterationBegan:
    named = proposals or (proposal("1-a"), proposal("1-b", group="b"))
    return IterationBegan(iteration=number, target_ms=9.0, proposals=named, **changes)


STARTED = Started(base=candidate("0"))
SOUND: list[Event] = [
    Retried(name="0", attempt=1, reason="its worker died"),
    STARTED,
    Anchored(name="0", base_ms=10.0, ms=10.0),
    iteration(measured_ms={"1-a": 9.0}, base_ms=10.0),
    Retried(name="1-b", attempt=1, reason="its worker died"),
    Scored(candidate=candidate("1-b", score=None, failure="diverged")),
    Scored(candidate=candidate("1-a")),
    Selected(iteration=1, name="1-a"),
    Chosen(names=("0", "1-a")),
    Measured(p50_ms={"0": 10.0, "1-a": 9.0}),
    Anchored(name="1-a", base_ms=10.0, ms=9.0),
    Chosen(names=("0", "1-a")),
    Measured(p50_ms=None),
    Tuned(candidate=candidate("1-a-long")),
    Tuned(candidate=candidate("0-long")),
    Retried(name="1-a-long-qat", attempt=1, reason="its worker died"),
    Tuned(candidate=candidate("1-a-long-qat", stage="long")),
    Finished(name="1-a-long"),
]
BEGUN, PROPOSED, SCORED, SELECTED, CHOSEN = (
    SOUND[1:2],
    SOUND[1:4],
    SOUND[1:7],
    SOUND[1:8],
    SOUND[1:9],
)
FAILED = [*PROPOSED, SOUND[5], Scored(candidate=candidate("1-a", score=None, failure="diverged"))]
TUNED = SOUND[1:14]

IMPOSSIBLE: dict[str, tuple[list[Event], Event]] = {
    "it begins with iteration, not with the base": ([], iteration()),
    "it begins with scored": ([], Scored(candidate=candidate("1-a"))),
    "it begins with finished": ([], Finished(name="0")),
    "it retries 1-a": ([], Retried(name="1-a", attempt=1, reason="x")),
    "a second base network": (SELECTED, STARTED),
    "0 of iteration 1 is no base": ([], Started(base=candidate("0", iteration=1))),
    "1-a of iteration 1 is no base": ([], Started(base=candidate("1-a"))),
    "the base network has no score": ([], Started(base=candidate("0", score=None))),
    "weights of 0 cannot be in": (
        [],
        Started(base=candidate("0", checkpoint="checkpoints/1.safetensors")),
    ),
    "0 has 0 channels in b, of 8": ([], Started(base=candidate("0", widths={"a": 16, "b": 0}))),
    "0 lacks the group b": ([], Started(base=candidate("0", widths={"a": 16}))),
    "other widths than the network of this run": ([], Started(base=candidate("0", widths=OTHER))),
    "iteration 2 where 1 is due": (BEGUN, iteration(2)),
    "iteration 1 where 2 is due": (SELECTED, iteration(1)),
    "begins again before it is over": (PROPOSED, iteration()),
    "begins after points were chosen": (CHOSEN, iteration(2, proposal("2-a", iteration=2))),
    "proposes nothing": (BEGUN, IterationBegan(iteration=1, target_ms=9.0, proposals=())),
    "proposes 1-a twice": (BEGUN, iteration(1, proposal("1-a"), proposal("1-a"))),
    "1-a is of iteration 2, not 1": (BEGUN, iteration(1, proposal("1-a", iteration=2))),
    "2-a is no name of iteration 1": (BEGUN, iteration(1, proposal("2-a"))),
    "1-a-long is no name of iteration 1": (BEGUN, iteration(1, proposal("1-a-long"))),
    "narrows c, which the base network does not have": (
        BEGUN,
        iteration(1, proposal("1-c", group="c")),
    ),
    "has the group c, which": (
        BEGUN,
        iteration(1, proposal("1-a", widths={**NARROW, "c": 8})),
    ),
    "1-a lacks the group b": (BEGUN, iteration(1, proposal("1-a", widths={"a": 8}))),
    "1-a has 24 channels in a, of 16": (
        BEGUN,
        iteration(1, proposal("1-a", widths={"a": 24, "b": 8})),
    ),
    "1-a has -8 channels in a": (BEGUN, iteration(1, proposal("1-a", widths={"a": -8, "b": 8}))),
    "measured 1-z, which it does not propose": (BEGUN, iteration(measured_ms={"1-z": 9.0})),
    "scores 1-z, which was never proposed": (PROPOSED, Scored(candidate=candidate("1-z"))),
    "scores 1-a, which was scored before": (SCORED, Scored(candidate=candidate("1-a"))),
    "scores 1-a as long": (PROPOSED, Scored(candidate=candidate("1-a", stage="long"))),
    "1-a has other widths than": (PROPOSED, Scored(candidate=candidate("1-a", widths=FULL))),
    "1-a is of iteration 3, not 1": (PROPOSED, Scored(candidate=candidate("1-a", iteration=3))),
    "weights of 1-a cannot be in": (
        PROPOSED,
        Scored(candidate=candidate("1-a", checkpoint="checkpoints/0.safetensors")),
    ),
    "retries 1-z, which was not": (PROPOSED, Retried(name="1-z", attempt=1, reason="x")),
    "selects in iteration 2 where 1": (SCORED, Selected(iteration=2, name="1-a")),
    "before the iteration's candidates are scored": (PROPOSED, Selected(iteration=1, name="1-a")),
    "names 1-z, which has no score": (SCORED, Selected(iteration=1, name="1-z")),
    "names 1-b, which has no score": (SCORED, Selected(iteration=1, name="1-b")),
    "measured 1-a where the walk stands at 0": (BEGUN, Anchored(name="1-a", base_ms=9.0, ms=9.0)),
    "chooses points before iteration 1 is over": (PROPOSED, Chosen(names=("0",))),
    "chooses points a second time": (CHOSEN, Chosen(names=("0",))),
    "chooses no point": (SELECTED, Chosen(names=())),
    "or one twice": (SELECTED, Chosen(names=("0", "0"))),
    "names 1-y, which has no score": (SELECTED, Chosen(names=("1-y",))),
    "measures where no points wait": (SELECTED, Measured(p50_ms=None)),
    "measured 1-b, which was not chosen": (CHOSEN, Measured(p50_ms={"1-b": 9.0})),
    "tightens the budget before": (SELECTED, Tightened(predicted_budget_ms=8.0)),
    "fine-tuned 1-b-long, which was not chosen": (
        CHOSEN,
        Tuned(candidate=candidate("1-b-long")),
    ),
    "fine-tuned 1-a, which": (CHOSEN, Tuned(candidate=candidate("1-a"))),
    "fine-tuned 1-a-long twice": (TUNED, Tuned(candidate=candidate("1-a-long"))),
    "fine-tuned 1-a-long-qat before 1-a-long": (
        CHOSEN,
        Tuned(candidate=candidate("1-a-long-qat", stage="long")),
    ),
    "1-a-long-qat is no name of iteration 1": (BEGUN, iteration(1, proposal("1-a-long-qat"))),
    "measured 1-z, which was not chosen": (
        CHOSEN,
        Measured(p50_ms={"0": 10.0}, energy_mj={"1-z": 3.0}),
    ),
    "1-a-long has other widths": (CHOSEN, Tuned(candidate=candidate("1-a-long", widths=OTHER))),
    "names 1-x, which has no score": (TUNED, Finished(name="1-x")),
    "finished after the search was finished by 1-a-long": (SOUND, Finished(name="1-a-long")),
}


def written(path, events) -> Journal:
    journal = Journal(path)
    for event in events:
        journal.append(event)
    return Journal(path)


def test_what_can_have_happened_is_replayed(tmp_path):
    state = replayed(written(tmp_path / "journal.jsonl", SOUND), True, FULL)
    assert state.finished == "1-a-long"
    assert state.walk == ["0", "1-a"]


def test_an_iteration_whose_candidates_all_failed_begins_again(tmp_path):
    again = [*FAILED, iteration(), *SOUND[5:8]]
    assert replayed(written(tmp_path / "journal.jsonl", again), True).iteration == 2


@pytest.mark.parametrize("wrong", IMPOSSIBLE)
def test_what_cannot_have_happened_is_refused_with_its_line(tmp_path, wrong):
    before, event = IMPOSSIBLE[wrong]
    path = tmp_path / "journal.jsonl"
    journal = written(path, [*before, event])
    with pytest.raises(UserError) as caught:
        replayed(journal, True, FULL)
    message = str(caught.value)
    assert message.startswith(f"{path} line {len(before) + 1} is damaged: ")
    assert wrong in message


@pytest.mark.parametrize("before", [before for before, _ in IMPOSSIBLE.values()])
def test_the_lines_before_are_sound(tmp_path, before):
    replayed(written(tmp_path / "journal.jsonl", before), True, FULL)
