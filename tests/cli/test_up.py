# SPDX-License-Identifier: Apache-2.0
"""``mainstay up``: three processes that live and die together, whoever is killed and however."""

from __future__ import annotations

import contextlib
import itertools
import json
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest

from mainstay.cli.up import Child
from mainstay.client.session import connect
from mainstay.domain.errors import Unavailable
from mainstay.store import jobs, open_store

from ..databases import on_postgres
from .conftest import Run

NAMES = ("server", "gateway", "worker")


def until(what: Callable[[], Any], *, within_s: float = 60) -> Any:
    """What it gives as soon as that is something."""
    end = time.monotonic() + within_s
    while time.monotonic() < end:
        if found := what():
            return found
        time.sleep(0.05)
    raise AssertionError(f"not within {within_s} s")


@dataclass
class Up:
    """A running ``mainstay up``."""

    folder: Path
    process: subprocess.Popen[str]

    def children(self) -> dict[str, psutil.Process]:
        """Its processes that live, by what they are."""
        found = {}
        for child in psutil.Process(self.process.pid).children():
            try:
                arguments = child.cmdline()
                if child.status() != psutil.STATUS_ZOMBIE and len(arguments) > 3 and arguments[3] in NAMES:
                    found[arguments[3]] = child
            except psutil.Error:
                continue
        return found

    def said(self) -> dict[str, Any]:
        try:
            return dict(json.loads((self.folder / "server.json").read_text()))
        except (OSError, ValueError):
            return {}

    def answers(self, url: str) -> bool:
        try:
            return httpx.get(url + "/health", timeout=30).status_code == 200
        except (httpx.TransportError, httpx.UnsupportedProtocol):
            return False

    def is_ready(self) -> bool:
        assert self.process.poll() is None, self.process.communicate()
        said = self.said()
        urls = (said.get("url"), said.get("gateway_url"))
        return set(self.children()) == set(NAMES) and all(url and self.answers(url) for url in urls)


@contextmanager
def started(folder: Path, *more: str) -> Iterator[Up]:
    command = [sys.executable, "-m", "mainstay", "up", "--no-open", "--workspace", str(folder), *more]
    process = subprocess.Popen(
        [*command, "--port", "0", "--gateway-port", "0"],
        cwd=folder.parent,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    one = Up(folder, process)
    mine: list[psutil.Process] = []
    try:
        until(lambda: one.is_ready() if "--at-once" in more else one.answers(one.said().get("url", "")))
        mine.extend(one.children().values())
        yield one
    finally:
        with contextlib.suppress(psutil.Error):
            mine.extend(one.children().values())
        process.kill()
        process.wait()
        for child in mine:
            if child.is_running():
                child.kill()


@pytest.fixture
def up(tmp_path: Path) -> Iterator[Up]:
    """One for a test that ends it."""
    with started(tmp_path / "w", "--at-once") as one:
        yield one


@pytest.fixture(scope="module")
def standing(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Up]:
    """One for the tests that leave it as they found it: up."""
    with started(tmp_path_factory.mktemp("standing") / "w", "--at-once") as one:
        yield one


def test_sigterm_stops_the_whole_tree_in_good_order(up: Up) -> None:
    children, said = up.children(), up.said()

    up.process.send_signal(signal.SIGTERM)
    out, error = up.process.communicate(timeout=40)

    assert up.process.returncode == 0
    assert not any(child.is_running() for child in children.values())
    assert not (up.folder / "server.json").exists()
    assert said["url"] in out
    assert said["gateway_url"] in out
    assert "/login?code=" in out
    assert "Traceback" not in error


def test_children_end_when_the_supervisor_is_killed(up: Up) -> None:
    children = up.children()

    up.process.kill()

    until(lambda: not any(child.is_running() and child.status() != psutil.STATUS_ZOMBIE for child in children.values()))


def test_whoever_is_killed_is_started_again_where_it_was_and_the_others_go_on(standing: Up) -> None:
    before, said = standing.children(), standing.said()
    session = connect(said["url"], token=(standing.folder / "token").read_text().strip(), retry_s=60)
    session.post("/people", {"name": "before"})

    before["server"].kill()
    session.post("/people", {"name": "meanwhile"})
    until(standing.is_ready)
    after = standing.children()

    assert after["server"].pid != before["server"].pid
    assert (after["gateway"].pid, after["worker"].pid) == (before["gateway"].pid, before["worker"].pid)
    assert (standing.said()["url"], standing.said()["gateway_url"]) == (said["url"], said["gateway_url"])

    after["gateway"].kill()
    after["worker"].kill()
    until(
        lambda: standing.children().keys() == set(NAMES) and standing.children()["gateway"].pid != after["gateway"].pid
    )
    until(standing.is_ready)
    until(lambda: any(row["pid"] == standing.children()["gateway"].pid for row in session.get("/gateways")["items"]))

    people = {person["name"] for person in session.get("/people")["items"]}
    assert {"before", "meanwhile", "gateway", "worker"} <= people
    assert session.get("/audit/verify")["ok"] is True
    session.close()


def test_all_killed_at_once_come_back(standing: Up) -> None:
    before = standing.children()

    for child in before.values():
        child.kill()

    until(
        lambda: (
            standing.is_ready() and not {c.pid for c in standing.children().values()} & {c.pid for c in before.values()}
        )
    )


def test_a_service_can_do_what_its_role_says_and_no_more(standing: Up) -> None:
    tokens = {
        name: child.environ()["MAINSTAY_TOKEN"] for name, child in standing.children().items() if name != "server"
    }
    me = {name: connect(standing.said()["url"], token=token).get("/me") for name, token in tokens.items()}

    assert {name: told["roles"] for name, told in me.items()} == {"gateway": ["gateway"], "worker": ["worker"]}
    assert not any(
        token in " ".join(child.cmdline()) for child in standing.children().values() for token in tokens.values()
    )


def test_gateway_and_worker_are_started_when_they_are_needed(tmp_path: Path) -> None:
    with started(tmp_path / "w") as up:
        assert set(up.children()) == {"server"}

        assert up.answers(up.said()["gateway_url"])
        assert set(up.children()) == {"server", "gateway"}

        store = open_store(up.folder)
        with store.ingest() as ingest:
            jobs.enqueue(ingest, kind="something", body={}, by="ana")
        store.close()
        until(lambda: set(up.children()) == set(NAMES))


def test_who_comes_while_the_server_is_away_waits_for_it(standing: Up) -> None:
    server = standing.children()["server"]

    server.kill()

    assert standing.answers(standing.said()["url"])
    assert standing.children()["server"].pid != server.pid


def test_an_embedded_database_has_one_server(run: Run, tmp_path: Path) -> None:
    done = run("up", "--no-open", "--workers", "2", "--workspace", str(tmp_path / "w"), MAINSTAY_DATABASE_URL="")

    assert done.returncode == 1
    assert done.stderr.startswith("refused: --workers is 2, and an embedded database has one server process; ")
    assert not (tmp_path / "w").exists()


@on_postgres
def test_several_servers_share_a_port_and_the_death_of_one_turns_nobody_away(tmp_path: Path) -> None:
    with started(tmp_path / "w", "--workers", "3") as up:
        servers = [child for child in psutil.Process(up.process.pid).children() if "server" in child.cmdline()]
        assert len(servers) == 3
        session = connect(up.said()["url"], token=(up.folder / "token").read_text().strip(), retry_s=60)

        for n in range(60):
            session.post("/people", {"name": f"p{n}"})
            if n in (20, 40):
                servers.pop().kill()

        people = {person["name"] for person in session.get("/people")["items"]}
        assert {f"p{n}" for n in range(60)} <= people
        assert session.get("/audit/verify")["ok"] is True
        session.close()


def test_a_busy_port_is_one_sentence_and_leaves_no_process(run: Run, tmp_path: Path) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]

        done = run("up", "--no-open", "--port", str(port), "--workspace", str(tmp_path / "w"))

    assert done.returncode == 1
    assert done.stderr == (
        f"refused: port {port} for the control plane is in use by another program; choose another with --port, or 0 for any.\n"
    )
    assert not (tmp_path / "w" / "server.json").exists()


