"""Searches on a Ray of two nodes whose workers, nodes and drivers die."""

import functools
import multiprocessing
import os
import shutil
import signal
import threading

import pytest

import netadapt
from netadapt.errors import UserError
from netadapt.search.executors import pool
from netadapt.search.journal import Journal, Retried, Scored

ray = pytest.importorskip("ray")
cluster_utils = pytest.importorskip("ray.cluster_utils")

from faulty import faulty_case, search_until_dead  # noqa: E402  (needs ray)

pytestmark = pytest.mark.timeout(600)  # a worker takes seconds to start, on a busy machine many

TABLES = ("pareto.csv", "candidates.csv", "summary.json")


@pytest.fixture(scope="module")
def cluster():
    """A head where nothing runs, and two nodes of a core each."""
    head = {"num_cpus": 0, "object_store_memory": 2**27}
    nodes = cluster_utils.Cluster(initialize_head=True, head_node_args=head)
    for _ in range(2):
        nodes.add_node(num_cpus=1, object_store_memory=2**27)
    yield nodes
    nodes.shutdown()


@pytest.fixture(scope="module")
def case(tmp_path_factory):
    return faulty_case(tmp_path_factory.mktemp("faulty"))


@pytest.fixture(scope="module")
def undisturbed(case, tmp_path_factory):
    """The same search in this process, without faults."""
    return netadapt.search(**case, out=tmp_path_factory.mktemp("inline") / "run")


@pytest.fixture
def faults(case, tmp_path):
    """The arguments of a search and the folder whose files strike."""
    folder = tmp_path / "faults"
    folder.mkdir()
    return case | {"data": str(folder), "executor": "ray"}, folder


def reasons(run):
    events = Journal(run.folder / "journal.jsonl").events
    return {event.reason.partition(":")[0] for event in events if isinstance(event, Retried)}


def assert_same(run, undisturbed):
    for name in TABLES:
        assert (run.folder / name).read_bytes() == (undisturbed.folder / name).read_bytes(), name
    assert run.final.read_bytes() == undisturbed.final.read_bytes()
    kept = {path.name for path in (run.folder / "checkpoints").iterdir()}
    assert kept == {path.name for path in (undisturbed.folder / "checkpoints").iterdir()}


def test_workers_that_die_and_hang_change_nothing(
    cluster, faults, undisturbed, tmp_path, monkeypatch
):
    patience = functools.partial(pool.Patience, factor=3.0, least_seconds=2.0)
    monkeypatch.setattr(pool, "Patience", patience)
    arguments, folder = faults
    (folder / "kill").touch()
    (folder / "hang").touch()
    run = netadapt.search(**arguments, address=cluster.address, out=tmp_path / "run")
    assert_same(run, undisturbed)
    assert {"its worker died", "it hung"} <= reasons(run)
    assert not ray.is_initialized()


def test_a_killed_driver_and_a_lost_node_change_nothing(cluster, faults, undisturbed, tmp_path):
    arguments, folder = faults
    out = tmp_path / "run"
    context = multiprocessing.get_context("spawn")
    given = arguments | {"address": cluster.address}
    child = context.Process(target=search_until_dead, args=(given, out, 3))
    child.start()
    child.join()
    assert child.exitcode == -signal.SIGKILL
    before = (out / "journal.jsonl").read_bytes()

    (folder / "wait").touch()
    os.mkfifo(folder / "reached")

    def remove():
        struck = (folder / "reached").read_text()
        (lost,) = [node for node in cluster.list_all_nodes() if node.node_id == struck]
        cluster.remove_node(lost, allow_graceful=False)

    remover = threading.Thread(target=remove)
    remover.start()
    run = netadapt.search(out=out, resume=True)
    remover.join()
    assert (out / "journal.jsonl").read_bytes().startswith(before)
    assert_same(run, undisturbed)
    assert reasons(run) & {"its node was lost", "its worker died"}


def test_a_run_goes_on_with_another_executor(cluster, undisturbed, tmp_path):
    shutil.copytree(undisturbed.folder, tmp_path / "run")
    journal = tmp_path / "run" / "journal.jsonl"
    lines = journal.read_bytes().splitlines(keepends=True)
    journal.write_bytes(b"".join(lines[:-1]))
    run = netadapt.search(
        out=tmp_path / "run", resume=True, executor="ray", address=cluster.address
    )
    assert journal.read_bytes() == b"".join(lines)
    assert run.final.stem == undisturbed.final.stem


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"address": "127.0.0.1:9"}, "no Ray cluster answers at 127.0.0.1:9"),
        ({"address": "ray://127.0.0.1:10001"}, "no Ray cluster answers at ray://"),
        ({"gpus_per_candidate": 1.5}, "1.5 is above 1 and not whole"),
    ],
)
def test_what_no_cluster_can_give_is_said_in_one_line(faults, tmp_path, changes, message):
    arguments, _ = faults
    with pytest.raises(UserError, match=message) as caught:
        netadapt.search(**arguments | changes, out=tmp_path / "run")
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "run").exists()


def test_a_worker_that_fits_on_no_node_is_refused(cluster, faults, tmp_path):
    arguments, _ = faults
    with pytest.raises(UserError, match="no node of the cluster has 99 cores and 0 GPUs"):
        netadapt.search(
            **arguments, address=cluster.address, cpus_per_candidate=99, out=tmp_path / "run"
        )
    assert not ray.is_initialized()


def test_every_candidate_is_scored_once(undisturbed):
    events = Journal(undisturbed.folder / "journal.jsonl").events
    names = [event.candidate.name for event in events if isinstance(event, Scored)]
    assert len(names) == len(set(names))
