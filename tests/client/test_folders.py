# SPDX-License-Identifier: Apache-2.0
"""Folders of files: taken in from near and from far, seen again, laid out, exported."""

from __future__ import annotations

import os
import random
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from mainstay.client import checkouts, datasets, folders
from mainstay.client import session as sessions
from mainstay.client.session import Session
from mainstay.domain.digests import sha256_hex
from mainstay.domain.errors import Conflict, Invalid
from mainstay.store.blobs.local import LocalBlobs

LARGE = random.Random(5).randbytes((9 << 20) + 17)
HOURS_AGO = 1_700_000_000


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("platform") / "workspace"


@pytest.fixture(scope="module")
def connection(workspace: Path) -> Iterator[Session]:
    made = sessions.connect(workspace=workspace)
    yield made
    made.close()


@pytest.fixture(params=["near", "far"])
def session(request: pytest.FixtureRequest, connection: Session, tmp_path: Path) -> Session:
    """A client of the workspace itself, and one that knows only the server's address."""
    workspace = connection.workspace if request.param == "near" else None
    return Session(connection.wire, cache=tmp_path / "cache", workspace=workspace)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "pictures"
    (made / "sub" / "deeper").mkdir(parents=True)
    (made / "a.txt").write_bytes(b"a")
    (made / "empty").write_bytes(b"")
    (made / "sub" / "again.txt").write_bytes(b"a")
    (made / "sub" / "deeper" / "naïve ✓.bin").write_bytes(bytes(range(256)))
    (made / "large.bin").write_bytes(LARGE)
    for file in made.rglob("*"):
        os.utime(file, (HOURS_AGO, HOURS_AGO))
    return made


def add(session: Session, path: Path, name: str = "") -> dict[str, Any]:
    name = name or f"files-{sha256_hex(os.fsencode(path))[:12]}"
    datasets.ensure(session, name)
    return datasets.add(session, name, path, {"source": path.name})


def content(folder: Path) -> dict[str, bytes]:
    return {file.relative_to(folder).as_posix(): file.read_bytes() for file in folder.rglob("*") if file.is_file()}


