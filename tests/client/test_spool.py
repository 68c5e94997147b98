# SPDX-License-Identifier: Apache-2.0
"""The spool: what was kept is there after any kill, each request once, in the order in which it was said."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from mainstay.client import spool as spools
from mainstay.client.spool import Request, Spool
from mainstay.domain import ids


def request(number: int, size: int = 10) -> Request:
    return Request(key=ids.uuid7(), run="r", path=f"/runs/r/{number}", body=b"%d" % number * size)


def left(root: Path) -> Spool:
    (found,) = spools.leftovers(root)
    return found


def drained(spool: Spool) -> list[str]:
    paths = []
    while head := spool.head():
        paths.append(head.path)
        spool.done(head)
    return paths


def test_what_was_kept_comes_out_once_in_its_order_and_leaves_nothing_behind(tmp_path: Path) -> None:
    spool = spools.make(tmp_path, "workspace")
    meant = [request(n) for n in range(5)]
    for each in meant:
        spool.append(each)

    assert spool.head() == meant[0]
    spool.done(meant[0])
    spool.append(request(5))
    assert drained(spool) == [f"/runs/r/{n}" for n in range(1, 6)]
    spool.append(request(6))
    assert drained(spool) == ["/runs/r/6"]
    spool.release()

    assert list(tmp_path.iterdir()) == []


def test_another_process_takes_over_only_what_has_no_owner_any_more(tmp_path: Path) -> None:
    spool = spools.make(tmp_path, "workspace")
    spool.append(request(0))

    assert list(spools.leftovers(tmp_path)) == []
    spool.release()
    found = left(tmp_path)

    assert (found.target, drained(found)) == ("workspace", ["/runs/r/0"])


@pytest.mark.parametrize("answered", [1, 4, 5, 9])
def test_what_was_answered_before_a_kill_is_not_sent_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, answered: int
) -> None:
    monkeypatch.setattr(spools, "SEGMENT_BYTES", 400)  # several segments, one of them answered in part
    spool = spools.make(tmp_path, None)
    for n in range(10):
        spool.append(request(n))
    for _ in range(answered):
        head = spool.head()
        assert head is not None
        spool.done(head)
    os.close(spool._lock_handle)  # as the kernel does when the process dies

    found = left(tmp_path)

    assert drained(found) == [f"/runs/r/{n}" for n in range(answered, 10)]
    found.release()
    assert list(tmp_path.iterdir()) == []


def test_a_mark_that_was_cut_off_counts_as_the_one_before(tmp_path: Path) -> None:
    spool = spools.make(tmp_path, None)
    for n in range(4):
        spool.append(request(n))
    for _ in range(3):
        head = spool.head()
        assert head is not None
        spool.done(head)
    (mark,) = spool.folder.glob("*.answered")
    os.truncate(mark, mark.stat().st_size - 2)
    os.close(spool._lock_handle)

    assert drained(left(tmp_path)) == ["/runs/r/2", "/runs/r/3"]


@pytest.mark.parametrize("cut", [1, 5, 40, 100])
def test_a_request_that_was_cut_off_ends_what_is_read(tmp_path: Path, cut: int) -> None:
    spool = spools.make(tmp_path, None)
    for n in range(3):
        spool.append(request(n))
    (segment,) = spool.folder.glob(f"*{spools.SUFFIX}")
    os.truncate(segment, segment.stat().st_size - cut)
    os.close(spool._lock_handle)

    assert drained(left(tmp_path)) == ["/runs/r/0", "/runs/r/1"]


def test_a_damaged_request_is_not_sent(tmp_path: Path) -> None:
    spool = spools.make(tmp_path, None)
    spool.append(request(0))
    spool.append(request(7))
    (segment,) = spool.folder.glob(f"*{spools.SUFFIX}")
    segment.write_bytes(segment.read_bytes().replace(b"7777777777", b"7777777877"))
    os.close(spool._lock_handle)

    assert drained(left(tmp_path)) == ["/runs/r/0"]


def test_a_full_disk_costs_the_request_that_did_not_fit_and_no_other(tmp_path: Path) -> None:
    code = f"""
import resource, signal
from pathlib import Path
from mainstay.client import spool as spools
from mainstay.client.spool import Request
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
spool = spools.make(Path({str(tmp_path)!r}), None)
small = Request(key="k", run="r", path="/small", body=b"s" * 100)
spool.append(small)
resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))
try:
    spool.append(Request(key="k", run="r", path="/large", body=b"l" * 10000))
    raise SystemExit("it fits")
except OSError:
    spool.append(small)
"""
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)

    assert drained(left(tmp_path)) == ["/small", "/small"]


def test_what_is_refused_for_good_stands_apart_with_what_was_said(tmp_path: Path) -> None:
    spool = spools.make(tmp_path, None)
    spool.append(request(0))
    spool.append(request(1))
    head = spool.head()
    assert head is not None

    spool.set_aside(head, "no such run.")
    assert drained(spool) == ["/runs/r/1"]
    spool.release()

    kept = (spool.folder / "refused.jsonl").read_text()
    assert "no such run." in kept
    assert "0000000000" in kept


@pytest.fixture
def synced(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The inodes of what the disk was waited for."""
    found: list[int] = []
    wait = os.fsync

    def fsync(handle: int) -> None:
        found.append(os.fstat(handle).st_ino)
        wait(handle)

    monkeypatch.setattr(spools.os, "fsync", fsync)
    return found


def test_all_that_was_appended_is_synced_at_once_and_only_once(tmp_path: Path, synced: list[int]) -> None:
    spool = spools.make(tmp_path, "workspace")
    spool.blob("plot").write_bytes(b"plot")
    for n in range(100):
        spool.append(request(n))
    spool.append(Request(key=ids.uuid7(), run="r", path="/runs/r/plot", body=b"", blob="plot"))
    assert synced == []  # whoever says something does not wait

    spool.sync()
    meant = [*spool.folder.glob("*.spool"), spool.blob("plot"), spool.folder / "target.json"]
    folders = [spool.folder / "blobs", spool.folder, tmp_path]

    assert sorted(synced) == sorted(path.stat().st_ino for path in [*meant, *folders])
    synced.clear()
    spool.sync()
    assert synced == []
    spool.append(request(101))
    spool.sync()
    assert meant[0].stat().st_ino in synced
    drained(spool)
    spool.sync()
    spool.release()


def test_what_the_disk_did_not_take_is_synced_the_next_time(
    tmp_path: Path, synced: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    spool = spools.make(tmp_path, "workspace")
    spool.append(request(0))
    with monkeypatch.context() as broken:
        broken.setattr(spools.os, "fsync", lambda handle: exec("raise OSError(5, 'Input/output error')"))
        with pytest.raises(OSError, match="Input/output"):
            spool.sync()

    spool.sync()

    assert next(spool.folder.glob("*.spool")).stat().st_ino in synced
    spool.release()
