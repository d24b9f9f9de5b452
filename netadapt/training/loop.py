"""The one training loop: of ``netadapt train`` and of short-term and long-term fine-tunes."""

import os
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import Any

import torch
from torch import Tensor, nn

from netadapt.errors import UserError
from netadapt.pruning.examples import batch_of, mapped
from netadapt.training.average import AVERAGE, WeightAverage, use_average
from netadapt.training.graphs import Backward, RecordedBackward
from netadapt.training.precision import autocast, fastest_layers, training_precision
from netadapt.training.schedule import learning_rate
from netadapt.training.settings import TrainSettings
from netadapt.training.task import Inputs, Targets, Task, channels_last, inputs_on, on_device

OnStep = Callable[[int, float, float], None]
READ_EVERY = 20  # steps, on CUDA: reading a loss waits until the GPU has finished all its work


class TrainingDiverged(UserError):  # noqa: N818  (named for what happened)
    """The loss is no longer a number."""


@dataclass(frozen=True)
class TrainState:
    """The state of a training besides the weights: steps done and the optimizer's moments.

    ``moments`` are named ``parameter/moment``. They include the average of the weights, if there
    is one, as ``tensor/average``. Rates, batches and dropout are functions of the step.
    """

    step: int = 0
    moments: Mapping[str, Tensor] = field(default_factory=dict)


