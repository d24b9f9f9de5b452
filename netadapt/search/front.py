"""The front of accuracy against latency."""

import numpy as np
from numpy.typing import ArrayLike, NDArray


def pareto_front(latency_ms: ArrayLike, accuracy: ArrayLike) -> NDArray[np.intp]:
    """Return the indices of the non-dominated points, by rising latency.

    A point is dominated if another is no slower and no less accurate, and better in one
    of the two. Of points equal in both, the first is kept. Points with a NaN are never
    on the front.

    Args:
        latency_ms: ``(N,)`` latencies, lower is better.
        accuracy: ``(N,)`` accuracies, higher is better.

    Raises:
        ValueError: the two differ in length or are not one-dimensional.
    """
    latency, score = _paired(latency_ms, accuracy)
    order = np.lexsort((np.arange(len(latency)), -score, latency))
    order = order[~(np.isnan(latency) | np.isnan(score))[order]]
    best_before = np.maximum.accumulate(np.concatenate(([-np.inf], score[order])))[:-1]
    return order[score[order] > best_before]


def hypervolume(
    latency_ms: ArrayLike, accuracy: ArrayLike, reference: tuple[float, float]
) -> float:
    """Return the area that the points dominate, bounded by ``reference``.

    Args:
        latency_ms: ``(N,)`` latencies, lower is better.
        accuracy: ``(N,)`` accuracies, higher is better.
        reference: ``(latency_ms, accuracy)`` of the worst corner; points beyond it add nothing.

    Source: Zitzler and Thiele 1998; two-dimensional sweep, checked against pymoo.
    """
    latency, score = _paired(latency_ms, accuracy)
    inside = (latency < reference[0]) & (score > reference[1])
    latency, score = latency[inside], score[inside]
    front = pareto_front(latency, score)
    edges = np.append(latency[front], reference[0])
    return float(np.sum(np.diff(edges) * (score[front] - reference[1])))


def _paired(
    latency_ms: ArrayLike, accuracy: ArrayLike
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    latency = np.asarray(latency_ms, dtype=np.float64)
    score = np.asarray(accuracy, dtype=np.float64)
    if latency.ndim != 1 or latency.shape != score.shape:
        raise ValueError(f"need two equal lists, got shapes {latency.shape} and {score.shape}")
    return latency, score
