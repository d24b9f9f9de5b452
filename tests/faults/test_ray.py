"""Searches on a Ray of two nodes whose workers, nodes and drivers die."""

import functools
import os
import shutil
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from faulty import assert_same_end
from mortal import dies
from search_case import search_on

import netadapt
from netadapt.errors import UserError
from netadapt.search.executors import pool
from netadapt.search.journal import Journal, Retried, Scored, has_scored

ray = pytest.importorskip("ray")
cluster_utils = pytest.importorskip("ray.cluster_utils")

pytestmark = pytest.mark.timeout(600)  # a worker takes seconds to start, on a busy machine many

STORE = {"object_store_memory": 2**27}
ONE_WORKER = {"RAY_OVERRIDE_RESOURCES": '{"CPU": 1}'}  # on a Ray that a command starts
MODULES = Path(search_on.__code__.co_filename).parent
LOSES_ITS_HEAD_SOON = """
from netadapt.cli.main import main
from netadapt.search.executors import ray
ray.CONNECT_SECONDS, ray.LOST_SECONDS = 0.5, 1.0
main()
"""


@pytest.fixture(scope="module")
def cluster():
    """A head where nothing runs, and two nodes of a core each."""
    head = {"num_cpus": 0, **STORE}
    nodes = cluster_utils.Cluster(initialize_head=True, head_node_args=head)
    for _ in range(2):
        nodes.add_node(num_cpus=1, **STORE)
    yield nodes
    nodes.shutdown()


@pytest.fixture
def faults(case, tmp_path):
    """The arguments of a search and the folder whose files strike."""
    folder = tmp_path / "faults"
    folder.mkdir()
    return case | {"data": str(folder), "executor": "ray"}, folder


def reasons(run):
    events = Journal(run.folder / "journal.jsonl").events
    retried = [event for event in events if isinstance(event, Retried)]
    return {event.reason.partition(" for ")[0] for event in retried}


def paused_command(arguments, folder, out, program=("-m", "netadapt")):
    """A search in a process group of its own, with a candidate scored and a worker in another.

    The worker goes on once ``go-on`` in ``folder`` was written to.
    """
    (folder / "pause").touch()
    for pipe in ("reached", "go-on"):
        os.mkfifo(folder / pipe)
    options = [f"--{name.replace('_', '-')}={value}" for name, value in arguments.items()]
    command = subprocess.Popen(
        [sys.executable, *program, "search", *options, f"--out={out}"],
        stderr=subprocess.PIPE,
        text=True,
        cwd=MODULES,
        env={**os.environ, **ONE_WORKER},
        start_new_session=True,
    )
    (folder / "reached").read_text()
    while not has_scored(out / "journal.jsonl"):
        (folder / "pause").touch()
        (folder / "go-on").write_text("")
        (folder / "reached").read_text()
    return command


@pytest.mark.slow
def test_workers_that_die_and_hang_change_nothing(
    cluster, faults, undisturbed, tmp_path, monkeypatch
):
    # none is taken for hanging because it is slower than its peers
    patience = functools.partial(pool.Patience, least_seconds=1e6, idle_seconds=4.0)
    monkeypatch.setattr(pool, "Patience", patience)
    arguments, folder = faults
    (folder / "kill").touch()
    (folder / "hang").touch()
    run = netadapt.search(**arguments, address=cluster.address, out=tmp_path / "run")
    assert_same_end(run, undisturbed)
    assert {"its worker died", "it hung: its worker was idle"} <= reasons(run)
    assert not ray.is_initialized()


def test_a_killed_driver_and_a_lost_node_change_nothing(cluster, faults, undisturbed, tmp_path):
    arguments, folder = faults
    out = tmp_path / "run"
    go_on = functools.partial(search_on, arguments | {"address": cluster.address})
    assert dies(go_on, out, 3, of="journal.jsonl")
    before = (out / "journal.jsonl").read_bytes()

    (folder / "wait").touch()
    os.mkfifo(folder / "reached")

    def remove():
        struck = (folder / "reached").read_text()
        (lost,) = [node for node in cluster.list_all_nodes() if node.node_id == struck]
        cluster.remove_node(lost, allow_graceful=False)

    remover = threading.Thread(target=remove)
    remover.start()
    run = netadapt.search(out=out, resume=True, address=cluster.address)
    remover.join()
    assert (out / "journal.jsonl").read_bytes().startswith(before)
    assert_same_end(run, undisturbed)
    assert reasons(run) & {"its node was lost", "its worker died"}


def test_ctrl_c_to_all_of_a_search_finishes_what_is_in_flight(faults, undisturbed, tmp_path):
    arguments, folder = faults
    out = tmp_path / "run"
    with paused_command(arguments, folder, out) as command:
        os.killpg(command.pid, signal.SIGINT)
        told = next(line for line in command.stderr if "stopping" in line)
        (folder / "go-on").write_text("")
        *_, instruction, last = command.stderr
    assert "stopping once what is in flight is done; Ctrl-C again stops at once" in told
    assert command.returncode == 130
    assert instruction == f"stopped; go on with: netadapt search --resume --out {out}\n"
    assert last == "interrupted\n"
    events = Journal(out / "journal.jsonl").events
    assert not any(isinstance(event, Retried) for event in events)
    assert_same_end(netadapt.search(out=out, resume=True, executor="inline"), undisturbed)


@pytest.mark.slow
def test_a_lost_head_is_said_in_one_line(faults, undisturbed, tmp_path):
    arguments, folder = faults
    out = tmp_path / "run"
    head = cluster_utils.Cluster(initialize_head=True, head_node_args={"num_cpus": 1, **STORE})
    given = arguments | {"address": head.address}
    with paused_command(given, folder, out, ("-c", LOSES_ITS_HEAD_SOON)) as command:
        head.head_node.kill_all_processes(check_alive=False, allow_graceful=False)
        (line,) = [line for line in command.stderr if line.startswith("error: ")]
    assert command.returncode == 2
    assert f"the head of the Ray cluster at {head.address} does not answer any more" in line
    assert "--resume" in line
    run = netadapt.search(out=out, resume=True, executor="inline")
    assert_same_end(run, undisturbed)


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
