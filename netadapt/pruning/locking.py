"""Groups that the user excludes from pruning (``--lock``)."""

from collections.abc import Sequence
from fnmatch import fnmatchcase

from netadapt.errors import UserError
from netadapt.pruning.groups import ChannelGroup


def locked_by(patterns: str | Sequence[str], groups: Sequence[ChannelGroup]) -> dict[str, str]:
    """Return ``{group name: reason}`` for the groups that a pattern matches.

    A pattern is compared (as by ``fnmatch``) with the names of groups, of the layers that write
    their channels, and of the modules that contain these layers: ``encoder`` locks the encoder.

    Raises:
        UserError: a pattern matches nothing.
    """
    wanted = [patterns] if isinstance(patterns, str) else list(patterns)
    locked: dict[str, str] = {}
    for pattern in wanted:
        matched = [group.name for group in groups if _matches(pattern, group)]
        if not matched:
            raise UserError(
                f"--lock {pattern} matches no channel group and no layer that could be pruned; "
                "netadapt info lists them"
            )
        locked |= dict.fromkeys(matched, f"locked by --lock {pattern}")
    return locked


def _matches(pattern: str, group: ChannelGroup) -> bool:
    parts = [layer.split(".") for layer in group.producers]
    modules = {".".join(path[:end]) for path in parts for end in range(1, len(path) + 1)}
    return any(fnmatchcase(name, pattern) for name in (group.name, *modules))


def matches_path(name: str, patterns: str | Sequence[str]) -> bool:
    """Whether one of ``patterns`` matches the module ``name``, or one that it is in."""
    wanted = [patterns] if isinstance(patterns, str) else patterns
    path = name.split(".")
    modules = [".".join(path[:end]) for end in range(1, len(path) + 1)]
    return any(fnmatchcase(module, pattern) for module in modules for pattern in wanted)
