"""The result of a search."""

import importlib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from netadapt.texts import object_of

if TYPE_CHECKING:
    import pandas as pd

REPORT = "netadapt.report.page:write_page"


@dataclass(frozen=True)
class SearchRun:
    """A finished search.

    Attributes:
        folder: everything it wrote.
        final: checkpoint of the model within the budgets, or above the accuracy, asked for.
        predicted_only: why nothing was measured, or ``None`` if it was.
        notes: what the user should know of the result, a line each.
    """

    folder: Path
    final: Path
    predicted_only: str | None
    notes: tuple[str, ...] = ()

    @property
    def front(self) -> "pd.DataFrame":
        """The points of ``pareto.csv``, those fine-tuned long first; ``final`` is among them."""
        import pandas as pd  # imported where it is needed, as it takes long

        points = pd.read_csv(self.folder / "pareto.csv", dtype={"candidate": str})
        final = self.final.relative_to(self.folder).as_posix()
        if final not in set(points["checkpoint"]):
            everything = self.candidates
            answer = everything[everything["checkpoint"] == final]
            points = pd.concat([answer.reindex(columns=points.columns), points])
        return points.sort_values(
            "stage", kind="stable", ignore_index=True, key=lambda stages: stages != "long"
        )

    @property
    def report(self) -> Path:
        """The page of the run, ``report.html``; it is written when it is first asked for."""
        page = self.folder / "report.html"
        if not page.exists():
            module, _, function = REPORT.partition(":")
            getattr(importlib.import_module(module), function)([self.folder], page)
        return page

    @property
    def candidates(self) -> "pd.DataFrame":
        """Everything evaluated, as in ``candidates.csv``."""
        import pandas as pd

        return pd.read_csv(self.folder / "candidates.csv", dtype={"candidate": str})

    @property
    def summary(self) -> dict[str, Any]:
        """What the search has cost and how it ended, as in ``summary.json``."""
        return object_of(self.folder / "summary.json")
