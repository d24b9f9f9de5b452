import http.client
import json
from collections.abc import Iterator
from pathlib import Path
from threading import Thread

import pytest
from browser import opened
from playwright.sync_api import Browser
from run_folders import write_run

from netadapt.errors import UserError
from netadapt.report.page.server import PageServer, serve


@pytest.fixture
def run(tmp_path: Path) -> Path:
    return write_run(tmp_path / "run", iterations=3, journal=True, finished=False, long=0)


@pytest.fixture
def server(run: Path) -> Iterator[PageServer]:
    with PageServer([run], 0) as started:
        thread = Thread(target=started.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        yield started
        started.shutdown()
        thread.join()


def get(server: PageServer, path: str, **headers: str) -> tuple[int, str]:
    connection = http.client.HTTPConnection("127.0.0.1", server.server_port)
    connection.request("GET", path, headers=headers)
    answer = connection.getresponse()
    return answer.status, answer.read().decode()


def test_it_listens_to_this_machine_alone(server: PageServer) -> None:
    assert server.socket.getsockname()[0] == "127.0.0.1"
    assert get(server, "/")[0] == 200
    assert get(server, "/", Host="evil.example:80")[0] == 403
    assert get(server, "/run.json")[0] == 404
    assert get(server, "/../run.json")[0] == 404


def test_the_page_is_new_when_the_run_has_gone_on(server: PageServer, run: Path) -> None:
    before, version = get(server, "/")[1], get(server, "/version")[1]
    assert get(server, "/version")[1] == version
    with (run / "journal.jsonl").open("a") as journal:
        journal.write(json.dumps({"event": "finished", "name": "0"}) + "\n")
    assert get(server, "/version")[1] != version
    assert get(server, "/")[1] != before


def test_a_run_that_is_damaged_meanwhile_is_said_to_be(server: PageServer, run: Path) -> None:
    (run / "candidates.csv").write_text("nonsense\n")
    status, said = get(server, "/")
    assert status == 503
    assert "candidates.csv" in said


def test_an_open_page_loads_itself_again_and_keeps_what_was_pinned(
    browser: Browser, server: PageServer, run: Path
) -> None:
    with opened(browser, server.address) as page:
        page.locator("#front-chart").focus()
        page.keyboard.press("End")
        page.keyboard.press("ArrowLeft")
        name = page.locator("aside .pinname").inner_text()
        assert "not finished" in page.locator(".badge").first.inner_text()
        while not page.evaluate("watching"):  # it has asked once
            page.wait_for_timeout(20)
        with (run / "journal.jsonl").open("a") as journal:
            journal.write(json.dumps({"event": "finished", "name": "0"}) + "\n")
        page.wait_for_selector(".badge.done")
        assert page.locator("aside .pinname").inner_text() == name


def test_a_port_that_is_taken_is_named(server: PageServer, run: Path) -> None:
    with pytest.raises(UserError, match=f"cannot serve on port {server.server_port}"):
        serve([run], server.server_port, print)
