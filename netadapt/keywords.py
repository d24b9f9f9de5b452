"""Keyword arguments of the Python API, for type checkers and editors.

Written from the declarations of the options by ``tests/cli/test_options.py``: change
those and run that test with ``OVERWRITE_GOLDEN=1``. ``None`` means not given.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, TypedDict


class SearchOptions(TypedDict, total=False):
    """Options of ``netadapt.search`` and ``netadapt.search_targets``."""

    input_size: tuple[int, int] | None
    input_sizes: Sequence[tuple[int, int]] | None
    inputs: Sequence[str] | None
    output: str | None
    task: str | None
    data: str | None
    task_options: Mapping[str, Any] | None
    budget_mj: float | None
    speedup: float | None
    budget_macs: float | None
    budget_params: float | None
    budget_mb: float | None
    min_accuracy: float | None
    initial_reduction: float | None
    decay: float | None
    short_steps: int | None
    short_lr: float | None
    long_steps: int | None
    long_lr: float | None
    qat: int | None
    long_points: int | None
    batch_size: int | None
    optimizer: Literal["sgd", "adamw"] | None
    strategy: str | None
    select: Literal["accuracy", "ratio"] | None
    candidates: int | None
    saliency_batches: int | None
    population: int | None
    generations: int | None
    recalibration_batches: int | None
    importance: Literal["l2", "share"] | None
    lock: Sequence[str] | None
    allow_approximate: bool | None
    blocks: bool | None
    channel_multiple: int | None
    lowest_share: float | None
    anchor_every: int | None
    seed: int | None
    executor: Literal["inline", "ray"] | None
    train_on: str | None
    log_dir: str | Path | None
    address: str | None
    cpus_per_candidate: int | None
    gpus_per_candidate: float | None
    metrics: Sequence[str] | None
    accept_changed: bool | None


class TrainOptions(TypedDict, total=False):
    """Options of ``netadapt.train``."""

    input_size: tuple[int, int] | None
    eval_every: int | None
    model_options: Mapping[str, Any] | None
    task: str | None
    task_options: Mapping[str, Any] | None
    init_from: str | Path | None
    inputs: Sequence[str] | None
    output: str | None
    steps: int | None
    batch_size: int | None
    optimizer: Literal["sgd", "adamw", "amsgrad"] | None
    lr: float | None
    momentum: float | None
    weight_decay: float | None
    schedule: Literal["constant", "step", "cosine", "onecycle", "polynomial"] | None
    seed: int | None
    decoder_weight_decay: float | None
    lr_of: Mapping[str, Any] | None
    ema: float | None
    precision: Literal["fp32", "bf16"] | None
    epochs: float | None
    train_on: str | None
    log_dir: str | Path | None
    accept_changed: bool | None


class ProfileOptions(TypedDict, total=False):
    """Options of ``netadapt.profile``."""

    device: str | None
    runtime: str | None
    input_size: tuple[int, int] | None
    inputs: Sequence[str] | None
    output: str | None
    lut: str | Path | None
    channel_multiple: int | None
    lock: Sequence[str] | None
    allow_approximate: bool | None
    threads: int | None
    precision: Literal["fp32", "fp16", "bf16", "int8"] | None
    batch: int | None
    cpus: str | None
    provider: Literal["", "cuda", "tensorrt"] | None
    tune: int | None
