"""From the latency of a network's workloads to the energy of a run."""

from collections.abc import Mapping, Sequence
from typing import Annotated

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

from netadapt.latency.surfaces import Surfaces
from netadapt.latency.workloads import Workload, block_kind

FOLDS = 4
PAYS = 0.9  # of the error with one power for all kinds
HIGHEST_W = 1e5
HIGHEST_MJ = 1e9

Name = Annotated[str, Field(max_length=500)]
Power = Annotated[float, Field(ge=0, le=HIGHEST_W)]
KindTimes = Mapping[str, NDArray[np.float64]]


class EnergyCalibration(BaseModel):
    """How the latencies of workloads become the energy of a run of the whole network.

    ``network_mj = call_mj + sum of watts * milliseconds``. A counter tells the energy of whole
    networks; no counter is fast enough for one workload.

    Attributes:
        call_mj: energy of a run beyond its workloads.
        watts: for each kind of workload (see ``block_kind``), its power; the kind ``""`` stands
            for all that are not named.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    call_mj: Annotated[float, Field(ge=0, le=HIGHEST_MJ)]
    watts: Annotated[dict[Name, Power], Field(min_length=1, max_length=1000)]

    @property
    def in_words(self) -> str:
        """How the energy of a run follows from its latency: ``3 mJ + 20 W * all``."""
        parts = [f"{watts:.3g} W * {kind or 'all'}" for kind, watts in sorted(self.watts.items())]
        return " + ".join([f"{self.call_mj:.3g} mJ", *parts])

    def power(self, kind: str) -> float:
        """The power of a kind of workload, in W, which are mJ per ms."""
        return self.watts.get(kind, self.watts.get("", 0.0))

    def mj(self, kind_us: KindTimes) -> NDArray[np.float64]:
        """Return the ``(N,)`` mJ of networks whose workloads of each kind take ``(N,)`` us."""
        parts = [self.power(kind) * us / 1000 for kind, us in kind_us.items()]
        total: NDArray[np.float64] = self.call_mj + np.sum(parts, axis=0)
        return total


def times_by_kind(surfaces: Surfaces, networks: Sequence[Sequence[Workload]]) -> KindTimes:
    """Return the ``(N,)`` microseconds that each kind of workload takes in N networks."""
    kinds = sorted({block_kind(one) for network in networks for one in network})
    return {
        kind: surfaces.sums([[w for w in network if block_kind(w) == kind] for network in networks])
        for kind in kinds
    }


def fit_energy(kind_us: KindTimes, measured_mj: NDArray[np.float64]) -> EnergyCalibration | None:
    """Fit the powers to whole networks, by relative error.

    Each kind has a power of its own only if that predicts networks left out of the fit better.

    Args:
        kind_us: ``(N,)`` microseconds of each kind.
        measured_mj: ``(N,)`` energies of a run.

    Returns:
        ``None`` where the counter was too coarse to see a run.
    """
    if not len(measured_mj) or not (np.isfinite(measured_mj) & (measured_mj > 0)).all():
        return None
    together = {"": np.sum(list(kind_us.values()), axis=0)}
    if PAYS * _left_out_error(together, measured_mj) > _left_out_error(kind_us, measured_mj):
        return _fitted(kind_us, measured_mj)
    return _fitted(together, measured_mj)


def _left_out_error(kind_us: KindTimes, measured_mj: NDArray[np.float64]) -> float:
    if len(measured_mj) < 2 * FOLDS:
        return 0.0
    fold = np.arange(len(measured_mj)) % FOLDS
    total = 0.0
    for left_out in range(FOLDS):
        known, out = fold != left_out, fold == left_out
        found = _fitted({kind: us[known] for kind, us in kind_us.items()}, measured_mj[known])
        predicted = found.mj({kind: us[out] for kind, us in kind_us.items()})
        total += float(np.abs(predicted / measured_mj[out] - 1).sum())
    return total


def _fitted(kind_us: KindTimes, measured_mj: NDArray[np.float64]) -> EnergyCalibration:
    from scipy.optimize import nnls  # imported where it is needed, as it takes long

    columns = [np.ones_like(measured_mj), *(us / 1000 for us in kind_us.values())]
    shares = np.stack(columns, axis=1) / measured_mj[:, None]
    (call_mj, *watts), _ = nnls(shares, np.ones_like(measured_mj))
    return EnergyCalibration(
        call_mj=float(min(call_mj, HIGHEST_MJ)),
        watts={kind: float(min(w, HIGHEST_W)) for kind, w in zip(kind_us, watts, strict=True)},
    )
