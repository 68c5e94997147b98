# SPDX-License-Identifier: Apache-2.0
"""Blobs in an object store, beyond what every place does alike: whose word counts, what is never told, and a workspace on it."""

from __future__ import annotations

import hashlib
import os
import random
import socket
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import obstore
import pytest

from mainstay.client import checkouts, datasets
from mainstay.client import session as sessions
from mainstay.domain.errors import Conflict, Corrupt, Invalid, MainstayError, NotFound, Unavailable
from mainstay.store import Store, open_store
from mainstay.store.blobs.buckets import Bucket
from mainstay.store.blobs.local import LocalBlobs
from mainstay.store.blobs.objects import ObjectBlobs

DATA = b"carrier,late\nUA,1\n" * 100
DIGEST = hashlib.sha256(DATA).hexdigest()
KEY = f"{DIGEST[:2]}/{DIGEST}"


@pytest.fixture
def blobs(bucket: str, tmp_path: Path) -> ObjectBlobs:
    return ObjectBlobs(bucket, tmp_path / "cache", most_whole=1 << 30)


def test_a_damaged_object_is_never_served_and_putting_it_again_heals(blobs: ObjectBlobs, bucket: str) -> None:
    blobs.put(DATA)
    blobs.path(DIGEST)
    Bucket(bucket).replace(KEY, DATA[:-1] + b"!")

    with pytest.raises(Corrupt):
        blobs.read(DIGEST)

    blobs.put(DATA)
    assert blobs.read(DIGEST) == DATA


def test_a_file_that_was_fetched_does_not_outlive_its_object(blobs: ObjectBlobs) -> None:
    blobs.put(DATA)
    assert blobs.path(DIGEST).read_bytes() == DATA

    blobs.collect(set(), before=time.time() + 60, delete=True)

    with pytest.raises(NotFound):
        blobs.path(DIGEST)


# Two that meet: who wants an old object, and who is about to remove it


def aged(monkeypatch: pytest.MonkeyPatch, key: str) -> None:
    """Let this object have been written a day ago."""
    look = Bucket.look

    def looked(self: Bucket, asked: str) -> tuple[int, float] | None:
        found = look(self, asked)
        return (found[0], found[1] - 86_400) if found and asked == key else found

    monkeypatch.setattr(Bucket, "look", looked)


def between(monkeypatch: pytest.MonkeyPatch, name: str, act: Callable[[], object]) -> None:
    """Do something right after something below ``name`` has been written."""
    replace = Bucket.replace

    def replaced(self: Bucket, key: str, content: bytes | Path) -> None:
        replace(self, key, content)
        if key.startswith(name):
            monkeypatch.setattr(Bucket, "replace", replace)
            act()

    monkeypatch.setattr(Bucket, "replace", replaced)


@pytest.fixture
def other(bucket: str, tmp_path: Path) -> ObjectBlobs:
    """The same place, for another process: one that wrote nothing a moment ago."""
    return ObjectBlobs(bucket, tmp_path / "other", most_whole=1 << 30)


