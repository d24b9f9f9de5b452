"""Options, each declared once: name, type, bounds, default, meaning and unit.

A settings class (a pydantic model or a dataclass) annotates its fields::

    short_lr: Annotated[Rate, Option("Learning rate of the short-term fine-tune.")] = 2e-4

The command line, the signatures of the Python API, the messages about wrong values and
``docs/options.md`` are made from these declarations.
"""

import dataclasses
import inspect
import types
from collections.abc import Callable, Mapping
from dataclasses import MISSING, dataclass
from functools import cache
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

from pydantic import BaseModel, TypeAdapter, ValidationError

from netadapt.errors import UserError
from netadapt.wording import first_problem

NETWORK = "Network and data"
BUDGET = "Budget"
TRAINING = "Training"
FINE_TUNING = "Fine-tuning"
STRATEGY = "Strategy"
WHERE = "Where candidates run"
TARGET = "Target"
PROFILING = "Profiling"
OUTPUT = "Output"
PANELS = (
    NETWORK, TARGET, PROFILING, BUDGET, TRAINING, FINE_TUNING, STRATEGY, WHERE, OUTPUT,
)  # fmt: skip

LOCK = (
    "Layers or channel groups to leave as wide as they are, as a pattern such as 'encoder.*'; "
    "repeatable."
)
APPROXIMATE = (
    "Also prune channels that LayerNorm, RMSNorm or a GroupNorm of one group standardises "
    "together, such as a transformer's stream. Their statistics then change."
)
BLOCKS = (
    "Also drop whole blocks: modules that answer in the shape they read, such as residual blocks; "
    "what they are given goes on without them"
)
DATA = (
    "Where the data is. For depth: synthetic[:N], nyu:DIR, nyu:FILE.mat, tum:DIR, pairs:DIR, "
    "kitti:DIR or sequence:DIR."
)

INPUTS = (
    "One input of a network that takes anything but a single image: its name in forward, its sizes "
    "and, unless float32, its type, as in left=1x3x64x64 or tokens=1x128:int64; repeatable."
)
OUTPUT_OF = (
    "Which map of its answer counts, where a network gives several: a field, key or place, such as "
    "predicted_depth or 0."
)

PLURALS = {"executor": "executors", "runtime": "runtimes", "strategy": "strategies"}

Function = TypeVar("Function", bound=Callable[..., Any])


@dataclass(frozen=True)
class Option:
    """What a user reads about an option.

    Attributes:
        meaning: one sentence or two: what it is or does.
        panel: the heading under which ``--help`` lists it.
        unit: of its value, such as ``ms`` or ``steps``.
        usual: what is used where it is not given, if that is not the field's default.
        flag: its name on the command line, if that is not the field's.
        is_path: whether the Python API also takes a ``Path``.
        one_each: whether the command line takes it several times, once for each target.
        only_for: what alone takes it: a kind and its names, as ``("executor", "ray")`` or
            ``("strategy", "taylor", "knapsack")``; its meaning says so too.
    """

    meaning: str
    panel: str = ""
    unit: str = ""
    usual: str = ""
    flag: str = ""
    is_path: bool = False
    one_each: bool = False
    only_for: tuple[str, ...] = ()

    @property
    def owners(self) -> str:
        """What alone takes it, in words: ``strategies taylor and knapsack``."""
        kind, *names = self.only_for
        if len(names) == 1:
            return f"{kind} {names[0]}"
        return f"{PLURALS[kind]} {', '.join(names[:-1])} and {names[-1]}"


