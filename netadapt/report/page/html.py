"""The page itself: one HTML file that needs nothing else."""

import base64
import hashlib
import json
import math
from collections.abc import Sequence
from dataclasses import asdict
from importlib.metadata import version
from importlib.resources import files
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from netadapt.errors import UserError
from netadapt.files import write_atomic
from netadapt.report.page.comparison import comparison_data
from netadapt.report.page.run_data import Detail, commands_of_all, run_data
from netadapt.report.page.table_data import table_data
from netadapt.report.runs import RunView
from netadapt.report.several import read_runs

MAX_BYTES = 5_000_000
ASSETS = "netadapt.report.page"
SCRIPTS = (
    "core.js", "charts.js", "front.js", "point.js", "samples.js", "walk.js", "compare.js",
    "joint.js", "table.js", "main.js",
)  # fmt: skip
LEVELS = (
    Detail(), Detail(2000, 240), Detail(500, 200), Detail(100, 160), Detail(0, 128), Detail(0, 0)
)  # fmt: skip


def write_page(paths: Sequence[Path], out: Path | None = None) -> Path:
    """Write the page of one run, of several side by side, or of a latency table.

    Args:
        paths: run folders, a folder of a search for several targets or over several input sizes,
            or one table.
        out: the file; by default ``report.html`` in the run or table, ``report.html`` here for
            several.

    Returns:
        the file.

    Raises:
        UserError: something is damaged, runs differ in the score that counts, or the file cannot
            be written.
    """
    out = out or default_file(paths)
    if out.suffix.lower() not in (".html", ".htm"):
        raise UserError(f"cannot write {out}: a page is an .html file")
    write_atomic(out, page(paths))
    return out


def default_file(paths: Sequence[Path]) -> Path:
    """Return where the page of ``paths`` goes unless told otherwise."""
    return (paths[0] if len(paths) == 1 else Path()) / "report.html"


def page(paths: Sequence[Path], *, watch: bool = False) -> str:
    """Return the page as text, at most 5 MB; candidates and pictures are left out to fit.

    Args:
        paths: as of ``write_page``.
        watch: the page asks its server for a newer one.
    """
    if not paths:
        raise UserError("no run to report; name a run folder")
    if any((path / "target.json").is_file() for path in paths):
        if len(paths) > 1:
            raise UserError("a page shows one latency table, or runs; name one table alone")
        return _rendered({"kind": "table", "table": table_data(paths[0])}, watch)
    runs, joint = read_runs(paths)
    _check_scores(runs)
    again = commands_of_all(paths[0], runs) if joint else ()
    for detail in LEVELS:
        data = {
            "kind": "runs",
            "runs": [run_data(run, detail, again) for run in runs],
            "comparison": comparison_data(runs),
            "joint": joint and asdict(joint),
        }
        text = _rendered(data, watch)
        if len(text.encode()) <= MAX_BYTES:
            return text
    raise UserError(
        f"the page of {len(runs)} runs is larger than {MAX_BYTES // 1_000_000} MB; name fewer runs"
    )


def _check_scores(runs: Sequence[RunView]) -> None:
    for run in runs[1:]:
        if (run.score, run.higher_is_better) != (runs[0].score, runs[0].higher_is_better):
            raise UserError(
                f"{runs[0].path} scores by {runs[0].score} and {run.path} by {run.score}; "
                "report runs of one score together"
            )


def _rendered(data: dict[str, Any], watch: bool) -> str:
    environment = Environment(
        loader=PackageLoader(ASSETS, "assets"), autoescape=True, undefined=StrictUndefined
    )
    scripts = [_asset("plotly-basic.min.js"), "\n".join(_asset(name) for name in SCRIPTS)]
    data = {**data, "watch": watch, "version": version("netadapt")}
    return environment.get_template("page.html").render(
        title=_title(data),
        style=Markup(_asset("page.css")),
        scripts=[Markup(script) for script in scripts],
        hashes=[_hash(script) for script in scripts],
        data=_embedded(data),
        watch=watch,
    )


def _title(data: dict[str, Any]) -> str:
    if data["kind"] == "table":
        return f"{data['table']['name']}: latency table"
    joint = data["joint"]
    names = joint["name"] if joint else ", ".join(run["name"] for run in data["runs"])
    return f"{names}: netadapt"


def _asset(name: str) -> str:
    return (files(ASSETS) / "assets" / name).read_text(encoding="utf-8")


def _hash(script: str) -> str:
    """Return the word by which the page's content security policy allows ``script``."""
    return "sha256-" + base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()


def _embedded(data: dict[str, Any]) -> Markup:
    """Return ``data`` as JSON that cannot end its element or begin another."""
    text = json.dumps(_finite(data), ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    for character in "<>&\u2028\u2029":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return Markup(text)


def _finite(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _finite(item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
