"""The page as a reader meets it: in a real browser, by mouse, keyboard, telephone and printer."""

import itertools
import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest
from browser import Scheme, opened, violations
from playwright.sync_api import Browser, Page, expect
from run_folders import write_run

from netadapt.report import read_run
from netadapt.report.page import write_page

TABLE = Path(__file__).parents[2] / "lut" / "amd-epyc-openvino-2026.4.1-1t-fp32-b1"


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Pages of each kind; the runs are made up, the table is a committed one."""
    folder = tmp_path_factory.mktemp("pages")
    full = {"journal": True, "samples": True, "breakdown": True}
    whole = write_run(folder / "whole", iterations=6, anchored=True, base_long=True, **full)  # type: ignore[arg-type]
    ending = {"ended": "the budget is met", "base_ms_at_start": 8.0, "base_ms_at_end": 8.4}
    (whole / "summary.json").write_text(json.dumps(ending))
    going = write_run(folder / "going", iterations=3, journal=True, finished=False, long=0)
    hostile = write_run(
        folder / "<b>bold", iterations=2, journal=True,
        groups={"<img src=x onerror=alert(1)>": 64, "</script>": 64},
    )  # fmt: skip
    seeds = [write_run(folder / f"seed{n}", iterations=4, seed=n, journal=True) for n in range(3)]
    made = {"whole": [whole], "going": [going], "hostile": [hostile], "several": seeds}
    made["table"] = [shutil.copytree(TABLE, folder / "table")]
    made["metered"] = [write_run(folder / "metered", iterations=2, journal=True)]
    made["metered table"] = [shutil.copytree(TABLE, folder / "metered-table")]
    add_energies(*made["metered"], *made["metered table"])
    return {name: write_page(runs, folder / f"{name}.html") for name, runs in made.items()}


def add_energies(run: Path, table: Path) -> None:
    """Write what a device with a counter of energy has."""
    for name in ("candidates.csv", "pareto.csv"):
        rows = pd.read_csv(run / name, dtype=str, keep_default_na=False)
        rows["predicted_mj"] = 3 * pd.to_numeric(rows["predicted_ms"])
        rows["measured_mj"] = (2 * pd.to_numeric(rows["measured_ms"])).map(str).replace("nan", "")
        rows.to_csv(run / name, index=False)
    networks = pd.read_csv(table / "validation.csv")
    networks["energy_mj"], networks["energy_predicted_mj"] = 2.0, 2.5
    networks.to_csv(table / "validation.csv", index=False)
    target = json.loads((table / "target.json").read_text())
    target["calibration"]["energy"] = {"call_mj": 3, "watts": {"": 20}}
    (table / "target.json").write_text(json.dumps(target))


def test_energies_are_shown_where_there_are_some(browser: Browser, pages: dict[str, Path]) -> None:
    with opened(browser, pages["metered"]) as page:
        assert "Energy, mJ" in page.locator("#points thead").inner_text()
        assert "Energy of a run" in page.locator(".readouts").inner_text()
        assert "energy of a run, predicted" in page.locator("aside").inner_text()
    with opened(browser, pages["metered table"]) as page:
        assert "3 mJ + 20 W * all" in page.locator("#target").inner_text()
        assert (
            "The energy of a run: mean absolute error 25.0 %" in page.locator("main").inner_text()
        )
    with opened(browser, pages["whole"]) as page:
        assert "energy" not in page.locator("main").inner_text().lower()


def pinned(page: Page) -> str:
    return page.locator("aside .pinname").inner_text()


def column(page: Page, section: str, place: int) -> list[str]:
    cells = page.locator(f"#{section} tbody tr :nth-child({place})")
    return [text.strip() for text in cells.all_inner_texts() if text.strip()]


@pytest.mark.parametrize(
    ("kind", "width", "scheme"),
    [
        ("whole", 1600, "light"),
        ("whole", 400, "dark"),
        ("several", 400, "light"),
        ("several", 1600, "dark"),
        ("table", 1600, "dark"),
        ("table", 400, "light"),
    ],
)
def test_it_fits_every_screen_and_everyone_can_read_it(
    browser: Browser, pages: dict[str, Path], kind: str, width: int, scheme: Scheme
) -> None:
    with opened(browser, pages[kind], width, scheme) as page:
        assert page.evaluate("document.documentElement.scrollWidth") == width
        assert page.evaluate("document.documentElement.dataset.theme") == scheme
        for chart in page.locator(".js-plotly-plot").all():
            box = chart.locator(".main-svg").first.bounding_box()
            assert box is not None
            assert box["x"] >= 0
            assert box["x"] + box["width"] <= width
        assert violations(page) == []


@pytest.mark.parametrize("kind", ["going", "hostile"])
def test_a_run_of_any_state_opens(browser: Browser, pages: dict[str, Path], kind: str) -> None:
    with opened(browser, pages[kind]) as page:
        assert page.locator("#front-chart .main-svg").count() > 0
        assert page.locator("#page img[src=x]").count() == 0
        if kind == "going":
            assert "not finished" in page.locator(".badge").first.inner_text()


def test_hostile_names_are_shown_as_they_are(browser: Browser, pages: dict[str, Path]) -> None:
    with opened(browser, pages["hostile"]) as page:
        assert page.locator("h1").inner_text() == "<b>bold"
        assert column(page, "widths", 1)[:2] == ["<img src=x onerror=alert(1)>", "</script>"]
        hover(page, "base")
        text = page.locator("#front-chart .hoverlayer").text_content() or ""
        assert "all widths as in the base" in text


def places(page: Page, trace: str) -> list[tuple[float, float]]:
    """Where the points of a trace of the front are, in pixels of the window."""
    find = """name => {
        const node = document.getElementById("front-chart");
        const trace = node.data.find((one) => one.name === name);
        const { xaxis, yaxis } = node._fullLayout;
        const box = node.getBoundingClientRect();
        return trace.x.map((x, i) => [box.left + xaxis._offset + xaxis.d2p(x),
            box.top + yaxis._offset + yaxis.d2p(trace.y[i])]);
    }"""
    page.locator("#front-chart").scroll_into_view_if_needed()
    found: list[tuple[float, float]] = page.evaluate(find, trace)
    return found


def hover(page: Page, trace: str, index: int = 0) -> None:
    page.mouse.move(*places(page, trace)[index])
    page.wait_for_selector("#front-chart .hoverlayer .hovertext")


def test_hovering_tells_what_a_point_costs(browser: Browser, pages: dict[str, Path]) -> None:
    with opened(browser, pages["whole"]) as page:
        hover(page, "dominated", 3)
        text = page.locator("#front-chart .hoverlayer").text_content() or ""
        for word in ("predicted", "δ1", "MACs", "parameters", "widths:", "→"):
            assert word in text


def test_a_click_pins_and_all_below_follows(browser: Browser, pages: dict[str, Path]) -> None:
    with opened(browser, pages["whole"]) as page:
        first = pinned(page)
        page.mouse.click(*places(page, "front")[-2])
        expect(page.locator("aside .pinname")).not_to_have_text(first)
        name = pinned(page)
        assert f"A: {name}" in page.locator("#widths caption").inner_text()
        assert f"A: {name}" in page.locator("#time caption").inner_text()
        assert page.locator("#points tr.on").inner_text().startswith(name)


def test_what_is_pinned_has_the_widths_of_the_run(browser: Browser, pages: dict[str, Path]) -> None:
    rows = read_run(pages["whole"].parent / "whole")
    answer = rows.candidates.set_index("candidate")
    with opened(browser, pages["whole"]) as page:
        name = pinned(page)
        shown = [text.split(" / ")[0] for text in column(page, "widths", 3)]
        assert shown == [f"{answer[group][name]:.0f}" for group in rows.groups]


def test_how_the_search_ended_is_told(browser: Browser, pages: dict[str, Path]) -> None:
    with opened(browser, pages["whole"]) as page:
        told = page.locator("#clock").inner_text()
        assert "How it ended: the budget is met." in told
        assert "8.00 ms at the start and 8.40 ms at the end (5.0 %)" in told


def test_two_points_can_be_compared(browser: Browser, pages: dict[str, Path]) -> None:
    with opened(browser, pages["whole"]) as page:
        other = page.locator("#against option").nth(1)
        value, label = other.get_attribute("value"), other.inner_text()
        page.select_option("#against", value)
        assert f"against B: {label.split(' · ')[0]}" in page.locator("#widths caption").inner_text()


def test_the_slider_moves_the_line_between_two_pictures(
    browser: Browser, pages: dict[str, Path]
) -> None:
    with opened(browser, pages["whole"]) as page:
        over = page.locator("#samples .wipe img").nth(1)
        clip = "node => getComputedStyle(node).clipPath"
        before = over.evaluate(clip)
        page.locator("#wipe").focus()
        page.keyboard.press("Home")
        assert over.evaluate(clip) != before
        for image in page.locator("#samples img").all():
            image.scroll_into_view_if_needed()
            assert image.evaluate("image => image.decode().then(() => image.naturalWidth)") > 0


def number(cell: str) -> float:
    return float(cell.split()[0])


def test_a_column_sorts_its_table_both_ways(browser: Browser, pages: dict[str, Path]) -> None:
    with opened(browser, pages["whole"]) as page:
        for place, section in ((2, "points"), (7, "widths")):
            head = page.locator(f"#{section} th").nth(place - 1)
            head.locator("button").click()
            one = [number(cell) for cell in column(page, section, place)]
            assert head.get_attribute("aria-sort") in ("ascending", "descending")
            head = page.locator(f"#{section} th").nth(place - 1)
            head.locator("button").click()
            other = [number(cell) for cell in column(page, section, place)]
            assert sorted(one) in (one, one[::-1])
            assert one == other[::-1]


def test_the_order_of_the_widths_stays_when_another_point_is_pinned(
    browser: Browser, pages: dict[str, Path]
) -> None:
    with opened(browser, pages["whole"]) as page:
        page.locator("#widths th button").nth(6).click()
        page.locator("#slower").click()
        assert page.locator("#widths th").nth(6).get_attribute("aria-sort") == "descending"


def test_the_keyboard_is_enough(browser: Browser, pages: dict[str, Path]) -> None:
    with opened(browser, pages["whole"]) as page:
        for _ in range(4):
            page.keyboard.press("Tab")
            if page.evaluate("document.activeElement.id") == "front-chart":
                break
        assert page.evaluate("document.activeElement.id") == "front-chart"
        page.keyboard.press("End")
        slowest = pinned(page)
        page.keyboard.press("ArrowLeft")
        assert pinned(page) != slowest
        page.keyboard.press("Home")
        names = page.locator("#points td:first-child").all_inner_texts()
        assert pinned(page) in names
        reached = reach(page, lambda: page.evaluate("document.activeElement.className") == "link")
        assert reached
        wanted = page.evaluate("document.activeElement.textContent")
        page.keyboard.press("Enter")
        assert pinned(page) == wanted


def reach(page: Page, there: Callable[[], bool], steps: int = 60) -> bool:
    """Press Tab until ``there``."""
    for _ in range(steps):
        page.keyboard.press("Tab")
        if there():
            return True
    return False


def test_in_several_runs_the_arrows_go_from_run_to_run(
    browser: Browser, pages: dict[str, Path]
) -> None:
    with opened(browser, pages["several"]) as page:
        runs = set()
        page.locator("#front-chart").focus()
        for _ in range(3):
            page.keyboard.press("ArrowDown")
            runs.add(page.locator("aside .facts dd").first.inner_text())
        assert runs == {"seed0", "seed1", "seed2"}
        assert "3 seeds" in page.locator("#compare").inner_text()


def test_the_theme_can_be_changed(browser: Browser, pages: dict[str, Path]) -> None:
    with opened(browser, pages["whole"]) as page:
        ink = "getComputedStyle(document.querySelector('#front-chart .xtitle')).fill"
        light = page.evaluate(ink)
        page.locator("#theme").click()
        assert page.evaluate("document.documentElement.dataset.theme") == "dark"
        assert page.evaluate(ink) != light


def test_it_prints(browser: Browser, pages: dict[str, Path]) -> None:
    with opened(browser, pages["whole"], scheme="dark") as page:
        page.emulate_media(media="print")
        printed = page.pdf(format="A4")
        assert printed.startswith(b"%PDF")
        assert len(printed) > 50_000
        assert not page.locator("#theme").is_visible()


def test_the_staircases_of_a_table_come_a_few_at_a_time(
    browser: Browser, pages: dict[str, Path]
) -> None:
    with opened(browser, pages["table"]) as page:
        shown = page.locator("#staircases .js-plotly-plot").count()
        page.locator("#more").click()
        expect(page.locator("#staircases .js-plotly-plot")).to_have_count(2 * shown)


def test_no_two_colours_of_the_charts_look_alike_to_the_colour_blind(
    browser: Browser, pages: dict[str, Path]
) -> None:
    """Simulated deuteranopia and protanopia (Viénot et al. 1999), in linear RGB."""
    with opened(browser, pages["whole"]) as page:
        for scheme in ("light", "dark"):
            page.evaluate(f"setTheme({str(scheme == 'dark').lower()})")
            names = ("predicted", "measured", "dominated", "mark")
            colours = [page.evaluate(f"colour('{name}')") for name in names]
            for matrix in DEUTERANOPIA, PROTANOPIA:
                seen = [simulated(colour, matrix) for colour in colours]
                for one, other in itertools.combinations(seen, 2):
                    assert sum(abs(a - b) for a, b in zip(one, other, strict=True)) > 0.1


DEUTERANOPIA = ((0.29275, 0.70725, 0.0), (0.29275, 0.70725, 0.0), (-0.02234, 0.02234, 1.0))
PROTANOPIA = ((0.11238, 0.88762, 0.0), (0.11238, 0.88762, 0.0), (0.00401, -0.00401, 1.0))


def simulated(colour: str, matrix: tuple[tuple[float, ...], ...]) -> list[float]:
    linear = [(int(colour[i : i + 2], 16) / 255) ** 2.2 for i in (1, 3, 5)]
    return [sum(weight * part for weight, part in zip(row, linear, strict=True)) for row in matrix]
