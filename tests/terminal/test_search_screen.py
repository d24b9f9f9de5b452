"""``netadapt search`` on a real terminal: what a person sees at each stage."""

import pytest

SEARCH = (
    "search --checkpoint @small.safetensors --data pairs:@pairs --lut @lut/board --out run "
    "--short-steps 1 --long-steps 1 --long-points 2 --initial-reduction 0.3 --decay 1 "
    "--strategy uniform --budget-ms 150"
)
STAGES = ("scoring the base network", "walking down", "measuring the chosen points", "long-term")


@pytest.mark.parametrize("width", [20, 80, 200])
def test_a_search_shows_its_stages_and_runs_to_its_end(terminal, width, tmp_path):
    with terminal(SEARCH, width=width) as screen:
        assert screen.end() == 0, screen.text
    assert (tmp_path / "run" / "pareto.csv").exists()
    shown = flowing(screen)
    for stage in STAGES:
        assert stage.replace(" ", "") in shown
    for fault in ("displayfailed", "Traceback", "error"):
        assert fault not in shown
    assert "run/checkpoints/" in shown.rpartition("pareto.csv")[2]


def test_the_table_names_budget_place_and_front(terminal):
    with terminal(SEARCH) as screen:
        screen.wait_for("budget", "150 ms", "front (1 point)")
        screen.end()
    assert "206.3 ms predicted, score 0.0000" in flowing(screen, " ")


def flowing(screen, blank: str = "") -> str:
    """All that was ever on the screen, however it was broken into lines."""
    return blank.join("\n".join(screen.seen).split())
