# SPDX-License-Identifier: Apache-2.0
"""A real Chromium, servers on workspaces of their own, and pages that complain of nothing."""

from __future__ import annotations

import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from mainstay.cli.open import sign_in_link
from mainstay.client.session import Session, connect
from mainstay.domain.errors import MainstayError
from mainstay.server.ui import ASSETS
from mainstay.server.workspace import open_workspace
from tests.browser import kept_files, many_runs, night, told_trace, watched

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
QUIET = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update",
         "--disable-sync", "--no-first-run"]  # fmt: skip
PATIENCE_S = 120


@dataclass(frozen=True)
class Served:
    """A server, its workspace, and how to ask it."""

    workspace: Path
    session: Session

    @property
    def url(self) -> str:
        return self.session.wire.url

    def visit(self, page: Any, path: str) -> None:
        page.goto(self.url + path)


@contextmanager
def serving(workspace: Path) -> Iterator[Served]:
    """The control plane on a workspace, as a process of its own."""
    command = [sys.executable, "-m", "mainstay", "server", "--workspace", str(workspace), "--port", "0"]
    server = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    try:
        yield Served(workspace, _answering(workspace))
    finally:
        server.terminate()
        server.wait(timeout=30)


def _answering(workspace: Path) -> Session:
    end = time.monotonic() + PATIENCE_S
    while time.monotonic() < end:
        if (workspace / "server.json").exists():
            session = connect(workspace=workspace)
            try:
                session.get("/me")
                return session
            except MainstayError:
                pass
        time.sleep(0.1)
    raise AssertionError("the server did not come up")


@pytest.fixture(scope="session")
def page_is_built() -> None:
    if CHROMIUM is None:
        pytest.skip("Chromium is not installed; as root `make test` installs it")
    if not (ASSETS / "index.html").exists():
        pytest.skip("the page was not built")


# One a file, not one for all: until it is closed its event loop runs in this thread, and tests of other rooms want theirs.
@pytest.fixture(scope="module")
def chromium(page_is_built: None) -> Iterator[Any]:
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=QUIET)
        yield browser
        browser.close()


@pytest.fixture(scope="session")
def many(page_is_built: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """A server on a workspace with 100,000 runs, one of which has a curve of 100,000 points."""
    workspace = tmp_path_factory.mktemp("many") / ".mainstay"
    store = open_workspace(workspace)
    many_runs.seed(store)
    store.close()
    with serving(workspace) as served:
        yield served


@pytest.fixture(scope="session")
def few(page_is_built: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """A server on a workspace with a run that kept a file of each kind, and a trace."""
    workspace = tmp_path_factory.mktemp("few") / ".mainstay"
    open_workspace(workspace).close()
    with serving(workspace) as served:
        kept_files.keep(served.session)
        told_trace.tell(served.session)
        yield served


@pytest.fixture(scope="session")
def piped(page_is_built: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """A server on a workspace in which pipelines run; `nights` has run some, and months ago something was watched."""
    workspace = tmp_path_factory.mktemp("piped") / ".mainstay"
    watched.seed(workspace)
    with serving(workspace) as served:
        yield served


@pytest.fixture(scope="session")
def nights(piped: Served, tmp_path_factory: pytest.TempPathFactory) -> night.Night:
    """Runs of one pipeline: a first, one with dearer prices, one with more rows, and a broken one."""
    return night.work(piped.session, piped.workspace, tmp_path_factory.mktemp("nights"))


@pytest.fixture
def open_page(chromium: Any) -> Iterator[Callable[..., Any]]:
    """Opens a signed-in page of a server. At the end of the test no page may have complained of anything unexpected."""
    opened: list[Any] = []

    def open_(served: Served, path: str = "/", *, expects: tuple[str, ...] = (), **how: Any) -> Any:
        how.setdefault("viewport", {"width": 1440, "height": 900})
        context = chromium.new_context(**how)
        page = context.new_page()
        page.set_default_timeout(30_000)
        page.complaints = []

        def hear(text: str) -> None:
            if not any(word in text for word in expects):
                page.complaints.append(text)

        page.on("console", lambda message: hear(message.text) if message.type == "error" else None)
        page.on("pageerror", lambda error: hear(str(error)))
        page.goto(sign_in_link(served.workspace))
        page.locator("h1").first.wait_for()
        if path != "/":
            served.visit(page, path)
        opened.append((page, context))
        return page

    yield open_
    complaints = [complaint for page, _ in opened for complaint in page.complaints]
    for _, context in opened:
        context.close()
    assert complaints == []


def until(page: Any, holds: Callable[[], Any], what: str) -> Any:
    """Ask from here, again and again: the page's own policy forbids to have it evaluate anything."""
    end = time.monotonic() + 30
    while not (found := holds()):
        assert time.monotonic() < end, f"it never came to be that {what}"
        page.wait_for_timeout(50)
    return found