def settle(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let entries count that were changed just now: a test does not wait two seconds."""
    monkeypatch.setattr(folders, "_RACY_NS", -(10**12))


# In and out


def test_what_is_laid_out_is_what_was_taken_in(session: Session, folder: Path, tmp_path: Path) -> None:
    taken = add(session, folder)

    assert (taken["kind"], taken["rows"], taken["size"]) == ("files", 5, len(LARGE) + 258)
    laid = checkouts.checkout(session, taken["id"], tmp_path / "out")
    assert (laid.files, laid.written, laid.there) == (5, 5, 0)
    assert content(tmp_path / "out") == content(folder)


def test_the_same_files_are_the_same_snapshot_wherever_they_lie(session: Session, folder: Path, tmp_path: Path) -> None:
    first = add(session, folder, "wherever")
    checkouts.checkout(session, first["id"], tmp_path / "elsewhere")

    second = add(session, tmp_path / "elsewhere", "wherever")

    assert (second["id"], second["digest"], second["is_known"]) == (first["id"], first["digest"], True)


def test_a_single_file_is_a_snapshot_under_its_name(session: Session, folder: Path, tmp_path: Path) -> None:
    taken = add(session, folder / "a.txt")

    checkouts.checkout(session, taken["id"], tmp_path / "out")
    assert content(tmp_path / "out") == {"a.txt": b"a"}


def test_what_did_not_change_is_not_read_again(session: Session, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settle(monkeypatch)
    assert folders.bring(session, folder).read == 5

    (folder / "a.txt").write_bytes(b"b")
    second = folders.bring(session, folder)
    third = folders.bring(session, folder)

    assert (second.read, third.read) == (1, 0)
    assert second.digest == third.digest


def test_a_file_that_was_written_just_now_is_read_again(session: Session, folder: Path) -> None:
    """It may be written once more within the same tick of the clock, and nothing would show it."""
    folders.bring(session, folder)

    assert folders.bring(session, folder).read == 5


def test_of_a_large_file_that_changed_a_little_only_that_is_sent(
    session: Session, folder: Path, workspace: Path
) -> None:
    folders.bring(session, folder)
    before = set(LocalBlobs(workspace / "blobs").digests())

    (folder / "large.bin").write_bytes(LARGE[:100] + b"x" + LARGE[100:])
    folders.bring(session, folder)

    blobs = LocalBlobs(workspace / "blobs")
    assert sum(blobs.size(digest) or 0 for digest in set(blobs.digests()) - before) < 5 << 20


def test_what_the_index_remembers_and_the_store_lost_is_read_again(
    session: Session, folder: Path, workspace: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    settle(monkeypatch)
    brought = folders.bring(session, folder)
    for pack in (workspace / "blobs" / "packs").iterdir():
        pack.unlink()

    taken = add(session, folder)

    assert taken["digest"] == brought.digest
    checkouts.checkout(session, taken["id"], tmp_path / "out")
    assert content(tmp_path / "out") == content(folder)


def test_an_index_that_was_cut_short_costs_time_only(
    session: Session, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settle(monkeypatch)
    first = folders.bring(session, folder)
    for file in (session.cache / "folders").iterdir():
        file.write_bytes(file.read_bytes()[:100])

    again = folders.bring(session, folder)

    assert (again.digest, again.read) == (first.digest, 5)


# What is refused


def test_a_link_to_a_file_is_the_file_and_a_link_to_a_folder_is_refused(session: Session, folder: Path) -> None:
    (folder / "link").symlink_to(folder / "a.txt")
    assert folders.bring(session, folder).files == 6

    (folder / "round").symlink_to(folder)
    with pytest.raises(Invalid, match="'round' is neither a file nor a real folder"):
        folders.bring(session, folder)


def test_what_is_no_file_is_refused_by_name(session: Session, folder: Path, tmp_path: Path) -> None:
    os.mkfifo(folder / "pipe")
    with pytest.raises(Invalid, match="'pipe' is neither"):
        folders.bring(session, folder)
    (folder / "pipe").unlink()

    with socket.socket(socket.AF_UNIX) as listening:
        here = os.getcwd()
        os.chdir(folder)  # a socket's path must be short
        try:
            listening.bind("talk")
        finally:
            os.chdir(here)
        with pytest.raises(Invalid, match="'talk' is neither"):
            folders.bring(session, folder)


@pytest.mark.parametrize("name", [b"not \xff utf-8", b"line\nbreak", b"back\\slash", b"\x1b[31mred"])
def test_a_name_that_could_not_be_laid_out_everywhere_is_refused(session: Session, folder: Path, name: bytes) -> None:
    Path(os.fsdecode(os.fsencode(folder) + b"/" + name)).write_bytes(b"x")

    with pytest.raises(Invalid, match="rename it"):
        folders.bring(session, folder)


def test_nothing_and_an_empty_folder_are_refused(session: Session, tmp_path: Path) -> None:
    (tmp_path / "none" / "inside").mkdir(parents=True)

    with pytest.raises(Invalid, match="holds no file"):
        folders.bring(session, tmp_path / "none")
    with pytest.raises(Invalid, match="there is no file or folder 'gone'"):
        folders.bring(session, tmp_path / "gone")


@pytest.mark.parametrize("name", ["a.txt", "large.bin"])
def test_a_file_that_changes_while_it_is_read_is_noticed(
    session: Session, folder: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    read, pread, preadv, file = os.read, os.pread, os.preadv, folder / name

    def append(handle: int, at: int) -> None:
        """Somebody appends a byte each time the file is begun."""
        if os.fstat(handle).st_ino == file.stat().st_ino and at == 0:
            file.write_bytes(file.read_bytes() + b"!")

    def read_meanwhile(handle: int, size: int) -> bytes:
        at = os.lseek(handle, 0, os.SEEK_CUR)
        data = read(handle, size)
        append(handle, at)
        return data

    def pread_meanwhile(handle: int, size: int, at: int) -> bytes:
        data = pread(handle, size, at)
        append(handle, at)
        return data

    def preadv_meanwhile(handle: int, into: Any, at: int) -> int:
        size = preadv(handle, into, at)
        append(handle, at)
        return size

    monkeypatch.setattr(os, "read", read_meanwhile)
    monkeypatch.setattr(os, "pread", pread_meanwhile)
    monkeypatch.setattr(os, "preadv", preadv_meanwhile)
    with pytest.raises(Conflict, match=f"file '{name}' changes while it is read"):
        folders.bring(session, folder)


def test_files_and_tables_do_not_mix_in_one_dataset(session: Session, folder: Path, tmp_path: Path) -> None:
    name = f"mixed-{tmp_path.name}"
    add(session, folder, name)
    (tmp_path / "t.csv").write_text("x\n1\n")

    with pytest.raises(Invalid, match="is of kind files, and table were handed in"):
        add(session, tmp_path / "t.csv", name)


# Checkout and export


def test_a_checkout_goes_on_where_it_stopped_and_overwrites_nothing(
    session: Session, folder: Path, tmp_path: Path
) -> None:
    taken, out = add(session, folder), tmp_path / "out"
    checkouts.checkout(session, taken["id"], out)
    (out / "sub" / "again.txt").unlink()

    assert checkouts.checkout(session, taken["id"], out).written == 1

    (out / "sub" / "again.txt").unlink()
    (out / "large.bin").write_bytes(LARGE[:-1] + b"\0")
    with pytest.raises(
        Conflict, match=r"'large.bin' is there already and is not what the snapshot has; nothing was written"
    ):
        checkouts.checkout(session, taken["id"], out)
    assert not (out / "sub" / "again.txt").exists()


def test_a_checkout_does_not_follow_a_link_out_of_its_folder(session: Session, folder: Path, tmp_path: Path) -> None:
    taken, out, outside = add(session, folder), tmp_path / "out", tmp_path / "outside"
    outside.mkdir()
    out.mkdir()
    (out / "sub").symlink_to(outside)

    with pytest.raises(Conflict, match="'sub' is there already"):
        checkouts.checkout(session, taken["id"], out)
    assert list(outside.iterdir()) == []


def test_who_edits_a_checkout_does_not_edit_the_store(session: Session, folder: Path, tmp_path: Path) -> None:
    taken = add(session, folder)
    checkouts.checkout(session, taken["id"], tmp_path / "out")

    (tmp_path / "out" / "large.bin").write_bytes(b"mine")

    assert datasets.verify(session, taken["id"])["sound"]


def test_a_table_is_exported_and_laid_out(session: Session, tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text('id,name\n1,"a, b"\n2,\n')
    taken = add(session, tmp_path / "t.csv", f"table-{tmp_path.name}")

    checkouts.export(session, taken["id"], tmp_path / "out.csv")
    checkouts.export(session, taken["id"], tmp_path / "out.parquet")
    laid = checkouts.checkout(session, taken["id"], tmp_path / "out")

    assert (tmp_path / "out.csv").read_text().splitlines()[1:] == ['1,"a, b"', "2,"]
    (file,) = (tmp_path / "out").iterdir()
    assert file.read_bytes() == (tmp_path / "out.parquet").read_bytes() == session.get_blob(taken["blob"])
    assert laid.written == 1
    with pytest.raises(Conflict, match=r"out\.csv is there already"):
        checkouts.export(session, taken["id"], tmp_path / "out.csv")
    with pytest.raises(Invalid, match=r"neither \.parquet nor \.csv"):
        checkouts.export(session, taken["id"], tmp_path / "out.xlsx")


# Verify


def test_damage_is_named_by_file_and_nothing_damaged_is_laid_out(
    session: Session, folder: Path, workspace: Path, tmp_path: Path
) -> None:
    needle = f"needle of {tmp_path.name}".encode()
    (folder / "only here").write_bytes(needle)
    taken = add(session, folder)
    assert datasets.verify(session, taken["id"])["sound"]
    (pack,) = [each for each in (workspace / "blobs" / "packs").iterdir() if needle in each.read_bytes()]
    before = pack.read_bytes()
    pack.chmod(0o600)
    pack.write_bytes(before.replace(needle, needle.upper()))

    found = datasets.verify(session, taken["id"])
    with pytest.raises(Exception, match="no longer matches"):
        checkouts.checkout(session, taken["id"], tmp_path / "out")
    pack.write_bytes(before)

    assert not found["sound"]
    assert [damage["what"] for damage in found["damaged"]] == ["only here"]
    assert not (tmp_path / "out" / "only here").exists()
