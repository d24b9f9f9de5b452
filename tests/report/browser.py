"""A real browser: pages opened from the disk, everything that goes wrong in them kept."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, sync_playwright

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
WAIT_MS = 120_000  # only a page that hangs takes them

Scheme = Literal["light", "dark"]


@contextmanager
def opened_browser() -> Iterator[Browser]:
    flags = ("--no-sandbox", "--disable-gpu", "--disable-background-networking", "--no-first-run")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=list(flags))
        yield browser
        browser.close()


@contextmanager
def opened(
    browser: Browser, address: Path | str, width: int = 1600, scheme: Scheme = "light"
) -> Iterator[Page]:
    """Open a page; leaving the context fails if the page complained or asked the network."""
    context = browser.new_context(
        viewport={"width": width, "height": 1000},
        color_scheme=scheme,
        offline=isinstance(address, Path),
        reduced_motion="reduce",
    )
    context.set_default_timeout(WAIT_MS)
    page = context.new_page()
    complaints: list[str] = []
    requests: list[str] = []
    page.on("console", lambda message: complaints.append(message.text))
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on("request", lambda request: requests.append(request.url))
    page.goto(address.as_uri() if isinstance(address, Path) else address)
    page.wait_for_selector("#page main")
    yield page
    assert not complaints
    if isinstance(address, Path):
        assert {url.partition(":")[0] for url in requests} <= {"file", "data", "blob"}
    context.close()


def violations(page: Page) -> list[str]:
    """What axe-core finds outside the charts, whose SVG it cannot judge, as ``rule: element``."""
    found = Axe().run(page, context={"exclude": [[".plot-container"]]}).response["violations"]
    return [f"{one['id']}: {node['html'][:120]}" for one in found for node in one["nodes"]]
