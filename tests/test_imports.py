"""The house of DESIGN.md: who may import whom, file by file."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

import netadapt

PACKAGE = Path(netadapt.__file__).parent
ROOMS_BELOW = {
    "cli": {
        "api",
        "on_device",
        "report",
        "depth",
        "search",
        "profiling",
        "deployment",
        "training",
        "latency",
        "models",
        "pruning",
    },
    "report": {"latency"},
    "depth": {"training", "models"},
    "search": {"profiling", "deployment", "training", "latency", "models", "pruning"},
    "profiling": {"deployment", "latency", "pruning"},
    "deployment": {"pruning"},
    "training": {"models", "pruning"},
    "latency": {"pruning"},
    "models": {"pruning"},
    "pruning": set(),
}
FOUNDATION = {
    f"netadapt.{name}"
    for name in (
        "checksums",
        "errors",
        "extras",
        "factories",
        "files",
        "image_sizes",
        "interrupts",
        "keywords",
        "lazy",
        "options",
        "texts",
        "wording",
    )
}
# arithmetic on numbers alone, which pictures need as much as the search does
ALSO_ALLOWED = {("report", "netadapt.search.front")}


@cache
def imported_modules(path: Path) -> frozenset[str]:
    """Every module of ours that ``path`` imports: at its top, in a function, or for types only."""
    return frozenset(_imported(path))


def _imported(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path} imports relatively"
            names = [f"{node.module}.{alias.name}" for alias in node.names]
        else:
            continue
        for name in names:
            if name.split(".")[0] == "netadapt":
                yield module_of(name)


def module_of(name: str) -> str:
    """``netadapt.errors.UserError`` -> ``netadapt.errors``."""
    parts = name.split(".")
    while parts:
        path = PACKAGE.parent.joinpath(*parts)
        if path.is_dir() or path.with_suffix(".py").is_file():
            return ".".join(parts)
        parts.pop()
    raise AssertionError(f"there is no module {name}")


def name_of(path: Path) -> str:
    """The dotted name of the module in ``path``."""
    parts = path.relative_to(PACKAGE.parent).with_suffix("").parts
    return ".".join(parts).removesuffix(".__init__")


FILES = {name_of(path): path for path in sorted(PACKAGE.rglob("*.py"))}


def rooms() -> dict[str, list[Path]]:
    folders = [path for path in PACKAGE.iterdir() if (path / "__init__.py").is_file()]
    return {folder.name: sorted(folder.rglob("*.py")) for folder in folders}


def test_the_house_has_the_rooms_of_the_design() -> None:
    assert set(rooms()) == set(ROOMS_BELOW)


@pytest.mark.parametrize("room", ROOMS_BELOW)
def test_imports_run_one_way(room: str) -> None:
    for path in rooms()[room]:
        for module in imported_modules(path):
            if module in FOUNDATION or (room, module) in ALSO_ALLOWED:
                continue
            parts = module.split(".")
            assert len(parts) > 1, f"{path} imports netadapt itself"
            assert parts[1] == room or parts[1] in ROOMS_BELOW[room], f"{path} imports {module}"


def test_only_the_command_line_knows_depth() -> None:
    outside = [name for name in FILES if not name.startswith(("netadapt.depth", "netadapt.cli"))]
    for name in outside:
        for module in imported_modules(FILES[name]):
            assert not module.startswith("netadapt.depth"), f"{name} imports {module}"


@pytest.mark.parametrize("name", sorted(FOUNDATION))
def test_the_foundation_rests_on_nothing_but_itself(name: str) -> None:
    assert imported_modules(FILES[name]) <= FOUNDATION


def test_no_file_imports_itself_by_way_of_others() -> None:
    """Circles, type-only imports and imports inside functions included."""
    graph = {
        name: {module for module in imported_modules(path) if module != name}
        for name, path in FILES.items()
    }
    assert list(TopologicalSorter(graph).static_order())


@pytest.mark.parametrize("room", ROOMS_BELOW)
def test_the_init_of_a_folder_only_hands_on_names(room: str) -> None:
    for path in rooms()[room]:
        if path.name != "__init__.py":
            continue
        for node in ast.parse(path.read_text(encoding="utf-8")).body:
            docstring = isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
            hands_on = isinstance(node, ast.Import | ast.ImportFrom | ast.Assign)
            for_types = isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"
            assert docstring or hands_on or for_types, f"{path} line {node.lineno} holds logic"


def in_a_new_python(code: str) -> None:
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    "module",
    ["netadapt", "netadapt.report", "netadapt.search.front", "netadapt.cli.main"],
)
def test_what_needs_no_torch_does_not_load_it(module: str) -> None:
    in_a_new_python(f"import sys, {module}; assert 'torch' not in sys.modules")


@pytest.mark.parametrize(
    "code",
    [
        "import netadapt; from netadapt.search import front; assert callable(netadapt.search)",
        "from netadapt.search import front; import netadapt; assert callable(netadapt.search)",
        "import netadapt.search.front; assert callable(netadapt.search)",
        "from netadapt import search; import netadapt.search.front; assert callable(search)",
    ],
)
def test_search_is_a_function_and_a_folder(code: str) -> None:
    in_a_new_python(f"{code}; import netadapt; assert callable(netadapt.search)")


def test_every_public_name_is_there() -> None:
    for name in netadapt.__all__:
        assert getattr(netadapt, name) is not None
    with pytest.raises(AttributeError, match="nonsense"):
        netadapt.nonsense  # noqa: B018
