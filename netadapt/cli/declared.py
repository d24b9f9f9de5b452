"""Command-line options made from the declarations of settings classes, and the help page."""

import inspect
from collections.abc import Callable, Mapping
from functools import wraps
from pathlib import Path
from typing import Annotated, Any, get_origin, get_type_hints

import typer
from typer.core import TyperCommand

from netadapt.cli.common import key_values, parse_size, parse_sizes
from netadapt.options import PANELS, Declared, declared

WIDEST = 120  # columns of a help page
COLUMN = 26  # of them for the options' names
METAVARS = {int: "N", float: "NUMBER"}
SIZES: dict[str, Callable[[str], object]] = {"HxW": parse_size, "HxW,...": parse_sizes}
PATTERNS = "PATTERN=FACTOR"  # the unit of options that give many parameters a number


def with_options(*settings: type, without: tuple[str, ...] = ()) -> Callable[..., Any]:
    """Give a command that ends in ``**given`` the options of settings classes.

    The command gets, by name, the values of those options that were typed.

    Args:
        settings: the classes.
        without: names of options that the command does not have.
    """
    options = [option for one in settings for option in declared(one) if option.name not in without]

    def decorated(command: Callable[..., None]) -> Callable[..., None]:
        hints = get_type_hints(command, include_extras=True)
        own = {
            name: parameter.replace(annotation=hints[name], kind=parameter.KEYWORD_ONLY)
            for name, parameter in inspect.signature(command).parameters.items()
            if parameter.kind is not parameter.VAR_KEYWORD
        }
        by_name = {option.name: option for option in options}

        @wraps(command)
        def called(**values: Any) -> None:
            given = {
                name: value if name in own else _value(by_name[name], value)
                for name, value in values.items()
                if name in own or value is not None
            }
            command(**given)

        parameters = [*(_parameter(option) for option in options), *own.values()]
        called.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
        called.__annotations__ = {one.name: one.annotation for one in parameters}
        return called

    return decorated


def _parameter(option: Declared) -> inspect.Parameter:
    return inspect.Parameter(
        option.name,
        inspect.Parameter.KEYWORD_ONLY,
        default=None,
        annotation=Annotated[
            _typed(option) | None,
            typer.Option(
                option.flag,
                metavar=_metavar(option),
                help=_help(option),
                rich_help_panel=option.option.panel,
                show_default=False,
            ),
        ],
    )


def _typed(option: Declared) -> Any:
    """The type of what is typed; choices and bounds are checked by the settings."""
    single: Any = option.type if option.type in (int, float, bool, Path) else str
    return list[single] if _is_repeatable(option) else single


def _is_repeatable(option: Declared) -> bool:
    of_texts = get_origin(option.type) is tuple and option.option.unit not in SIZES
    return option.option.one_each or of_texts or _is_mapping(option)


def _is_mapping(option: Declared) -> bool:
    return get_origin(option.type) in (dict, Mapping)


def _metavar(option: Declared) -> str | None:
    if option.option.unit in (*SIZES, "KEY=VALUE", PATTERNS):
        return option.option.unit
    if option.type is bool:
        return None
    if option.option.unit:
        return option.option.unit.upper()
    usual = "PATH" if option.option.is_path else "NAME" if option.choices else "TEXT"
    return METAVARS.get(option.type, usual)


def _help(option: Declared) -> str:
    choices = f" One of {', '.join(option.choices)}." if option.choices else ""
    return f"{option.option.meaning}{choices} [default: {option.shown_default}]"


def _value(option: Declared, typed: Any) -> Any:
    if option.option.unit in SIZES:
        return SIZES[option.option.unit](typed)
    if _is_mapping(option):
        return key_values(option.flag, typed, patterns=option.option.unit == PATTERNS)
    return tuple(typed) if _is_repeatable(option) else typed


class Command(TyperCommand):
    """A command whose help page lists its options under the headings of their panels."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        settings = {"max_content_width": WIDEST, **(kwargs.pop("context_settings", None) or {})}
        super().__init__(*args, context_settings=settings, **kwargs)

    def collect_usage_pieces(self, ctx: Any) -> list[str]:
        """Return ``[OPTIONS]`` and the arguments' names, in every version of Typer alike."""
        arguments = [one for one in self.get_params(ctx) if one.param_type_name == "argument"]
        return ["[OPTIONS]", *(one.metavar or "" for one in arguments)]

    def format_options(self, ctx: Any, formatter: Any) -> None:
        """Write the options, a section for each panel."""
        found: dict[str, list[tuple[str, str]]] = {}
        for parameter in self.get_params(ctx):
            record = parameter.get_help_record(ctx)
            if record is not None:
                panel = getattr(parameter, "rich_help_panel", None) or "Options"
                if parameter.param_type_name == "argument":
                    panel, record = "Arguments", (parameter.metavar or "", record[1])
                found.setdefault(panel, []).append(record)
        width = max(len(name) for records in found.values() for name, _ in records)
        for panel in ("Arguments", *PANELS, "Options"):
            if panel in found:
                records = [(name.ljust(min(width, COLUMN)), text) for name, text in found[panel]]
                with formatter.section(panel):
                    formatter.write_dl(records, col_max=COLUMN)
