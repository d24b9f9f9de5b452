"""Run folders as the pictures see them: read whole, checked, never changed."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from netadapt.errors import UserError
from netadapt.files import existing_folder
from netadapt.report.events import read_events
from netadapt.report.settings import HOLDOUT, RunSettings, read_settings
from netadapt.report.tables import numbers, read_table, require_columns

STAGES = ("base", "short", "long")

_TEXTS = ("candidate", "stage", "checkpoint", "selected")
_NUMBERS = ("iteration", "predicted_ms", "measured_ms", "macs", "params")
_EXTRA_NUMBERS = ("training_samples", "peak_mb")  # not in every run
_TEXT_SUFFIXES = ("_from", "_source")
_OTHER_SUFFIXES = ("_ms", "_us", "_mb", "_mj")
_UNITS = {"energy_mj": "mJ", "macs": "MACs", "params": "parameters", "peak_mb": "MB"}
_SCORE_SUFFIXES = (HOLDOUT, "_test")


@dataclass(frozen=True)
class RunView:
    """The contents of one run folder.

    Attributes:
        path: the run folder.
        settings: what the search was asked to do.
        candidates: one row per candidate evaluated; numbers are floats with NaN where the run has
            none, ``selected`` is a bool. ``latency_ms`` is the one the front is of: predicted or,
            in an anchored walk, measured where the candidate was timed.
        front: the non-dominated rows.
        groups: the channel groups, each a column of both.
    """

    path: Path
    settings: RunSettings
    candidates: pd.DataFrame
    front: pd.DataFrame
    groups: tuple[str, ...]

    @property
    def target(self) -> str:
        """The slug of the target whose latency table was used."""
        lut = self.settings.lut
        return Path(lut).name or lut or "an unnamed target"

    @property
    def anchored(self) -> bool:
        """Whether the clock corrected predictions during the walk."""
        column = "latency_source"
        return column in self.candidates and not (self.candidates[column] == "predicted").all()

    @property
    def strategy(self) -> str | None:
        """What proposed the candidates; ``None`` in runs that do not say it."""
        return self.settings.strategy

    @property
    def budget_ms(self) -> float | None:
        """The latency budget in ms, if there was one; of a speed-up, the base's latency by it."""
        if self.settings.speedup is None:
            return self.settings.budget_ms
        base = self.base
        ms = base["predicted_ms"] if np.isnan(base["measured_ms"]) else base["measured_ms"]
        return float(ms) / (self.settings.base_share or 1.0) / self.settings.speedup

    @property
    def score(self) -> str:
        """The score that counts, such as ``delta1``."""
        return self.settings.score

    @property
    def higher_is_better(self) -> bool:
        """Whether more of ``score`` is better."""
        return self.settings.higher_is_better

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
        """The rows that were measured, the base's included."""
        return self.candidates[self.candidates["measured_ms"].notna()]

    @property
    def goal(self) -> str:
        """The search's goal, in words."""
        settings = self.settings
        if settings.min_accuracy is not None:
            return f"accuracy {settings.min_accuracy:g} kept"
        if settings.speedup is not None:
            return f"speed-up {settings.speedup:g}x"
        budgets = {"ms": settings.budget_ms} | {
            _UNITS[column]: limit for column, limit in settings.limits().items()
        }
        given = [f"{limit:g} {unit}" for unit, limit in budgets.items() if limit is not None]
        return f"budget {', '.join(given)}" if given else "goal not recorded"

    @property
    def has_goal(self) -> bool:
        """Whether the run has its settings."""
        return self.goal != "goal not recorded"

    @property
    def chosen(self) -> "pd.Series[float] | None":
        """The network the search was for, among those timed; None if there is none.

        It is the best row within all budgets by the clock or, with an accuracy to keep, the
        fastest row that does.
        """
        rows = self.measured[self.measured[self.holdout].notna()]
        if (rows["stage"] == "long").any():
            rows = rows[rows["stage"] != "short"]
        if self.settings.min_accuracy is not None:
            sign = 1.0 if self.higher_is_better else -1.0
            rows = rows[self.gains(rows) >= sign * self.settings.min_accuracy]
            return None if rows.empty else rows.sort_values("measured_ms").iloc[0]
        if self.budget_ms is not None:
            rows = rows[rows["measured_ms"] <= self.budget_ms]
        for column, limit in self.settings.limits().items():
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
    settings = read_settings(path)
    if not (path / "candidates.csv").exists() and (base := _base_of_journal(path)) is not None:
        return _only_the_base(path, settings, base)
    needed = (f"{settings.score}{HOLDOUT}",)
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
        most = candidates[group].max()
        if (candidates[group] < (1 if most > 1 else 0)).any():  # a block has 1 or 0
            raise UserError(f"{path / 'candidates.csv'}: {group} has less than one channel")
    front = front.sort_values("latency_ms", kind="stable", ignore_index=True)
    return RunView(path, settings, candidates, front, groups)


