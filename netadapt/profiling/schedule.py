"""How a table is measured."""

from dataclasses import dataclass

LEVELS = 5


@dataclass(frozen=True)
class ProfileSchedule:
    """How a table is measured; written into ``target.json``.

    Attributes:
        levels: widths a group in the coarse grid of ``levels ** 2`` networks, a prime.
        uniform: networks added in which all groups are narrowed alike.
        chunk: networks timed together, operation by operation.
        rounds: visits of each, and ``runs`` timed at each visit.
        refinements: times ``chunk`` networks are added where interpolation is least sure.
        calibration_networks: timed whole, to fit the calibration.
        validation_networks: timed whole, to hold the table against.
        validation_rounds: visits of each of these, for each of two measurements.
        validation_runs: timed at each visit.
        channel_multiple: channel counts are multiples of it.
        seed: of all that is random.
    """

    levels: int = LEVELS
    uniform: int = 6
    chunk: int = 7
    rounds: int = 5
    runs: int = 4
    refinements: int = 2
    calibration_networks: int = 16
    validation_networks: int = 50
    validation_rounds: int = 8
    validation_runs: int = 3
    channel_multiple: int = 8
    seed: int = 0


# where loading a network takes seconds
SLOW_TO_LOAD = ProfileSchedule(refinements=0, calibration_networks=10, validation_networks=20)
# where building an engine takes tens of seconds, and a call reports the average of many runs
BUILT_ON_THE_DEVICE = ProfileSchedule(
    refinements=0,
    runs=1,
    calibration_networks=10,
    validation_networks=20,
    validation_rounds=3,
    validation_runs=20,
)