def fit(
    model: nn.Module,
    task: Task,
    settings: TrainSettings,
    *,
    start: TrainState | None = None,
    until: int | None = None,
    on_step: OnStep | None = None,
    stop: Callable[[], bool] | None = None,
) -> TrainState:
    """Train ``model`` in place, on the device it is on; its mode is restored.

    On the CPU the final weights are a function of the initial ones, ``settings`` and ``start``:
    stopping at ``until`` and continuing from the returned state gives the same bits. With
    ``settings.ema`` the weights are replaced by their average after the last step. The weights
    become channels-last, which trains FastDepth a third faster, on CPUs too.

    Args:
        start: the state to continue from. Default: the beginning.
        until: the step to stop before. Default: ``settings.steps``.
        on_step: called with the number of steps done, the loss and the learning rate of each step;
            on CUDA for ``READ_EVERY`` steps at a time.
        stop: called before each step; if it returns true, training ends there.

    Raises:
        TrainingDiverged: a loss is not finite; names the step and the rate.
        UserError: ``start`` does not belong to this model and optimizer, or the device cannot
            compute in ``settings.precision``.
    """
    start = start or TrainState()
    until = settings.steps if until is None else min(until, settings.steps)
    device = next(model.parameters()).device
    on_cuda = device.type == "cuda"
    precision = training_precision(settings.precision, device)
    channels_last(model)
    optimizer = _optimizer(model, settings)
    _restore(optimizer, model, start.moments)
    average = WeightAverage(model, settings.ema, start.moments) if settings.ema else None
    decay_every = settings.decay_every or -(-settings.steps // 3)
    compute = autocast(precision, device)

    def backward(inputs: Inputs, targets: Targets) -> Tensor:
        return _backward(model, task, _parts(inputs, targets, settings.accumulate), compute)

    step_backward: Backward = backward
    if on_cuda and task.recordable:
        step_backward = RecordedBackward(model, backward)
    unread: list[tuple[int, float, Tensor]] = []
    with (
        _training(model, device),
        fastest_layers(model, precision, device),
        _batches(task, settings, range(start.step, until), on_cuda) as batches,
    ):
        for step, (inputs, targets) in enumerate(batches, start=start.step):
            if stop is not None and stop():
                until = step
                break
            rate = learning_rate(settings.schedule, settings.lr, step, settings.steps, decay_every)
            for group in optimizer.param_groups:
                group["lr"] = rate * group["share"]
            _seed(device, (settings.seed << 32) + step)
            optimizer.zero_grad(set_to_none=True)
            loss = step_backward(inputs_on(inputs, device), on_device(targets, device))
            unread.append((step + 1, rate, loss))
            if not on_cuda or len(unread) == READ_EVERY or step + 1 == until:
                _read(unread, on_step)
                unread.clear()
            optimizer.step()
            if average is not None:
                average.update(step + 1)
    if unread:
        _read(unread, on_step)
    optimizer.zero_grad(set_to_none=True)
    moments = _moments(optimizer, model)
    if average is not None and until < settings.steps:
        moments |= average.moments
    elif average is not None and start.step < until:
        use_average(model, average.moments)
    return TrainState(max(until, start.step), moments)


def _read(steps: list[tuple[int, float, Tensor]], on_step: OnStep | None) -> None:
    """Raise if one of the losses is not finite; pass the others to ``on_step``."""
    values = torch.stack([loss for _, _, loss in steps]).tolist()
    for (step, rate, _), value in zip(steps, values, strict=True):
        if not abs(value) < float("inf"):
            raise TrainingDiverged(
                f"training diverged: the loss is {value} at step {step}, with learning "
                f"rate {rate:.3g}; give a lower one"
            )
        if on_step is not None:
            on_step(step, value, rate)


def _parts(inputs: Inputs, targets: Targets, parts: int) -> list[tuple[Inputs, Targets]]:
    """Cut a batch into ``parts``; one part is the batch itself."""
    if parts == 1:
        return [(inputs, targets)]
    batches: list[tuple[Inputs, Targets]] = []
    for places in torch.arange(batch_of(inputs)).chunk(parts):
        part = slice(int(places[0]), int(places[-1]) + 1)
        wanted = (
            targets[part]
            if isinstance(targets, Tensor)
            else {name: values[part] for name, values in targets.items()}
        )
        batches.append((mapped(lambda tensor: tensor[part], inputs), wanted))  # noqa: B023
    return batches


def _backward(
    model: nn.Module,
    task: Task,
    parts: list[tuple[Inputs, Targets]],
    compute: AbstractContextManager[object],
) -> Tensor:
    """Add up the gradients of the parts of a batch and return its loss, on its device."""
    examples = sum(batch_of(inputs) for inputs, _ in parts)
    total = torch.zeros((), device=next(model.parameters()).device)
    for inputs, targets in parts:
        with compute:
            loss = task.loss(model, inputs, targets) * (batch_of(inputs) / examples)
        torch.autograd.backward(loss)
        total += loss.detach()
    return total


def _optimizer(model: nn.Module, settings: TrainSettings) -> torch.optim.Optimizer:
    groups = _parameter_groups(model, settings)
    if settings.optimizer == "sgd":
        return torch.optim.SGD(groups, lr=settings.lr, momentum=settings.momentum)
    return torch.optim.AdamW(
        groups,
        lr=settings.lr,
        betas=(settings.momentum, 0.999),
        amsgrad=settings.optimizer == "amsgrad",
        fused=next(model.parameters()).device.type == "cuda",
    )


def _parameter_groups(model: nn.Module, settings: TrainSettings) -> list[dict[str, Any]]:
    """Group the parameters by weight decay and by their share of the learning rate."""
    encoder, rest = settings.weight_decay, settings.decoder_weight_decay
    groups: dict[tuple[float, float], list[nn.Parameter]] = {}
    used = set()
    for name, parameter in model.named_parameters():
        own = rest is None or name.startswith("encoder.")
        share = 1.0
        for pattern, factor in settings.lr_of.items():
            if fnmatchcase(name, pattern):
                share = factor
                used.add(pattern)
        groups.setdefault((encoder if own else rest or 0.0, share), []).append(parameter)
    for pattern in settings.lr_of:
        if pattern not in used:
            raise UserError(
                f"--lr-of {pattern} is the name of no parameter; one is {name}, for example"
            )
    return [
        {"params": parameters, "weight_decay": decay, "share": share}
        for (decay, share), parameters in groups.items()
    ]


def _moments(optimizer: torch.optim.Optimizer, model: nn.Module) -> dict[str, Tensor]:
    return {
        f"{name}/{key}": value
        for name, parameter in model.named_parameters()
        for key, value in optimizer.state.get(parameter, {}).items()
        if isinstance(value, Tensor)
    }


def _restore(
    optimizer: torch.optim.Optimizer, model: nn.Module, moments: Mapping[str, Tensor]
) -> None:
    parameters = dict(model.named_parameters())
    for key, value in moments.items():
        if key.endswith(AVERAGE):
            continue
        name, _, moment = key.rpartition("/")
        parameter = parameters.get(name)
        if parameter is None or (value.ndim and value.shape != parameter.shape):
            raise UserError(f"the optimizer's state does not belong to this network: {key}")
        moved = torch.empty_like(parameter) if value.ndim else value.to(parameter.device).clone()
        optimizer.state[parameter][moment] = moved.copy_(value) if value.ndim else moved


def _seed(device: torch.device, seed: int) -> None:
    torch.default_generator.manual_seed(seed)
    if device.type == "cuda":
        torch.cuda.manual_seed_all(seed)


@contextmanager
def _training(model: nn.Module, device: torch.device) -> Iterator[None]:
    """Training mode; afterwards the random state and every module's mode are restored."""
    modes = {module: module.training for module in model.modules()}
    try:
        with torch.random.fork_rng([device] if device.type == "cuda" else []):
            model.train()
            yield
    finally:
        for module, training in modes.items():
            module.training = training


@contextmanager
def _batches(
    task: Task, settings: TrainSettings, draws: range, on_cuda: bool
) -> Iterator[Iterator[tuple[Inputs, Targets]]]:
    """Yield batches in order. One thread makes them ahead of time; several do if a GPU waits."""
    workers = max(1, min(8, (os.cpu_count() or 1) - 1)) if on_cuda else 1
    pool = ThreadPoolExecutor(workers, thread_name_prefix="batches")

    def ordered() -> Iterator[tuple[Inputs, Targets]]:
        ahead: deque[Future[tuple[Inputs, Targets]]] = deque()
        for draw in draws:
            ahead.append(pool.submit(task.train_batch, draw, settings.batch_size, settings.seed))
            if len(ahead) > 2 * workers:
                yield ahead.popleft().result()
        while ahead:
            yield ahead.popleft().result()

    try:
        yield ordered()
    finally:
        pool.shutdown(wait=True, cancel_futures=True)
