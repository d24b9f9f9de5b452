"""The folder of a training: its files, what they hold, and whether they still fit."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import pandas as pd
from pydantic import TypeAdapter, ValidationError

from netadapt.checksums import FACTS, Source, listing_checksum, with_accepted
from netadapt.errors import UserError
from netadapt.factories import require_trusted
from netadapt.files import existing_file, existing_folder, write_atomic
from netadapt.options import refusal, with_task_options
from netadapt.texts import object_of, require_few_columns
from netadapt.training.checkpoint import require_trusted_model
from netadapt.training.settings import TrainConfig, TrainSettings
from netadapt.training.task import Task

Row = dict[str, Any]
MAX_COLUMNS = 1000  # of a history


@dataclass(frozen=True)
class TrainFolder:
    """The files of a training.

    ``last`` holds the current weights and optimizer state, ``best`` the weights with the best
    holdout score, ``final`` those after the last step. All three are checkpoints.
    """

    path: Path

    @property
    def config(self) -> Path:
        """The :class:`TrainConfig`."""
        return self.path / "config.json"

    @property
    def history(self) -> Path:
        """One row for each time the holdout was scored."""
        return self.path / "history.csv"

    @property
    def start(self) -> Path:
        """The network that the training started from, where it was given as an object."""
        return self.path / "start.safetensors"

    @property
    def last(self) -> Path:
        """The state to continue from; written last, so the other files are at least as new."""
        return self.path / "last.safetensors"

    @property
    def best(self) -> Path:
        """The weights with the best primary score on the holdout."""
        return self.path / "best.safetensors"

    @property
    def final(self) -> Path:
        """The result; written when the training ends."""
        return self.path / "model.safetensors"

    def clear_leftovers(self) -> None:
        """Remove the temporary files that a process killed during a write leaves behind."""
        files = (self.config, self.history, self.start, self.last, self.best, self.final)
        for file in files:
            for leftover in self.path.glob(f".{file.stem}.*.tmp{file.suffix}"):
                leftover.unlink(missing_ok=True)


def read_config(folder: Path) -> TrainConfig:
    """Read the configuration that a training was started with.

    Raises:
        UserError: there is no training, ``config.json`` is damaged, or it names code of the user's
            own that is neither named nor trusted in this call.
    """
    path = TrainFolder(existing_folder(folder, "training")).config
    if not path.exists():
        raise UserError(
            f"{folder} is not a training: it has no {path.name}; name a folder a training wrote"
        )
    values = _config_json(path)
    try:
        known = with_task_options({n: v for n, v in values.items() if n not in FACTS})
        if "options" in known:  # the former name of ``model_options``
            known["model_options"] = known.pop("options")
        config = TypeAdapter(TrainConfig).validate_python(known)
    except ValidationError as error:
        problem = refusal(error, TrainConfig, TrainSettings).removeprefix("--")
        raise UserError(f"{path} is damaged: {problem}") from error
    except ValueError as error:
        raise UserError(f"{path} is damaged: {error}") from error
    require_trusted_model(config.model, path)
    require_trusted(config.task, "task", path)
    return config


def _config_json(path: Path) -> dict[str, Any]:
    try:
        return object_of(existing_file(path, "training config"))
    except ValueError as error:
        raise UserError(f"{path} is damaged: {error}") from error


def read_history(path: Path, step: int) -> list[Row]:
    """Return the rows up to ``step``: a killed process may have left a row without its weights.

    Raises:
        UserError: the file is missing or damaged, or has no row of ``step``.
    """
    if step == 0:
        return []
    try:
        require_few_columns(existing_file(path, "training history"), MAX_COLUMNS)
        table = pd.read_csv(path, float_precision="round_trip")
        rows: list[Row] = table[table["step"] <= step].astype(object).to_dict("records")  # type: ignore[assignment]
        if not rows or rows[-1]["step"] != step:
            raise ValueError(f"no row of step {step}")
    except (ValueError, KeyError, TypeError) as error:
        raise UserError(
            f"{path} is damaged; restore it, or start again in another folder"
        ) from error
    return rows


def require_same(before: TrainConfig, now: TrainConfig, out: Path) -> None:
    """Raise a ``UserError`` if a training is resumed with other settings."""
    old, new = (_flat(asdict(config)) for config in (before, now))
    names = dict.fromkeys([*new, *old])
    changed = [
        f"{name} was {old.get(name)}, not {new.get(name)}"
        for name in names
        if old.get(name) != new.get(name)
    ]
    if changed:
        raise UserError(f"cannot resume {out} with other settings: {'; '.join(changed)}")


def sources_of_data(task: Task) -> dict[str, Source]:
    """Return the checksum of the task's files, if it has any."""
    if not task.data_files:
        return {}
    return {"data": Source(f"the data {task.spec}", listing_checksum(task.data_files))}


def require_unchanged_data(folder: TrainFolder, task: Task, accept: bool) -> None:
    """Refuse data that have changed since the training began, unless the user accepts that."""
    values = with_accepted(
        _config_json(folder.config), sources_of_data(task), folder.config, accept
    )
    if values is not None:
        write_config(folder, values)


def write_config(folder: TrainFolder, values: Mapping[str, Any]) -> None:
    """Write ``config.json``."""
    write_atomic(folder.config, json.dumps(values, indent=2, ensure_ascii=False) + "\n")


def _flat(config: dict[str, Any]) -> dict[str, Any]:
    settings: dict[str, Any] = config.pop("settings")
    options: dict[str, Any] = config.pop("task_options")
    return config | dict(sorted(options.items())) | settings
