"""A network loaded into a runtime.

This folder is also shipped to boards, where there is neither torch nor the rest of netadapt: it
imports the standard library, numpy and a runtime's own package, and runs on Python 3.8.
"""

from __future__ import annotations

import re
import time
from abc import ABC, abstractmethod
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any, Union

    import numpy as np
    from numpy.typing import NDArray

    Example = Union[NDArray[Any], Sequence[NDArray[Any]]]  # noqa: UP007  # one input, or several


def inputs_of(example: Example) -> list[NDArray[Any]]:
    """Return the inputs of a network as a list."""
    return list(example) if isinstance(example, (list, tuple)) else [example]  # type: ignore[list-item]


class Session(ABC):
    """A network loaded into a runtime, its input prepared."""

    @abstractmethod
    def run(self) -> None:
        """Run the network once and wait for its output."""

    def timed(self) -> float:
        """Run once; return how many seconds it took."""
        start = time.perf_counter()
        self.run()
        return time.perf_counter() - start

    def close(self) -> None:
        """Free what the runtime holds."""
        return


class ProfiledSession(Session):
    """A session that also records how long each operation took."""

    @abstractmethod
    def operation_us(self) -> NDArray[np.float64]:
        """Close the session and return ``(runs, operations)`` microseconds.

        Columns follow the traced operations. An operation that was fused into another is 0; its
        time is booked on the operation it was fused with.
        """


def operation_of(node_name: str) -> int | None:
    """Return the traced operation that a runtime's node stands for, if it names one."""
    places = re.findall(r"netadapt_op(\d+)", node_name)
    return int(places[-1]) if places else None
