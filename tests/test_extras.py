"""A lean installation: what an extra brings is asked for by the extra's name."""

import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from netadapt.extras import EXTRA_OF, remedy

PYPROJECT = tomllib.loads((Path(__file__).parents[1] / "pyproject.toml").read_text())
HIDE = """
import sys
class Hidden:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {hidden!r}:
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)
sys.meta_path.insert(0, Hidden())
sys.argv = ["netadapt", *{words!r}]
from netadapt.cli.main import main
main()
"""


def without(hidden: set[str], *words: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """Run a command of ``netadapt`` as if the packages in ``hidden`` were not installed."""
    code = HIDE.format(hidden=hidden, words=words)
    return subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, cwd=folder, check=False
    )


OPTIONAL = set(EXTRA_OF)


@pytest.mark.parametrize(
    ("words", "extra"),
    [
        (("train", "--model", "fastdepth", "--data", "synthetic:9", "--out", "x"), "depth"),
        (("plot", "missing"), "plot"),
        (("info", "fastdepth-timm", "--input-size", "64x64"), "depth"),
        (("evaluate", "m.safetensors", "--task", "digits"), None),
    ],
)
def test_a_missing_extra_is_named_in_one_line(
    words: tuple[str, ...], extra: str | None, tmp_path: Path
) -> None:
    done = without(OPTIONAL, *words, folder=tmp_path)
    assert done.returncode == 2, done.stderr
    assert len(done.stderr.strip().splitlines()) == 1
    if extra:
        assert f"pip install 'netadapt[{extra}]'" in done.stderr
    assert not list(tmp_path.iterdir())


def test_every_command_can_be_asked_for_help_without_extras(tmp_path: Path) -> None:
    for command in ("search", "train", "profile-lut", "info"):
        done = without(OPTIONAL, command, "--help", folder=tmp_path)
        assert done.returncode == 0, done.stderr


def test_every_extra_named_exists() -> None:
    assert set(EXTRA_OF.values()) <= set(PYPROJECT["project"]["optional-dependencies"])


def test_a_package_that_no_extra_brings_has_no_remedy() -> None:
    assert remedy(ModuleNotFoundError("No module named 'abacus'", name="abacus")) is None
