"""``netadapt train``: a training that can be killed at any moment and resumed to the same bits."""

import json
import time
from collections.abc import Mapping
from contextlib import nullcontext
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import torch
from pydantic import TypeAdapter, ValidationError
from torch import nn

from netadapt.checksums import FACTS, Source, facts_of, listing_checksum, with_accepted
from netadapt.errors import UserError
from netadapt.factories import require_trusted, trust_named
from netadapt.files import existing_file, existing_folder, provisional_folder, write_atomic
from netadapt.interrupts import StopRequest, on_interrupt
from netadapt.options import refusal, with_task_options
from netadapt.texts import object_of, require_few_columns
from netadapt.training.average import averaged
from netadapt.training.checkpoint import (
    checkpoint_info,
    load_checkpoint,
    load_moments,
    load_seeded,
    require_trusted_model,
    save_checkpoint,
)
from netadapt.training.loop import TrainState, fit
from netadapt.training.progress import Progress, Silent
from netadapt.training.settings import TrainConfig, TrainSettings
from netadapt.training.task import Task
from netadapt.training.trial import remember_inputs

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
        for file in (self.config, self.history, self.last, self.best, self.final):
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


def run_training(
    config: TrainConfig,
    task: Task,
    out: Path,
    *,
    resume: bool = False,
    accept_changed: bool = False,
    device: torch.device | str = "cpu",
    progress: Progress | None = None,
) -> Path:
    """Train as ``config`` says and return the path of the final checkpoint.

    Writes ``config.json``, ``history.csv`` (step, lr, loss since the previous row, holdout
    scores, seconds) and the checkpoints of :class:`TrainFolder` into ``out``. On the CPU the
    weights are a function of ``config``, however often the training was killed and resumed.

    Args:
        config: the options of the training.
        task: the opened task of ``config``.
        out: a new or empty folder; with ``resume`` the folder of a training with the same config.
        resume: continue from ``last.safetensors``, or start if there is none yet.
        accept_changed: continue although the data have changed since.
        device: where to train.
        progress: is called after every step.

    Raises:
        UserError: ``out`` is not empty, or belongs to another config; the data have changed; the
            model cannot be built or loaded; or training diverges.
    """
    folder = TrainFolder(out)
    trust_named(config.model, config.task)
    begun = resume and folder.config.exists()
    if begun:
        _check_same(read_config(out), config, out)
        _check_data(folder, task, accept_changed)
    if resume:
        folder.clear_leftovers()
    with nullcontext() if begun else provisional_folder(out, "training folder", folder.last.exists):
        if not begun:
            values = TypeAdapter(TrainConfig).dump_python(config, mode="json")
            _write_config(folder, values | facts_of(_sources(task)))
        state, rows, part = TrainState(), [], _Part()
        if resume and folder.last.exists():
            model = load_checkpoint(folder.last)
            state = TrainState(_steps_done(folder.last), load_moments(folder.last))
            part = _Part.saved_with(folder.last)
            rows = read_history(folder.history, state.step - part.steps)
        else:
            model = _initial(config, task)
        task.check(model)
        model.to(device)
        watcher = progress or Silent()
        watcher.started(state.step, config.settings.steps)
        request = StopRequest(watcher.stopping)
        with on_interrupt(request):
            while state.step < config.settings.steps:
                state, row = _segment(config, task, model, state, part, watcher, request)
                if row is not None:
                    rows.append(row)
                    part = _Part()
                    _write(config, task, folder, model, state, rows)
                else:
                    info = _info(config, rows) | {"step": state.step} | part.facts()
                    _save_last(config, folder, model, state, info)
                if request.asked and state.step < config.settings.steps:
                    raise KeyboardInterrupt
        save_checkpoint(model, folder.final, input_size=config.input_size, info=_info(config, rows))
    return folder.final


def _initial(config: TrainConfig, task: Task) -> nn.Module:
    seed = config.settings.seed
    model = load_seeded(
        config.model,
        seed,
        init_from=config.init_from,
        output=config.output,
        **config.model_options,
    )
    if config.inputs:
        remember_inputs(model, config.inputs)
    task.prepare(model)
    return model


