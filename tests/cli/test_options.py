"""An option is declared once: everything that shows or takes it agrees with the declaration."""

import inspect
import re
from collections.abc import Iterator
from typing import Any, get_type_hints

import pytest
import typer.main
from golden_file import assert_golden
from written_options import COMMANDS, KEYWORDS, ROOT, options_of, source, written

import netadapt as package
from netadapt import keywords
from netadapt.cli.main import app
from netadapt.options import annotation
from netadapt.search.names import STRATEGIES


@pytest.mark.parametrize("name", written())
def test_what_is_written_from_the_declarations_is_up_to_date(name):
    assert_golden(ROOT / name, written()[name])


@pytest.mark.parametrize("name", KEYWORDS)
def test_type_checkers_see_every_option_with_its_type(name):
    """What is stored says the same as the declarations, as Python reads it."""
    _, settings, without = KEYWORDS[name]
    hints = get_type_hints(getattr(keywords, name))
    options = {option.name: option for option in options_of(settings)}
    assert hints.keys() == options.keys() - without
    for option in hints:
        assert source(hints[option]).removesuffix(" | None") == source(
            annotation(options[option])
        ).removesuffix(" | None")


def test_the_meaning_says_what_alone_takes_an_option():
    owned = [option for one in COMMANDS.values() for option in options_of(one)]
    owned = [option for option in owned if option.option.only_for]
    assert {option.name for option in owned} >= {"address", "provider", "tune", "population"}
    for option in owned:
        assert f"({option.option.owners})" in option.option.meaning


def test_an_option_of_a_strategy_is_for_strategies_that_there_are():
    kinds = [option.option.only_for for option in options_of(COMMANDS["search"])]
    names = {name for kind, *names in filter(None, kinds) if kind == "strategy" for name in names}
    assert names <= set(STRATEGIES)


FUNCTIONS = {"search": "search", "train": "train", "profile": "profile-lut"}


@pytest.mark.parametrize("function", FUNCTIONS)
def test_the_signature_shows_every_option_with_its_default(function):
    signature = inspect.signature(getattr(package, function))
    assert not any(p.kind is p.VAR_KEYWORD for p in signature.parameters.values())
    for option in options_of(COMMANDS[FUNCTIONS[function]]):
        parameter = signature.parameters[option.name]
        if parameter.default is not None:
            assert parameter.default == option.default


@pytest.mark.parametrize("function", FUNCTIONS)
def test_help_tells_what_every_option_means(function):
    told = inspect.getdoc(getattr(package, function)) or ""
    for option in options_of(COMMANDS[FUNCTIONS[function]]):
        assert f"{option.name}: " in told


@pytest.mark.parametrize("command", COMMANDS)
def test_help_shows_every_option_with_meaning_and_default(netadapt, monkeypatch, command):
    monkeypatch.setenv("COLUMNS", "120")
    page = " ".join(netadapt(command, "--help").out.split())
    for option in options_of(COMMANDS[command]):
        assert re.search(rf"{option.flag} (\S+ )?{re.escape(option.option.meaning)}", page)
        assert f"[default: {option.shown_default}]" in page


def test_every_option_has_a_panel_and_a_meaning_that_is_a_sentence():
    for settings in COMMANDS.values():
        for option in options_of(settings):
            assert option.option.panel
            assert option.option.meaning.endswith(".")
            assert option.option.meaning[0].isupper() or option.option.meaning[0].islower()


def pages(command: Any, words: str = "") -> Iterator[str]:
    """Yield the words of every command that has a help page; none can be forgotten."""
    yield words
    for name, below in getattr(command, "commands", {}).items():
        yield from pages(below, f"{words} {name}".strip())


PAGES = list(pages(typer.main.get_command(app)))
GROUPS = ("", "lut")  # commands that only hold others


def test_a_stored_help_page_is_of_a_command_that_exists():
    stored = {path.stem for path in (ROOT / "tests/cli/golden").glob("help*.txt")}
    assert stored == {"-".join(["help", *words.split()]) for words in PAGES}


@pytest.mark.parametrize("command", PAGES)
def test_the_help_page_is_the_stored_one(netadapt, monkeypatch, command):
    monkeypatch.setenv("COLUMNS", "80")
    result = netadapt(command, "--help")
    assert (result.code, result.err) == (0, "")
    page = re.sub(r"^Usage: .*?netadapt", "Usage: netadapt", result.out)
    name = "-".join(["help", *command.split()])
    assert_golden(ROOT / "tests/cli/golden" / f"{name}.txt", page)


@pytest.mark.parametrize("command", [page for page in PAGES if page not in GROUPS])
def test_every_option_in_help_shows_its_default(netadapt, monkeypatch, command):
    monkeypatch.setenv("COLUMNS", "120")
    page = netadapt(command, "--help").out
    options = re.split(r"\n  (?=--)", page)[1:]
    for told in options:
        if not told.startswith("--help"):
            assert re.search(r"\[(default: |.*required)", " ".join(told.split())), told
