"""A network loaded into a runtime of this machine, and what loading it took."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
from torch import nn

from netadapt.latency.target import Target
from netadapt.profiling.agent.host import pinned
from netadapt.profiling.agent.timing import interleaved
from netadapt.profiling.devices import load_device
from netadapt.profiling.devices.local import RUNS_A_VISIT, LocalDevice
from netadapt.profiling.measurement import LatencyStats, require_attached
from netadapt.profiling.memory import PeakMemory
from netadapt.profiling.runtimes.base import Session
from netadapt.profiling.runtimes.loaders import loader_for
from netadapt.pruning.examples import Example


@dataclass(frozen=True)
class Footprint:
    """What it takes to get a network to run.

    Attributes:
        export_s: from the PyTorch model to a form that the runtime loads (ONNX, as a rule); 0.0 or
            next to it where the runtime takes the model itself.
        load_s: from that form to a network that is ready to run, compiling included.
        first_run_ms: of the first run, with all that a runtime puts off until then.
        peak_mb: by how many MB (10^6 bytes) the resident memory of the process grew at most,
            from the end of the export on: the runtime's weights, code and activations, but
            neither its library nor Python. ``None`` where the system does not tell.
    """

    export_s: float
    load_s: float
    first_run_ms: float
    peak_mb: float | None


class LoadedNetwork:
    """A session that has run once."""

    def __init__(
        self, session: Session, memory: PeakMemory, export_s: float, load_s: float, first_s: float
    ) -> None:
        self.session = session
        self._memory = memory
        self._seconds = (export_s, load_s, first_s)

    def footprint(self) -> Footprint:
        """What it took up to now."""
        export_s, load_s, first_s = self._seconds
        return Footprint(export_s, load_s, first_s * 1000, self._memory.mb())


@contextmanager
def loaded(model: nn.Module, example_input: Example, target: Target) -> Iterator[LoadedNetwork]:
    """Load ``model`` into the target's runtime, on the target's cores; it must be this machine.

    Raises:
        UserError: the runtime cannot execute the network.
    """
    with pinned(target.cores()):
        start = time.perf_counter()
        loader = loader_for(model, example_input, target)
        export_s = time.perf_counter() - start
        memory = PeakMemory()
        start = time.perf_counter()
        session = loader.session(model)
        load_s = time.perf_counter() - start
        try:
            yield LoadedNetwork(session, memory, export_s, load_s, session.timed())
        finally:
            session.close()


def measure_loaded(
    model: nn.Module, example_input: Example, target: Target, *, runs: int = 60
) -> tuple[LatencyStats, Footprint]:
    """As ``measure``, for a target that is this machine, with what loading took."""
    require_attached(target)
    device = load_device(target.device)
    assert isinstance(device, LocalDevice), f"{target.device} is not this machine"
    with loaded(model, example_input, target) as network:
        timing = interleaved(
            [network.session],
            max(1, runs // RUNS_A_VISIT),
            RUNS_A_VISIT,
            order=np.random.default_rng(0),
            energy_mj=device.energy(),
        )
        energy = None if timing.energy_mj is None else timing.energy_mj[0]
        return LatencyStats.of(timing.seconds.ravel(), energy), network.footprint()
