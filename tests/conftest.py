# SPDX-License-Identifier: Apache-2.0
"""What holds for every test: no setting of the person who runs it leaks in, and nothing leaves this machine.

Property tests have no deadline (the machine may be busy) and, in CI, no dice: the same commit tries the same examples.
"""

from __future__ import annotations

import ipaddress
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings

from . import databases, objects, years

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
    """Leave tests of the other database to the run on that one, and begin with long ones, so that none is idle at the end;
    of those with the year that is the longest, so that no other worker waits for it."""
    others = [item for item in items if not databases.is_meant(item)]
    if others:
        config.hook.pytest_deselected(items=others)
        items[:] = [item for item in items if databases.is_meant(item)]
    items.sort(key=lambda item: (not LONG & set(item.path.parts), "disturbed_year" not in _fixtures(item)))


def _fixtures(item: pytest.Item) -> list[str]:
    return getattr(item, "fixturenames", [])


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
def shared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that all workers of one test run have in common."""
    own = tmp_path_factory.getbasetemp()
    return own.parent if "PYTEST_XDIST_WORKER" in os.environ else own


@pytest.fixture(scope="session")
def year(request: pytest.FixtureRequest, shared: Path) -> Path:
    """A folder in which ``mainstay demo --exit`` has run to its end; its output is beside it in ``said.txt``.

    On PostgreSQL it is the year with the kills, of which all the same must be true: one lived there is enough.
    """
    if databases.CHOSEN == "postgres":
        found: Path = request.getfixturevalue("disturbed_year")
        return found
    return years.lived(shared / "year", years.undisturbed)


@pytest.fixture(scope="session")
def disturbed_year(shared: Path) -> Path:
    """The same, of a year in which a server, a gateway and a worker were killed."""
    return years.lived(shared / "disturbed", years.disturbed)
