"""The pool on a made-up engine whose clock, deaths and order are the test's."""

import random
from collections import Counter
from collections.abc import Callable
from itertools import count
from pathlib import Path
from typing import Any

import pytest
import torch
from faulty import faulty_case

from netadapt.errors import UserError
from netadapt.search.base_network import BaseNetwork
from netadapt.search.candidate import Proposal
from netadapt.search.evaluation import Evaluator, Job, Outcome
from netadapt.search.executors.pool import Crew, OutOfMemory, Patience, Pool, WorkerFault
from netadapt.search.executors.worker import Worker, WorkerRecipe
from netadapt.search.jobs import BASE
from netadapt.search.journal import Retried
from netadapt.search.networks import Networks
from netadapt.search.progress import SearchProgress
from netadapt.search.settings import SearchSettings
from netadapt.training.checkpoint import load_checkpoint


def job(number: int) -> Job:
    proposal = Proposal(name=f"1-{number}", iteration=1, group="", widths={}, predicted_ms=1.0)
    return Job(proposal, "short", "checkpoints/0.safetensors", seed=0)


def outcome(done: Job, failure: str | None = None) -> Outcome:
    return Outcome(done.name, None if failure else 0.5, failure)


IDLE = float("inf")


class MadeUpCrew(Crew):
    """An engine in virtual time; ``fate(job, attempt)`` is seconds, IDLE, or a fault to raise."""

    def __init__(self, workers: int, fate: Callable[[Job, int], Any]) -> None:
        self._workers, self._fate = workers, fate
        self._numbers, self._clock = count(), 0.0
        self._due: dict[int, Any] = {}
        self._idle_since: dict[int, float] = {}
        self.attempts: Counter[str] = Counter()
        self.living: set[int] = set()
        self.asked: list[Job] = []

    def room(self):
        return self._workers

    def hire(self):
        worker = next(self._numbers)
        self.living.add(worker)
        return worker, self._ticket(0.0, None)

    def begin(self, jobs):
        pass

    def ask(self, worker, job):
        assert worker in self.living
        self.asked.append(job)
        self.attempts[job.name] += 1
        fate = self._fate(job, self.attempts[job.name])
        self._idle_since[worker] = self._clock if fate == IDLE else IDLE
        if isinstance(fate, Exception):
            return self._ticket(0.5, fate)
        return self._ticket(fate, outcome(job))

    def done(self, tickets, seconds):
        assert len(tickets) <= self._workers
        soonest = min(self._due[ticket][0] for ticket in tickets)
        self._clock = min(self._clock + seconds, max(soonest, self._clock))
        return [ticket for ticket in tickets if self._due[ticket][0] <= self._clock]

    def take(self, ticket):
        result = self._due.pop(ticket)[1]
        if isinstance(result, Exception):
            raise result
        return result

    def idle_seconds(self, worker):
        return max(0.0, self._clock - self._idle_since[worker])

    def dismiss(self, worker):
        self.living.remove(worker)

    def check(self):
        pass

    def close(self):
        self.living.clear()

    def now(self):
        return self._clock

    def _ticket(self, seconds, result):
        ticket = next(self._numbers)
        self._due[ticket] = (self._clock + seconds, result)
        return ticket


def outcomes(crew, jobs, **patience):
    pool = Pool(crew, outcome, 8, SearchProgress(), Patience(**patience))
    results = list(pool.map([job(number) for number in range(jobs)]))
    retried = [result for result in results if isinstance(result, Retried)]
    return [result for result in results if isinstance(result, Outcome)], retried


def test_a_thousand_candidates_are_scored_once_though_workers_die():
    rng = random.Random(0)
    died = WorkerFault("its worker died")
    crew = MadeUpCrew(64, lambda job, attempt: died if rng.random() < 0.05 else rng.uniform(1, 9))
    done, retried = outcomes(crew, 1000)
    assert sorted(row.name for row in done) == sorted(f"1-{number}" for number in range(1000))
    assert all(row.score is not None for row in done)
    assert sum(crew.attempts.values()) == 1000 + len(retried)
    assert 20 < len(retried) < 90
    assert crew.now() < 1.3 * (1000 * 5 / 64)


def test_a_candidate_that_kills_every_worker_is_given_up():
    def fate(job, attempt):
        return WorkerFault("its worker died") if job.name == "1-2" else 1.0

    crew = MadeUpCrew(2, fate)
    done, retried = outcomes(crew, 5)
    failed = [row for row in done if row.score is None]
    assert [row.failure for row in failed] == ["given up after 5 attempts: its worker died"]
    assert [event.attempt for event in retried] == [1, 2, 3, 4]
    assert len(crew.living) <= 2


def test_what_hangs_is_given_longer_each_time():
    crew = MadeUpCrew(2, lambda job, attempt: 1e9 if job.name == "1-3" and attempt < 3 else 10.0)
    done, retried = outcomes(crew, 4, factor=5.0, least_seconds=30.0)
    assert len(done) == 4
    assert [event.reason for event in retried] == [
        "it hung: no result in 50 s, its peers took 10",
        "it hung: no result in 100 s, its peers took 10",
    ]


