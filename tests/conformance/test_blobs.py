# SPDX-License-Identifier: Apache-2.0
"""One suite for every place that keeps blobs: a local folder, and an object store.

The object store is a server of these tests, in a process of its own; with ``S3_TEST_ENDPOINT`` set (and the usual variables
with a key for it), it is that one. The server of the tests shows that the protocol is spoken rightly, not that what it keeps
lasts.
"""

from __future__ import annotations

import hashlib
import random
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest

from mainstay.domain.errors import Invalid, NotFound
from mainstay.store.blobs import Blobs
from mainstay.store.blobs.arriving import LARGE, LARGE_PARQUET
from mainstay.store.blobs.local import LocalBlobs
from mainstay.store.blobs.objects import ObjectBlobs

DICE = random.Random(7)
SMALL = b"carrier,late\nUA,1\n" * 100
LARGE_FILE = DICE.randbytes(LARGE + 3_000_000)
TABLE = b"PAR1" + DICE.randbytes(LARGE_PARQUET * 2)
EVERY = {"empty": b"", "small": SMALL, "large": LARGE_FILE, "table": TABLE}

Make = Callable[[], Blobs]


@pytest.fixture(params=["local", "objects"])
def make(request: pytest.FixtureRequest, tmp_path: Path) -> Make:
    """Opens the same place anew each time, as another process would."""
    if request.param == "local":
        return lambda: LocalBlobs(tmp_path / "blobs")
    url = request.getfixturevalue("bucket")
    return lambda: ObjectBlobs(url, tmp_path / "cache", most_whole=1 << 30)


@pytest.fixture
def blobs(make: Make) -> Blobs:
    return make()


