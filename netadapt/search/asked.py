"""The settings of several runs in one folder, by their names."""

import json
from collections.abc import Mapping
from pathlib import Path

from netadapt.errors import UserError
from netadapt.files import existing_file, write_atomic
from netadapt.search.settings import SearchSettings
from netadapt.texts import object_of

Asked = Mapping[str, SearchSettings]


def write_asked(path: Path, asked: Asked) -> None:
    """Write the settings of each run to ``path``, whole or not at all."""
    values = {name: settings.model_dump() for name, settings in asked.items()}
    write_atomic(path, json.dumps(values, indent=2) + "\n")


def read_asked(path: Path, what: str) -> dict[str, SearchSettings]:
    """Read what ``write_asked`` wrote; check ``require_trusted`` before you act on it.

    Args:
        path: the file, in the folder of the runs.
        what: it is, for messages.

    Raises:
        UserError: there is none, it is damaged, or a run lies outside the folder.
    """
    existing_file(path, what)
    try:
        stored = object_of(path)
        if not all(isinstance(values, dict) for values in stored.values()):
            raise ValueError("it does not hold settings by the names of runs")
        settings = {name: SearchSettings.stored(values) for name, values in stored.items()}
    except (ValueError, UserError) as error:
        raise UserError(f"{path} is damaged: {error}") from None
    if any(Path(name).name != name or name in ("", "..") for name in settings):
        raise UserError(f"{path} is damaged: a run lies outside the folder")
    return settings
