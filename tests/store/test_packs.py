# SPDX-License-Identifier: Apache-2.0
"""Packs on a disk: what a crash leaves, what damage does, and what a collection that meets writers may not do."""

from __future__ import annotations

import errno
import hashlib
import os
import random
import stat
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from mainstay.domain.errors import Corrupt, StorageFull
from mainstay.store import chunking
from mainstay.store.blobs.arriving import LARGE_PARQUET
from mainstay.store.blobs.local import FolderShelf, LocalBlobs
from mainstay.store.chunking import COARSE

TABLE = b"PAR1" + random.Random(3).randbytes(LARGE_PARQUET * 2)
MANY = [b"%d" % n * 3000 for n in range(200)]


def name(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


@pytest.fixture
def blobs(tmp_path: Path) -> LocalBlobs:
    return LocalBlobs(tmp_path / "blobs")


def packs(blobs: LocalBlobs) -> list[Path]:
    return sorted((blobs.folder / "packs").glob("*"))


def pack(blobs: LocalBlobs, *objects: bytes) -> None:
    with blobs.packing() as packing:
        list(packing.add_all(objects))


def damage(file: Path, at: int) -> None:
    content = bytearray(file.read_bytes())
    content[at] ^= 1
    file.chmod(0o600)
    file.write_bytes(content)


def age(blobs: LocalBlobs) -> None:
    """Make everything two days old."""
    for file in blobs.folder.rglob("*"):
        if file.is_file():
            os.utime(file, (time.time() - 48 * 3600,) * 2)


def test_many_small_ones_are_one_file_of_the_owner_only_and_one_wait_for_the_disk(
    blobs: LocalBlobs, monkeypatch: pytest.MonkeyPatch
) -> None:
    waits: list[str] = []
    fsync, rename = os.fsync, Path.rename

    def watched(handle: int) -> None:
        waits.append("folder" if stat.S_ISDIR(os.fstat(handle).st_mode) else "bytes")
        fsync(handle)

    def renamed(self: Path, target: Path) -> Path:
        waits.append("rename")
        return rename(self, target)

    monkeypatch.setattr(os, "fsync", watched)
    monkeypatch.setattr(Path, "rename", renamed)
    pack(blobs, *MANY)

    assert waits == ["bytes", "rename", "folder", "folder"]
    (file,) = packs(blobs)
    assert stat.S_IMODE(file.stat().st_mode) == 0o400
    assert stat.S_IMODE(file.parent.stat().st_mode) == 0o700


def test_what_is_known_is_not_written_again(blobs: LocalBlobs) -> None:
    pack(blobs, *MANY)
    pack(blobs, *MANY)
    pack(LocalBlobs(blobs.folder), *MANY)

    assert len(packs(blobs)) == 1


@pytest.mark.parametrize("fail_at", ["bytes", "folder"])
def test_a_disk_that_is_full_leaves_no_half_pack_and_is_told(
    blobs: LocalBlobs, monkeypatch: pytest.MonkeyPatch, fail_at: str
) -> None:
    fsync = os.fsync

    def full(handle: int) -> None:
        if (fail_at == "folder") == stat.S_ISDIR(os.fstat(handle).st_mode):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        fsync(handle)

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(StorageFull, match="disk is full"):
        blobs.put(TABLE)

    assert list((blobs.folder / "incoming").iterdir()) == []
    if fail_at == "bytes":
        assert packs(blobs) == []


FILE = random.Random(8).randbytes(40 << 20)


@pytest.fixture
def handle(tmp_path: Path) -> Iterator[int]:
    (tmp_path / "file").write_bytes(FILE)
    opened = os.open(tmp_path / "file", os.O_RDONLY)
    yield opened
    os.close(opened)


def test_a_large_file_is_its_chunks_among_small_objects_and_both_are_read_back(blobs: LocalBlobs, handle: int) -> None:
    with blobs.packing() as packing:
        small = packing.add(b"before")
        chunks = list(packing.add_file(handle, len(FILE), COARSE))
        packing.add(b"after")

    assert [each.digest for each in chunks] == [chunking.name(each) for each in chunking.split([FILE], COARSE)]
    assert (blobs.read(small.digest), blobs.read(name(b"after"))) == (b"before", b"after")
    assert b"".join(blobs.read(each.digest) for each in chunks) == FILE
    assert b"".join(LocalBlobs(blobs.folder).read(each.digest) for each in chunks) == FILE


def test_chunks_of_a_stream_and_of_a_file_are_the_same_objects(blobs: LocalBlobs, handle: int) -> None:
    blobs.put(FILE)
    with blobs.packing() as packing:
        again = list(packing.add_file(handle, len(FILE), COARSE))

    assert not any(each.is_new for each in again)


def test_a_file_that_was_cut_short_is_fewer_bytes_and_no_error(blobs: LocalBlobs, handle: int) -> None:
    with blobs.packing() as packing:
        chunks = list(packing.add_file(handle, len(FILE) + (5 << 20), COARSE))

    assert sum(each.size for each in chunks) == len(FILE)


@pytest.mark.parametrize("at", [5, 10 << 20, 39 << 20])
def test_one_flipped_bit_of_a_chunk_is_found_and_taking_the_file_again_heals(
    blobs: LocalBlobs, handle: int, at: int
) -> None:
    def add() -> list[str]:
        with blobs.packing() as packing:
            return [each.digest for each in packing.add_file(handle, len(FILE), COARSE)]

    digests = add()
    (file,) = packs(blobs)
    damage(file, at + 64)

    bad = [digest for digest in digests if not _is_sound(blobs, digest)]
    assert len(bad) == 1 and blobs.missing(digests) == bad
    assert add() == digests and all(_is_sound(blobs, digest) for digest in digests)


def _is_sound(blobs: LocalBlobs, digest: str) -> bool:
    try:
        return chunking.name(blobs.read(digest)) == digest
    except Corrupt:
        return False


def test_a_full_disk_in_the_middle_of_a_large_file_leaves_nothing(
    blobs: LocalBlobs, handle: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    pwrite = os.pwrite

    def full(to: int, data: bytes, at: int) -> int:
        if at > 20 << 20:
            raise OSError(errno.ENOSPC, "no space")
        return pwrite(to, data, at)

    monkeypatch.setattr(os, "pwrite", full)
    with pytest.raises(StorageFull, match="disk is full"), blobs.packing() as packing:
        list(packing.add_file(handle, len(FILE), COARSE))

    assert packs(blobs) == [] and list((blobs.folder / "incoming").iterdir()) == []


def test_a_disk_that_gives_and_takes_little_at_a_time_gives_and_takes_all(
    blobs: LocalBlobs, handle: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    pwrite, pread, preadv = os.pwrite, os.pread, os.preadv
    monkeypatch.setattr(os, "pwrite", lambda to, data, at: pwrite(to, data[:300_000], at))
    monkeypatch.setattr(os, "pread", lambda of, size, at: pread(of, min(size, 1_000), at))
    monkeypatch.setattr(os, "preadv", lambda of, into, at: preadv(of, [into[0][:200_000]], at))
    with blobs.packing() as packing:
        chunks = list(packing.add_file(handle, len(FILE), COARSE))

    assert b"".join(blobs.read(each.digest) for each in chunks) == FILE
    assert [each.digest for each in chunks] == [chunking.name(each) for each in chunking.split([FILE], COARSE)]


def test_a_writer_that_fails_in_the_middle_leaves_nothing(blobs: LocalBlobs) -> None:
    with pytest.raises(ZeroDivisionError), blobs.packing() as packing:
        packing.add(b"one")
        raise ZeroDivisionError

    assert packs(blobs) == [] and list((blobs.folder / "incoming").iterdir()) == []


# Damage


@pytest.mark.parametrize("share", [0.05, 0.5, 0.9])
def test_one_flipped_bit_of_a_large_blob_is_found_and_putting_it_again_heals(blobs: LocalBlobs, share: float) -> None:
    blobs.put(TABLE)
    (file,) = packs(blobs)
    damage(file, int(len(TABLE) * share))

    for _ in range(2):
        with pytest.raises(Corrupt, match=f"blob {name(TABLE)} no longer matches"):
            blobs.read(name(TABLE))
        with pytest.raises(Corrupt):
            blobs.path(name(TABLE))

    blobs.put(TABLE)
    assert blobs.read(name(TABLE)) == LocalBlobs(blobs.folder).read(name(TABLE)) == TABLE


def test_a_damaged_small_one_is_missing_until_it_comes_again(blobs: LocalBlobs) -> None:
    pack(blobs, *MANY)
    (file,) = packs(blobs)
    damage(file, 100)
    with pytest.raises(Corrupt):
        blobs.read(name(MANY[0]))

    assert blobs.missing(map(name, MANY)) == [name(MANY[0])]
    pack(blobs, *MANY)
    assert blobs.missing(map(name, MANY)) == []
    assert blobs.read(name(MANY[0])) == MANY[0]


@pytest.mark.parametrize("at", [-1, -20, -45, -200])
def test_a_pack_whose_index_was_damaged_is_named(blobs: LocalBlobs, at: int) -> None:
    pack(blobs, *MANY)
    (file,) = packs(blobs)
    damage(file, at)

    with pytest.raises(Corrupt, match=f"pack {file.name} was damaged"):
        LocalBlobs(blobs.folder).read(name(MANY[0]))


def test_a_whole_file_that_the_power_cut_short_is_made_anew(blobs: LocalBlobs) -> None:
    blobs.put(TABLE)
    file = blobs.path(name(TABLE))
    file.chmod(0o600)
    file.write_bytes(TABLE[:1000])

    assert LocalBlobs(blobs.folder).path(name(TABLE)).read_bytes() == TABLE


def test_whole_files_that_nobody_asked_for_lately_make_room(tmp_path: Path) -> None:
    blobs = LocalBlobs(tmp_path / "blobs", most_whole=len(TABLE) * 2)
    tables = [TABLE + bytes([n]) for n in range(4)]
    for data in tables:
        blobs.put(data)
        os.utime(blobs.path(name(data)), (time.time() - 3600,) * 2)

    blobs.path(name(TABLE + b"\x00"))
    kept = [file for file in (blobs.folder / "whole").glob("*/*")]

    assert len(kept) <= 3
    assert all(blobs.path(name(data)).read_bytes() == data for data in tables)


# Collections that meet others


def test_a_pack_that_somebody_asked_for_meanwhile_stays(blobs: LocalBlobs, monkeypatch: pytest.MonkeyPatch) -> None:
    """Between looking at a pack's age and removing it, another process relies on what is in it."""
    pack(blobs, *MANY)
    age(blobs)
    other, remove = LocalBlobs(blobs.folder), FolderShelf.remove

    def removed(self: FolderShelf, pack: str, before: float) -> bool:
        assert other.missing([name(MANY[1])]) == []
        return remove(self, pack, before)

    monkeypatch.setattr(FolderShelf, "remove", removed)
    found = blobs.collect({name(MANY[0])}, before=time.time() - 3600, delete=True)

    assert found.objects == 0
    assert other.read(name(MANY[1])) == MANY[1]


def test_a_writer_that_believed_in_a_pack_that_went_writes_its_part_anew(blobs: LocalBlobs) -> None:
    pack(blobs, *MANY)
    other = LocalBlobs(blobs.folder)
    assert other.size(name(MANY[5])) == len(MANY[5])
    age(blobs)

    assert blobs.collect(set(), before=time.time() - 3600, delete=True).objects == len(MANY)
    pack(other, *MANY)

    assert [other.read(name(data)) for data in MANY] == MANY


def test_a_reader_finds_what_was_moved_into_another_pack(blobs: LocalBlobs) -> None:
    pack(blobs, *MANY)
    other = LocalBlobs(blobs.folder)
    assert other.read(name(MANY[0])) == MANY[0]
    age(blobs)

    found = blobs.collect(set(map(name, MANY[::3])), before=time.time() - 3600, delete=True)

    assert found.rewritten == 1
    assert [other.read(name(data)) for data in MANY[::3]] == MANY[::3]


def test_a_dead_recipe_whose_chunks_went_counts_as_missing(blobs: LocalBlobs) -> None:
    """Its pack is young, for something else in it was asked for; its chunks stand in an old one."""
    blobs.put(TABLE)
    age(blobs)
    other = LocalBlobs(blobs.folder)
    with other.packing() as packing:
        packing.add(b"x" * 10)
        packing.add_recipe("f" * 64, 20, [packing.add(b"y" * 20)])
    (blobs.folder / "packs" / min(packs(blobs), key=lambda file: file.stat().st_mtime).name).unlink()

    fresh = LocalBlobs(blobs.folder)
    assert fresh.missing([name(TABLE), name(b"x" * 10)]) == [name(TABLE)]
    fresh.put(TABLE)
    assert fresh.read(name(TABLE)) == TABLE
