"""What a run was asked to do, as ``run.json`` says it; older runs say less, some nothing."""

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from netadapt.errors import UserError
from netadapt.files import existing_file
from netadapt.report.scores import HIGHER_IS_BETTER
from netadapt.report.tables import read_table
from netadapt.texts import object_of
from netadapt.wording import first_problem

MAX_BYTES = 10_000_000
HOLDOUT = "_holdout"

_Limit = Annotated[float | None, Field(gt=0)]


class RunSettings(BaseModel):
    """The arguments of a search that its pictures need.

    Attributes:
        everything: the whole file, for a reader.
    """

    model_config = ConfigDict(strict=True, extra="ignore", allow_inf_nan=False)

    format: Literal[1]
    lut: str = ""
    strategy: str | None = None
    budget_ms: _Limit = None
    speedup: _Limit = None
    base_share: _Limit = None
    budget_macs: _Limit = None
    budget_params: _Limit = None
    budget_mb: _Limit = None
    budget_mj: _Limit = None
    min_accuracy: float | None = None
    score: str
    higher_is_better: bool
    everything: dict[str, Any] = Field(default_factory=dict)

    def limits(self) -> dict[str, float]:
        """The budgets beside the latency, by the column of ``candidates.csv`` they limit."""
        given = {
            "energy_mj": self.budget_mj,
            "macs": self.budget_macs, "params": self.budget_params, "peak_mb": self.budget_mb
        }  # fmt: skip
        return {column: limit for column, limit in given.items() if limit is not None}


def read_settings(run: Path) -> RunSettings:
    """Read the settings of the run folder ``run``.

    Of a run that has its tables alone, the score is the one its first ``_holdout`` column names.

    Raises:
        UserError: it is no run, or ``run.json`` is damaged.
    """
    path = run / "run.json"
    if not path.exists():
        return _of_tables_alone(run)
    values = read_json(path, "settings")
    try:
        return RunSettings.model_validate(values | {"everything": values})
    except ValidationError as error:
        raise UserError(f"{path} is damaged: {first_problem(error)}") from error


def read_json(path: Path, what: str) -> dict[str, Any]:
    """Read the JSON object in ``path``.

    Raises:
        UserError: the file is missing, too large, or holds something else.
    """
    existing_file(path, what)
    try:
        return object_of(path, MAX_BYTES)
    except OSError as error:
        raise UserError(f"cannot read {path}: {error.strerror or error}") from error
    except ValueError as error:
        raise UserError(f"{path} is damaged: {error}") from error


def _of_tables_alone(run: Path) -> RunSettings:
    table = run / "candidates.csv"
    if not table.exists():
        raise UserError(
            f"{run} is not a run: it has no run.json and no candidates.csv; "
            "name a folder a search wrote"
        )
    columns = (str(column) for column in read_table(table).columns)
    score = next((c.removesuffix(HOLDOUT) for c in columns if c.endswith(HOLDOUT)), None)
    if score is None:
        raise UserError(f"{table} has no column of a score on the holdout, such as delta1_holdout")
    if score not in HIGHER_IS_BETTER:
        raise UserError(f"{run} has no run.json to say whether more {score} is better")
    return RunSettings(format=1, score=score, higher_is_better=HIGHER_IS_BETTER[score])
