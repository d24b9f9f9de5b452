"""From a journal to the state of its search; what cannot have happened is refused."""

from collections.abc import Iterable, Iterator, Mapping

from netadapt.search.candidate import LONG, QAT, Candidate, Proposal
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
from netadapt.search.state import SearchState


def replayed(
    journal: Journal, higher_is_better: bool, full: Mapping[str, int] | None = None
) -> SearchState:
    """Return the state that the events of ``journal`` lead to.

    Args:
        journal: of one run.
        higher_is_better: of its score.
        full: widths of the network that the run searches from, if it is at hand.

    Raises:
        UserError: an event that cannot follow those before it, with file and line.
    """
    state = SearchState(higher_is_better)
    for number, event in enumerate(journal.events, start=1):
        wrong = next(_wrong(state, event, full), None)
        if wrong is not None:
            raise journal.damaged(number, wrong)
        state.apply(event)
    return state


def _wrong(state: SearchState, event: Event, full: Mapping[str, int] | None) -> Iterator[str]:
    """Say what is wrong with ``event`` where ``state`` stands."""
    if isinstance(event, Started):
        yield from _of_base(state, event.base, full)
        return
    if isinstance(event, Retried):
        yield from _of_retry(state, event)
        return
    if not state.walk:
        yield f"it begins with {event.event}, not with the base network"
        return
    if state.finished is not None:
        yield f"{event.event} after the search was finished by {state.finished}"
    match event:
        case IterationBegan():
            yield from _of_iteration(state, event)
        case Scored(candidate=candidate):
            yield from _of_score(state, candidate)
        case Selected():
            yield from _of_selection(state, event)
        case Anchored(name=name):
            if name != state.current.name:
                yield f"it measured {name} where the walk stands at {state.current.name}"
        case Chosen(names=names):
            yield from _of_choice(state, names)
        case Measured(p50_ms=measured, energy_mj=energies):
            yield from _of_measurement(state, [*(measured or {}), *(energies or {})])
        case Tightened():
            if not state.chosen:
                yield "it tightens the budget before points were chosen"
        case Tuned(candidate=candidate):
            yield from _of_tuning(state, candidate)
        case Finished(name=name):
            yield from _unscored(state, [name])


def _of_base(state: SearchState, base: Candidate, full: Mapping[str, int] | None) -> Iterator[str]:
    if state.walk:
        yield "a second base network"
    if base.stage != "base" or base.iteration != 0 or base.name != "0":
        yield f"{base.name} of iteration {base.iteration} is no base network"
    if base.score is None:
        yield "the base network has no score"
    yield from _of_file(base)
    yield from _of_widths(base.name, base.widths, base.widths if full is None else full)
    if full is not None and dict(base.widths) != dict(full):
        yield "the base network has other widths than the network of this run"


def _of_retry(state: SearchState, event: Retried) -> Iterator[str]:
    known = {proposal.name for proposal in state.proposals}
    known |= {name + end for name in state.chosen for end in (LONG, LONG + QAT)}
    if event.name not in (known if state.walk else {"0"}):
        yield f"it retries {event.name}, which was not to be evaluated"


def _of_iteration(state: SearchState, event: IterationBegan) -> Iterator[str]:
    if event.iteration != state.iteration:
        yield f"iteration {event.iteration} where {state.iteration} is due"
    if state.chosen:
        yield f"iteration {event.iteration} begins after points were chosen"
    if state.proposals and not state.all_failed:
        yield f"iteration {event.iteration} begins again before it is over"
    if not event.proposals:
        yield f"iteration {event.iteration} proposes nothing"
    names = [proposal.name for proposal in event.proposals]
    again = {proposal.name for proposal in state.proposals}
    for proposal in event.proposals:
        yield from _of_proposal(state, proposal)
        if names.count(proposal.name) > 1:
            yield f"it proposes {proposal.name} twice"
        if proposal.name in state.candidates and proposal.name not in again:
            yield f"it proposes {proposal.name}, which was scored before"
    for name in event.measured_ms:
        if name not in names:
            yield f"it measured {name}, which it does not propose"


