"""The commands that make a run again, from what it remembers."""

import shlex
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

WEIGHTS = (".safetensors", ".tar", ".pth", ".pt")

# nothing of the result depends on these, or the command line has no option for them
_LEFT_OUT = {
    "format", "score", "higher_is_better", "metrics", "executor", "device", "train_on", "address",
    "cpus_per_candidate", "gpus_per_candidate", "model", "input_size", "input_sizes",
    "base_share", "task_options", "checksums", "log_dir", "accepted_changes",
}  # fmt: skip
_ONLY_OF = {
    "candidates": {"random"},
    "saliency_batches": {"netadapt-fast", "taylor", "knapsack"},
    "population": {"evolution"},
    "generations": {"evolution"},
    "recalibration_batches": {"evolution"},
    "select": {"netadapt"},
}


def commands(
    settings: Mapping[str, Any],
    target: Mapping[str, Any] | None,
    run: Path,
    sizes: Sequence[str] = (),
) -> list[str]:
    """Return the commands: profile the target, search, write the page.

    Args:
        settings: what ``run.json`` holds.
        target: what the table's ``target.json`` holds, if the table is there.
        run: the run folder; the search is given another one beside it.
        sizes: the input sizes of a search over several, of which ``settings`` are the first's.
    """
    if not settings.get("model"):
        return []
    again = f"{run}-again"
    found = []
    if target is not None:
        every: list[str | None] = [*sizes] if sizes else [_size(settings)]
        for asked in every:
            found.append(["netadapt", "profile-lut", *_profile(settings, target, asked)])
    found.append(["netadapt", "search", *_search(settings, sizes), "--out", again])
    found.append(["netadapt", "report", again])
    return [" ".join(shlex.quote(word) for word in words) for words in found]


def _size(settings: Mapping[str, Any]) -> str | None:
    """The input size that was asked for, if one was."""
    size = settings.get("input_size")
    return f"{size[0]}x{size[1]}" if isinstance(size, list) and len(size) == 2 else None


def _search(settings: Mapping[str, Any], sizes: Sequence[str]) -> Iterator[str]:
    model = str(settings["model"])
    yield from ("--checkpoint" if model.endswith(WEIGHTS) else "--model", model)
    if sizes:
        yield from ("--input-sizes", ",".join(sizes))
    elif size := _size(settings):
        yield from ("--input-size", size)
    strategy = settings.get("strategy") or "netadapt"
    for name, value in settings.items():
        if name in _LEFT_OUT or strategy not in _ONLY_OF.get(name, {strategy}):
            continue
        if name == "speedup" and value and not sizes:  # here it is one over the base at this size
            value = value * (settings.get("base_share") or 1.0)
        for word in value if isinstance(value, list) else [value]:
            if isinstance(word, str | int | float) and not isinstance(word, bool):
                yield from (_flag(name), _text(word))
    options = settings.get("task_options")
    for name, value in options.items() if isinstance(options, dict) else ():
        if sizes and name == "truth_size" and value == sizes[0]:
            continue  # as it is anyway
        yield from ("--task-option", f"{name}={_text(value)}")


def _profile(
    settings: Mapping[str, Any], target: Mapping[str, Any], asked: str | None
) -> Iterator[str]:
    for name in ("device", "runtime", "threads", "precision", "batch"):
        yield from (_flag(name), _text(target.get(name, "")))
    protocol = _last(target.get("calibrations")) or target.get("protocol", {})
    yield from ("--model", _text(protocol.get("model", settings["model"])))
    read = _text(protocol.get("input", ""))
    size = read.split("x")
    if asked is not None:
        yield from ("--input-size", asked)
    elif "=" in read:
        for one in read.split(","):
            yield from ("--input", one)
    elif len(size) == 4:
        yield from ("--input-size", "x".join(size[2:]))
    yield from ("--lut", str(Path(str(settings.get("lut", "lut"))).parent))


def _last(calibrations: object) -> dict[str, Any]:
    """The network that was profiled last; older tables have it in their protocol."""
    last = calibrations[-1] if isinstance(calibrations, list) and calibrations else {}
    return last if isinstance(last, dict) and last.get("input") else {}


def _flag(name: str) -> str:
    return "--input" if name == "inputs" else "--" + name.replace("_", "-")


def _text(value: object) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)
