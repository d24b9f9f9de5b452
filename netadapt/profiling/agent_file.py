"""The agent as one file: a zip of ``netadapt/profiling/agent`` that any Python 3.8 runs."""

import hashlib
import io
import zipfile
from collections.abc import Mapping
from functools import cache
from importlib import resources

from netadapt.profiling import agent

MAIN = """\
import sys
from pathlib import Path

from netadapt.profiling.agent.main import main

sys.exit(main(sys.argv[1:], Path(sys.argv[0])))
"""
MODULES = "netadapt/profiling/agent/"
BEGINNING = (1980, 1, 1, 0, 0, 0)  # of time, for a zip: the same content gives the same bytes


@cache
def agent_files() -> dict[str, bytes]:
    """The agent's files by their names in the zip."""
    files = {"__main__.py": MAIN.encode(), "netadapt/__init__.py": b""}
    files["netadapt/profiling/__init__.py"] = b""
    for module in sorted(resources.files(agent).iterdir(), key=lambda found: found.name):
        if module.name.endswith(".py"):
            files[MODULES + module.name] = module.read_bytes()
    return files


@cache
def agent_archive() -> bytes:
    """The agent, to be started with ``python3 FILE``."""
    return archive(agent_files())


@cache
def agent_name() -> str:
    """A name for the agent's file that changes with its content."""
    return f"agent-{hashlib.sha256(agent_archive()).hexdigest()[:16]}.pyz"


def archive(files: Mapping[str, bytes]) -> bytes:
    """Return a zip of ``files``, the same bytes for the same files."""
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as made:
        for name, data in files.items():
            info = zipfile.ZipInfo(name, BEGINNING)
            info.external_attr = 0o644 << 16
            # weights do not shrink, and are most of it
            kind = zipfile.ZIP_STORED if name.endswith(".bin") else zipfile.ZIP_DEFLATED
            made.writestr(info, data, kind)
    return content.getvalue()
