"""What a user's machine may lack; the machine that tests for all of them may not."""

import os
from typing import NoReturn

import pytest


def lacking(reason: str) -> NoReturn:
    """Skip a test; in CI, fail it."""
    (pytest.fail if os.environ.get("CI") else pytest.skip)(reason)
    raise AssertionError