@dataclass(frozen=True)
class Declared:
    """An option with the facts of the field that declares it.

    Attributes:
        name: of the field, and of the keyword argument.
        type: of its values, without bounds and without ``None``.
        bounds: the limits of numbers, by the names of ``annotated_types``: ``gt``, ``ge``, ...
        default: the field's; ``dataclasses.MISSING`` where a value must be given.
        option: what the user reads.
    """

    name: str
    type: Any
    bounds: Mapping[str, float]
    default: Any
    option: Option

    @property
    def flag(self) -> str:
        """The option as typed on the command line."""
        return self.option.flag or f"--{self.name.replace('_', '-')}"

    @property
    def choices(self) -> tuple[str, ...]:
        """The values of an option that has only a few."""
        if get_origin(self.type) is not Literal:
            return ()
        return tuple(choice for choice in get_args(self.type) if choice)

    @property
    def shown_default(self) -> str:
        """The default as ``--help`` shows it."""
        if self.option.usual:
            return self.option.usual
        if self.default is MISSING:
            return "none; required unless --resume"
        if self.default is None or self.default in ("", {}, ()):
            return "none"
        if isinstance(self.default, float):
            return f"{self.default:g}"
        return "off" if self.default is False else str(self.default)

    @property
    def accepted(self) -> str:
        """What values it takes, in words."""
        if self.choices:
            return "one of " + ", ".join(map(str, self.choices))
        kinds = {int: "a whole number", float: "a number", str: "text", bool: "true or false"}
        return f"{kinds.get(self.type, '')}{_range(self.bounds)}"

    def refusal(self, given: object) -> str:
        """The message about a value that it does not take."""
        return f"{self.flag} {given}: give {self.accepted}"[:300]


def declared(settings: type) -> tuple[Declared, ...]:
    """Return the options that a settings class declares, in its order."""
    return tuple(field for field in _fields(settings) if field.option.meaning)


@cache
def _fields(settings: type) -> tuple[Declared, ...]:
    """All fields of a settings class; those that are no options have an empty meaning."""
    hints = get_type_hints(settings, include_extras=True)
    found = []
    for name, default in _defaults(settings).items():
        metadata: list[Any] = []
        plain = _plain(hints[name], metadata)
        option = next((item for item in metadata if isinstance(item, Option)), Option(""))
        found.append(Declared(name, plain, _bounds(metadata), default, option))
    return tuple(found)


def _defaults(settings: type) -> dict[str, Any]:
    if issubclass(settings, BaseModel):
        return {
            name: MISSING if field.is_required() else field.get_default(call_default_factory=True)
            for name, field in settings.model_fields.items()
        }
    assert dataclasses.is_dataclass(settings)
    return {
        field.name: field.default if field.default_factory is MISSING else field.default_factory()
        for field in dataclasses.fields(settings)
    }


def _plain(hint: Any, metadata: list[Any]) -> Any:
    """Return the type without ``None`` and metadata; the latter is appended to ``metadata``."""
    if get_origin(hint) is Annotated:
        inner, *extras = get_args(hint)
        for extra in extras:
            metadata.extend([extra, *getattr(extra, "metadata", [])])
        return _plain(inner, metadata)
    if get_origin(hint) in (Union, types.UnionType):
        parts = [_plain(part, metadata) for part in get_args(hint) if part is not type(None)]
        return parts[0] if len(parts) == 1 else Union[tuple(parts)]  # noqa: UP007
    if get_origin(hint) is tuple:
        parts = [part if part is Ellipsis else _plain(part, []) for part in get_args(hint)]
        return types.GenericAlias(tuple, tuple(parts))
    return hint


def _bounds(metadata: list[Any]) -> dict[str, float]:
    names = ("gt", "ge", "lt", "le")
    return {name: getattr(item, name) for item in metadata for name in names if hasattr(item, name)}


def _range(bounds: Mapping[str, float]) -> str:
    number = {name: _number(limit) for name, limit in bounds.items()}
    if set(number) == {"ge", "le"}:
        return f" from {number['ge']} to {number['le']}"
    words = {"gt": "above", "ge": "of at least", "lt": "below", "le": "at most"}
    limits = [f"{word} {number[name]}" for name, word in words.items() if name in number]
    return f" {' and '.join(limits)}" if limits else ""


def _number(limit: float) -> str:
    return f"{limit:,.0f}" if float(limit).is_integer() else f"{limit:g}"


def refusal(error: ValidationError, *settings: type) -> str:
    """Return, in one line, what is wrong with the first of the values that pydantic refused."""
    first = error.errors(include_url=False)[0]
    place, given = first["loc"], first.get("input")
    options = {option.name: option for one in settings for option in _fields(one)}
    if first["type"] == "extra_forbidden":
        known = ", ".join(name for name, option in options.items() if option.option.meaning)
        return f"unknown option {place[-1]!r}; known: {known}"
    option = options.get(str(place[-1])) if place else None
    if option is not None and isinstance(given, str | int | float):
        if first["type"] == "value_error":
            return f"{option.flag} {given}: {first['ctx']['error']}"[:300]
        if first["type"] == "string_pattern_mismatch":
            return f"{option.flag} {given}: it does not match {first['ctx']['pattern']}"[:300]
        if option.accepted:
            return option.refusal(given)
    return first_problem(error)


