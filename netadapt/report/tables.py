"""CSV files as the pictures read them: bounded, checked, every fault named with its file."""

from pathlib import Path

import numpy as np
import pandas as pd

from netadapt.errors import UserError
from netadapt.files import existing_file
from netadapt.texts import csv_problem, require_few_columns

MAX_BYTES = 200_000_000
MAX_COLUMNS = 5_000


def read_table(path: Path) -> pd.DataFrame:
    """Read the CSV file ``path`` with every cell a string.

    Raises:
        UserError: it is missing, damaged, too large, or has no rows.
    """
    existing_file(path, "table")
    try:
        require_few_columns(path, MAX_COLUMNS, MAX_BYTES)
    except ValueError as error:
        raise UserError(f"{path} is not a table of a run: {error}") from None
    try:
        table = pd.read_csv(path, dtype=str, keep_default_na=False)
    except OSError as error:
        raise UserError(f"cannot read {path}: {error.strerror or error}") from error
    except (ValueError, pd.errors.ParserError) as error:
        raise UserError(f"{path} is not a CSV table: {csv_problem(error)}") from error
    if table.empty:
        raise UserError(f"{path} has no rows")
    if table.isna().any(axis=None) or not isinstance(table.index, pd.RangeIndex):
        raise UserError(f"{path} is not a CSV table: rows and header differ in length")
    return table


def numbers(table: pd.DataFrame, column: str, path: Path, *, optional: bool) -> "pd.Series[float]":
    """Return ``column`` as finite floats; empty cells are NaN if ``optional``.

    Raises:
        UserError: a cell is something else; the line names ``path``, the column and the cell.
    """
    cells = table[column].str.strip()
    values = pd.to_numeric(cells, errors="coerce").astype("float64")
    empty = cells.isin(("", "nan", "NaN"))
    wrong = ~np.isfinite(values.to_numpy())
    if optional:
        wrong &= ~empty.to_numpy()
    if wrong.any():
        row = int(np.argmax(wrong))
        cell = cells.iloc[row] or "an empty cell"
        raise UserError(f"{path}: {column} in row {row + 1} is {cell}, not a number; fix the file")
    return values


def require_columns(table: pd.DataFrame, columns: tuple[str, ...], path: Path) -> None:
    """Raise a ``UserError`` that names the first of ``columns`` that ``table`` lacks."""
    for column in columns:
        if column not in table.columns:
            raise UserError(f"{path} lacks the column {column}")