def _segment(
    config: TrainConfig,
    task: Task,
    model: nn.Module,
    state: TrainState,
    part: "_Part",
    progress: Progress,
    request: StopRequest,
) -> tuple[TrainState, Row | None]:
    """Train until the holdout is scored next; return that row of the history.

    If the user interrupts before, there is no row, and ``part`` says how far the segment is.
    """
    began = time.perf_counter() - part.seconds
    rate = 0.0

    def on_step(step: int, loss: float, lr: float) -> None:
        nonlocal rate
        part.add(loss)
        rate = lr
        progress.step(step, loss, lr)

    until = (state.step // config.eval_every + 1) * config.eval_every
    until = min(until, config.settings.steps)
    state = fit(
        model, task, config.settings,
        start=state, until=until, on_step=on_step, stop=lambda: request.asked,
    )  # fmt: skip
    part.seconds = time.perf_counter() - began
    if state.step < until:
        return state, None
    scores = task.score(averaged(model, state.moments), "holdout")
    progress.evaluated(state.step, scores)
    seconds = round(time.perf_counter() - began, 1)
    loss = part.total / part.steps
    return state, {"step": state.step, "lr": rate, "loss": loss, **scores, "seconds": seconds}


@dataclass
class _Part:
    """The finished part of the segment between two scorings: sum of losses, steps, seconds."""

    total: float = 0.0
    steps: int = 0
    seconds: float = 0.0

    def add(self, loss: float) -> None:
        """Count a step."""
        self.total += loss
        self.steps += 1

    def facts(self) -> dict[str, float | int]:
        """Return what a checkpoint stores of it."""
        return {f"part_{name}": value for name, value in vars(self).items()}

    @classmethod
    def saved_with(cls, last: Path) -> "_Part":
        """Return the part that was stored with ``last``; an empty one if there is none."""
        info = checkpoint_info(last)
        total, steps = info.get("part_total", 0.0), info.get("part_steps", 0)
        if not isinstance(steps, int) or isinstance(total, str):
            raise UserError(f"{last} is no checkpoint of a training: its part is damaged")
        seconds = info.get("part_seconds", 0.0)
        return cls(total, steps, 0.0 if isinstance(seconds, str) else seconds)


def _write(
    config: TrainConfig,
    task: Task,
    folder: TrainFolder,
    model: nn.Module,
    state: TrainState,
    rows: list[Row],
) -> None:
    info = _info(config, rows)
    write_atomic(folder.history, pd.DataFrame(rows).to_csv(index=False))
    score = f"{task.primary}_holdout"
    best = checkpoint_info(folder.best).get(score) if folder.best.exists() else None
    if task.better(float(info[score]), None if best is None else float(best)):
        average = averaged(model, state.moments)
        save_checkpoint(average, folder.best, input_size=config.input_size, info=info)
    _save_last(config, folder, model, state, info)


def _save_last(
    config: TrainConfig,
    folder: TrainFolder,
    model: nn.Module,
    state: TrainState,
    info: Mapping[str, str | int | float],
) -> None:
    save_checkpoint(
        model, folder.last, input_size=config.input_size, info=info, moments=state.moments
    )


def _steps_done(last: Path) -> int:
    step = checkpoint_info(last).get("step")
    if not isinstance(step, int) or step < 0:
        raise UserError(f"{last} is no checkpoint of a training: it does not say its step")
    return step


def _info(config: TrainConfig, rows: list[Row]) -> dict[str, str | int | float]:
    row = rows[-1] if rows else {"step": 0}
    scores = {
        f"{name}_holdout": value
        for name, value in row.items()
        if name not in ("step", "lr", "loss", "seconds")
    }
    return {"step": int(row["step"]), "data": config.data or config.task, **scores}


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


def _check_same(before: TrainConfig, now: TrainConfig, out: Path) -> None:
    old, new = (_flat(asdict(config)) for config in (before, now))
    names = dict.fromkeys([*new, *old])
    changed = [
        f"{name} was {old.get(name)}, not {new.get(name)}"
        for name in names
        if old.get(name) != new.get(name)
    ]
    if changed:
        raise UserError(f"cannot resume {out} with other settings: {'; '.join(changed)}")


def _sources(task: Task) -> dict[str, Source]:
    if not task.data_files:
        return {}
    return {"data": Source(f"the data {task.spec}", listing_checksum(task.data_files))}


def _check_data(folder: TrainFolder, task: Task, accept: bool) -> None:
    """Refuse data that have changed since the training began, unless the user accepts that."""
    values = with_accepted(_config_json(folder.config), _sources(task), folder.config, accept)
    if values is not None:
        _write_config(folder, values)


def _write_config(folder: TrainFolder, values: Mapping[str, Any]) -> None:
    write_atomic(folder.config, json.dumps(values, indent=2, ensure_ascii=False) + "\n")


def _flat(config: dict[str, Any]) -> dict[str, Any]:
    settings: dict[str, Any] = config.pop("settings")
    options: dict[str, Any] = config.pop("task_options")
    return config | dict(sorted(options.items())) | settings