def _of_proposal(state: SearchState, proposal: Proposal) -> Iterator[str]:
    if proposal.iteration != state.iteration:
        yield f"{proposal.name} is of iteration {proposal.iteration}, not {state.iteration}"
    if not proposal.name.startswith(f"{state.iteration}-") or proposal.name.endswith(
        (LONG, LONG + QAT)
    ):
        yield f"{proposal.name} is no name of iteration {state.iteration}"
    if proposal.group and proposal.group not in state.base.widths:
        yield f"{proposal.name} narrows {proposal.group}, which the base network does not have"
    yield from _of_widths(proposal.name, proposal.widths, state.base.widths)


def _of_score(state: SearchState, candidate: Candidate) -> Iterator[str]:
    pending = {proposal.name: proposal for proposal in state.pending}
    proposal = pending.get(candidate.name)
    if proposal is None:
        was = "was scored before" if candidate.name in state.candidates else "was never proposed"
        yield f"it scores {candidate.name}, which {was}"
        return
    if candidate.stage != "short":
        yield f"it scores {candidate.name} as {candidate.stage}, not short"
    yield from _same_network(candidate, proposal)


def _of_selection(state: SearchState, event: Selected) -> Iterator[str]:
    if event.iteration != state.iteration:
        yield f"it selects in iteration {event.iteration} where {state.iteration} is due"
    if not state.proposals or state.pending:
        yield f"it selects {event.name} before the iteration's candidates are scored"
    yield from _unscored(state, [event.name])


def _of_choice(state: SearchState, names: tuple[str, ...]) -> Iterator[str]:
    if state.chosen:
        yield "it chooses points a second time"
    if state.proposals:
        yield f"it chooses points before iteration {state.iteration} is over"
    if not names or len(set(names)) < len(names):
        yield "it chooses no point, or one twice"
    yield from _unscored(state, names)


def _of_measurement(state: SearchState, measured: Iterable[str]) -> Iterator[str]:
    if not state.chosen or state.was_measured:
        yield "it measures where no points wait for it"
    for name in measured:
        if name not in (*state.chosen, state.base.name):
            yield f"it measured {name}, which was not chosen"


def _of_tuning(state: SearchState, candidate: Candidate) -> Iterator[str]:
    name = candidate.before_long
    learnt_on = candidate.name.endswith(QAT)
    if name not in state.chosen or candidate.stage != "long" or candidate.name == name:
        yield f"it fine-tuned {candidate.name}, which was not chosen"
    elif candidate.name in state.candidates:
        yield f"it fine-tuned {candidate.name} twice"
    elif learnt_on and name + LONG not in state.candidates:
        yield f"it fine-tuned {candidate.name} before {name + LONG}"
    else:
        yield from _same_network(candidate, state.candidates[name])


def _same_network(candidate: Candidate, other: Proposal | Candidate) -> Iterator[str]:
    """Compare a candidate with what it was made of."""
    if dict(candidate.widths) != dict(other.widths):
        yield f"{candidate.name} has other widths than {other.name} was proposed with"
    if candidate.iteration != other.iteration:
        yield f"{candidate.name} is of iteration {candidate.iteration}, not {other.iteration}"
    yield from _of_file(candidate)


def _of_file(candidate: Candidate) -> Iterator[str]:
    if candidate.checkpoint != f"checkpoints/{candidate.name}.safetensors":
        yield f"the weights of {candidate.name} cannot be in {candidate.checkpoint}"


def _of_widths(name: str, widths: Mapping[str, int], full: Mapping[str, int]) -> Iterator[str]:
    for group in [*full, *widths]:
        if group not in widths:
            yield f"{name} lacks the group {group}"
        elif group not in full:
            yield f"{name} has the group {group}, which the base network does not have"
        elif not (full[group] > 1) <= widths[group] <= full[group]:  # a block may be dropped
            yield f"{name} has {widths[group]} channels in {group}, of {full[group]}"


def _unscored(state: SearchState, names: Iterable[str]) -> Iterator[str]:
    for name in names:
        candidate = state.candidates.get(name)
        if candidate is None or candidate.score is None:
            yield f"it names {name}, which has no score"
