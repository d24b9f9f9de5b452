"""One search for several targets."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType

from netadapt.errors import UserError
from netadapt.files import provisional_folder
from netadapt.search.asked import Asked, read_asked, write_asked
from netadapt.search.progress import SearchProgress
from netadapt.search.search_run import SearchRun
from netadapt.search.settings import SearchSettings
from netadapt.search.start import resume_search, resumed_settings, start_search

TARGETS = "targets.json"
SHARED = "shared"


def is_for_targets(out: Path) -> bool:
    """Whether ``out`` is a search for several targets."""
    return (out / TARGETS).exists()


def start_targets(
    luts: Sequence[str],
    budgets_ms: Sequence[float],
    given: Mapping[str, object],
    out: Path,
    progress: SearchProgress | None = None,
) -> dict[str, SearchRun]:
    """Search for each table's target in turn; candidates that coincide are evaluated once.

    Each target gets a run of its own in ``out``, named after its table. Two runs evaluate the
    same candidate if they cut the same widths from the same weights with the same seed: the base,
    the first iterations, and whatever follows from the same picks.

    Args:
        luts: the tables' folders.
        budgets_ms: one budget for all, or one for each; none if ``given`` has another goal.
        given: the other arguments of ``SearchSettings``.
        out: a new folder.
        progress: listens to every step of every run.

    Returns:
        the runs, by their names.

    Raises:
        UserError: what any of the searches raises; those before it are finished by then.
    """
    if len(budgets_ms) not in (0, 1, len(luts)):
        raise UserError(
            f"{len(budgets_ms)} budgets for {len(luts)} tables; give one for all or one for each"
        )
    names = [Path(lut).name for lut in luts]
    twice = [name for name in names if names.count(name) > 1]
    if twice:
        raise UserError(f"two tables are called {twice[0]}; each target has one")
    asked: dict[str, SearchSettings] = {}
    for place, (name, lut) in enumerate(zip(names, luts, strict=True)):
        values = {**given, "lut": lut}
        if budgets_ms:
            values["budget_ms"] = budgets_ms[place if len(budgets_ms) > 1 else 0]
        settings = SearchSettings.parse(values)
        if settings.input_sizes:
            raise UserError("give several --lut or --input-sizes, not both")
        settings.require_used(given)
        asked[name] = settings

    def begun() -> bool:
        return any((out / name).exists() for name in asked)

    with provisional_folder(out, "run folder", begun):
        write_asked(out / TARGETS, asked)
        return _all(asked, out, progress)


def resume_targets(
    out: Path,
    given: Mapping[str, object],
    progress: SearchProgress | None = None,
    *,
    accept_changed: bool = False,
) -> dict[str, SearchRun]:
    """Go on with a search for several targets.

    Args:
        out: its folder.
        given: another executor, and what it takes; and what the user names again.
        progress: listens to every step of every run.
        accept_changed: whether to go on if tables, base or data have changed since.

    Raises:
        UserError: ``targets.json`` is damaged, and what the searches raise.
    """
    path = out / TARGETS
    settings = read_asked(path, "list of targets")
    resumed = {name: resumed_settings(one, given, path) for name, one in settings.items()}
    return _all(resumed, out, progress, given, accept_changed)


def _all(
    asked: Asked,
    out: Path,
    progress: SearchProgress | None,
    given: Mapping[str, object] = MappingProxyType({}),
    accept_changed: bool = False,
) -> dict[str, SearchRun]:
    shared = out / SHARED
    runs = {}
    for name, settings in asked.items():
        folder = out / name
        if (folder / "run.json").exists():
            runs[name] = resume_search(
                folder, given, progress, shared, accept_changed=accept_changed
            )
        else:
            runs[name] = start_search(settings, folder, progress, shared)
    return runs
