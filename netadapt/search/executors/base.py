"""How the candidates of an iteration are evaluated: in this process, in a pool, on a cluster."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")


class Executor(ABC):
    """Maps a function over independent items.

    The function depends on its item alone, so results are the same wherever it runs.
    """

    @abstractmethod
    def map(
        self, function: Callable[[Item], Result], items: Iterable[Item]
    ) -> Iterator[tuple[Item, Result]]:
        """Yield each item with its result, in the order in which they are done."""
