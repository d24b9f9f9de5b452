import re
from pathlib import Path

import numpy as np
import pytest
from matplotlib.figure import Figure
from matplotlib.text import Text
from pymoo.indicators.hv import HV
from run_folders import FULL, MakeRun, write_csv

from netadapt.errors import UserError
from netadapt.report import plot_front, plot_validation, plot_widths, read_run


def texts(figure: Figure) -> list[str]:
    figure.canvas.draw()
    return [text.get_text() for text in figure.findobj(Text) if text.get_text()]


def legend_labels(figure: Figure) -> list[str]:
    return [text.get_text() for text in figure.legends[0].get_texts()]


def line(figure: Figure, label: str) -> tuple[np.ndarray, np.ndarray]:
    (found,) = (line for line in figure.axes[0].lines if line.get_label() == label)
    return np.asarray(found.get_xdata()), np.asarray(found.get_ydata())


def test_front_of_one_run_shows_every_part(make_run: MakeRun) -> None:
    run = read_run(make_run(budget_ms=6.5))
    figure = plot_front([run])
    axes = figure.axes[0]
    assert axes.get_xlabel() == "latency on epyc-ort-1-thread-fp32-b1, ms"
    assert axes.get_ylabel() == "δ1 on the holdout"
    assert "budget 6.5 ms" in texts(figure)
    assert legend_labels(figure)[:3] == [
        "dominated candidate",
        "front, latency predicted",
        "base network",
    ]
    predicted, score = line(figure, "front, latency predicted")
    np.testing.assert_array_equal(predicted, run.front["predicted_ms"])
    np.testing.assert_array_equal(score, run.front["delta1_holdout"])
    measured, _ = line(figure, "latency measured")
    np.testing.assert_array_equal(measured, run.measured["measured_ms"])


def test_each_candidate_is_drawn_once(make_run: MakeRun) -> None:
    run = read_run(make_run())
    figure = plot_front([run])
    (grey,) = (c for c in figure.axes[0].collections if str(c.get_label()).startswith("dominated"))
    hidden = re.search(r"(\d+) worse", str(grey.get_label()))
    on_front = set(run.front["candidate"]) | {run.base["candidate"]}
    drawn = len(np.asarray(grey.get_offsets())) + (int(hidden[1]) if hidden else 0)
    assert drawn + len(on_front) == len(run.candidates)


def test_a_collapsed_candidate_does_not_squash_the_front(make_run: MakeRun) -> None:
    folder = make_run()
    table = folder / "candidates.csv"
    lines = table.read_text().splitlines()
    cells = lines[2].split(",")
    cells[5] = "0.0"
    lines[2] = ",".join(cells)
    table.write_text("\n".join(lines))
    figure = plot_front([read_run(folder)])
    assert "dominated candidate (1 worse not shown)" in legend_labels(figure)
    assert figure.axes[0].get_ylim()[0] > 0.2


def test_test_split_is_reported_for_base_and_chosen(make_run: MakeRun) -> None:
    run = read_run(make_run(budget_ms=9.0))
    assert run.chosen is not None
    expected = f"base 0.600, within budget {run.chosen['delta1_test']:.3f}"
    assert f"δ1 on the test split: {expected}" in texts(plot_front([run]))
    far = read_run(make_run("far", budget_ms=0.5))
    assert "δ1 on the test split: base 0.600" in texts(plot_front([far]))


def test_test_split_is_reported_for_the_base_fine_tuned_as_long(make_run: MakeRun) -> None:
    run = read_run(make_run(budget_ms=9.0, base_long=True))
    assert run.base_tuned_long is not None
    expected = f"base 0.600, base fine-tuned long {run.base_tuned_long['delta1_test']:.3f}, within"
    assert any(expected in text for text in texts(plot_front([run])))


def test_hypervolumes_agree_with_pymoo(make_run: MakeRun) -> None:
    runs = [read_run(make_run(f"run{seed}", seed=seed)) for seed in range(3)]
    figure = plot_front(runs)
    slowest = max(run.base["predicted_ms"] for run in runs)
    worst = min(run.front["delta1_holdout"].min() for run in runs)
    oracle = HV(ref_point=np.array([slowest, -worst]))
    for run, label in zip(runs, legend_labels(figure), strict=False):
        points = np.column_stack((run.front["predicted_ms"], -run.front["delta1_holdout"]))
        assert label == f"{run.name}: hypervolume {oracle(points):.4g}"
    title = figure.legends[0].get_title().get_text()
    assert title == f"hypervolume: reference point {slowest:.4g} ms, δ1 {worst:.4g}"


def test_hypervolumes_where_lower_is_better(make_run: MakeRun) -> None:
    kind = {"score": "rmse", "higher_is_better": False}
    runs = [read_run(make_run(f"run{seed}", seed=seed, **kind)) for seed in range(2)]
    reference = np.array(
        [
            max(run.base["predicted_ms"] for run in runs),
            max(run.front["rmse_holdout"].max() for run in runs),
        ]
    )
    labels = legend_labels(plot_front(runs))
    for run, label in zip(runs, labels, strict=False):
        points = run.front[["predicted_ms", "rmse_holdout"]].to_numpy()
        assert label.endswith(f"hypervolume {HV(ref_point=reference)(points):.4g}")


def test_overlaid_runs_tell_apart_without_colour(make_run: MakeRun) -> None:
    runs = [read_run(make_run(f"run{seed}", seed=seed)) for seed in range(4)]
    lines = [found for found in plot_front(runs).axes[0].lines if np.size(found.get_xdata()) > 1]
    fronts = [found for found in lines if found.get_marker() != "None"]
    assert len({(found.get_linestyle(), found.get_marker()) for found in fronts}) == 4
    assert len({found.get_color() for found in fronts}) == 4


