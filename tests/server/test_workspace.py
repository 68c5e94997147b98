# SPDX-License-Identifier: Apache-2.0
"""A workspace: ready on first use, once, whoever comes first; its owner's token is the owner's alone."""

from __future__ import annotations

import json
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from mainstay.domain.errors import Conflict
from mainstay.lifecycle.governance import people, tokens
from mainstay.server import presence
from mainstay.server import workspace as workspaces
from mainstay.store import Store, ledger


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "workspace"


@pytest.fixture
def store(folder: Path) -> Iterator[Store]:
    opened = workspaces.open_workspace(folder)
    yield opened
    opened.close()


def token_of(folder: Path) -> str:
    return (folder / "token").read_text().strip()


def test_on_first_use_there_are_an_owner_a_token_and_an_experiment(store: Store, folder: Path) -> None:
    with store.view() as view:
        someone, _ = tokens.holder(view, secret=token_of(folder))
        kinds = [event.kind for event in ledger.search(view, newest_first=False)]
        assert ledger.verify(view).ok

    assert (someone.name, someone.roles) == (workspaces.owner_name(), ("admin",))
    assert kinds[0] == "workspace.made"
    assert {"person.added", "token.issued"} <= set(kinds)


def test_only_the_owner_can_read_the_folder_and_the_token(store: Store, folder: Path) -> None:
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert stat.S_IMODE((folder / "token").stat().st_mode) == 0o600
    assert list(folder.glob("*.new")) == []


def test_opening_again_changes_nothing(store: Store, folder: Path) -> None:
    with store.view() as view:
        before = (ledger.head(view), token_of(folder))

    workspaces.open_workspace(folder).close()

    with store.view() as view:
        assert (ledger.head(view), token_of(folder)) == before


def test_a_lost_token_file_is_made_anew(store: Store, folder: Path) -> None:
    lost = token_of(folder)
    (folder / "token").unlink()

    workspaces.open_workspace(folder).close()

    assert token_of(folder) != lost
    with store.view() as view:
        assert tokens.holder(view, secret=token_of(folder))[0].roles == ("admin",)


OPENER = """
import sys
from pathlib import Path
from mainstay.server.workspace import open_workspace

open_workspace(Path(sys.argv[1])).close()
"""


def test_processes_that_open_a_fresh_workspace_at_once_make_it_once(folder: Path) -> None:
    openers = [subprocess.Popen([sys.executable, "-c", OPENER, str(folder)], stderr=subprocess.PIPE) for _ in range(4)]
    assert [(opener.communicate(timeout=60)[1], opener.returncode) for opener in openers] == [(b"", 0)] * 4

    store = workspaces.open_workspace(folder)
    with store.view() as view:
        assert len(ledger.search(view, kind="workspace.made")) == 1
        assert len(ledger.search(view, kind="token.issued")) == 1
        assert len(people.listed(view)) == 1
        assert tokens.holder(view, secret=token_of(folder))
    store.close()


def test_who_comes_second_while_the_first_is_still_making_it_finds_it_made(store: Store, folder: Path) -> None:
    with store.view() as view:
        before = (ledger.head(view), token_of(folder))

    workspaces._make_ready(store, folder)  # saw an empty ledger before the first one committed

    with store.view() as view:
        assert (ledger.head(view), token_of(folder)) == before


def test_a_service_gets_a_token_of_its_own_role_at_each_start(store: Store) -> None:
    made = [workspaces.issue_service_token(store, name="gateway", role="gateway") for _ in range(2)]

    with store.view() as view:
        assert [tokens.holder(view, secret=secret)[0].roles for secret in made] == [("gateway",)] * 2


def test_a_workspace_has_one_server_at_a_time(folder: Path) -> None:
    with presence.only_server(folder):
        presence.write_server_file(folder, {"url": "http://127.0.0.1:7777"})

        with (
            pytest.raises(Conflict, match=r"already has a server, at http://127.0.0.1:7777"),
            presence.only_server(folder),
        ):
            raise AssertionError("never here")

    with presence.only_server(folder):
        pass


@pytest.mark.parametrize("content", ["", "{", "[]", "null", "\x00"])
def test_a_server_file_that_says_nothing_is_none(folder: Path, content: str) -> None:
    folder.mkdir()
    assert presence.read_server_file(folder) is None

    (folder / "server.json").write_text(content)

    assert presence.read_server_file(folder) is None


def test_the_server_file_is_written_whole_and_private(folder: Path) -> None:
    folder.mkdir()
    said: dict[str, Any] = {"url": "http://127.0.0.1:1", "pid": 1}

    presence.write_server_file(folder, said)

    assert json.loads((folder / "server.json").read_text()) == said == presence.read_server_file(folder)
    assert stat.S_IMODE((folder / "server.json").stat().st_mode) == 0o600
    presence.remove_server_file(folder)
    presence.remove_server_file(folder)
    assert list(folder.iterdir()) == []


@pytest.mark.parametrize(
    ("user", "name"),
    [("ana", "ana"), ("dom\\ana", "dom-ana"), ("_x", "x"), ("ana smith", "ana-smith"), ("$$", "owner")],
)
def test_any_os_user_has_a_name_here(user: str, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("getpass.getuser", lambda: user)

    assert workspaces.owner_name() == name
