"""One candidate after the other, in this process."""

from collections.abc import Callable, Iterable, Iterator

from netadapt.search.executors.base import Executor, Item, Result


class InlineExecutor(Executor):
    """Evaluates in the process of the search."""

    def map(
        self, function: Callable[[Item], Result], items: Iterable[Item]
    ) -> Iterator[tuple[Item, Result]]:
        """Yield the items in order, each evaluated when it is asked for."""
        for item in items:
            yield item, function(item)