def test_overlaid_runs_name_what_differs(make_run: MakeRun) -> None:
    first = read_run(make_run("here/run", budget_ms=5.0, lut="lut/slow"))
    second = read_run(make_run("there/run", budget_ms=4.0, lut="lut/fast", seed=1))
    labels = legend_labels(plot_front([first, second]))
    assert labels[0].endswith("budget 5 ms, on slow")
    assert labels[1].endswith("budget 4 ms, on fast")
    assert labels[0].split(":")[0] != labels[1].split(":")[0]


def test_runs_of_different_scores_are_not_overlaid(make_run: MakeRun) -> None:
    first = read_run(make_run("first"))
    second = read_run(make_run("second", score="rmse", higher_is_better=False))
    with pytest.raises(UserError, match=r"delta1 .* rmse"):
        plot_front([first, second])


def test_no_text_is_too_small_to_read(make_run: MakeRun) -> None:
    run = read_run(make_run())
    for figure in (plot_front([run]), plot_widths(run)):
        figure.canvas.draw()
        sizes = [float(text.get_fontsize()) for text in figure.findobj(Text) if text.get_text()]
        assert min(sizes) >= 9


def test_widths_show_each_group_at_each_iteration_and_the_final_networks(
    make_run: MakeRun,
) -> None:
    run = read_run(make_run(iterations=8, long=2))
    figure = plot_widths(run)
    path, finals, bar = figure.axes
    shares = np.asarray(path.images[0].get_array())
    assert shares.shape == (len(FULL), 9)
    np.testing.assert_array_equal(shares[:, 0], 100)
    assert (np.diff(shares, axis=1) <= 0).all()
    assert np.asarray(finals.images[0].get_array()).shape == (len(FULL), 2)
    assert [label.get_text() for label in path.get_yticklabels()] == list(FULL)
    assert bar.get_ylabel() == "share of the full width, %"
    last = run.candidates[run.candidates["stage"] == "long"].sort_values("predicted_ms").iloc[0]
    written = texts(figure)
    for group, full in FULL.items():
        assert f"{last[group]:.0f}/{full}" in written


def test_widths_without_final_networks_end_with_the_last_iteration(make_run: MakeRun) -> None:
    run = read_run(make_run(iterations=3, long=0, groups={"a": 64, "b": 32}))
    figure = plot_widths(run)
    assert len(figure.axes) == 2
    last = run.candidates[run.candidates["selected"]].iloc[-1]
    assert f"{last['a']:.0f}/64" in texts(figure)


def test_names_of_users_are_drawn_as_they_are(make_run: MakeRun) -> None:
    groups = {"a$b$c_{": 64, "blocks." * 12 + "conv": 64}
    run = read_run(make_run("a$x$", groups=groups, iterations=3, lut="lut/c$p$u"))
    names = [label.get_text() for label in plot_widths(run).axes[0].get_yticklabels()]
    assert names[0] == r"a\$b\$c_{"
    assert len(names[1]) == 30
    texts(plot_front([run, run]))


def write_validation(folder: Path, **columns: list[object]) -> Path:
    folder.mkdir(exist_ok=True)
    rows = [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]
    write_csv(folder / "validation.csv", list(columns), rows)
    return folder / "validation.csv"


def test_validation_states_the_error_and_the_noise(tmp_path: Path) -> None:
    path = write_validation(
        tmp_path / "cpu-ort",
        network=["a", "b"],
        predicted_ms=[1.1, 1.9],
        measured_ms=[1.0, 2.0],
        repeat_ms=[1.01, ""],
    )
    written = texts(plot_validation(path))
    assert "2 networks, mean absolute error 7.5 %" in written
    assert "measured twice, differs by 1.0 %" in written
    assert "within ±5 % of measured" in written
    assert "Whole networks on cpu-ort" in written
    assert {"measured latency, ms", "predicted latency, ms"} <= set(written)


def test_validation_of_one_network_has_axes_of_some_width(tmp_path: Path) -> None:
    path = write_validation(
        tmp_path, network=["a"], predicted_ms=[2.0], measured_ms=[2.0], repeat_ms=[""]
    )
    low, high = plot_validation(path).axes[0].get_xlim()
    assert low < 2.0 < high


@pytest.mark.parametrize("measured", ["0", "-1", "slow", ""])
def test_validation_refuses_what_is_no_latency(tmp_path: Path, measured: str) -> None:
    path = write_validation(
        tmp_path, network=["a"], predicted_ms=[2.0], measured_ms=[measured], repeat_ms=[""]
    )
    with pytest.raises(UserError, match=r"validation\.csv"):
        plot_validation(path)


def test_widths_without_an_iteration_have_one_column_for_the_base(make_run: MakeRun) -> None:
    figure = plot_widths(read_run(make_run(iterations=0, long=0)))
    figure.canvas.draw()
    labels = [label.get_text() for label in figure.axes[0].get_xticklabels()]
    assert labels == ["0"]


def test_a_front_of_one_point_is_seen_under_the_star_of_its_base(make_run: MakeRun) -> None:
    runs = [read_run(make_run("a", iterations=0, long=0)), read_run(make_run("b"))]
    lines = plot_front(runs).axes[0].lines
    stars = [found for found in lines if found.get_marker() == "*" and np.size(found.get_xdata())]
    assert len(stars) == 2
    for star in stars:
        assert star.get_markerfacecolor() == "none"
    (point,) = (found for found in lines if str(found.get_label()).startswith("a:"))
    assert point.get_markersize() < stars[0].get_markersize()
    assert point.get_markerfacecolor() != "none"
