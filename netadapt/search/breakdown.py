"""Where the time goes: the predicted latency of a run's networks by channel group and kind."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping

import pandas as pd

from netadapt.files import write_atomic
from netadapt.latency.predictor import LatencyPredictor
from netadapt.search.run_folder import RunFolder
from netadapt.search.state import SearchState

COLUMNS = ("candidate", "group", "kind", "ms")
NO_GROUP = ""
"""The group of an operation that makes no channels of one: an addition, the last layer."""


def write_breakdown(predictor: LatencyPredictor, folder: RunFolder, state: SearchState) -> None:
    """Write ``breakdown.csv``: a row for each network, channel group and kind of operation.

    The networks are the base, the picks of the walk, the front, and all fine-tuned long. ``ms`` is
    the table's prediction with the fixed costs spread over it.
    """
    rows = [state.candidates[name] for name in state.walk]
    rows += state.front()
    rows += [row for row in state.candidates.values() if row.stage == "long"]
    networks = {row.name: row.widths for row in rows}
    frame = pd.DataFrame(_rows(predictor, networks), columns=list(COLUMNS))
    write_atomic(folder.breakdown, frame.to_csv(index=False, float_format="%.5g"))


def _rows(
    predictor: LatencyPredictor, networks: Mapping[str, Mapping[str, int]]
) -> Iterator[tuple[str, str, str, float]]:
    groups = {
        layer: name
        for name, group in predictor.prunable.groups.items()
        for layer in group.producers
    }
    for name, widths in networks.items():
        spent: dict[tuple[str, str], float] = defaultdict(float)
        for module, workload, ms in predictor.breakdown(widths):
            spent[groups.get(module, NO_GROUP), _kind(workload.split())] += ms
        for (group, kind), ms in spent.items():
            yield name, group, kind, ms


def _kind(words: Iterable[str]) -> str:
    """``conv2d 3x3 depthwise 32->32 + relu6 at 64x80`` is a ``conv2d 3x3 depthwise``."""
    kept = []
    for word in words:
        if "->" in word or word.startswith("(") or word in ("+", "at", "stride"):
            break
        kept.append(word)
    return " ".join(kept)
