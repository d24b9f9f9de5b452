"""What a user's machine may lack; the machine that tests for all of them may not."""

import os
from typing import NoReturn

import pytest

from netadapt.profiling.agent.host import cpu_features
from netadapt.profiling.agent.precision import problem


def lacking(reason: str) -> NoReturn:
    """Skip a test; in CI, fail it."""
    (pytest.fail if os.environ.get("CI") else pytest.skip)(reason)
    raise AssertionError


def needs_int8_instructions() -> None:
    """Skip a test on a CPU that adds int8 products with saturation, in CI too."""
    reason = problem("onnxruntime", "int8", cpu_features())
    if reason is not None:
        pytest.skip(reason)