def test_a_busy_port_of_the_gateway_is_one_sentence_and_leaves_no_process(run: Run, tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]

        done = run("up", "--no-open", "--port", "0", "--gateway-port", str(port), "--workspace", str(tmp_path / "w"))

    assert done.returncode == 1
    assert done.stderr.strip() == (
        f"refused: port {port} for the gateway is in use by another program; choose another with --gateway-port, or 0 for any."
    )
    assert not (tmp_path / "w" / "server.json").exists()


def test_a_second_tree_on_the_same_workspace_is_refused(standing: Up, run: Run) -> None:
    done = run("up", "--no-open", "--port", "0", "--workspace", str(standing.folder))

    assert done.returncode == 1
    assert f"already has a server, at {standing.said()['url']}" in done.stderr
    assert "Traceback" not in done.stderr
    assert standing.is_ready()


def test_a_child_that_keeps_dying_is_started_at_longer_and_longer_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    now, starts = 0.0, []

    def start(child: Child) -> None:
        starts.append(now)

    monkeypatch.setattr(time, "monotonic", lambda: now)
    monkeypatch.setattr(Child, "start", start)
    child = Child("x", [], environment=dict)
    while now < 60:
        child.revive()
        now += 0.1

    pauses = [after - before for before, after in itertools.pairwise(starts)]
    assert pauses[0] < 0.5
    assert max(pauses) <= 10.2
    assert len(starts) < 15


def test_a_child_that_may_leave_stays_away_until_it_is_asked_for_again() -> None:
    child = Child("x", ["--version"], environment=dict, may_leave=True)
    child.process = subprocess.Popen([sys.executable, "-c", ""])
    child.process.wait()

    child.revive()
    assert (child.is_wanted, child.process) == (False, None)

    child.process = subprocess.Popen([sys.executable, "-c", "raise SystemExit(1)"])
    child.process.wait()
    child.is_wanted, child.environment = True, pytest.fail  # an accident: it is to be started again
    with pytest.raises(pytest.fail.Exception):
        child.revive()


def test_a_child_that_cannot_be_started_now_is_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    def unavailable() -> dict[str, str]:
        raise Unavailable("the server is away.")

    child = Child("x", ["nothing"], environment=unavailable)
    child.revive()

    assert not child.is_alive()
