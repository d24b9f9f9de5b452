"""The folder of a run: its files, and the lock of the process that writes them."""

import fcntl
import json
import os
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from netadapt.checksums import ACCEPTED, FACTS, Source, facts_of, with_accepted
from netadapt.errors import UserError
from netadapt.files import existing_file, existing_folder, provisional_folder, write_atomic
from netadapt.search.journal import has_scored
from netadapt.search.settings import SearchSettings
from netadapt.texts import object_of
from netadapt.training.task import Task

NOT_SETTINGS = ("score", "higher_is_better", *FACTS)


@dataclass(frozen=True)
class RunFolder:
    """Names every file of a run."""

    path: Path

    @classmethod
    @contextmanager
    def created(
        cls, path: Path, settings: SearchSettings, task: Task, sources: Mapping[str, Source]
    ) -> Iterator["RunFolder"]:
        """Start a run in ``path``, which must be new or empty.

        A ``UserError`` before the first candidate is scored takes the folder away again.
        ``run.json`` also says which score counts, for those who read the run without its task, and
        what the run is begun with.
        """
        folder = cls(path)
        with provisional_folder(path, "run folder", lambda: has_scored(folder.journal)):
            facts = {"score": task.primary, "higher_is_better": task.higher_is_better}
            # from here on it can be resumed
            folder._write_run_json({**settings.model_dump(), **facts, **facts_of(sources)})
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
        """Read the run's settings; check ``require_trusted`` before you act on them."""
        values = self._run_json()
        try:
            return SearchSettings.stored({k: v for k, v in values.items() if k not in NOT_SETTINGS})
        except UserError as error:
            raise UserError(f"{self.settings_file} is damaged: {error}") from None

    def higher_is_better(self) -> bool:
        """Read whether more of the run's score is better."""
        fact = self._run_json().get("higher_is_better")
        if not isinstance(fact, bool):
            raise UserError(f"{self.settings_file} is damaged: higher_is_better is {fact!r}")
        return fact

    def require_unchanged(self, sources: Mapping[str, Source], accept: bool) -> None:
        """Compare ``sources`` with what the run was begun with; runs of earlier versions know none.

        With ``accept`` the run goes on with what is there now, and says so in ``run.json``.

        Raises:
            UserError: one has changed and the user does not accept it, or ``run.json`` is damaged.
        """
        values = with_accepted(self._run_json(), sources, self.settings_file, accept)
        if values is not None:
            self._write_run_json(values)

    def accepted_changes(self) -> tuple[str, ...]:
        """Name what has changed while the run was under way: ``table``, ``base`` or ``data``."""
        found = self._run_json().get(ACCEPTED, [])
        return tuple(dict.fromkeys(map(str, found))) if isinstance(found, list) else ()

    def _write_run_json(self, values: Mapping[str, Any]) -> None:
        text = json.dumps(values, indent=2, ensure_ascii=False)
        write_atomic(self.settings_file, text + "\n")

    def _run_json(self) -> dict[str, Any]:
        try:
            return object_of(self.settings_file)
        except ValueError as error:
            raise UserError(f"{self.settings_file} is damaged: {error}") from None

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
        """Weights that a later step can still need."""
        return self.path / "checkpoints"

    @property
    def breakdown(self) -> Path:
        """Where the time of its networks goes, as predicted."""
        return self.path / "breakdown.csv"

    @property
    def samples(self) -> Path:
        """Photographs with ground truth, base and pruned predictions."""
        return self.path / "samples.npz"

    def clear_leftovers(self) -> None:
        """Remove the temporary files that a process killed during a write leaves behind."""
        for path in (*self.path.glob(".*.tmp*"), *self.checkpoints.glob(".*.tmp*")):
            path.unlink(missing_ok=True)

    def drop_weights(self, needed: Collection[str]) -> None:
        """Delete all weights but those ``needed``, which are relative to the run folder."""
        for path in self.checkpoints.glob("*.safetensors"):
            if f"checkpoints/{path.name}" not in needed:
                path.unlink(missing_ok=True)

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