def test_who_asked_first_keeps_an_old_object(
    blobs: ObjectBlobs, other: ObjectBlobs, bucket: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    blobs.put(DATA)
    aged(monkeypatch, KEY)

    assert other.missing([DIGEST]) == []
    assert not Bucket(bucket).remove([KEY], time.time() - 3600)
    assert blobs.read(DIGEST) == DATA


def test_who_asks_while_it_is_being_removed_is_told_that_it_is_gone_and_it_stays(
    blobs: ObjectBlobs, other: ObjectBlobs, bucket: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The one had announced the removal, the other then says that it wants it: both give way."""
    blobs.put(DATA)
    aged(monkeypatch, KEY)
    told: list[list[str]] = []
    between(monkeypatch, "going/", lambda: told.append(other.missing([DIGEST])))

    assert not Bucket(bucket).remove([KEY], time.time() - 3600)

    assert told == [[DIGEST]]
    assert blobs.read(DIGEST) == DATA


def test_who_says_so_while_it_goes_finds_it_gone(
    blobs: ObjectBlobs, other: ObjectBlobs, bucket: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    blobs.put(DATA)
    aged(monkeypatch, KEY)
    between(monkeypatch, f"held/{KEY}", lambda: Bucket(bucket)._delete([KEY]))

    assert other.missing([DIGEST]) == [DIGEST]


def test_many_go_in_few_requests_and_what_somebody_holds_stays(
    blobs: ObjectBlobs, bucket: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    live = {blobs.put(b"live %d" % n)[0] for n in range(10)}
    dead = [blobs.put(b"dead %d" % n)[0] for n in range(60)]
    wanted = dead[7]
    key = f"{wanted[:2]}/{wanted}"
    asked: list[str] = []
    for name in ("put", "head", "delete", "get", "list"):
        real = getattr(obstore, name)
        monkeypatch.setattr(
            obstore, name, lambda *args, _real=real, _name=name, **f: asked.append(_name) or _real(*args, **f)
        )
    listed = Bucket.listed

    def old(self: Bucket, prefix: str = "", offset: str | None = None) -> Iterator[tuple[str, int, float]]:
        """Whatever is no word of somebody was written two days ago."""
        for found, size, written in listed(self, prefix, offset):
            yield found, size, written - 2 * 86_400 * (found[2] == "/")

    monkeypatch.setattr(Bucket, "listed", old)
    between(monkeypatch, "going/", lambda: Bucket(bucket).replace(f"held/{key}", b""))

    blobs.collect(live, before=time.time() - 3600, delete=True)

    assert sorted(blobs.digests()) == sorted({*live, wanted})
    assert len(asked) < 20 and asked.count("delete") <= 4


def test_words_of_a_collection_that_was_killed_do_not_stay_for_ever(blobs: ObjectBlobs, bucket: str) -> None:
    Bucket(bucket).replace("going/abandoned", KEY.encode())

    blobs.collect(set(), before=time.time() + 60, delete=True)

    assert list(Bucket(bucket).listed("going")) == []


# Requests


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What is asked of the store from now on."""
    found: list[str] = []
    for name in ("put", "head", "delete", "get", "get_range", "list"):
        real = getattr(obstore, name)
        monkeypatch.setattr(
            obstore, name, lambda *args, _real=real, _name=name, **more: found.append(_name) or _real(*args, **more)
        )
    return found


def test_what_was_written_a_moment_ago_is_not_asked_for_again(blobs: ObjectBlobs, asked: list[str]) -> None:
    blobs.put(DATA)
    assert asked == ["put"]

    blobs.put(DATA)
    assert blobs.size(DIGEST) == len(DATA) and blobs.missing([DIGEST]) == [] and blobs.read(DIGEST) == DATA
    assert asked == ["put"]

    assert blobs.read(DIGEST) == DATA  # whoever reads it again gets it from where it is kept
    assert asked == ["put", "get"]


def test_what_was_seen_is_verified_before_its_bytes_are_not_sent(
    blobs: ObjectBlobs, other: ObjectBlobs, bucket: str, asked: list[str]
) -> None:
    blobs.put(DATA)
    Bucket(bucket).replace(KEY, DATA[:-1] + b"!")
    assert other.size(DIGEST) == len(DATA)
    asked.clear()

    other.put(DATA)

    assert asked == ["get", "put"]
    assert other.read(DIGEST) == DATA


def test_a_memory_of_ten_minutes_ago_counts_for_nothing(
    blobs: ObjectBlobs, bucket: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = time.time()
    monkeypatch.setattr(time, "time", lambda: now - 601)
    blobs.put(DATA)
    Bucket(bucket)._delete([KEY])
    assert blobs.size(DIGEST) == len(DATA)

    monkeypatch.setattr(time, "time", lambda: now)

    assert blobs.size(DIGEST) is None and blobs.missing([DIGEST]) == [DIGEST]


def test_a_folder_of_many_files_takes_few_requests(blobs: ObjectBlobs, other: ObjectBlobs, asked: list[str]) -> None:
    contents = [b"file %d" % n * 20 for n in range(300)]
    digests = [hashlib.sha256(content).hexdigest() for content in contents]

    assert len(blobs.missing(digests)) == 300
    asked.clear()
    with blobs.packing() as packing:
        list(packing.add_all(contents))
    assert blobs.missing(digests) == []
    assert asked == ["list", "put"]

    asked.clear()
    assert [other.read(digest) for digest in digests] == contents
    assert [other.begin(digest) for digest in digests] == [b"f"] * 300
    assert asked == ["list", "get_range"]


def test_the_index_of_a_pack_is_fetched_once_for_all_processes_of_a_machine(
    blobs: ObjectBlobs, bucket: str, tmp_path: Path, asked: list[str]
) -> None:
    for n in range(3):
        with blobs.packing() as packing:
            digest = packing.add(b"file %d" % n).digest
    ObjectBlobs(bucket, tmp_path / "machine", most_whole=1).catalogue.look()
    asked.clear()

    assert ObjectBlobs(bucket, tmp_path / "machine", most_whole=1).size(digest) == 6
    assert asked == ["list"]

    for file in (tmp_path / "machine" / "indexes").iterdir():  # the power failed while they were written
        file.write_bytes(b"")
    assert ObjectBlobs(bucket, tmp_path / "machine", most_whole=1).size(digest) == 6


def test_where_a_store_takes_them_one_by_one_all_go_though_one_is_gone(bucket: str) -> None:
    objects = Bucket(bucket)
    for n in range(0, 600, 30):
        objects.replace(f"x/{n:03}", b"x")

    objects._delete([f"x/{n:03}" for n in range(600)])

    assert list(objects.listed("x")) == []


# What is said


@pytest.mark.parametrize(
    "url", ["s3://AKIA:sesame@bucket", "s3://bucket?secret=sesame", "https://bucket/sesame", "bucket-sesame", "s3://"]
)
def test_an_address_that_is_none_or_holds_a_secret_is_refused_without_telling_it(url: str, tmp_path: Path) -> None:
    with pytest.raises(Invalid, match="MAINSTAY_BLOBS") as refusal:
        ObjectBlobs(url, tmp_path, most_whole=1)

    assert "sesame" not in refusal.value.message


def test_a_bucket_that_is_not_there_is_one_sentence(object_store: str, tmp_path: Path) -> None:
    blobs = ObjectBlobs(f"{object_store.partition(':')[0]}://no-such-bucket-of-ours", tmp_path, most_whole=1)

    with pytest.raises(Unavailable, match="bucket") as refusal:
        blobs.put(DATA)

    assert "127.0.0.1" not in refusal.value.message


def test_a_bucket_that_is_not_there_is_one_sentence_for_whoever_reads(object_store: str, tmp_path: Path) -> None:
    blobs = ObjectBlobs(f"{object_store.partition(':')[0]}://no-such-bucket-of-ours", tmp_path, most_whole=1)

    for ask in (blobs.size, blobs.read, blobs.path, lambda digest: blobs.missing([digest])):
        with pytest.raises(Unavailable, match="bucket of MAINSTAY_BLOBS is not there"):
            ask(DIGEST)


VARIABLES = ("AWS_ENDPOINT_URL", "AZURE_STORAGE_ENDPOINT", "GOOGLE_BASE_URL")


@pytest.fixture
def elsewhere(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """No credentials, and all stores where nobody listens."""
    for name in [name for name in os.environ if name.startswith(("AWS_", "AZURE_", "GOOGLE_"))]:
        monkeypatch.delenv(name)
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        place = f"http://127.0.0.1:{held.getsockname()[1]}"
    for name in VARIABLES:
        monkeypatch.setenv(name, place)
    return monkeypatch


@pytest.mark.parametrize(
    ("url", "known", "sentence"),
    [
        ("az://bucket", {"AZURE_STORAGE_ACCOUNT_NAME": "a", "AZURE_STORAGE_ACCOUNT_KEY": "sesame!"}, "AZURE_STORAGE"),
        ("az://bucket", {}, "set AZURE_STORAGE_ACCOUNT_NAME and"),
        ("gs://bucket", {"GOOGLE_SERVICE_ACCOUNT_KEY": "{sesame"}, "set GOOGLE_APPLICATION_CREDENTIALS"),
        ("gs://bucket", {"GOOGLE_APPLICATION_CREDENTIALS": "/sesame.json"}, "set GOOGLE_APPLICATION_CREDENTIALS"),
        ("s3://bucket", {"AWS_ACCESS_KEY_ID": "sesame", "AWS_SECRET_ACCESS_KEY": "sesame"}, "check the network"),
    ],
)
def test_what_is_wrong_with_the_way_to_a_store_is_said_without_telling_it(
    url: str, known: dict[str, str], sentence: str, elsewhere: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for name, value in known.items():
        elsewhere.setenv(name, value)

    with pytest.raises(Unavailable, match=sentence) as refusal:
        ObjectBlobs(url, tmp_path, most_whole=1).put(DATA)

    assert "sesame" not in refusal.value.message and "127.0.0.1" not in refusal.value.message


def test_an_endpoint_that_is_no_address_is_refused(elsewhere: pytest.MonkeyPatch, tmp_path: Path) -> None:
    elsewhere.setenv("AWS_ENDPOINT_URL", "sesame")

    with pytest.raises(Invalid, match="AWS_ENDPOINT_URL is not the address") as refusal:
        ObjectBlobs("s3://bucket", tmp_path, most_whole=1)

    assert "sesame" not in refusal.value.message


def test_without_the_extra_it_says_which(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "obstore", None)
    monkeypatch.setitem(sys.modules, "obstore.store", None)

    with pytest.raises(Unavailable, match=r"mainstay\[objects\]"):
        ObjectBlobs("s3://bucket", tmp_path, most_whole=1)


# A workspace on it


def opened(folder: Path, monkeypatch: pytest.MonkeyPatch, url: str = "") -> Store:
    monkeypatch.setenv("MAINSTAY_BLOBS", url)
    return open_store(folder)


def test_a_workspace_remembers_where_its_blobs_are(
    bucket: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = opened(tmp_path / "workspace", monkeypatch, bucket + "/")
    first.blobs.put(DATA)
    first.close()

    again = opened(tmp_path / "workspace", monkeypatch)
    assert again.blobs.read(DIGEST) == DATA
    again.close()

    assert not (tmp_path / "workspace" / "blobs").exists()
    with pytest.raises(Conflict, match="keeps its blobs in "):
        opened(tmp_path / "workspace", monkeypatch, "s3://elsewhere")


def test_blobs_in_the_folder_are_not_forgotten_for_an_object_store(
    bucket: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened(tmp_path / "workspace", monkeypatch).close()

    with pytest.raises(Conflict, match="has blobs in its folder"):
        opened(tmp_path / "workspace", monkeypatch, bucket)


def test_a_workspace_that_was_copied_there_goes_on(
    bucket: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    table = b"PAR1" + random.Random(2).randbytes(3 << 20)
    opened(tmp_path / "workspace", monkeypatch).close()
    local = LocalBlobs(tmp_path / "workspace" / "blobs")
    local.put(DATA)
    digest, _ = local.put(table)
    for file in local.folder.rglob("*"):
        if file.is_file():
            Bucket(bucket).replace(file.relative_to(local.folder).as_posix(), file.read_bytes())
    local.folder.rename(tmp_path / "workspace" / "blobs-before")

    store = opened(tmp_path / "workspace", monkeypatch, bucket)

    assert (store.blobs.read(DIGEST), store.blobs.read(digest)) == (DATA, table)
    store.close()


def test_folders_and_tables_go_in_and_out(bucket: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MAINSTAY_BLOBS", bucket)
    (tmp_path / "pictures").mkdir()
    (tmp_path / "pictures" / "a").write_bytes(b"a")
    (tmp_path / "pictures" / "large").write_bytes(random.Random(3).randbytes(9 << 20))
    (tmp_path / "t.csv").write_text("x\n1\n2\n")
    session = sessions.connect(workspace=tmp_path / "workspace")
    try:
        for name, path in (("pictures", tmp_path / "pictures"), ("t", tmp_path / "t.csv")):
            datasets.ensure(session, name)
            datasets.add(session, name, path, {})
            assert datasets.verify(session, f"{name}@1")["sound"]
        checkouts.checkout(session, "pictures@1", tmp_path / "out")
        checkouts.export(session, "t@1", tmp_path / "out.csv")
        found = session.post("/gc", {"delete": True})
    except MainstayError as error:
        pytest.fail(error.message)
    finally:
        session.close()

    for name in ("a", "large"):
        assert (tmp_path / "out" / name).read_bytes() == (tmp_path / "pictures" / name).read_bytes()
    assert (tmp_path / "out.csv").read_text() == '"x"\n1\n2\n'
    assert (found["deleted"], found["objects"]) == (True, 0)
    assert not (tmp_path / "workspace" / "blobs").exists()
