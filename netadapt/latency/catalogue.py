"""Tables seen from outside: what one covers, and how two differ."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import pandas as pd

from netadapt.latency.table import Latency, LatencyTable
from netadapt.latency.target import Options, Target
from netadapt.latency.validation import is_group, load_validation
from netadapt.latency.workloads import Workload, family

Rows = Mapping[Workload, Latency]


def kind_name(workload: Workload) -> str:
    """Return the kind with its kernel: ``conv2d 5x5 depthwise``."""
    shared = family(workload)
    kernel = "x".join(map(str, shared.kernel))
    grouping = f"groups {shared.grouping}" if shared.grouping.isdigit() else shared.grouping
    return " ".join(word for word in (shared.kind, kernel, grouping) if word)


def family_name(workload: Workload) -> str:
    """Return what a workload's family has in common, channels left out."""
    shared = family(workload)
    words = [kind_name(workload)]
    if any(stride > 1 for stride in shared.stride):
        words.append("stride " + "x".join(map(str, shared.stride)))
    if any(dilation > 1 for dilation in shared.dilation):
        words.append("dilation " + "x".join(map(str, shared.dilation)))
    if shared.activation:
        words.append(shared.activation if shared.kind == "activation" else f"+ {shared.activation}")
    if len(shared.spatial) > 1 and shared.kind == "conv2d":
        words.append("+ add")
    return " ".join([*words, "at", size_of(workload)])


def size_of(workload: Workload) -> str:
    """Return the height and width that the workload reads: ``112x112``."""
    return "x".join(map(str, workload.inputs[0][2:])) or "1"


def coverage(rows: Rows) -> pd.DataFrame:
    """Return what was measured: one row per kind, those that take longest first.

    Columns: ``kind``, ``sizes`` (how many different ones), ``families``, ``workloads``,
    ``in_channels`` and ``out_channels`` (lowest and highest) and ``p50_us`` (likewise).
    """
    grouped: dict[str, list[Workload]] = {}
    for workload in rows:
        grouped.setdefault(kind_name(workload), []).append(workload)
    found: list[dict[str, Any]] = [
        {
            "kind": kind,
            "sizes": len({size_of(one) for one in members}),
            "families": len({family(one) for one in members}),
            "workloads": len(members),
            "in_channels": _ends(one.inputs[0][1] for one in members if len(one.inputs[0]) > 1),
            "out_channels": _ends(one.out_channels for one in members),
            "p50_us": _ends(rows[one].p50_us for one in members),
        }
        for kind, members in grouped.items()
    ]
    found.sort(key=lambda row: -max(row["p50_us"]))
    return pd.DataFrame(found)


def _ends(values: Iterable[float]) -> list[float]:
    known = sorted(values)
    return [known[0], known[-1]] if known else []


@dataclass(frozen=True)
class Difference:
    """How table b differs from table a.

    Attributes:
        fields: of the two targets, those that differ: ``{field: (a's, b's)}``.
        shared: the workloads that both have, biggest change first: ``workload``, ``kind``,
            ``a_us``, ``b_us``, ``change_us``, ``ratio`` (b to a; NaN where a took no time) and
            ``apart`` (whether the ranges from p10 to p90 do not meet).
        only_a: what b lacks, as a table holds it; ``only_b`` likewise.
        networks: whole networks that both have timed: ``a_ms``, ``b_ms``, ``ratio``.
    """

    fields: dict[str, tuple[object, object]]
    shared: pd.DataFrame
    only_a: Rows
    only_b: Rows
    networks: pd.DataFrame

    def by_kind(self) -> pd.DataFrame:
        """Return one row per kind, the most time first, and a last one, ``all``.

        Columns: ``kind``, ``shared`` (how many workloads), ``a_ms`` and ``b_ms`` (summed over
        them), ``ratio`` (of the sums), ``ratio_p10``, ``ratio_p50``, ``ratio_p90`` (of the
        workloads' own ratios) and ``apart_percent``.
        """
        if self.shared.empty:
            return pd.DataFrame()
        kinds = [(str(kind), rows) for kind, rows in self.shared.groupby("kind")]
        kinds.sort(key=lambda item: -float(item[1]["a_us"].sum()))
        return pd.DataFrame([_summary(kind, rows) for kind, rows in [*kinds, ("all", self.shared)]])


