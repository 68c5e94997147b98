# SPDX-License-Identifier: Apache-2.0
"""Blobs: under a digest there are its bytes, or nothing; whatever fails on the way."""

from __future__ import annotations

import errno
import hashlib
import os
import stat
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from mainstay.domain.digests import sha256_hex
from mainstay.domain.errors import Corrupt, Invalid, NotFound, StorageFull
from mainstay.store.blobs.local import LocalBlobs

DATA = b"carrier,late\nUA,1\n" * 1000
DIGEST = hashlib.sha256(DATA).hexdigest()
OTHERS = [b"UA", b"AA"]


@pytest.fixture
def blobs(tmp_path: Path) -> LocalBlobs:
    return LocalBlobs(tmp_path / "blobs")


def place(blobs: LocalBlobs, data: bytes = DATA) -> Path:
    digest = sha256_hex(data)
    return blobs.folder / digest[:2] / digest


def files(blobs: LocalBlobs) -> list[str]:
    return sorted(file.name for file in blobs.folder.rglob("*") if file.is_file())


def test_what_was_put_is_read_back_whole_or_in_pieces(blobs: LocalBlobs) -> None:
    assert blobs.put(DATA) == (DIGEST, len(DATA))
    assert blobs.put(iter([b"", DATA[:5], DATA[5:]]), expected=DIGEST) == (DIGEST, len(DATA))
    assert blobs.put(b"") == (hashlib.sha256(b"").hexdigest(), 0)

    assert blobs.read(DIGEST) == blobs.path(DIGEST).read_bytes() == DATA
    assert (blobs.size(DIGEST), blobs.size("0" * 64)) == (len(DATA), None)
    assert set(blobs.digests()) == {DIGEST, hashlib.sha256(b"").hexdigest()}


def test_a_blob_belongs_to_its_owner_only_and_cannot_be_written(blobs: LocalBlobs) -> None:
    blobs.put(DATA)

    assert stat.S_IMODE(place(blobs).stat().st_mode) == 0o400
    assert {stat.S_IMODE(folder.stat().st_mode) for folder in blobs.folder.glob("*/")} == {0o700}


def test_bytes_of_another_digest_than_announced_are_not_kept(blobs: LocalBlobs) -> None:
    with pytest.raises(Invalid, match=f"digest {DIGEST}, the upload was announced as {'0' * 64}"):
        blobs.put(DATA, expected="0" * 64)

    assert files(blobs) == []


@pytest.mark.parametrize(
    "digest", ["", "..", "../mainstay.db", "a" * 63, "A" * 64, "/etc/passwd", "ab/" + "a" * 61, "a" * 64 + "\n"]
)
@pytest.mark.parametrize("ask", [LocalBlobs.read, LocalBlobs.path, LocalBlobs.size])
def test_only_a_digest_names_a_blob(blobs: LocalBlobs, digest: str, ask: Callable[..., Any]) -> None:
    with pytest.raises(Invalid, match="is not a digest"):
        ask(blobs, digest)


@pytest.mark.parametrize("ask", [LocalBlobs.read, LocalBlobs.path])
def test_an_unknown_blob_is_not_found(blobs: LocalBlobs, ask: Callable[..., Any]) -> None:
    with pytest.raises(NotFound):
        ask(blobs, DIGEST)


# Damage


@pytest.mark.parametrize("ask", [LocalBlobs.read, LocalBlobs.path])
@pytest.mark.parametrize("where", [0, 7777, len(DATA) - 1])
def test_one_flipped_bit_is_never_served(blobs: LocalBlobs, ask: Callable[..., Any], where: int) -> None:
    blobs.put(DATA)
    blobs.path(DIGEST)  # was verified before, too
    damaged = bytearray(DATA)
    damaged[where] ^= 1
    overwrite(place(blobs), bytes(damaged))

    with pytest.raises(Corrupt, match=f"blob {DIGEST} no longer matches") as refusal:
        ask(blobs, DIGEST)
    assert str(blobs.folder) not in refusal.value.message


@pytest.mark.parametrize("content", [b"", DATA[:-1], DATA + b"x"])
def test_a_blob_that_was_cut_or_grew_is_never_served(blobs: LocalBlobs, content: bytes) -> None:
    blobs.put(DATA)
    overwrite(place(blobs), content)

    with pytest.raises(Corrupt):
        blobs.read(DIGEST)
    with pytest.raises(Corrupt):
        blobs.path(DIGEST)


def test_putting_the_bytes_again_heals_a_damaged_blob(blobs: LocalBlobs) -> None:
    blobs.put(DATA)
    overwrite(place(blobs), b"damaged")

    blobs.put(DATA)

    assert blobs.read(DIGEST) == DATA


def test_putting_it_again_among_others_heals_a_damaged_blob(blobs: LocalBlobs) -> None:
    blobs.put(DATA)
    overwrite(place(blobs), b"damaged")

    blobs.put_all([DATA, *OTHERS])

    assert [blobs.read(sha256_hex(each)) for each in (DATA, *OTHERS)] == [DATA, *OTHERS]


def overwrite(file: Path, content: bytes) -> None:
    file.chmod(0o600)
    file.write_bytes(content)


# Durability: the order of steps, and a failure at each


