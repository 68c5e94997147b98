# SPDX-License-Identifier: Apache-2.0
"""A bucket: objects by key in S3, Google Cloud Storage or Azure, by URL. obstore stands behind this file only.

Credentials come from the environment, by the variables that each store's own tools read; they are never written down or told.
Whatever a store says, is said in our words.

An object cannot be made young again as a file can. Whoever is about to refer to an old one says so by a small object below
``held/``; a collection says by one below ``going/`` which thousand it is about to remove. Each first writes its own, then looks
for the other's, so one of the two always gives way.
"""

from __future__ import annotations

import contextlib
import os
import re
import secrets
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from mainstay.domain.errors import Invalid, StorageFull, Unavailable


class Kind(NamedTuple):
    """What a kind of store reads its credentials from, and by what it is told that it is not the cloud's own."""

    credentials: str
    endpoints: tuple[str, ...]


_AZURE = Kind("AZURE_STORAGE_ACCOUNT_NAME and AZURE_STORAGE_ACCOUNT_KEY", ("AZURE_STORAGE_ENDPOINT", "AZURE_ENDPOINT"))
KINDS = {
    "s3": Kind("AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY", ("AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3")),
    "gs": Kind("GOOGLE_APPLICATION_CREDENTIALS", ("GOOGLE_BASE_URL",)),
    "az": _AZURE,
    "azure": _AZURE,
}
YOUNG_S = 1800
# What the stores take in one request; and the parts in which a large file is sent, at once.
MOST_DELETED = 1000
_PART, _PARTS_AT_ONCE = 16 << 20, 4
_AT_ONCE = 16
_FEW = 8
# What the library's words are known by. They begin before these two, and hold addresses.
_DETAILS, _ADDRESS = "Debug source", re.compile(r"\S+://\S+")
_NO_BUCKET = ("nosuchbucket", "containernotfound", "bucket does not exist", "no bucket named")
_FULL = ("insufficientstorage", "quotaexceeded", "storagefull", "507 insufficient")
_NO_CREDENTIALS = ("credential", "token", "service account", "access key", "account must be", "pem file")
_METADATA = "169.254.169.254"  # where a machine in a cloud asks who it is: the last that is tried
_REFUSED = ("401 unauthorized", "403 forbidden")
_FAR = ("error sending request", "timed out", "timeout", "dns error", "connection")


class Bucket:
    """Objects by key.

    Args:
        url: such as ``s3://bucket/prefix``.
    """

    def __init__(self, url: str) -> None:
        address = check_url(url)
        self._kind = KINDS[urlsplit(address).scheme]
        self._store = _open(address, self._kind)
        self._young: dict[str, float] = {}

    def create(self, key: str, content: bytes) -> bool:
        """Write an object that is not there; whether it was not."""
        import obstore
        from obstore.exceptions import AlreadyExistsError

        with _bucket(), self._told():
            try:
                obstore.put(self._store, key, content, mode="create")
            except AlreadyExistsError:
                return False
        return True

    def replace(self, key: str, content: bytes | Path) -> None:
        """Write an object, whatever was there."""
        import obstore

        with _bucket(), self._told():
            obstore.put(self._store, key, content, chunk_size=_PART, max_concurrency=_PARTS_AT_ONCE)

    def fetch(self, key: str) -> tuple[bytes, float] | None:
        """An object, and when it was written; None if it is gone."""
        import obstore

        with contextlib.suppress(FileNotFoundError), self._told():
            found = obstore.get(self._store, key)
            return bytes(found.bytes()), found.meta["last_modified"].timestamp()
        return None

    def get(self, key: str, offset: int, length: int) -> bytes | None:
        """Some bytes of an object; None if it is gone."""
        import obstore

        if not length:
            return b""
        with contextlib.suppress(FileNotFoundError), self._told():
            return bytes(obstore.get_range(self._store, key, start=offset, length=length))
        return None

    def look(self, key: str) -> tuple[int, float] | None:
        """Size of an object, and when it was written; None if it is not there."""
        import obstore

        with contextlib.suppress(FileNotFoundError), self._told():
            found = obstore.head(self._store, key)
            return int(found["size"]), found["last_modified"].timestamp()
        return None

    def listed(self, prefix: str = "", offset: str | None = None) -> Iterator[tuple[str, int, float]]:
        """Every object below ``prefix``, behind the key ``offset``: key, size, when it was written."""
        import obstore

        with _bucket(), self._told():
            for page in obstore.list(self._store, prefix=prefix or None, offset=offset, chunk_size=1000):
                for each in page:
                    if offset is not None and each["path"] <= offset:  # not every store knows how to begin there
                        continue
                    yield each["path"], int(each["size"]), each["last_modified"].timestamp()

    def hold(self, key: str, written: float) -> bool:
        """Keep an object from being collected for a while; whether it is still there."""
        now = time.time()
        if max(written, self._young.get(key, 0)) > now - YOUNG_S:
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
        words = (self.fetch(word) for word, _, _ in self.listed("going"))
        return any(key in word[0].decode().split("\n") for word in words if word)

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
        for start in range(0, len(keys), MOST_DELETED):
            some = list(keys[start : start + MOST_DELETED])
            if not self._delete_some(some) and len(some) > 1:
                # Somebody was quicker with one of them; where a store takes them one by one, the rest was not tried.
                with ThreadPoolExecutor(_AT_ONCE, "mainstay-objects") as pool:
                    list(pool.map(lambda key: self._delete_some([key]), some))

    def _delete_some(self, keys: list[str]) -> bool:
        """Take objects away; False if one was not there."""
        import obstore

        with contextlib.suppress(FileNotFoundError), self._told():
            obstore.delete(self._store, keys)
            return True
        return False

    def _told(self) -> contextlib.AbstractContextManager[None]:
        return told(self._kind)


