"""Latency tables: workload -> latency quantiles on one target, as text under ``lut/<slug>/``."""

import codecs
import csv
import io
import json
import os
import re
import zlib
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from pydantic import ValidationError

from netadapt.errors import UserError
from netadapt.files import existing_file, existing_folder, locked_folder, write_atomic
from netadapt.latency.fields import (
    MAX_SIZE,
    WORKLOAD_COLUMNS,
    integer,
    parse_workload,
    workload_fields,
)
from netadapt.latency.target import Target
from netadapt.latency.workloads import Workload
from netadapt.texts import csv_problem, object_of, text_of
from netadapt.wording import first_problem

COLUMNS = (*WORKLOAD_COLUMNS, "p10_us", "p50_us", "p90_us", "runs")
MAX_BYTES = 200_000_000
MAX_COLUMNS = 20_000  # of validation.csv: one for each channel group
SHORTEST_US, LONGEST_US = 0.01, 1e9


@dataclass(frozen=True)
class Latency:
    """Quantiles of one workload's latency, in microseconds, and how many runs they rest on."""

    p10_us: float
    p50_us: float
    p90_us: float
    runs: int


class LatencyTable:
    """The table of one target; a folder with ``target.json`` and ``latency.csv``."""

    def __init__(self, folder: Path, target: Target, rows: Mapping[Workload, Latency]) -> None:
        self.folder = folder
        self.target = target
        self.rows = dict(rows)

    @classmethod
    def load(cls, folder: str | Path) -> "LatencyTable":
        """Read and validate a table.

        Raises:
            UserError: a missing or damaged file, named with its line.
        """
        folder = existing_folder(Path(folder), "latency table")
        path = folder / "target.json"
        if not path.exists():
            raise UserError(
                f"{folder} is not a latency table: it has no {path.name}; "
                "name a folder that profile-lut wrote"
            )
        existing_file(path, "the table's target")
        try:
            target = Target.model_validate(object_of(path))
        except ValidationError as error:
            raise UserError(f"{path} is not a target: {first_problem(error)}") from None
        except ValueError as error:
            raise UserError(f"{path} is not a target: {error}") from None
        rows = _read_rows(folder / "latency.csv")
        _check_sum(folder / "latency.csv", target)
        return cls(folder, target, rows)

    @classmethod
    def open(cls, lut: Path, target: Target) -> "LatencyTable":
        """Load the table of ``target`` under ``lut``, or return an empty one, not yet written.

        Raises:
            UserError: the folder there is damaged, or belongs to another target.
        """
        folder = lut / target.slug
        if (folder / "target.json").exists():
            table = cls.load(folder)
            difference = target.difference(table.target)
            if difference:
                raise UserError(
                    f"{folder} was measured on another target: {difference}; "
                    "use another folder with --lut"
                )
            return table
        return cls(folder, target, {})

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Lock the table for this process, and read the rows that others added before.

        Raises:
            UserError: another process fills it, or its folder cannot be written.
        """
        made = [path for path in (self.folder, self.folder.parent) if not path.exists()]
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise UserError(f"cannot write {self.folder}: {error.strerror or error}") from error
        busy = f"{self.folder} is being filled by another process; wait for it, then try again"
        with locked_folder(self.folder, busy):
            if (self.folder / "target.json").exists():
                now = LatencyTable.open(self.folder.parent, self.target)
                self.rows, self.target = now.rows, now.target
            try:
                yield
            finally:
                for folder in made:
                    with suppress(OSError):  # what was written stays
                        folder.rmdir()

    def create(self) -> None:
        """Write the missing files of an empty table. Raises ``UserError`` if it cannot."""
        if not (self.folder / "latency.csv").exists():
            write_atomic(self.folder / "latency.csv", ",".join(COLUMNS) + "\n")
        if not (self.folder / "target.json").exists():
            self.save_target(self.target)

    def save_target(self, target: Target) -> None:
        """Write ``target.json``, whole or not at all; once calibrated, with the rows' checksum."""
        latency = self.folder / "latency.csv"
        if target.calibrations and latency.exists():
            content = _content(latency)
            checksum = {"latency_bytes": len(content), "latency_crc32": zlib.crc32(content)}
            target = target.model_copy(update=checksum)
        self.target = target
        text = json.dumps(target.model_dump(), indent=2, ensure_ascii=False) + "\n"
        write_atomic(self.folder / "target.json", text)

    def append(self, measured: Mapping[Workload, Latency]) -> None:
        """Append rows and fsync them, so that an interrupted profile continues after them."""
        new = {w: latency for w, latency in measured.items() if w not in self.rows}
        if not new:
            return
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerows(_row(workload, latency) for workload, latency in new.items())
        self.create()
        path = self.folder / "latency.csv"
        try:
            _drop_torn_line(path)
            with path.open("a", encoding="utf-8") as file:
                file.write(text.getvalue())
                file.flush()
                os.fsync(file.fileno())
        except OSError as error:
            raise UserError(f"cannot write {path}: {error.strerror or error}") from error
        self.rows.update(new)

    def p50_us(self) -> dict[Workload, float]:
        """The median latency of every measured workload, in microseconds."""
        return {workload: latency.p50_us for workload, latency in self.rows.items()}

    def missing(self, workloads: Iterable[Workload]) -> list[Workload]:
        """Return those of ``workloads`` that have no row, each once."""
        return [w for w in dict.fromkeys(workloads) if w not in self.rows]


