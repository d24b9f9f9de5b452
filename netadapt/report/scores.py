"""Scores as the field writes them."""

_SCORES = {
    "delta1": ("δ1", ""),
    "delta2": ("δ2", ""),
    "delta3": ("δ3", ""),
    "rmse": ("RMSE", "m"),
    "mae": ("MAE", "m"),
    "absrel": ("AbsRel", ""),
    "irmse": ("iRMSE", "1/m"),
    "rmse_log": ("RMSE log", ""),
    "log10": ("log10", ""),
    "sqrel": ("SqRel", "m"),
    "silog": ("SILog", ""),
    "accuracy": ("accuracy", ""),
}

HIGHER_IS_BETTER = {name: name.startswith(("delta", "accuracy")) for name in _SCORES}
"""Of the scores that are known; a run of another score says it in its ``run.json``."""


def score_name(score: str) -> str:
    """Return how the field writes ``score``: ``delta1`` is δ1."""
    return _SCORES.get(score, (score, ""))[0]


def score_unit(score: str) -> str:
    """Return the unit of ``score``, empty if it has none or is not known."""
    return _SCORES.get(score, (score, ""))[1]


def score_axis(score: str, split: str) -> str:
    """Return an axis label for ``score`` on ``split``, with its unit if it has one."""
    unit = score_unit(score)
    return f"{score_name(score)} on the {split}" + (f", {unit}" if unit else "")