def _base_of_journal(path: Path) -> dict[str, Any] | None:
    events = read_events(path / "journal.jsonl")
    return events.base if events else None


def _only_the_base(path: Path, settings: RunSettings, base: Mapping[str, Any]) -> RunView:
    """A run in its first iteration, before its tables are written."""
    row = {
        "candidate": base["name"],
        "iteration": 0.0,
        "stage": "base",
        "selected": True,
        "predicted_ms": base["predicted_ms"],
        "latency_ms": base["predicted_ms"],
        "measured_ms": float("nan"),
        f"{settings.score}{HOLDOUT}": base["score"],
        f"{settings.score}_test": base["test"].get(settings.score, float("nan")),
        "macs": float(base["macs"]),
        "params": float(base["params"]),
        "checkpoint": base["checkpoint"],
    }
    table = pd.DataFrame([row | {name: float(width) for name, width in base["widths"].items()}])
    return RunView(path, settings, table, table, tuple(base["widths"]))


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
    for column in map(str, table.columns):
        if column == "selected":
            rows[column] = _flags(table[column], path)
        elif column in _TEXTS or column.endswith(_TEXT_SUFFIXES):
            rows[column] = table[column]
        else:
            rows[column] = numbers(table, column, path, optional=_may_be_empty(column))
    unknown = table.loc[~table["stage"].isin(STAGES), "stage"]
    if not unknown.empty:
        raise UserError(f"{path}: stage {unknown.iloc[0]!r} is none of {', '.join(STAGES)}")
    frame = pd.DataFrame(rows)
    frame["latency_ms"] = frame["predicted_ms"]
    if "latency_source" in frame:
        timed = (frame["latency_source"] == "measured") & frame["measured_ms"].notna()
        frame.loc[timed, "latency_ms"] = frame.loc[timed, "measured_ms"]
    if "predicted_mj" in frame and "measured_mj" in frame:
        frame["energy_mj"] = frame["measured_mj"].fillna(frame["predicted_mj"])
    return frame


def _flags(cells: "pd.Series[str]", path: Path) -> "pd.Series[bool]":
    words = cells.str.strip().str.lower()
    unknown = cells[~words.isin(("true", "false", ""))]
    if not unknown.empty:
        raise UserError(f"{path}: selected is {unknown.iloc[0]!r}; it is true or false")
    return words == "true"


def _may_be_empty(column: str) -> bool:
    known = column != "predicted_ms" and column.endswith((*_SCORE_SUFFIXES, *_OTHER_SUFFIXES))
    return known or column in _EXTRA_NUMBERS


def _groups(table: pd.DataFrame) -> tuple[str, ...]:
    no_group = (*_TEXTS, *_NUMBERS, *_EXTRA_NUMBERS)
    suffixes = (*_SCORE_SUFFIXES, *_OTHER_SUFFIXES, *_TEXT_SUFFIXES)
    names = map(str, table.columns)
    return tuple(name for name in names if name not in no_group and not name.endswith(suffixes))