def check_url(url: str) -> str:
    """An address of an object store that can be written down.

    Raises:
        Invalid: it is none, or holds a secret.
    """
    parts = urlsplit(url)
    if parts.scheme not in KINDS or not parts.netloc:
        raise Invalid(
            "MAINSTAY_BLOBS is not the address of an object store; one such as 's3://bucket/prefix' is expected."
        )
    if "@" in parts.netloc or parts.query or parts.fragment:
        raise Invalid(
            "MAINSTAY_BLOBS holds more than a bucket and a prefix; credentials belong in "
            f"{KINDS[parts.scheme].credentials}."
        )
    return url.rstrip("/")


def _open(url: str, kind: Kind) -> Any:
    try:
        from obstore.store import from_url
    except ImportError as error:
        raise Unavailable("blobs in an object store need another package: pip install 'mainstay[objects]'.") from error
    places = {name: os.environ[name] for name in kind.endpoints if os.environ.get(name)}
    for name, place in places.items():
        if not re.fullmatch(r"https?://[^\s/]\S*", place):
            raise Invalid(f"{name} is not the address of an object store; one such as 'https://host' is expected.")
    is_near = any(place.startswith("http://") for place in places.values())
    with told(kind):
        return from_url(
            url,
            client_options={"allow_http": True} if is_near else None,
            # A request of ours waits for it, and whoever asked waits for us: better to be told, and to ask again.
            retry_config={"max_retries": 4, "retry_timeout": timedelta(seconds=20)},
        )


@contextlib.contextmanager
def _bucket() -> Iterator[None]:
    """Where nothing can be missing but the bucket itself."""
    try:
        yield
    except FileNotFoundError as error:
        raise _no_bucket() from error


@contextlib.contextmanager
def told(kind: Kind) -> Iterator[None]:
    """Turn what the library says into what a person can act on; its own words may hold addresses and more."""
    from obstore import exceptions

    try:
        yield
    except exceptions.AlreadyExistsError:
        raise
    except (exceptions.BaseError, exceptions.NotFoundError, PermissionError) as error:
        said = str(error).partition(_DETAILS)[0]
        words = _ADDRESS.sub("", said).lower()
        if _has(words, _NO_BUCKET):
            raise _no_bucket() from error
        if isinstance(error, exceptions.NotFoundError | FileNotFoundError):
            raise FileNotFoundError from error
        raise _meant(kind, error, words, _METADATA in said) from error


def _meant(kind: Kind, error: Exception, words: str, asked_who_it_is: bool) -> StorageFull | Unavailable:
    if _has(words, _FULL):
        return StorageFull("the object store has no room: nothing was written. Free some space there.")
    if asked_who_it_is or _has(words, _NO_CREDENTIALS):
        return Unavailable(
            "the object store asks for credentials, and this process has none that can be used; "
            f"set {kind.credentials}."
        )
    if isinstance(error, PermissionError) or "Permission" in type(error).__name__ or _has(words, _REFUSED):
        return Unavailable(
            f"the object store refuses the credentials of this process; check {kind.credentials}, and what they allow."
        )
    if _has(words, _FAR):
        return Unavailable(
            f"the object store does not answer; check the network, and {kind.endpoints[0]} if it is one of your own."
        )
    return Unavailable(
        f"the object store does not answer as expected ({type(error).__name__}); check MAINSTAY_BLOBS, "
        "and that the bucket is there."
    )


def _no_bucket() -> Unavailable:
    return Unavailable("the bucket of MAINSTAY_BLOBS is not there; make it, or name another one.")


def _has(words: str, any_of: tuple[str, ...]) -> bool:
    return any(each in words for each in any_of)