def _summary(kind: str, rows: pd.DataFrame) -> dict[str, object]:
    a_ms, b_ms = (float(rows[name].sum()) / 1000 for name in ("a_us", "b_us"))
    return {
        "kind": kind,
        "shared": len(rows),
        "a_ms": a_ms,
        "b_ms": b_ms,
        "ratio": b_ms / a_ms if a_ms else float("nan"),
        **ratio_quantiles(rows["ratio"]),
        "apart_percent": 100 * float(rows["apart"].mean()),
    }


def ratio_quantiles(ratios: "pd.Series[float]") -> dict[str, float]:
    """Return ``ratio_p10``, ``ratio_p50`` and ``ratio_p90``; NaN where nothing is known."""
    return {f"ratio_p{percent}": float(ratios.quantile(percent / 100)) for percent in (10, 50, 90)}


def difference(a: LatencyTable, b: LatencyTable) -> Difference:
    """Compare two tables, workload by workload; the dtype alone does not tell two apart."""
    rows_a, rows_b = _by_shape(a.rows), _by_shape(b.rows)
    both = [shape for shape in rows_a if shape in rows_b]
    shared = [_compared(shape, rows_a[shape][1], rows_b[shape][1]) for shape in both]
    frame = pd.DataFrame(shared)
    if shared:
        order = frame["change_us"].abs().sort_values(ascending=False, kind="stable").index
        frame = frame.loc[order].reset_index(drop=True)
    return Difference(
        fields=_differing_fields(a.target, b.target),
        shared=frame,
        only_a=dict(rows_a[shape] for shape in rows_a if shape not in rows_b),
        only_b=dict(rows_b[shape] for shape in rows_b if shape not in rows_a),
        networks=_shared_networks(a, b),
    )


def _by_shape(rows: Rows) -> dict[Workload, tuple[Workload, Latency]]:
    """Two precisions have different dtypes but compute the same."""
    return {replace(one, dtype=""): (one, latency) for one, latency in rows.items()}


def _compared(workload: Workload, a: Latency, b: Latency) -> dict[str, object]:
    return {
        "workload": str(workload),
        "kind": kind_name(workload),
        "a_us": a.p50_us,
        "b_us": b.p50_us,
        "change_us": b.p50_us - a.p50_us,
        "ratio": b.p50_us / a.p50_us if a.p50_us else float("nan"),
        "apart": a.p90_us < b.p10_us or b.p90_us < a.p10_us,
    }


def _differing_fields(a: Target, b: Target) -> dict[str, tuple[object, object]]:
    names = ("device", "hardware", "system", "runtime", "runtime_version", *Options.model_fields)
    pairs = {name: (getattr(a, name), getattr(b, name)) for name in (*names, "clock", "date")}
    return {name: pair for name, pair in pairs.items() if pair[0] != pair[1]}


def _shared_networks(a: LatencyTable, b: LatencyTable) -> pd.DataFrame:
    """Pair the whole networks of equal widths, if both tables are of the same convolutions.

    ``validation.csv`` gives a network's widths, but neither its model nor its input size.
    """
    files = [table.folder / "validation.csv" for table in (a, b)]
    if not all(file.exists() for file in files) or _convolutions(a) != _convolutions(b):
        return pd.DataFrame()
    first, second = (load_validation(file.parent) for file in files)
    groups = [name for name in first.columns if is_group(name)]
    if not groups or set(groups) != {name for name in second.columns if is_group(name)}:
        return pd.DataFrame()
    kept = [*groups, "measured_ms"]
    pairs = first[kept].merge(second[kept], on=groups, suffixes=("_a", "_b"))
    measured = pairs[["measured_ms_a", "measured_ms_b"]].set_axis(["a_ms", "b_ms"], axis=1)
    return measured.assign(ratio=measured["b_ms"] / measured["a_ms"])


def _convolutions(table: LatencyTable) -> set[tuple[object, ...]]:
    """Facts that are the same in two runtimes, however they fuse."""
    return {
        (one.inputs[0][0], one.inputs[0][2:], one.kernel, one.stride, one.dilation)
        for one in table.rows
        if one.kind == "conv2d"
    }
