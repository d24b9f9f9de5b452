import csv
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np

from netadapt.search.front import pareto_front

MakeRun = Callable[..., Path]

FULL = {
    "conv0.0": 32,
    "conv1.3": 64,
    "conv2.3": 128,
    "conv3.3": 128,
    "conv4.3": 256,
    "conv5.3": 256,
    "conv6.3": 512,
    "conv7.3": 512,
    "conv8.3": 512,
    "conv9.3": 512,
    "conv10.3": 512,
    "conv11.3": 512,
    "conv12.3": 1024,
    "conv13.3": 1024,
    "decode_conv1.1.0": 512,
    "decode_conv5.1.0": 32,
}


def write_run(
    folder: Path,
    *,
    seed: int = 0,
    iterations: int = 12,
    groups: dict[str, int] | None = None,
    budget_ms: float = 5.0,
    score: str = "delta1",
    higher_is_better: bool = True,
    lut: str = "lut/epyc-ort-1-thread-fp32-b1",
    long: int = 3,
    base_long: bool = False,
    samples: bool = False,
    journal: bool = False,
    finished: bool = True,
    anchored: bool = False,
    breakdown: bool = False,
) -> Path:
    """Write a run that looks like a search's: all files that the pictures read."""
    rng = np.random.default_rng(seed)
    full = groups or FULL
    names = list(full)
    sign = 1 if higher_is_better else -1
    at_base = 0.62 if higher_is_better else 0.55
    cost = rng.dirichlet(np.full(len(full), 2.0))

    def row(name: str, iteration: int, stage: str, widths: dict[str, int], gain: float) -> dict:
        share = np.array([widths[group] / full[group] for group in names])
        predicted = 1.0 + 9.0 * float(cost @ share**1.5)
        measured = predicted * rng.uniform(0.97, 1.04) if stage != "short" else None
        value = round(at_base + sign * gain, 4)
        return {
            "candidate": name,
            "iteration": iteration,
            "stage": stage,
            "predicted_ms": round(predicted, 4),
            "measured_ms": "" if measured is None else round(measured, 4),
            f"{score}_holdout": value,
            f"{score}_test": "" if measured is None else round(value - 0.02, 4),
            "rmse_test": "" if measured is None else round(0.7 - 0.2 * gain, 4),
            "macs": int(7.37e8 * share.mean()),
            "params": int(3.93e6 * share.mean()),
            "checkpoint": f"weights/{name}.safetensors" if stage != "short" else "",
            **widths,
            "selected": "false",
        }

    widths = dict(full)
    rows = [row("0", 0, "base", widths, 0.0) | {"selected": "true"}]
    picked = []
    for iteration in range(1, iterations + 1):
        proposals = []
        for group in names:
            step = max(widths[group] // 4 // 8 * 8, 8)
            if widths[group] - step < 8:
                continue
            narrower = widths | {group: widths[group] - step}
            left = float(np.mean([narrower[name] / full[name] for name in names]))
            gain = -0.16 * (1 - left) ** 1.3 - abs(rng.normal(0, 0.012))
            proposals.append(row(f"{iteration}-{group}", iteration, "short", narrower, gain))
        best = max(proposals, key=lambda entry: sign * entry[f"{score}_holdout"])
        best["selected"] = "true"
        widths = {name: best[name] for name in names}
        rows += proposals
        picked.append(best)
    for best in picked[:: -max(iterations // max(long, 1), 1)][:long]:
        gain = sign * (best[f"{score}_holdout"] - at_base) + 0.03
        kept = {name: best[name] for name in names}
        rows.append(row(f"{best['candidate']}-long", best["iteration"], "long", kept, gain))
    if base_long:
        rows.append(row("0-long", 0, "long", dict(full), 0.035))

    front = pareto_front(
        [entry["predicted_ms"] for entry in rows],
        [sign * entry[f"{score}_holdout"] for entry in rows],
    )
    folder.mkdir(parents=True)
    columns = list(rows[0])
    write_csv(folder / "candidates.csv", columns, rows)
    write_csv(folder / "pareto.csv", columns[:-1], [rows[index] for index in front])
    settings = {
        "format": 1,
        "model": "fastdepth",
        "data": "synthetic:400",
        "lut": lut,
        "budget_ms": budget_ms,
        "seed": seed,
        "score": score,
        "higher_is_better": higher_is_better,
    }
    (folder / "run.json").write_text(json.dumps(settings))
    if journal:
        write_journal(folder / "journal.jsonl", rows, names, score, finished, anchored)
    if breakdown:
        write_breakdown(folder / "breakdown.csv", rows, names)
    if samples:
        write_samples(folder / "samples.npz")
    return folder


def write_journal(
    path: Path, rows: list[dict], groups: list[str], score: str, finished: bool, anchored: bool
) -> None:
    """Write the events of ``rows``; an unfinished run stops in its last iteration."""

    def candidate(row: dict) -> dict:
        return {
            "name": row["candidate"],
            "iteration": row["iteration"],
            "stage": row["stage"],
            "widths": {group: row[group] for group in groups},
            "predicted_ms": row["predicted_ms"],
            "macs": row["macs"],
            "params": row["params"],
            "score": row[f"{score}_holdout"],
            "failure": None,
            "checkpoint": "checkpoints/0.safetensors",
            "test": {},
        }

    events: list[dict] = [{"event": "started", "base": candidate(rows[0])}]
    last = max(row["iteration"] for row in rows)
    for iteration in range(1, last + 1):
        short = [row for row in rows if row["iteration"] == iteration and row["stage"] == "short"]
        proposals = [{"name": row["candidate"]} for row in short]
        target = max(row["predicted_ms"] for row in short)
        events.append(
            {
                "event": "iteration",
                "iteration": iteration,
                "target_ms": target,
                "proposals": proposals,
            }
        )
        stops = not finished and iteration == last
        scored = short[: len(short) // 2] if stops else short
        events += [{"event": "scored", "candidate": candidate(row)} for row in scored]
        if stops:
            break
        (picked,) = (row for row in short if row["selected"] == "true")
        events.append({"event": "selected", "iteration": iteration, "name": picked["candidate"]})
        if anchored:
            base_ms = rows[0]["predicted_ms"] * (1 + 0.01 * iteration)
            ms = 1.03 * picked["predicted_ms"]
            name = picked["candidate"]
            events.append({"event": "anchored", "name": name, "base_ms": base_ms, "ms": ms})
    if finished:
        tuned = [row for row in rows if row["stage"] == "long"]
        events += [{"event": "tuned", "candidate": candidate(row)} for row in tuned]
        answer = min(tuned or rows[:1], key=lambda row: row["predicted_ms"])
        events.append({"event": "finished", "name": answer["candidate"]})
    path.write_text("".join(json.dumps(event) + "\n" for event in events))


def write_breakdown(path: Path, rows: list[dict], groups: list[str]) -> None:
    parts = [
        {
            "candidate": row["candidate"],
            "group": group,
            "kind": "conv2d 1x1" if place % 2 else "conv2d 3x3 depthwise",
            "ms": round(row["predicted_ms"] / len(groups), 5),
        }
        for row in rows
        if row["stage"] != "short" or row["selected"] == "true"
        for place, group in enumerate(groups)
    ]
    write_csv(path, ["candidate", "group", "kind", "ms"], parts)


def write_csv(path: Path, columns: list[str], rows: list[dict]) -> None:
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, columns, extrasaction="ignore")
        writer.writeheader()
        writer.writerows(rows)


def write_samples(path: Path, count: int = 3, height: int = 48, width: int = 64) -> None:
    rng = np.random.default_rng(0)
    rgb = rng.integers(0, 256, (count, height, width, 3), dtype=np.uint8)
    slope = np.linspace(1.0, 5.0, width, dtype=np.float32)
    truth = np.broadcast_to(slope, (count, height, width)).copy()
    truth[:, :5] = 0
    base = truth + rng.normal(0, 0.2, truth.shape).astype(np.float32)
    np.savez(
        path,
        rgb=rgb,
        truth=truth,
        base=base,
        pruned=base * np.float32(1.1),
        names=np.array([f"{index:05d}" for index in range(count)]),
    )
