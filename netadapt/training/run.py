"""``netadapt train``: a training that can be killed at any moment and resumed to the same bits."""

import time
from collections.abc import Mapping
from contextlib import nullcontext
from dataclasses import dataclass, replace
from pathlib import Path

import pandas as pd
import torch
from pydantic import TypeAdapter
from torch import nn

from netadapt.checksums import facts_of
from netadapt.errors import UserError
from netadapt.factories import trust_named
from netadapt.files import provisional_folder, write_atomic
from netadapt.interrupts import StopRequest, on_interrupt
from netadapt.training.average import averaged
from netadapt.training.checkpoint import (
    checkpoint_info,
    load_checkpoint,
    load_moments,
    load_seeded,
    save_checkpoint,
)
from netadapt.training.folder import (
    Row,
    TrainFolder,
    read_config,
    read_history,
    require_same,
    require_unchanged_data,
    sources_of_data,
    write_config,
)
from netadapt.training.loop import TrainState, fit
from netadapt.training.progress import Progress, Silent
from netadapt.training.settings import TrainConfig
from netadapt.training.task import Task
from netadapt.training.trial import remember_inputs

OWN_COLUMNS = ("step", "lr", "loss", "seconds")  # of history.csv, beside the scores


def run_training(
    config: TrainConfig,
    task: Task,
    out: Path,
    *,
    resume: bool = False,
    accept_changed: bool = False,
    device: torch.device | str = "cpu",
    progress: Progress | None = None,
    network: nn.Module | None = None,
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
        network: the network of ``config``, if it is an object: a copy of it is trained.

    Raises:
        UserError: ``out`` is not empty, or belongs to another config; the data have changed; the
            model cannot be built or loaded; or training diverges.
    """
    folder = TrainFolder(out)
    trust_named(config.model, config.task)
    _require_other_names(task)
    begun = resume and folder.config.exists()
    if begun:
        require_same(read_config(out), config, out)
        require_unchanged_data(folder, task, accept_changed)
    if resume:
        folder.clear_leftovers()
    with nullcontext() if begun else provisional_folder(out, "training folder", folder.last.exists):
        if not begun:
            if network is not None:
                save_checkpoint(network, folder.start, input_size=config.input_size)
                config = replace(config, model=str(folder.start))
            values = TypeAdapter(TrainConfig).dump_python(config, mode="json")
            write_config(folder, values | facts_of(sources_of_data(task)))
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


def _require_other_names(task: Task) -> None:
    """Refuse a score that is named like another column of ``history.csv``."""
    for name in task.metrics:
        if name in OWN_COLUMNS:
            raise UserError(
                f"task {task.name} has a score named {name!r}, which history.csv has a column of "
                f"its own for; name it otherwise, such as holdout_{name}"
            )


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
    scores = {f"{name}_holdout": value for name, value in row.items() if name not in OWN_COLUMNS}
    return {"step": int(row["step"]), "data": config.data or config.task, **scores}
