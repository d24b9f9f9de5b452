import signal
import sys
from pathlib import Path

import pytest

# the small searches, trainings and profiles of the other tests
sys.path.extend(str(Path(__file__).parents[1] / room) for room in ("search", "depth", "profiling"))

from faulty import faulty_case

import netadapt


@pytest.fixture(scope="session")
def case(tmp_path_factory):
    """Arguments of a search, with no fault to strike."""
    return faulty_case(tmp_path_factory.mktemp("faulty"))


@pytest.fixture(scope="session")
def undisturbed(case, tmp_path_factory):
    """That search, done. It is shared: change nothing."""
    return netadapt.search(**case, out=tmp_path_factory.mktemp("runs") / "run")


@pytest.fixture(autouse=True, scope="session")
def interruptible():
    """Tests that a script has put in the background have inherited a deaf ear for Ctrl-C."""
    signal.signal(signal.SIGINT, signal.default_int_handler)
