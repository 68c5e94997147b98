# SPDX-License-Identifier: Apache-2.0
"""What holds for every test: no setting of the person who runs it leaks in, and nothing leaves this machine.

Property tests have no deadline (the machine may be busy) and, in CI, no dice: the same commit tries the same examples.
"""

from __future__ import annotations

import fcntl
import ipaddress
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings

from . import databases, objects

for name in [name for name in os.environ if name.startswith("MAINSTAY_")]:
    del os.environ[name]
# As in any program that has a step in it; see `mainstay.engine.instants`. Here other files are imported before the first step.
os.environ["PYARROW_IGNORE_TIMEZONE"] = ""

settings.register_profile("people", deadline=None)
settings.register_profile("ci", deadline=None, derandomize=True, database=None)
settings.load_profile("ci" if os.environ.get("CI") else "people")


def refuse_far_connections(event: str, arguments: tuple[Any, ...]) -> None:
    """Let a test connect to this machine only: what passes offline must not quietly depend on being online."""
    if event != "socket.connect" or not isinstance(arguments[1], tuple):
        return
    host = str(arguments[1][0])
    if not is_near(host):
        raise PermissionError(f"a test tried to connect to {host!r}; tests may only reach this machine")


def is_near(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host in ("", "localhost")


sys.addaudithook(refuse_far_connections)


@pytest.fixture(scope="session", autouse=True)
def database() -> Iterator[None]:
    """The database of the whole run; see `databases`."""
    if databases.CHOSEN == "sqlite":
        yield
        return
    with databases.postgres():
        yield


@pytest.fixture(autouse=True)
def database_is_tidy(request: pytest.FixtureRequest) -> Iterator[None]:
    """What a test leaves on a shared server goes with its folder."""
    folder = request.getfixturevalue("tmp_path") if "tmp_path" in request.fixturenames else None
    yield
    if folder and databases.CHOSEN == "postgres":
        databases.forget(folder)


#: Folders of tests that start servers, browsers and clusters.
LONG = frozenset({"journeys", "conformance", "browser"})


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave tests of the other database to the run on that one, and begin with long ones, so that none is idle at the end."""
    others = [item for item in items if not databases.is_meant(item)]
    if others:
        config.hook.pytest_deselected(items=others)
        items[:] = [item for item in items if databases.is_meant(item)]
    items.sort(key=lambda item: not LONG & set(item.path.parts))


@pytest.fixture(scope="session")
def object_store() -> Iterator[str]:
    """A bucket in the object store of the tests; see `objects`."""
    with objects.served() as bucket:
        yield bucket


@pytest.fixture
def bucket(object_store: str) -> str:
    """A place in an object store that is this test's own."""
    return objects.prefix(object_store)


@pytest.fixture(scope="session")
def year(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in which ``mainstay demo --exit`` has run to its end; its output is in ``said.txt``.

    Workers of one test run share it: the first to come lives the year, the others wait for it.
    """
    shared = tmp_path_factory.getbasetemp().parent / "year"
    shared.mkdir(exist_ok=True)
    folder, said = shared / "demo", shared / "said.txt"
    with open(shared / "lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not said.exists():
            command = [sys.executable, "-m", "mainstay", "demo", "--exit", "--folder", str(folder)]
            done = subprocess.run(command, capture_output=True, text=True, timeout=540, env=plain(), check=False)
            assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-4000:]
            said.write_text(done.stdout)
    return folder


def plain() -> dict[str, str]:
    """An environment without colours, for a program whose words are read."""
    return {**os.environ, "NO_COLOR": "1", "TERM": "dumb"}
