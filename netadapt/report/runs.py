"""Run folders as the pictures see them: read whole, checked, never changed."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from netadapt.errors import UserError
from netadapt.files import existing_file, existing_folder

STAGES = ("base", "short", "long")

_TEXTS = ("candidate", "stage", "checkpoint", "selected")
_NUMBERS = ("iteration", "predicted_ms", "measured_ms", "macs", "params")
_EXTRA_NUMBERS = ("training_samples", "peak_mb")  # of candidates.csv; not in every run
_UNITS = {"macs": "MACs", "params": "parameters", "peak_mb": "MB"}
_SCORE_SUFFIXES = ("_holdout", "_test")


_Limit = Annotated[float | None, Field(gt=0)]


class _Settings(BaseModel):
    model_config = ConfigDict(strict=True, extra="ignore", allow_inf_nan=False)

    format: Literal[1]
    lut: str
    strategy: str | None = None
    budget_ms: _Limit = None
    budget_macs: _Limit = None
    budget_params: _Limit = None
    budget_mb: _Limit = None
    min_accuracy: float | None = None
    score: str
    higher_is_better: bool

    def limits(self) -> dict[str, float]:
        """The budgets beside the latency, by the column of ``candidates.csv`` they limit."""
        given = {
            "macs": self.budget_macs, "params": self.budget_params, "peak_mb": self.budget_mb
        }  # fmt: skip
        return {column: limit for column, limit in given.items() if limit is not None}


@dataclass(frozen=True)
class RunView:
    """What one run folder says.

    Attributes:
        path: the run folder.
        target: the slug of the target whose latency table was used.
        strategy: what proposed the candidates; ``None`` in runs that do not say it.
        budget_ms: the latency budget in ms, if there was one.
        limits: other budgets, by the column that they limit.
        min_accuracy: the score to keep in place of budgets, if that was asked for.
        score: the score that counts, such as ``delta1``.
        higher_is_better: whether more of ``score`` is better.
        candidates: a row a candidate evaluated; numbers are floats with NaN where the run has
            none, ``selected`` is a bool.
        front: the non-dominated rows.
        groups: the channel groups, each a column of both.
    """

    path: Path
    target: str
    strategy: str | None
    budget_ms: float | None
    limits: Mapping[str, float]
    min_accuracy: float | None
    score: str
    higher_is_better: bool
    candidates: pd.DataFrame
    front: pd.DataFrame
    groups: tuple[str, ...]

    @property
    def name(self) -> str:
        """The name of the run folder."""
        return self.path.resolve().name

    @property
    def holdout(self) -> str:
        """The column of the score on the holdout."""
        return f"{self.score}_holdout"

    @property
    def test(self) -> str:
        """The column of the score on the test split, which a run may lack."""
        return f"{self.score}_test"

    @property
    def base(self) -> "pd.Series[float]":
        """The row of the base network."""
        return self.candidates[self.candidates["stage"] == "base"].iloc[0]

    @property
    def base_tuned_long(self) -> "pd.Series[float] | None":
        """The row of the base network fine-tuned as long as the chosen points, if there is one."""
        groups = list(self.groups)
        full = (self.candidates[groups] == self.base[groups]).all(axis=1)
        rows = self.candidates[full & (self.candidates["stage"] == "long")]
        return None if rows.empty else rows.iloc[0]

    @property
    def measured(self) -> pd.DataFrame:
        """The rows that the clock has timed, the base's included."""
        return self.candidates[self.candidates["measured_ms"].notna()]

    @property
    def goal(self) -> str:
        """What the search was asked for, in words."""
        if self.min_accuracy is not None:
            return f"accuracy {self.min_accuracy:g} kept"
        budgets = {"ms": self.budget_ms} | {
            _UNITS[column]: limit for column, limit in self.limits.items()
        }
        given = [f"{limit:g} {unit}" for unit, limit in budgets.items() if limit is not None]
        return f"budget {', '.join(given)}"

    @property
    def chosen(self) -> "pd.Series[float] | None":
        """The network the search was for, among those timed; None if there is none.

        It is the best row within all budgets by the clock or, with an accuracy to keep, the
        fastest row that does.
        """
        rows = self.measured[self.measured[self.holdout].notna()]
        if self.min_accuracy is not None:
            sign = 1.0 if self.higher_is_better else -1.0
            rows = rows[self.gains(rows) >= sign * self.min_accuracy]
            return None if rows.empty else rows.sort_values("measured_ms").iloc[0]
        if self.budget_ms is not None:
            rows = rows[rows["measured_ms"] <= self.budget_ms]
        for column, limit in self.limits.items():
            rows = rows[rows[column] <= limit] if column in rows.columns else rows.iloc[:0]
        if rows.empty:
            return None
        order = rows.sort_values(self.holdout, ascending=not self.higher_is_better, kind="stable")
        return order.iloc[0]

    def gains(self, rows: pd.DataFrame) -> NDArray[np.float64]:
        """Return the holdout score of ``rows`` with the sign that makes higher better."""
        score = rows[self.holdout].to_numpy(dtype=np.float64)
        return score if self.higher_is_better else -score


