"""The folder of a run: what lies where, and who may write it."""

import fcntl
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from netadapt.errors import UserError
from netadapt.files import existing_file, existing_folder, provisional_folder, write_atomic
from netadapt.search.journal import has_scored
from netadapt.search.settings import SearchSettings
from netadapt.training.task import Task

FACTS = ("score", "higher_is_better")


@dataclass(frozen=True)
class RunFolder:
    """Names every file of a run."""

    path: Path

    @classmethod
    @contextmanager
    def created(cls, path: Path, settings: SearchSettings, task: Task) -> Iterator["RunFolder"]:
        """Start a run in ``path``, which must be new or empty.

        A ``UserError`` before the first candidate is scored takes the folder away again.
        ``run.json`` also says which score counts, for those who read the run without its task.
        """
        folder = cls(path)
        with provisional_folder(path, "run folder", lambda: has_scored(folder.journal)):
            facts = {"score": task.primary, "higher_is_better": task.higher_is_better}
            text = json.dumps(settings.model_dump() | facts, indent=2, ensure_ascii=False)
            write_atomic(folder.settings_file, text + "\n")  # from here on it can be resumed
            folder.checkpoints.mkdir()
            yield folder

    @classmethod
    def existing(cls, path: Path) -> "RunFolder":
        """Return the run in ``path``. Raises ``UserError`` if there is none."""
        folder = cls(existing_folder(path, "run"))
        if not folder.settings_file.exists():
            raise UserError(
                f"{path} is not a run: it has no run.json; name a folder a search wrote"
            )
        existing_file(folder.settings_file, "the run's settings")
        return folder

    def settings(self) -> SearchSettings:
        """Read what the run was asked to do; before it is done, ``settings.require_trusted``."""
        values = self._run_json()
        try:
            return SearchSettings.stored({k: v for k, v in values.items() if k not in FACTS})
        except UserError as error:
            raise UserError(f"{self.settings_file} is damaged: {error}") from None

    def higher_is_better(self) -> bool:
        """Read whether more of the run's score is better."""
        fact = self._run_json().get("higher_is_better")
        if not isinstance(fact, bool):
            raise UserError(f"{self.settings_file} is damaged: higher_is_better is {fact!r}")
        return fact

    def _run_json(self) -> dict[str, Any]:
        try:
            values = json.loads(self.settings_file.read_text(encoding="utf-8", errors="replace"))
        except (ValueError, RecursionError) as error:
            raise UserError(f"{self.settings_file} is damaged: {error}") from None
        if not isinstance(values, dict):
            raise UserError(f"{self.settings_file} is damaged: not an object")
        return values

    @property
    def settings_file(self) -> Path:
        """The search's arguments."""
        return self.path / "run.json"

    @property
    def journal(self) -> Path:
        """One event a line."""
        return self.path / "journal.jsonl"

    @property
    def pareto(self) -> Path:
        """The front."""
        return self.path / "pareto.csv"

    @property
    def candidates(self) -> Path:
        """Everything evaluated."""
        return self.path / "candidates.csv"

    @property
    def summary(self) -> Path:
        """What the search has cost."""
        return self.path / "summary.json"

    @property
    def checkpoints(self) -> Path:
        """Weights that can still be asked for."""
        return self.path / "checkpoints"

    @property
    def breakdown(self) -> Path:
        """Where the time of its networks goes, as predicted."""
        return self.path / "breakdown.csv"

    @property
    def samples(self) -> Path:
        """Photographs with ground truth, base and pruned predictions."""
        return self.path / "samples.npz"

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Hold the run for this process; the system lets go of it when the process ends.

        Raises:
            UserError: another process holds it, or the folder cannot be written.
        """
        lock = self.path / "run.lock"
        try:
            descriptor = os.open(lock, os.O_RDWR | os.O_CREAT, 0o666)
        except OSError as error:
            raise UserError(f"cannot write {lock}: {error.strerror or error}") from error
        try:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise UserError(f"{self.path} is in use by another search; wait for it") from None
            yield
        finally:
            os.close(descriptor)