def foreign(settings: type, kind: str, chosen: str) -> list[Declared]:
    """Return the options of ``settings`` that are for others of a ``kind``, such as executor."""
    return [
        option
        for option in declared(settings)
        if option.option.only_for[:1] == (kind,) and chosen not in option.option.only_for[1:]
    ]


def require_own(given: Mapping[str, object], settings: type, kind: str, chosen: str) -> None:
    """Raise a ``UserError`` for an option that what was chosen does not take.

    Args:
        given: what was asked for, by name; ``None`` means not given.
        settings: the class that declares the options.
        kind: of what was chosen: ``executor``, ``runtime`` or ``strategy``.
        chosen: its name.
    """
    for option in foreign(settings, kind, chosen):
        value = given.get(option.name)
        if value is not None:
            raise UserError(
                f"{option.flag} {value} is for {option.option.owners}, not {chosen}"[:300]
            )


def check(settings: Any) -> None:
    """Check the values of a dataclass against its declarations.

    Raises:
        UserError: the first value that is of the wrong type or out of bounds.
    """
    kind: type = type(settings)
    for field, validator in _validators(kind):
        value = getattr(settings, field.name)
        try:
            validator.validate_python(value)
        except ValidationError as error:
            if not field.accepted:
                raise UserError(f"{field.flag}: {refusal(error)}") from None
            raise UserError(field.refusal(value)) from None


@cache
def _validators(settings: type) -> list[tuple[Declared, TypeAdapter[Any]]]:
    hints = get_type_hints(settings, include_extras=True)
    return [(field, TypeAdapter(hints[field.name])) for field in _fields(settings)]


def keyword_options(*settings: type) -> Callable[[Function], Function]:
    """Give a function that ends in ``**options`` the signature and the help of its options.

    ``inspect.signature``, ``help()`` and completion in notebooks then show each option with its
    type and default; type checkers read them from :mod:`netadapt.keywords`.
    """
    options = [option for one in settings for option in declared(one)]

    def decorated(function: Function) -> Function:
        signature = inspect.signature(function)
        own = [p for p in signature.parameters.values() if p.kind is not p.VAR_KEYWORD]
        names = {parameter.name for parameter in own}
        rest = [
            inspect.Parameter(
                option.name,
                inspect.Parameter.KEYWORD_ONLY,
                default=None if is_optional(option) else option.default,
                annotation=annotation(option),
            )
            for option in options
            if option.name not in names
        ]
        function.__signature__ = signature.replace(parameters=own + rest)  # type: ignore[attr-defined]
        lines = [f"    {o.name}: {described(o)}" for o in options if o.name not in names]
        function.__doc__ = f"{inspect.getdoc(function)}\n\nOptions:\n" + "\n".join(lines) + "\n"
        return function

    return decorated


def annotation(option: Declared) -> Any:
    """The type of the keyword argument."""
    plain = option.type
    if option.option.is_path:
        plain = plain | Path
    return plain | None if is_optional(option) else plain


def is_optional(option: Declared) -> bool:
    """Whether ``None`` stands for what is used where the option is not given."""
    return bool(option.option.usual) or option.default is MISSING or option.default is None


def described(option: Declared) -> str:
    """The meaning of an option with its default, in one line."""
    return f"{option.option.meaning} [default: {option.shown_default}]"


OLD_TASK_OPTIONS = ("loss", "on_bad_sample")  # stood beside all other settings in older files


def with_task_options(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return the settings of an older file with the task's own options under ``task_options``."""
    rest = {name: value for name, value in values.items() if name not in OLD_TASK_OPTIONS}
    old = {
        name: values[name] for name in OLD_TASK_OPTIONS if values.get(name) not in (None, "fail")
    }
    return {**rest, "task_options": {**old, **rest.get("task_options", {})}} if old else rest
