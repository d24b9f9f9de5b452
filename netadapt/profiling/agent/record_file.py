"""What a job has measured so far: one JSON line a finished unit, on the disk before the next."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING, Any

from netadapt.profiling.agent.runtimes import BoardError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


class RecordFile:
    """The finished units of a folder's jobs; a torn last line is dropped."""

    def __init__(self, path: Path) -> None:
        self._path = path
        content = path.read_bytes() if path.exists() else b""
        whole = content[: content.rfind(b"\n") + 1]
        try:
            self._records = [json.loads(line) for line in whole.splitlines()]
        except ValueError as error:
            raise BoardError(f"{path} is damaged; remove it and start again") from error
        if len(whole) < len(content):
            with path.open("r+b") as file:
                file.truncate(len(whole))

    def of(self, stage: str) -> Iterator[dict[str, Any]]:
        """The records of one stage."""
        return (record for record in self._records if record["stage"] == stage)

    def append(self, record: dict[str, Any]) -> None:
        """Add a record, and return once it is on the disk."""
        with self._path.open("a", encoding="ascii") as file:
            file.write(json.dumps(record) + "\n")
            file.flush()
            os.fsync(file.fileno())
        self._records.append(record)
