"""The runtimes that work on a board, by name, and how each loads a network."""

from __future__ import annotations

import importlib
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

    from netadapt.profiling.agent.session import Example, ProfiledSession, Session


class BoardError(Exception):
    """An error that the owner of the board can fix, in one line."""


@dataclass(frozen=True)
class BoardRuntime:
    """A runtime's sessions, in the module of this folder that has its name.

    Attributes:
        name: of the module, and of the runtime.
        package: what pip installs, and Python imports.
        session: the class that runs a network.
        profiled: the class that also times its operations.
        options: those of a job that the classes take.
    """

    name: str
    package: str
    session: str
    profiled: str
    options: tuple[str, ...]

    def version(self) -> str:
        """The installed version. Raises ``BoardError`` if there is none."""
        return str(self._module().version())

    def load(self, graph: str, example: Example, options: Mapping[str, Any]) -> Session:
        """Load the ONNX file ``graph``."""
        chosen = {name: options[name] for name in self.options}
        session: Session = getattr(self._module(), self.session)(graph, example, **chosen)
        return session

    def load_profiled(
        self, graph: str, example: Example, options: Mapping[str, Any], operations: int
    ) -> ProfiledSession:
        """Load the ONNX file ``graph`` so that its operations are timed."""
        chosen = {name: options[name] for name in self.options}
        session: ProfiledSession = getattr(self._module(), self.profiled)(
            graph, example, operations=operations, **chosen
        )
        return session

    def _module(self) -> Any:
        try:
            importlib.import_module("numpy")
            return importlib.import_module("netadapt.profiling.agent." + self.name)
        except ImportError as error:
            python = sys.executable
            absent = isinstance(error, ModuleNotFoundError)
            what = f"has no {error.name}" if absent else f"cannot import {error}"
            raise BoardError(
                f"{python} {what}; run there: {python} -m pip install numpy {self.package}"
            ) from error


BOARD_RUNTIMES = {
    "onnxruntime": BoardRuntime(
        "onnxruntime",
        "onnxruntime",
        "OnnxSession",
        "ProfiledOnnxSession",
        ("threads", "provider"),
    ),
    "openvino": BoardRuntime(
        "openvino",
        "openvino",
        "OpenVinoSession",
        "ProfiledOpenVinoSession",
        ("threads", "precision"),
    ),
}
