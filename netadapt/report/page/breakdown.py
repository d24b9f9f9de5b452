"""Where the time of a run's networks goes, from ``breakdown.csv``."""

from pathlib import Path
from typing import Any

from netadapt.report.tables import numbers, read_table, require_columns


def breakdown_data(path: Path) -> dict[str, Any] | None:
    """Return ``groups``, ``kinds`` and, by candidate, ``(group, kind, ms)`` with both as places.

    ``None`` if the run has no such file, as older runs have none.

    Raises:
        UserError: it is damaged.
    """
    if not path.exists():
        return None
    table = read_table(path)
    require_columns(table, ("candidate", "group", "kind", "ms"), path)
    ms = numbers(table, "ms", path, optional=False)
    groups, kinds = (list(dict.fromkeys(table[name])) for name in ("group", "kind"))
    spent: dict[str, list[tuple[int, int, float]]] = {}
    for candidate, group, kind, value in zip(
        table["candidate"], table["group"], table["kind"], ms, strict=True
    ):
        spent.setdefault(candidate, []).append(
            (groups.index(group), kinds.index(kind), float(value))
        )
    return {"groups": groups, "kinds": kinds, "spent": spent}