def read_run(path: Path) -> RunView:
    """Read the run folder ``path``.

    Raises:
        UserError: the folder or one of its files is missing or damaged; the line names it.
    """
    existing_folder(path, "run")
    settings = _read_settings(path)
    needed = (f"{settings.score}_holdout",)
    candidates = _read_rows(path / "candidates.csv", (*needed, "selected"))
    front = _read_rows(path / "pareto.csv", needed)
    if not (candidates["stage"] == "base").any():
        raise UserError(f"{path / 'candidates.csv'} has no row of stage base; run the search again")
    if front[needed[0]].isna().any():
        raise UserError(f"{path / 'pareto.csv'}: a row has no {needed[0]}; run the search again")
    groups = _groups(candidates)
    lacking = [group for group in groups if group not in front.columns]
    if lacking:
        raise UserError(f"{path / 'pareto.csv'} lacks the column {lacking[0]} of candidates.csv")
    for group in groups:
        if (candidates[group] < 1).any():
            raise UserError(f"{path / 'candidates.csv'}: {group} has less than one channel")
    return RunView(
        path=path,
        target=Path(settings.lut).name or settings.lut,
        strategy=settings.strategy,
        budget_ms=settings.budget_ms,
        limits=settings.limits(),
        min_accuracy=settings.min_accuracy,
        score=settings.score,
        higher_is_better=settings.higher_is_better,
        candidates=candidates,
        front=front.sort_values("predicted_ms", kind="stable", ignore_index=True),
        groups=groups,
    )


def read_table(path: Path) -> pd.DataFrame:
    """Read the CSV file ``path`` with every cell a string.

    Raises:
        UserError: it is missing, damaged, or has no rows.
    """
    existing_file(path, "table")
    try:
        table = pd.read_csv(path, dtype=str, keep_default_na=False)
    except (OSError, ValueError, pd.errors.ParserError) as error:
        reason = (str(error).splitlines() or ["unreadable"])[0]
        raise UserError(f"{path} is not a CSV table: {reason}") from error
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
        raise UserError(f"{path}: {column} in row {row + 1} is {cell}, not a number; mend the file")
    return values


def require_columns(table: pd.DataFrame, columns: tuple[str, ...], path: Path) -> None:
    """Raise a ``UserError`` that names the first of ``columns`` that ``table`` lacks."""
    for column in columns:
        if column not in table.columns:
            raise UserError(f"{path} lacks the column {column}")


def _read_settings(run: Path) -> _Settings:
    path = run / "run.json"
    if not path.exists():
        raise UserError(f"{run} is not a run: it has no run.json; name a folder a search wrote")
    existing_file(path, "settings")
    try:
        return _Settings.model_validate(json.loads(path.read_text(encoding="utf-8")))
    except (OSError, UnicodeDecodeError, json.JSONDecodeError, RecursionError) as error:
        raise UserError(f"{path} is not JSON: {error}") from error
    except ValidationError as error:
        first = error.errors()[0]
        field = ".".join(str(part) for part in first["loc"]) or "it"
        raise UserError(f"{path}: {field}: {first['msg']}") from error


def _read_rows(path: Path, also: tuple[str, ...]) -> pd.DataFrame:
    if not path.exists():
        raise UserError(
            f"{path} does not exist: the run has not finished; "
            f"run: netadapt search --resume --out {path.parent}"
        )
    table = read_table(path)
    texts = tuple(name for name in _TEXTS if name in also or name != "selected")
    require_columns(table, (*texts, *_NUMBERS, *also), path)
    rows: dict[str, pd.Series[float] | pd.Series[str] | pd.Series[bool]] = {}
    for column in table.columns:
        if column == "selected":
            rows[column] = _flags(table[column], path)
        elif column in _TEXTS:
            rows[column] = table[column]
        else:
            optional = column in ("measured_ms", *_EXTRA_NUMBERS)
            optional |= column.endswith(_SCORE_SUFFIXES)
            rows[column] = numbers(table, column, path, optional=optional)
    unknown = table.loc[~table["stage"].isin(STAGES), "stage"]
    if not unknown.empty:
        raise UserError(f"{path}: stage {unknown.iloc[0]!r} is none of {', '.join(STAGES)}")
    return pd.DataFrame(rows)


def _flags(cells: "pd.Series[str]", path: Path) -> "pd.Series[bool]":
    words = cells.str.strip().str.lower()
    unknown = cells[~words.isin(("true", "false", ""))]
    if not unknown.empty:
        raise UserError(f"{path}: selected is {unknown.iloc[0]!r}; it is true or false")
    return words == "true"


def _groups(table: pd.DataFrame) -> tuple[str, ...]:
    return tuple(
        str(column)
        for column in table.columns
        if column not in (*_TEXTS, *_NUMBERS, *_EXTRA_NUMBERS)
        and not str(column).endswith(_SCORE_SUFFIXES)
    )
