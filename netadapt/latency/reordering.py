"""The order in which an exported graph computes what a network has in another order."""

from __future__ import annotations

from collections.abc import Container, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # so that looking at a table does not load torch
    from netadapt.pruning import Operation


def moved_before(operations: Sequence[Operation]) -> tuple[tuple[int, int], ...]:
    """Pair every nearest upsampling with the 1x1 convolution that alone reads it."""
    unused = unused_places(operations)
    readers = readers_of(operations, unused)
    return tuple(
        (place, readers[place][0])
        for place, operation in enumerate(operations)
        if operation.kind == "upsample"
        and place not in unused
        and operation.detail["mode"] == "nearest"
        and len(readers.get(place, ())) == 1
        and _is_pointwise(operations[readers[place][0]])
    )


def _is_pointwise(operation: Operation) -> bool:
    detail = operation.detail
    return (
        operation.kind == "conv2d"
        and not detail.get("transposed")
        and set(detail["kernel"]) == {1}
        and set(detail["stride"]) == {1}
        and not any(detail["padding"])
    )


def commuted(
    operations: Sequence[Operation], moved: Sequence[tuple[int, int]]
) -> Sequence[Operation]:
    """Give every moved convolution the pixels before its upsampling, and that its channels."""
    if not moved:
        return operations
    changed = list(operations)
    for upsampling, convolution in moved:
        first, second = operations[upsampling], operations[convolution]
        small = (*second.output[:2], *first.inputs[0][2:])
        changed[convolution] = replace(second, inputs=(first.inputs[0],), output=small)
        changed[upsampling] = replace(first, inputs=(small,), output=second.output)
    return changed


def unused_places(operations: Sequence[Operation]) -> set[int]:
    """Return the places of operations that no output needs: no exported graph has them."""
    return {place for place, operation in enumerate(operations) if operation.unused}


def readers_of(
    operations: Sequence[Operation], left_out: Container[int] = ()
) -> dict[int, list[int]]:
    """For every operation that is read, the places of those that read it; ``left_out`` never do."""
    readers: dict[int, list[int]] = {}
    for place, operation in enumerate(operations):
        for source in () if place in left_out else operation.sources:
            readers.setdefault(source, []).append(place)
    return readers
