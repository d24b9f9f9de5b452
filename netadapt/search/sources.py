"""What a search reads from outside its run folder."""

from pathlib import Path

from netadapt.checksums import Source, file_checksum, listing_checksum
from netadapt.search.problem import Problem
from netadapt.training.checkpoint import is_file_reference

TABLE = ("target.json", "latency.csv")


def sources_of(problem: Problem) -> dict[str, Source]:
    """Return table, base network and data as they are now; of the latter two what is there.

    Raises:
        UserError: a file cannot be read, or the task cannot be opened.
    """
    settings, task = problem.settings, problem.base.task
    table = file_checksum(*(Path(settings.lut) / name for name in TABLE))
    found = {"table": Source(f"the latency table {settings.lut}", table)}
    base = Path(settings.model).expanduser()
    if is_file_reference(settings.model) and base.is_file():
        found["base"] = Source(f"the base network {settings.model}", file_checksum(base))
    if task.data_files:
        found["data"] = Source(f"the data {task.spec}", listing_checksum(task.data_files))
    return found
