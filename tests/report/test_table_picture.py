from pathlib import Path

import matplotlib.colors
import numpy as np
import pandas as pd
import pytest
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.text import Text
from run_folders import write_csv

from netadapt.errors import UserError
from netadapt.report import plot_table, save_figure


def family(name: str, besides: tuple[float, ...] = (np.nan,), cost: float = 1.0) -> pd.DataFrame:
    """Rows of a family, 8 to 32 channels, that take as many microseconds times ``cost``."""
    channels = np.arange(8, 33, 8)
    parts = [
        pd.DataFrame(
            {
                "family": name,
                "axis": "channels" if np.isnan(beside) else "output channels",
                "channels": channels,
                "beside": beside,
                "p50_us": channels * cost * (1 if np.isnan(beside) else beside),
            }
        )
        for beside in besides
    ]
    rows = pd.concat(parts)
    return rows.assign(p10_us=0.9 * rows["p50_us"], p90_us=1.2 * rows["p50_us"])


def picture(*families: pd.DataFrame, validation: Path | None = None, title: str = "t") -> Figure:
    measured = pd.concat(families, ignore_index=True)
    return plot_table(title, measured, measured.assign(us=measured["p50_us"]), validation)


def panels(figure: Figure) -> list[Axes]:
    figure.canvas.draw()
    return [axes for axes in figure.axes if axes.get_title()]


def names_in(axes: Axes) -> list[str]:
    return [text.get_text() for text in axes.texts]


@pytest.fixture
def validation(tmp_path: Path) -> Path:
    columns = ["network", "predicted_ms", "measured_ms", "repeat_ms"]
    rows = [(0, 1.1, 1.0, 1.01), (1, 1.92, 2.0, 2.0), (2, 3.0, 3.0, 3.0)]
    write_csv(tmp_path / "v.csv", columns, [dict(zip(columns, r, strict=True)) for r in rows])
    return tmp_path / "v.csv"


def test_every_family_has_a_panel_with_its_steps_and_its_spread() -> None:
    first, second = panels(picture(family("conv2d 1x1 at 7x7", (8, 32)), family("add at 7x7")))
    assert first.get_title() == "conv2d 1x1\nat 7x7"
    assert (first.get_xlabel(), second.get_xlabel()) == ("output channels", "channels")
    assert first.get_ylabel() == "latency, µs"
    line, dots = second.lines[:2]
    for drawn in (line, dots):
        np.testing.assert_array_equal(drawn.get_xdata(), [8, 16, 24, 32])
        np.testing.assert_array_equal(drawn.get_ydata(), [8, 16, 24, 32])
    (bars,) = second.collections
    ends = [segment[:, 1] for segment in bars.get_segments()]  # type: ignore[attr-defined]
    np.testing.assert_allclose(ends, [[0.9 * p, 1.2 * p] for p in (8, 16, 24, 32)])


def test_curves_are_told_apart_by_name_and_colour() -> None:
    (axes,) = panels(picture(family("conv2d 1x1 at 7x7", (8, 16, 32))))
    assert names_in(axes) == ["8 in", "16 in", "32 in"]
    colours = [matplotlib.colors.to_hex(line.get_color()) for line in axes.lines[::2]]
    assert len(set(colours)) == 3


def test_curves_that_end_together_share_a_name() -> None:
    (axes,) = panels(picture(family("conv2d 1x1 at 7x7", (8, 31, 32))))
    assert names_in(axes) == ["8 in", "31, 32 in"]


def test_many_families_fill_lines_of_three() -> None:
    figure = picture(*(family(f"add at {n}x{n}") for n in range(7)))
    shown = panels(figure)
    assert len(shown) == len(figure.axes) == 7
    places = [axes.get_window_extent() for axes in shown]
    assert len({round(place.x0) for place in places}) == 3
    assert len({round(place.y0) for place in places}) == 3


def test_whole_networks_stand_above_the_workloads(validation: Path) -> None:
    figure = picture(family("add at 7x7"), validation=validation)
    scatter, errors, panel = panels(figure)
    assert scatter.get_ylabel() == "predicted latency, ms"
    assert errors.get_ylabel() == "prediction too high by, %"
    shown = {line.get_label(): line for line in errors.lines}
    np.testing.assert_allclose(np.asarray(shown["predicted"].get_ydata()), [10, -4, 0], atol=1e-9)
    assert scatter.get_title() == "3 networks, mean absolute error 4.7 %"
    assert errors.get_title() == "67 % of them within ±5 %"
    low, high = errors.get_ylim()
    assert low < -4
    assert high > 10
    assert panel.get_window_extent().y1 < scatter.get_window_extent().y0


def test_a_damaged_validation_is_refused(validation: Path) -> None:
    validation.write_text(validation.read_text().replace("1.92", "fast"))
    with pytest.raises(UserError, match=r"v\.csv: predicted_ms in row 2 is fast"):
        picture(family("add at 7x7"), validation=validation)


def test_all_text_can_be_read_and_names_are_drawn_as_they_are(validation: Path) -> None:
    figure = picture(family("conv2d 1x1 at 7x7", (8, 32)), validation=validation, title="a$x$b")
    figure.canvas.draw()
    texts = [text for text in figure.findobj(Text) if text.get_text()]
    assert min(float(text.get_fontsize()) for text in texts) >= 9
    assert r"a\$x\$b" in {text.get_text() for text in texts}


def test_a_family_of_one_measurement_is_a_dot(tmp_path: Path) -> None:
    figure = picture(family("add at 7x7").head(1))
    (axes,) = panels(figure)
    assert axes.get_xlim()[0] < 8 < axes.get_xlim()[1]
    for suffix in ("png", "svg", "pdf"):
        written = save_figure(figure, tmp_path / f"table.{suffix}")
        assert written.stat().st_size > 1000


def test_one_long_bar_does_not_flatten_a_panel() -> None:
    rows = family("conv2d 1x1 at 7x7")
    rows.loc[rows.index[2], "p90_us"] = 5000.0
    (axes,) = panels(picture(rows))
    assert axes.get_ylim()[1] < 2 * rows["p50_us"].max()
    assert axes.get_ylim()[0] == 0


def test_curves_that_end_at_other_channels_keep_their_own_names() -> None:
    short = family("conv2d 1x1 at 7x7", (16,)).query("channels <= 16")
    (axes,) = panels(picture(pd.concat([short, family("conv2d 1x1 at 7x7", (8,))])))
    assert sorted(names_in(axes)) == ["16 in", "8 in"]