def test_an_idle_worker_hangs_though_no_peer_is_done():
    crew = MadeUpCrew(2, lambda job, attempt: IDLE if attempt < 3 else 10.0)
    done, retried = outcomes(crew, 2, idle_seconds=25.0)
    assert sorted(row.name for row in done) == ["1-0", "1-1"]
    assert Counter(event.reason for event in retried) == {
        "it hung: its worker was idle for 25 s": 2,
        "it hung: its worker was idle for 50 s": 2,
    }
    assert crew.now() < 90


def test_a_worker_that_is_busy_is_waited_for_while_no_peer_is_done():
    crew = MadeUpCrew(2, lambda job, attempt: 1e4)
    done, retried = outcomes(crew, 2)
    assert len(done) == 2
    assert not retried


def test_a_lack_of_memory_halves_the_batch_until_it_fits():
    crew = MadeUpCrew(1, lambda job, _: 1.0 if job.accumulate == 4 else OutOfMemory("none left"))
    done, retried = outcomes(crew, 1)
    assert done[0].score is not None
    assert [asked.accumulate for asked in crew.asked] == [1, 2, 4]
    assert retried[-1].reason == "none left; again with its batch in 4 parts"


def test_a_batch_is_never_cut_to_single_images():
    crew = MadeUpCrew(1, lambda job, _: OutOfMemory("none left"))
    done, _ = outcomes(crew, 1)
    assert done[0].failure == "given up after 5 attempts: none left"
    assert max(asked.accumulate for asked in crew.asked) == 4


def test_a_crew_that_cannot_start_is_an_error():
    class Unable(MadeUpCrew):
        def hire(self):
            worker, _ = super().hire()
            return worker, self._ticket(0.0, WorkerFault("data nowhere does not exist"))

    with pytest.raises(UserError, match="no worker can be started: data nowhere does not exist"):
        outcomes(Unable(2, lambda job, attempt: 1.0), 3)


def test_draining_finishes_what_is_in_flight_and_begins_nothing():
    crew = MadeUpCrew(3, lambda job, attempt: 1.0)
    pool = Pool(crew, outcome, 8, SearchProgress())
    results = pool.map([job(number) for number in range(10)])
    names = [next(results).name]
    pool.drain()
    names += [row.name for row in results]
    assert sorted(names) == [asked.name for asked in crew.asked]
    assert len(names) == 3
    assert list(pool.map([job(0)])) == []


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    folder = tmp_path_factory.mktemp("faulty")
    arguments = faulty_case(folder)
    return BaseNetwork(SearchSettings.parse(arguments), arguments["model"], 1)


def test_a_worker_gives_what_is_given_inline(base, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    recipe = WorkerRecipe.of(base, Path(base.weights))
    worker = Worker(recipe, threads=1, device="cpu")
    (tmp_path / "checkpoints").mkdir()
    (tmp_path / BASE).write_bytes(recipe.weights)
    narrower = Proposal(
        name="1-2", iteration=1, group="2", widths={"0": 16, "2": 8, "4": 16}, predicted_ms=1.0
    )
    wanted = Evaluator(base, Networks(base, tmp_path))
    asked = Job(narrower, "short", BASE, seed=1)
    assert not worker.lacks(BASE)
    made, weights = worker.evaluate(asked, {})
    assert made == wanted(asked)
    assert weights == (tmp_path / asked.checkpoint).read_bytes()
    assert worker.lacks(asked.checkpoint)
    child = Job(narrower, "long", asked.checkpoint, seed=2)
    assert worker.evaluate(child, {asked.checkpoint: weights})[0] == wanted(child)


def test_a_worker_says_when_its_memory_is_short(base, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    worker = Worker(WorkerRecipe.of(base, Path(base.weights)), threads=1, device="cpu")
    proposal = Proposal(
        name="1-2", iteration=1, group="2", widths={"0": 16, "2": 8, "4": 16}, predicted_ms=1.0
    )
    asked = Job(proposal, "short", BASE, seed=1)
    (base.task.folder / "memory").touch()
    with pytest.raises(OutOfMemory, match="out of memory"):
        worker.evaluate(asked, {})
    parts = Job(proposal, "short", BASE, seed=1, accumulate=2)
    whole, halved = worker.evaluate(asked, {}), worker.evaluate(parts, {})
    assert halved[0].score == pytest.approx(whole[0].score, rel=1e-5)
    for name, content in (("whole", whole[1]), ("halved", halved[1])):
        (tmp_path / f"{name}.safetensors").write_bytes(content)
    states = [
        load_checkpoint(tmp_path / f"{name}.safetensors").state_dict()
        for name in ("whole", "halved")
    ]
    torch.testing.assert_close(*states, rtol=1e-4, atol=1e-5)