def name(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def in_pieces(data: bytes) -> Iterator[bytes]:
    for at in range(0, len(data), 1_000_000):
        yield data[at : at + 1_000_000]


@pytest.mark.parametrize("what", EVERY)
def test_what_was_put_is_read_back_by_whoever_asks(make: Make, what: str) -> None:
    data = EVERY[what]
    blobs = make()

    assert blobs.put(in_pieces(data), expected=name(data)) == (name(data), len(data))

    for each in (blobs, make()):
        assert each.read(name(data)) == data
        assert b"".join(each.pieces(name(data))) == data
        assert each.path(name(data)).read_bytes() == data
        assert each.size(name(data)) == len(data)
        assert each.begin(name(data)) == data[:1]
        assert name(data) in set(each.digests())


@pytest.mark.parametrize("what", EVERY)
def test_bytes_of_another_digest_than_announced_have_no_name(blobs: Blobs, what: str) -> None:
    with pytest.raises(Invalid, match="announced"):
        blobs.put(EVERY[what], expected="0" * 64)

    assert blobs.missing([name(EVERY[what]), "0" * 64]) == [name(EVERY[what]), "0" * 64]


def test_an_unknown_blob_is_not_found(blobs: Blobs) -> None:
    for ask in (blobs.read, blobs.path, blobs.begin, lambda digest: list(blobs.pieces(digest))):
        with pytest.raises(NotFound):
            ask("0" * 64)
    assert blobs.size("0" * 64) is None


def test_many_small_ones_come_together_and_are_read_apart(make: Make) -> None:
    many = [f"file {n}".encode() * (n % 50) for n in range(500)]
    blobs = make()

    with blobs.packing() as packing:
        written = list(packing.add_all(many))

    assert [each.digest for each in written] == [name(data) for data in many]
    assert all(make().read(name(data)) == data for data in many[::50])
    assert blobs.missing([name(data) for data in many] + ["0" * 64]) == ["0" * 64]


def test_a_few_small_ones_are_kept_at_once(make: Make) -> None:
    contents = [b"%d" % n for n in range(20)]

    make().put_all([*contents, contents[0]])

    assert make().missing(map(name, contents)) == []
    assert [make().read(name(content)) for content in contents] == contents


def test_a_stream_that_breaks_leaves_no_name(blobs: Blobs) -> None:
    def broken() -> Iterator[bytes]:
        yield from in_pieces(LARGE_FILE)
        raise ConnectionResetError

    with pytest.raises(ConnectionResetError):
        blobs.put(broken())

    assert blobs.size(name(LARGE_FILE)) is None


def test_large_ones_that_differ_a_little_share_their_bytes(blobs: Blobs) -> None:
    blobs.put(TABLE)
    before = set(blobs.digests())

    changed = TABLE[:1_000_000] + b"a few bytes" + TABLE[1_000_000:]
    blobs.put(changed)

    new = set(blobs.digests()) - before - {name(changed)}
    assert sum(blobs.size(digest) or 0 for digest in new) < len(TABLE) / 4
    assert blobs.read(name(changed)) == changed


def test_writers_of_the_same_bytes_do_not_disturb_each_other(blobs: Blobs) -> None:
    with ThreadPoolExecutor(4) as pool:
        put = [pool.submit(blobs.put, data) for data in (TABLE, SMALL) * 4]

    assert {done.result() for done in put} == {(name(TABLE), len(TABLE)), (name(SMALL), len(SMALL))}
    assert (blobs.read(name(TABLE)), blobs.read(name(SMALL))) == (TABLE, SMALL)


# Collecting


def later() -> float:
    """A moment before which all there is was written."""
    return time.time() + 60


def test_what_is_dead_goes_and_what_is_alive_is_read_as_before(make: Make) -> None:
    blobs = make()
    many = [b"%d" % n * 1000 for n in range(40)]
    with blobs.packing() as packing:
        list(packing.add_all(many))
    for data in EVERY.values():
        blobs.put(data)
    live = {name(data) for data in (*many[::2], SMALL, TABLE)}

    counted = blobs.collect(live, before=later(), delete=False)
    assert all(blobs.size(name(data)) is not None for data in (*many, *EVERY.values()))
    taken = blobs.collect(live, before=later(), delete=True)

    assert replace(taken, gone=()) == replace(counted, gone=()) and taken.objects > 20 and taken.size > LARGE
    assert {each.digest for each in taken.gone} == {each.digest for each in counted.gone}
    assert sum(each.size for each in taken.gone) == taken.size
    for each in (blobs, make()):
        assert [each.read(name(data)) for data in (*many[::2], SMALL, TABLE)] == [*many[::2], SMALL, TABLE]
        assert each.missing([name(data) for data in (*many[1::2], LARGE_FILE)]) == [
            name(data) for data in (*many[1::2], LARGE_FILE)
        ]
    assert blobs.collect(live, before=later(), delete=True).objects == 0


def test_what_is_young_or_was_just_asked_for_stays(blobs: Blobs) -> None:
    blobs.put(SMALL)
    blobs.put(TABLE)

    found = blobs.collect(set(), before=time.time() - 3600, delete=True)

    assert found.objects == 0 and found.young >= 2
    assert (blobs.read(name(SMALL)), blobs.read(name(TABLE))) == (SMALL, TABLE)


def test_a_chunk_stays_while_one_of_the_blobs_that_share_it_does(blobs: Blobs) -> None:
    changed = TABLE + b"and a little more"
    blobs.put(TABLE)
    blobs.put(changed)

    blobs.collect({name(changed)}, before=later(), delete=True)

    assert blobs.read(name(changed)) == changed
    assert blobs.missing([name(TABLE)]) == [name(TABLE)] or blobs.read(name(TABLE)) == TABLE


def test_what_was_taken_away_can_be_put_again(make: Make) -> None:
    blobs, other = make(), make()
    assert blobs.put(TABLE) == other.put(TABLE)

    blobs.collect(set(), before=later(), delete=True)
    other.put(TABLE)

    assert (other.read(name(TABLE)), blobs.read(name(TABLE))) == (TABLE, TABLE)