def _content(latency: Path) -> bytes:
    return latency.read_bytes().removeprefix(codecs.BOM_UTF8).replace(b"\r\n", b"\n")


def _check_sum(latency: Path, target: Target) -> None:
    if target.latency_bytes is None:
        return
    content = _content(latency)[: target.latency_bytes]
    if len(content) < target.latency_bytes or zlib.crc32(content) != target.latency_crc32:
        raise UserError(
            f"{latency} is damaged: its rows are not those that were measured; restore it, or "
            "profile again into another folder"
        )


def _row(workload: Workload, latency: Latency) -> list[str]:
    return [
        *workload_fields(workload),
        f"{latency.p10_us:.2f}",
        f"{latency.p50_us:.2f}",
        f"{latency.p90_us:.2f}",
        str(latency.runs),
    ]


def _read_rows(path: Path) -> dict[Workload, Latency]:
    existing_file(path, "the table's rows")
    try:
        content = text_of(path, MAX_BYTES)
    except ValueError as error:
        raise UserError(f"{path} is no latency table: {error}") from None
    whole = content[: content.rfind("\n") + 1]  # a torn last line is what a kill leaves
    header, *lines = whole.split("\n")[:-1] or [""]
    if header != ",".join(COLUMNS):
        raise UserError(f"{path} line 1: expected the columns {','.join(COLUMNS)}")
    rows: dict[Workload, Latency] = {}
    for number, line in enumerate(lines, start=2):
        try:
            workload, latency = _parse(next(csv.reader([line], strict=True), []))
        except csv.Error as error:
            raise UserError(f"{path} line {number} is damaged: {csv_problem(error)}") from None
        except ValueError as error:
            raise UserError(f"{path} line {number} is damaged: {error}") from None
        rows.setdefault(workload, latency)
    return rows


def _parse(fields: list[str]) -> tuple[Workload, Latency]:
    if len(fields) != len(COLUMNS):
        raise ValueError(f"{len(fields)} fields instead of {len(COLUMNS)}")
    *_, p10, p50, p90, runs = fields
    quantiles = [_decimal(text) for text in (p10, p50, p90)]
    rising = 0 <= quantiles[0] <= quantiles[1] <= quantiles[2] <= LONGEST_US
    if not rising or quantiles[1] < SHORTEST_US:
        raise ValueError(
            f"quantiles {quantiles} are not microseconds that rise, with a median from "
            f"{SHORTEST_US:g} to {LONGEST_US:g}"
        )
    latency = Latency(quantiles[0], quantiles[1], quantiles[2], integer(runs))
    if not 1 <= latency.runs <= MAX_SIZE:
        raise ValueError(f"{latency.runs} runs")
    return parse_workload(fields[: len(WORKLOAD_COLUMNS)]), latency


def _decimal(text: str) -> float:
    if not re.fullmatch(r"[0-9.eE+-]+", text):
        raise ValueError(f"{text[:40]!r} is not a number")
    return float(text)


def _drop_torn_line(path: Path) -> None:
    with path.open("r+b") as file:
        content = file.read()
        file.truncate(content.rfind(b"\n") + 1)
