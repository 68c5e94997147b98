# SPDX-License-Identifier: Apache-2.0
"""Blobs in an object store: S3, Google Cloud Storage or Azure, by URL. obstore stands behind this file only.

Keys are those of the local folder (``ab/abcdef…``, ``packs/…``), so that a workspace is moved by copying. What is acknowledged
is as durable as the store makes it. What somebody wants a path of is fetched once, verified, and kept in a local folder that
has a bound.
Credentials come from the environment, by the variables that each store's own tools read; they are never written down or told.

An object cannot be made young again as a file can. Whoever is about to refer to an old one says so by a small object below
``held/``; a collection says by one below ``going/`` which thousand it is about to remove. Each first writes its own, then looks
for the other's, so one of the two always gives way.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import secrets
import time
from collections.abc import Container, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from mainstay.domain.errors import Invalid, StorageFull, Unavailable
from mainstay.store.blobs import Collected, arriving, readings, sweeping
from mainstay.store.blobs.packing import Packing
from mainstay.store.blobs.packs import Catalogue
from mainstay.store.blobs.readings import WholeFiles, corrupt, unknown

SCHEMES = ("s3", "gs", "az", "azure")
_YOUNG_S = 1800
_AT_ONCE = 16
# Beyond so many questions one listing of everything is cheaper.
_MANY = 500
_FEW = 8
# What the stores take in one request.
_MOST_DELETED = 1000
_FULL = ("insufficientstorage", "quotaexceeded", "storagefull", "507")


class ObjectBlobs:
    """A bucket, or a prefix in one.

    Args:
        url: such as ``s3://bucket/prefix``. folder: a local one for what is on its way and for files that were fetched.
        most_whole: how many bytes of those to keep.
    """

    is_near = False

    def __init__(self, url: str, folder: Path, *, most_whole: int) -> None:
        self._objects = Objects(url)
        self._aside = folder / "incoming"
        self._aside.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._shelf = ObjectShelf(self._objects)
        self.catalogue = Catalogue(self._shelf)
        self._whole = WholeFiles(folder / "whole", most_whole)

    def put(self, data: bytes | Iterable[bytes], *, expected: str | None = None) -> tuple[str, int]:
        """See `Blobs.put`."""
        head, rest = arriving.begin([data] if isinstance(data, bytes) else data)
        with arriving.room():
            if rest is not None:
                return arriving.put_large(self.packing(), head, rest, expected)
        content = b"".join(head)
        digest = hashlib.sha256(content).hexdigest()
        arriving.check(digest, expected)
        key = arriving.key(digest)
        if not self._objects.create(key, content) and not self._is_sound(digest):
            self._objects.replace(key, content)
        return digest, len(content)

    def put_all(self, contents: Sequence[bytes]) -> None:
        """See `Blobs.put_all`."""
        arriving.at_once(self.put, contents)

    @contextlib.contextmanager
    def packing(self) -> Iterator[Packing]:
        """See `Blobs.packing`."""
        self.catalogue.refresh()
        with (
            arriving.room(),
            Packing(self.catalogue, self._aside, self._shelf.keep, lambda: None) as packing,
        ):
            yield packing

    def read(self, digest: str) -> bytes:
        """See `Blobs.read`."""
        return b"".join(self.pieces(digest))

    def pieces(self, digest: str) -> Iterator[bytes]:
        """See `Blobs.pieces`."""
        key = arriving.key(digest)
        packed = readings.pieces(self.catalogue, digest)
        if packed is not None:
            return packed
        data = self._objects.get(key)
        if data is None:
            self.catalogue.refresh()  # another process may have brought it
            packed = readings.pieces(self.catalogue, digest)
            if packed is None:
                raise unknown(digest)
            return packed
        if hashlib.sha256(data).hexdigest() != digest:
            raise corrupt(digest)
        return iter([data])

    def path(self, digest: str) -> Path:
        """See `Blobs.path`."""
        arriving.key(digest)
        if not self._stays(digest):
            self._whole.drop(digest)
            raise unknown(digest)
        with arriving.room():
            return self._whole.find(digest) or self._whole.keep(digest, self.pieces(digest))

    def begin(self, digest: str) -> bytes:
        """See `Blobs.begin`."""
        key = arriving.key(digest)
        found = readings.begin(self.catalogue, digest)
        if found is None:
            found = self._objects.get(key, length=1)
        if found is None:
            return next(self.pieces(digest), b"")[:1]
        return found

    def size(self, digest: str) -> int | None:
        """See `Blobs.size`."""
        key = arriving.key(digest)
        place, found = self.catalogue.find(digest), None
        if place is None:
            found = self._objects.look(key)
        if place is None and found is None:
            self.catalogue.refresh()  # another process may have brought it
            place = self.catalogue.find(digest)
        if place is not None:
            return place.size if readings.stay(self.catalogue, digest) else None
        return found[0] if found and self._objects.hold(key, found[1]) else None

    def missing(self, digests: Iterable[str]) -> list[str]:
        """See `Blobs.missing`."""
        asked = list(digests)
        self.catalogue.refresh()
        loose = [digest for digest in asked if not self._is_packed(digest)]
        if len(loose) > _MANY:
            there = {key.rpartition("/")[2] for key, _, _ in self._objects.listed() if _is_loose(key)}
            loose_gone = {digest for digest in loose if digest not in there}
            loose = [digest for digest in loose if digest in there]
        else:
            loose_gone = set()
        with ThreadPoolExecutor(_AT_ONCE, "mainstay-objects") as pool:
            stay = dict(zip(loose, pool.map(self._stays_loose, loose), strict=True))
        return [digest for digest in asked if digest in loose_gone or not stay.get(digest, True)]

    def digests(self, since: float = 0) -> Iterator[str]:
        """See `Blobs.digests`."""
        held = self._objects.held() if since else {}
        for key, _, age in self._objects.listed():
            if _is_loose(key) and max(age, held.get(key, 0)) >= since:
                yield key.rpartition("/")[2]
        yield from sweeping.packed(self.catalogue, since)

    def collect(self, live: Container[str], *, before: float, delete: bool) -> Collected:
        """See `Blobs.collect`."""
        counted, held, dead = sweeping.Counted(), self._objects.held(), list[str]()
        for key, size, age in self._objects.listed():
            if not _is_loose(key):
                continue
            digest, is_young = key.rpartition("/")[2], max(age, held.get(key, 0)) >= before
            if counted.add(digest, digest in live, is_young, size, age):
                dead.append(key)
        if delete:
            self._objects.forget_words(before)
            for start in range(0, len(dead), _MOST_DELETED):
                self._objects.remove(dead[start : start + _MOST_DELETED], before)
        packed = sweeping.collect_packs(self.catalogue, self.packing, live, before=before, delete=delete)
        return sweeping.together(counted.result(), packed)

    def _is_packed(self, digest: str) -> bool:
        return self.catalogue.sound(digest) is not None and readings.stay(self.catalogue, digest)

    def _stays(self, digest: str) -> bool:
        return self.size(digest) is not None

    def _stays_loose(self, digest: str) -> bool:
        key = arriving.key(digest)
        found = self._objects.look(key)
        return found is not None and self._objects.hold(key, found[1])

    def _is_sound(self, digest: str) -> bool:
        key = arriving.key(digest)
        data, found = self._objects.get(key), self._objects.look(key)
        if data is None or found is None or hashlib.sha256(data).hexdigest() != digest:
            return False
        return self._objects.hold(key, found[1])


class Objects:
    """Objects by key; whatever the store says, in our words."""

    def __init__(self, url: str) -> None:
        self._store = _open(url)
        self._young: dict[str, float] = {}

    def create(self, key: str, content: bytes) -> bool:
        """Write an object that is not there; whether it was not."""
        import obstore
        from obstore.exceptions import AlreadyExistsError

        with _bucket(), _told():
            try:
                obstore.put(self._store, key, content, mode="create")
            except AlreadyExistsError:
                return False
        return True

    def replace(self, key: str, content: bytes | Path) -> None:
        """Write an object, whatever was there."""
        import obstore

        with _bucket(), _told():
            obstore.put(self._store, key, content)

    def get(self, key: str, offset: int = 0, length: int | None = None) -> bytes | None:
        """The bytes of an object, or some of them; None if it is gone."""
        import obstore

        with contextlib.suppress(FileNotFoundError), _told():
            if length is None:
                return bytes(obstore.get(self._store, key).bytes())
            if length == 0 or (length == 1 and not obstore.head(self._store, key)["size"]):
                return b""
            return bytes(obstore.get_range(self._store, key, start=offset, length=length))
        return None

    def look(self, key: str) -> tuple[int, float] | None:
        """Size of an object, and when it was written; None if it is not there."""
        import obstore

        with contextlib.suppress(FileNotFoundError), _told():
            found = obstore.head(self._store, key)
            return int(found["size"]), found["last_modified"].timestamp()
        return None

    def listed(self, prefix: str = "", offset: str | None = None) -> Iterator[tuple[str, int, float]]:
        """Every object below ``prefix``, behind the key ``offset``: key, size, when it was written."""
        import obstore

        with _bucket(), _told():
            for page in obstore.list(self._store, prefix=prefix or None, offset=offset, chunk_size=1000):
                for each in page:
                    yield each["path"], int(each["size"]), each["last_modified"].timestamp()

    def hold(self, key: str, written: float) -> bool:
        """Keep an object from being collected for a while; whether it is still there."""
        now = time.time()
        if max(written, self._young.get(key, 0)) > now - _YOUNG_S:
            return True
        self.replace(f"held/{key}", b"")
        if self._is_going(key) or self.look(key) is None:
            return False
        self._young[key] = now
        return True

    def held(self) -> dict[str, float]:
        """The keys that somebody holds, and since when."""
        return {key.partition("/")[2]: written for key, _, written in self.listed("held")}

    def remove(self, keys: Sequence[str], before: float) -> set[str]:
        """Take objects away in one request, all but those that were written or held since ``before``; which went."""
        going = f"going/{secrets.token_hex(16)}"
        self.replace(going, "\n".join(keys).encode())
        try:
            held = self.held()
            ages = self._ages(keys)
            gone = [key for key in keys if key in ages and max(ages[key], held.get(key, 0)) < before]
            self._delete(gone)
            for key in gone:
                self._young.pop(key, None)
            return set(gone)
        finally:
            self._delete([going])

    def forget_words(self, before: float) -> None:
        """Drop the words of those who wanted something long ago, and of collections that never came to their end."""
        old = [f"held/{key}" for key, written in self.held().items() if written < before]
        old += [key for key, _, written in self.listed("going") if written < before]
        self._delete(old)

    def _is_going(self, key: str) -> bool:
        return any(key in (self.get(word) or b"").decode().split("\n") for word, _, _ in self.listed("going"))

    def _ages(self, keys: Sequence[str]) -> dict[str, float]:
        """When each of some keys was written, as it is now; those that are there."""
        if len(keys) <= _FEW:
            found = {key: self.look(key) for key in keys}
            return {key: told[1] for key, told in found.items() if told}
        wanted, last = set(keys), max(keys)
        ages: dict[str, float] = {}
        for key, _, written in self.listed(offset=min(keys)[:-1]):
            if key > last:
                break
            if key in wanted:
                ages[key] = written
        return ages

    def _delete(self, keys: Sequence[str]) -> None:
        import obstore

        for start in range(0, len(keys), _MOST_DELETED):
            with contextlib.suppress(FileNotFoundError), _told():
                obstore.delete(self._store, keys[start : start + _MOST_DELETED])


class ObjectShelf:
    """Packs in an object store; see `packs.Shelf`."""

    def __init__(self, objects: Objects) -> None:
        self._objects = objects

    def names(self) -> dict[str, float]:
        """See `Shelf.names`."""
        return {key.rpartition("/")[2]: written for key, _, written in self._objects.listed("packs")}

    def token(self) -> object:
        """See `Shelf.token`."""
        return 0  # a listing takes a request: whoever must know asks for one

    def read(self, name: str, offset: int, length: int) -> bytes:
        """See `Shelf.read`."""
        found = self._objects.get(f"packs/{name}", offset, length)
        if found is None:
            raise FileNotFoundError(name)
        return found

    def length(self, name: str) -> int:
        """See `Shelf.length`."""
        found = self._objects.look(f"packs/{name}")
        if found is None:
            raise FileNotFoundError(name)
        return found[0]

    def touch(self, name: str) -> bool:
        """See `Shelf.touch`."""
        found = self._objects.look(f"packs/{name}")
        return found is not None and self._objects.hold(f"packs/{name}", found[1])

    def remove(self, name: str, before: float) -> bool:
        """See `Shelf.remove`."""
        return bool(self._objects.remove([f"packs/{name}"], before))

    def keep(self, path: Path, name: str) -> None:
        """Give a finished pack its name."""
        self._objects.replace(f"packs/{name}", path)


def check_url(url: str) -> str:
    """An address of an object store that can be written down.

    Raises:
        Invalid: it is none, or holds a secret.
    """
    parts = urlsplit(url)
    if parts.scheme not in SCHEMES or not parts.netloc:
        raise Invalid(
            "MAINSTAY_BLOBS is not the address of an object store; one such as 's3://bucket/prefix' is expected."
        )
    if "@" in parts.netloc or parts.query or parts.fragment:
        raise Invalid(
            "MAINSTAY_BLOBS holds more than a bucket and a prefix; credentials belong in the variables of the store, "
            "such as AWS_ACCESS_KEY_ID."
        )
    return url.rstrip("/")


def _open(url: str) -> Any:
    try:
        from obstore.store import from_url
    except ImportError as error:
        raise Unavailable("blobs in an object store need another package: pip install 'mainstay[objects]'.") from error
    near = os.environ.get("AWS_ENDPOINT_URL", "").startswith("http://")
    with _told():
        return from_url(
            check_url(url),
            client_options={"allow_http": True} if near else None,
            # A request of ours waits for it, and whoever asked waits for us: better to be told, and to ask again.
            retry_config={"max_retries": 4, "retry_timeout": timedelta(seconds=20)},
        )


def _is_loose(key: str) -> bool:
    return len(key) == 67 and key[2] == "/"


@contextlib.contextmanager
def _bucket() -> Iterator[None]:
    """Where nothing can be missing but the bucket itself."""
    try:
        yield
    except FileNotFoundError as error:
        raise Unavailable("the bucket of MAINSTAY_BLOBS is not there; make it, or name another one.") from error


@contextlib.contextmanager
def _told() -> Iterator[None]:
    """Turn what the library says into what a person can act on; its own words may hold addresses and more."""
    from obstore import exceptions

    try:
        yield
    except exceptions.AlreadyExistsError:
        raise
    except exceptions.NotFoundError as error:
        raise FileNotFoundError from error
    except (PermissionError, exceptions.PermissionDeniedError, exceptions.UnauthenticatedError) as error:
        raise Unavailable(
            "the object store refuses the credentials of this process; check its variables, such as AWS_ACCESS_KEY_ID."
        ) from error
    except exceptions.BaseError as error:
        said = str(error).lower()
        if any(word in said for word in _FULL):
            raise StorageFull("the object store has no room: nothing was written. Free some space there.") from error
        raise Unavailable(
            f"the object store does not answer as expected ({type(error).__name__}); check MAINSTAY_BLOBS, "
            "and that the bucket is there."
        ) from error