def recorded(monkeypatch: pytest.MonkeyPatch, fail_at: str = "") -> list[str]:
    """The names of the steps as they happen; the one called ``fail_at`` fails with ENOSPC."""
    steps: list[str] = []
    fsync, rename = os.fsync, Path.rename

    def step(name: str) -> None:
        steps.append(name)
        if name == fail_at:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    def watched_fsync(handle: int) -> None:
        step("sync folder" if stat.S_ISDIR(os.fstat(handle).st_mode) else "sync bytes")
        fsync(handle)

    def watched_rename(self: Path, target: Path) -> Path:
        step("rename")
        return rename(self, target)

    monkeypatch.setattr(os, "fsync", watched_fsync)
    monkeypatch.setattr(Path, "rename", watched_rename)
    return steps


def test_bytes_are_synced_before_they_get_their_name_and_the_name_before_the_answer(
    blobs: LocalBlobs, monkeypatch: pytest.MonkeyPatch
) -> None:
    steps = recorded(monkeypatch)

    blobs.put(DATA)

    assert steps == ["sync bytes", "rename", "sync folder", "sync folder"]


def test_of_several_all_bytes_are_synced_before_any_gets_its_name(
    blobs: LocalBlobs, monkeypatch: pytest.MonkeyPatch
) -> None:
    blobs.put(DATA)
    steps = recorded(monkeypatch)

    blobs.put_all([DATA, *OTHERS])

    assert steps[:4] == ["sync bytes", "sync bytes", "rename", "rename"]
    assert steps[4:] == ["sync folder"] * len({blobs.folder, *(place(blobs, each).parent for each in (DATA, *OTHERS))})


@pytest.mark.parametrize("fail_at", ["sync bytes", "rename"])
def test_several_of_which_one_fails_leave_nothing(
    blobs: LocalBlobs, monkeypatch: pytest.MonkeyPatch, fail_at: str
) -> None:
    recorded(monkeypatch, fail_at)

    with pytest.raises(StorageFull, match="disk is full: nothing was written"):
        blobs.put_all([DATA, *OTHERS])

    assert files(blobs) == []


def test_a_blob_that_is_known_is_made_durable_all_the_same(blobs: LocalBlobs, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another writer may have renamed it a moment ago and not synced the folder yet."""
    blobs.put(DATA)
    steps = recorded(monkeypatch)

    blobs.put(DATA)

    assert steps[-2:] == ["sync folder", "sync folder"]


@pytest.mark.parametrize("fail_at", ["sync bytes", "rename"])
def test_a_failure_before_the_name_leaves_nothing(
    blobs: LocalBlobs, monkeypatch: pytest.MonkeyPatch, fail_at: str
) -> None:
    recorded(monkeypatch, fail_at)

    with pytest.raises(StorageFull, match="disk is full: nothing was written"):
        blobs.put(DATA)

    assert files(blobs) == []


def test_a_put_whose_name_could_not_be_made_durable_is_not_acknowledged(
    blobs: LocalBlobs, monkeypatch: pytest.MonkeyPatch
) -> None:
    recorded(monkeypatch, "sync folder")

    with pytest.raises(StorageFull):
        blobs.put(DATA)


def test_a_stream_that_breaks_leaves_nothing(blobs: LocalBlobs) -> None:
    def broken() -> Iterator[bytes]:
        yield DATA
        raise ConnectionResetError

    with pytest.raises(ConnectionResetError):
        blobs.put(broken())

    assert files(blobs) == []


LIMITED = """
import resource, sys
from pathlib import Path
from mainstay.domain.errors import StorageFull
from mainstay.store.blobs.local import LocalBlobs

blobs = LocalBlobs(Path(sys.argv[1]))
resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
try:
    blobs.put(b"x" * 30_000 for _ in range(10))
except StorageFull as error:
    print(error.message)
print(blobs.put(b"small")[1])
"""


def test_a_file_that_cannot_grow_is_storage_full_and_leaves_nothing(blobs: LocalBlobs) -> None:
    child = subprocess.run(
        [sys.executable, "-c", LIMITED, str(blobs.folder)], capture_output=True, text=True, timeout=60
    )

    assert (child.stdout.splitlines()[1:], child.stderr) == (["5"], "")
    assert "disk is full: nothing was written" in child.stdout
    assert files(blobs) == [hashlib.sha256(b"small").hexdigest()]


# Several writers


def test_writers_of_the_same_bytes_do_not_disturb_each_other(blobs: LocalBlobs) -> None:
    with ThreadPoolExecutor(8) as pool:
        put = [pool.submit(blobs.put, DATA) for _ in range(24)]
        read = [pool.submit(blobs.read, DIGEST) for done in put[:1] if done.result() for _ in range(24)]

    assert {done.result() for done in put} == {(DIGEST, len(DATA))}
    assert {done.result() for done in read} == {DATA}
    assert files(blobs) == [DIGEST]


def test_what_a_killed_writer_left_aside_goes_after_a_day_and_not_before(blobs: LocalBlobs) -> None:
    for name, age_s in (("old", 25 * 3600), ("young", 60)):
        (blobs.folder / "incoming" / name).write_bytes(b"half")
        os.utime(blobs.folder / "incoming" / name, (time.time() - age_s,) * 2)

    again = LocalBlobs(blobs.folder)

    assert files(again) == ["young"]
    assert list(again.digests()) == []
