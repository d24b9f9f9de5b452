"""What is written from the declarations: ``netadapt/keywords.py`` and docs/options.md."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

from netadapt.checksums import Resuming
from netadapt.latency.target import Options
from netadapt.options import PANELS, Declared, annotation, declared
from netadapt.profiling.request import ProfileRequest
from netadapt.search.settings import SearchSettings
from netadapt.training.settings import TrainConfig, TrainRequest, TrainSettings

TRAIN = (TrainConfig, TrainSettings, TrainRequest, Resuming)
PROFILE = (ProfileRequest, Options)
SEARCH = (SearchSettings, Resuming)

# the keyword arguments of each function, without those that its signature names itself
KEYWORDS: dict[str, tuple[str, tuple[type, ...], set[str]]] = {
    "SearchOptions": (
        "``netadapt.search`` and ``netadapt.search_targets``",
        SEARCH,
        {"model", "lut", "budget_ms"},
    ),
    "TrainOptions": ("``netadapt.train``", TRAIN, {"model", "data"}),
    "ProfileOptions": ("``netadapt.profile``", PROFILE, set()),
}
COMMANDS = {"search": SEARCH, "train": TRAIN, "profile-lut": PROFILE}
BESIDE = {
    "search": "`--checkpoint FILE` is another word for `--model`. `--out`, `--resume`, `--loss` "
    "and `--on-bad-sample` are explained by `netadapt search --help`.",
    "train": "`--out`, `--resume`, `--imagenet`, `--loss` and `--on-bad-sample` are explained by "
    "`netadapt train --help`.",
    "profile-lut": "`--model`, `--bundle`, `--import`, `--devices` and `--json` are explained by "
    "`netadapt profile-lut --help`.",
}


def options_of(settings: tuple[type, ...]) -> list[Declared]:
    return [option for one in settings for option in declared(one)]


def keywords_source() -> str:
    """The source of ``netadapt/keywords.py``."""
    lines = [
        '"""Keyword arguments of the Python API, for type checkers and editors.',
        "",
        "Written from the declarations of the options by ``tests/cli/test_options.py``: change",
        "those and run that test with ``OVERWRITE_GOLDEN=1``. ``None`` means not given.",
        '"""',
        "",
        "from collections.abc import Mapping, Sequence",
        "from pathlib import Path",
        "from typing import Any, Literal, TypedDict",
    ]
    for name, (function, settings, without) in KEYWORDS.items():
        lines += ["", "", f"class {name}(TypedDict, total=False):"]
        lines += [f'    """Options of {function}."""', ""]
        for option in options_of(settings):
            if option.name not in without:
                lines += _field(option)
    return "\n".join(lines) + "\n"


def _field(option: Declared) -> Iterator[str]:
    line = f"    {option.name}: {source(annotation(option))} | None".replace(
        " | None | None", " | None"
    )
    if len(line) <= 100 or "Literal" not in line:
        return iter([line])
    choices = [f'            "{choice}",' for choice in option.choices]
    return iter(
        [
            f"    {option.name}: (",
            "        Literal[",
            *choices,
            "        ]",
            "        | None",
            "    )",
        ]
    )


def source(kind: Any) -> str:
    """How a type is written."""
    origin, parts = get_origin(kind), get_args(kind)
    if kind is type(None):
        return "None"
    if origin is Literal:
        return "Literal[" + ", ".join(f'"{part}"' for part in parts) + "]"
    if origin in (dict, Mapping):
        return "Mapping[str, Any]"
    if origin is Sequence or (origin is tuple and parts[-1] is Ellipsis):
        return f"Sequence[{source(parts[0])}]"
    if origin is tuple:
        return "tuple[" + ", ".join(map(source, parts)) + "]"
    if parts:
        return " | ".join(map(source, parts))
    return str(kind.__name__)


def options_page() -> str:
    """The text of docs/options.md."""
    lines = [
        "# Options",
        "",
        "Written from the program by `tests/cli/test_options.py`. The command line, the Python API",
        "and `run.json` or `config.json` have these options under the same names: `--short-lr` is",
        "`short_lr=`. An option that is not given has its default.",
    ]
    for command, settings in COMMANDS.items():
        lines += ["", f"## netadapt {command}", "", BESIDE[command]]
        options = options_of(settings)
        for panel in PANELS:
            chosen = [option for option in options if option.option.panel == panel]
            if chosen:
                lines += ["", f"### {panel}", "", "| option | unit | values | default | meaning |"]
                lines += ["|---|---|---|---|---|", *map(_row, chosen)]
    return "\n".join(lines) + "\n"


def _row(option: Declared) -> str:
    cells = (
        f"`{option.flag}`",
        option.option.unit,
        option.accepted,
        option.shown_default,
        option.option.meaning,
    )
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def written() -> dict[str, str]:
    """Every written file, from the root of the repository."""
    return {"netadapt/keywords.py": keywords_source(), "docs/options.md": options_page()}


ROOT = Path(__file__).parents[2]
