"""Which traced operations the layers of a TensorRT engine carry out, by their names.

``netadapt_op3_0 + netadapt_op4_0`` and ``PWN(netadapt_op5_0)`` name what was merged;
``Reformatting CopyNode for Input Tensor 0 to netadapt_op3_0 + ...`` names who needs the copy. A
detailed layer list adds ``[ONNX Layer: NAME]`` in the layers' metadata.
"""

import re
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from netadapt.errors import UserError

OPAQUE = ("ForeignNode", "__myl", "myelin")  # blocks compiled as a whole
COPY = "Reformatting CopyNode"
NAME = re.compile(r"netadapt_op([0-9]{1,6})(?![0-9])")
COMPUTING = ("conv2d", "conv_transpose2d", "linear")  # what merged layers are booked on
ABSORBED = ("concat",)  # its inputs are written where they belong, without a layer


class LayerBook:
    """Books the layers of a network's engine on its operations.

    Args:
        members: for each workload of the network, the places of its operations.
        kinds: the kind of each workload.
        operations: how many the network has.
    """

    def __init__(
        self, members: Sequence[Sequence[int]], kinds: Sequence[str], operations: int
    ) -> None:
        self._members = members
        self._kinds = kinds
        self._operations = operations
        self._unit_of = {place: unit for unit, places in enumerate(members) for place in places}

    def microseconds(
        self, layers: Sequence[tuple[str, float]], metadata: Mapping[str, str]
    ) -> NDArray[np.float64]:
        """Return ``(operations,)`` microseconds.

        A layer counts towards the convolution or linear operation that it names, else towards the
        first operation. A copy at the network's input counts towards the next operation, any other
        layer that names none (a view) towards the one before.

        Args:
            layers: names and milliseconds, in the order of execution.
            metadata: of the layers that have any, by name.

        Raises:
            UserError: a layer's operations cannot be told apart, or an operation has no layer.
        """
        found = np.zeros(self._operations)
        seen: set[int] = set()
        waiting, last = 0.0, None
        for name, ms in layers:
            if any(word in name for word in OPAQUE):
                raise UserError(
                    f"TensorRT compiled {_short(name)} as one block, in which operations cannot be "
                    "timed apart; such a network needs another runtime"
                )
            places = self._named(name) or self._named(metadata.get(name, ""))
            seen.update(places)
            if places:
                last = self._bearer(places)
                found[last] += ms * 1000 + waiting
                waiting = 0.0
            elif last is None:
                waiting += ms * 1000
            else:
                found[last] += ms * 1000
        self._require_all(seen)
        return found

    def _named(self, text: str) -> list[int]:
        return sorted({int(place) for place in NAME.findall(text)} & self._unit_of.keys())

    def _bearer(self, places: Sequence[int]) -> int:
        computing = [p for p in places if self._kinds[self._unit_of[p]] in COMPUTING]
        return (computing or places)[0]

    def _require_all(self, seen: set[int]) -> None:
        for places, kind in zip(self._members, self._kinds, strict=True):
            if seen.isdisjoint(places) and kind not in ABSORBED:
                raise UserError(
                    f"no layer of the TensorRT engine names operation {places[0]} ({kind}); "
                    "netadapt cannot tell what it costs"
                )


def _short(name: str) -> str:
    return name if len(name) <= 80 else name[:77] + "..."
