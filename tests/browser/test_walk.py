# SPDX-License-Identifier: Apache-2.0
"""A person walks the page in a real Chromium: Home → Deployment → Alert → Run → Snapshot, and reads real values."""

from __future__ import annotations

import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from mainstay.cli.open import sign_in_link
from mainstay.client.session import Session, connect
from mainstay.domain.errors import MainstayError
from mainstay.server.ui import ASSETS

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
QUIET = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update",
         "--disable-sync", "--no-first-run"]  # fmt: skip

pytestmark = [
    pytest.mark.skipif(CHROMIUM is None, reason="Chromium is not installed; as root `make test` installs it"),
    pytest.mark.skipif(not (ASSETS / "index.html").exists(), reason="the page was not built"),
]


@pytest.fixture(scope="module")
def folder(year: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the year's workspace, for a server of its own."""
    copy = tmp_path_factory.mktemp("walk") / "demo"
    shutil.copytree(year, copy, ignore=shutil.ignore_patterns("server.json", "server.lock"))
    return copy


@pytest.fixture(scope="module")
def server(folder: Path) -> Iterator[Session]:
    command = [sys.executable, "-m", "mainstay", "up", "--port", "0", "--gateway-port", "0", "--no-open",
               "--workspace", str(folder / ".mainstay")]  # fmt: skip
    tree = subprocess.Popen(command, cwd=folder, stdout=subprocess.DEVNULL)
    try:
        yield wait_until_served(folder / ".mainstay")
    finally:
        tree.terminate()
        tree.wait(timeout=30)


@pytest.fixture(scope="module")
def browser(server: Session) -> Iterator[Any]:
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=CHROMIUM, args=QUIET)
        yield chromium
        chromium.close()


@pytest.fixture
def page(browser: Any, folder: Path) -> Iterator[Any]:
    context = browser.new_context(viewport={"width": 1440, "height": 900})
    page = context.new_page()
    page.set_default_timeout(30_000)
    page.complaints = []
    page.on("console", lambda message: page.complaints.append(message.text) if message.type == "error" else None)
    page.on("pageerror", lambda error: page.complaints.append(str(error)))
    page.goto(sign_in_link(folder / ".mainstay"))
    yield page
    assert page.complaints == []
    context.close()


def test_from_home_to_the_snapshot_behind_an_alert(page: Any, server: Session) -> None:
    live = server.get("/live")["items"][0]
    page.get_by_role("link", name="flights", exact=True).first.wait_for()
    assert live["release"] in page.content() and live["version"] in page.content()

    page.get_by_role("link", name="flights", exact=True).first.click()
    page.wait_for_url("**/deployments/flights")
    page.get_by_text("Answering now").wait_for()
    assert live["digest"][:12] in page.content()

    alert = server.get("/alerts")["items"][0]
    page.get_by_role("link", name="Alerts").first.click()
    page.get_by_role("link", name=alert["title"]).first.click()
    page.wait_for_url("**/alerts/*")
    page.get_by_text("ana").first.wait_for()

    run = server.get(f"/models/{live['version'].replace('/', '/versions/')}")["run_id"]
    page.locator(f"a[href='/runs/{run}']").first.click()
    page.wait_for_url(f"**/runs/{run}")
    page.get_by_text("flights_late").first.wait_for()

    page.locator("a[href^='/snapshots/flights@']").first.click()
    page.wait_for_url("**/snapshots/flights@*")
    number = page.url.rpartition("@")[2]
    rows = server.get(f"/snapshots/flights@{number}")["rows"]
    page.get_by_text(f"{rows:,}").first.wait_for()


@pytest.mark.parametrize(
    "path",
    ["/", "/datasets", "/datasets/flights", "/runs", "/models", "/models/flights-late", "/models/flights-late/1", "/releases",
     "/releases/flights/1", "/deployments", "/deployments/flights", "/monitors/flights", "/alerts", "/decisions", "/ledger"],
)  # fmt: skip
def test_every_page_shows_something_and_complains_of_nothing(page: Any, server: Session, path: str) -> None:
    page.goto(server.wire.url + path)
    page.locator("h1").first.wait_for()
    # Asked again and again from here: the page's own policy forbids to have it evaluate anything.
    end = time.monotonic() + 30
    while len(text := page.locator("main").inner_text()) <= 80:
        assert time.monotonic() < end, f"{path} shows nothing but {text!r}"
        page.wait_for_timeout(50)

    assert "undefined" not in text and "NaN" not in text and "[object" not in text


def test_a_prediction_shows_its_chain_as_a_picture(page: Any, server: Session) -> None:
    identity = server.get("/predictions", deployment="flights", limit=1)["items"][0]["id"]

    page.goto(f"{server.wire.url}/predictions/{identity}")

    page.locator("svg").first.wait_for()
    for word in ("release", "version", "snapshot", "approval"):
        page.get_by_text(word).first.wait_for()


def test_somebody_who_is_not_signed_in_sees_no_data(browser: Any, server: Session) -> None:
    context = browser.new_context()
    page = context.new_page()
    page.goto(server.wire.url + "/deployments/flights")

    page.get_by_text("mainstay open").first.wait_for()
    assert "flights-late" not in page.content()
    context.close()


def wait_until_served(workspace: Path) -> Session:
    end = time.monotonic() + 120
    while time.monotonic() < end:
        if (workspace / "server.json").exists():
            session = connect(workspace=workspace)
            try:
                if session.get("/deployments/flights")["agrees"]:
                    return session
            except MainstayError:
                pass
        time.sleep(0.2)
    raise AssertionError("the server and its gateway did not come up")
