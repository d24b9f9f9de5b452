"""Errors of pydantic in plain words."""

from typing import Any

from pydantic import ValidationError
from pydantic_core import ErrorDetails

SHOWN = 60  # characters of a wrong value
_BOUNDS = {
    "greater_than": ("gt", "give more than {}"),
    "greater_than_equal": ("ge", "give {} or more"),
    "less_than": ("lt", "give less than {}"),
    "less_than_equal": ("le", "give {} or less"),
}
_WITHOUT_VALUE = {
    "missing": "is missing",
    "extra_forbidden": "is not known",
    "string_too_short": "is empty",
    "json_invalid": "it is not JSON",
}
_KINDS = {
    "int": "a whole number",
    "float": "a number",
    "finite_number": "a finite number",
    "bool": "true or false",
    "string": "text",
    "list": "a list",
    "tuple": "a list",
    "dict": "a table of names and values",
    "model": "a table of names and values",
    "dataclass": "a table of names and values",
    "mapping": "a table of names and values",
}


_UNION_TAGS = ("str", "int", "float", "bool")  # pydantic's names of what a value may be


def first_problem(error: ValidationError, where: str = "") -> str:
    """Return what is wrong first: the place, the value, and what would be right.

    Args:
        error: as pydantic raises it.
        where: the part of the file that was validated, if not all of it.
    """
    details = error.errors(include_url=False)[0]
    path = ".".join(str(part) for part in details["loc"] if part not in _UNION_TAGS)
    place = f"{where}: {path}" if where and path else where or path
    kind = details["type"]
    if kind in _WITHOUT_VALUE:
        return f"{place} {_WITHOUT_VALUE[kind]}".strip()
    return f"{place} is {_shown(details['input'])}; {_remedy(details)}".strip()[:400]


def _remedy(details: ErrorDetails) -> str:
    kind, context = details["type"], details.get("ctx", {})
    if kind in _BOUNDS:
        key, words = _BOUNDS[kind]
        return words.format(context[key])
    if kind in ("literal_error", "enum"):
        return f"give {context['expected']}"
    if kind == "value_error":
        return str(context["error"])
    if kind == "string_pattern_mismatch":
        return f"it does not match {context['pattern']}"
    if kind == "string_too_long":
        return f"give at most {context['max_length']} characters"
    if kind in ("too_long", "too_short"):
        key, most = ("max_length", "at most") if kind == "too_long" else ("min_length", "at least")
        return f"give {most} {context[key]} of them"
    if kind.startswith("union_tag"):
        return f"give one with {context.get('discriminator', 'a known name')}"
    for start, wanted in _KINDS.items():
        if kind.startswith(f"{start}_") or kind == start:
            return f"give {wanted}"
    return "it is not of the right form"


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= SHOWN else f"{text[:SHOWN]}..."
