# SPDX-License-Identifier: Apache-2.0
"""Many digests in little memory: 32 bytes each and in order, where a set of texts takes two hundred.

A store of some millions of objects is collected by comparing all there is with all that is needed; both are such a set, and
they are compared at once, not one by one.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from itertools import islice

import numpy as np
from numpy.typing import NDArray

from mainstay.domain.digests import is_digest

#: Each digest as a row of four numbers, which stand in the order of its text.
Words = NDArray[np.uint64]
_NO_WORDS: Words = np.empty((0, 4), np.uint64)
_AT_ONCE = 50_000
_WORTH_SORTING = 1_000_000


class DigestSet(Collection[str]):
    """Digests, each once and in order."""

    def __init__(self, words: Words = _NO_WORDS) -> None:
        self.words = words

    @classmethod
    def of(cls, digests: Iterable[str]) -> DigestSet:
        """Those of a stream."""
        if isinstance(digests, DigestSet):
            return digests
        gathering = Gathering()
        gathering.add(digests)
        return gathering.result()

    @classmethod
    def joined(cls, parts: Iterable[Words]) -> DigestSet:
        """All of some parts, in whatever order these are."""
        words = np.concatenate([_NO_WORDS, *parts])
        words = words[np.lexsort(words.T[::-1])]
        return cls(words[np.concatenate(([True], (words[1:] != words[:-1]).any(axis=1)))] if len(words) else words)

    def places(self, wanted: Words) -> NDArray[np.int64]:
        """Where each stands in order; -1 for one that is not here."""
        found = np.full(len(wanted), -1, np.int64)
        at, asked = np.searchsorted(self.words[:, 0], wanted[:, 0]), np.arange(len(wanted))
        while len(asked):  # again for those that begin with the same eight bytes as another: hardly ever
            is_near = at < len(self.words)
            asked, at = asked[is_near], at[is_near]
            is_near = self.words[at, 0] == wanted[asked, 0]
            asked, at = asked[is_near], at[is_near]
            is_same = (self.words[at] == wanted[asked]).all(axis=1)
            found[asked[is_same]] = at[is_same]
            asked, at = asked[~is_same], at[~is_same] + 1
        return found

    def holds(self, wanted: Words) -> NDArray[np.bool_]:
        """Whether each is here."""
        return self.places(wanted) >= 0

    def __contains__(self, digest: object) -> bool:
        return is_digest(str(digest)) and bool(self.holds(words_in(bytes.fromhex(str(digest))))[0])

    def __iter__(self) -> Iterator[str]:
        return texts(self.words)

    def __len__(self) -> int:
        return len(self.words)


class Gathering:
    """Digests that come one after the other, many of them more than once."""

    def __init__(self) -> None:
        self._texts: list[str] = []
        self._parts: list[Words] = []
        self._size = self._sorted = 0

    def add(self, digests: Iterable[str]) -> None:
        """Take in all of a stream."""
        stream = iter(digests)
        while some := list(islice(stream, _AT_ONCE)):
            self._texts += some
            if len(self._texts) >= _AT_ONCE:
                self._take_texts()

    def add_words(self, words: Words) -> None:
        """Take in those of an array."""
        self._parts.append(words)
        self._size += len(words)
        if self._size > 2 * self._sorted + _WORTH_SORTING:
            self._parts = [DigestSet.joined(self._parts).words]
            self._size = self._sorted = len(self._parts[0])

    def result(self) -> DigestSet:
        """All that came."""
        self._take_texts()
        return DigestSet.joined(self._parts)

    def _take_texts(self) -> None:
        words = words_in(bytes.fromhex("".join(self._texts)))
        self._texts = []
        self.add_words(words)


def words_in(raw: bytes) -> Words:
    """The digests that stand one after the other in some bytes."""
    return np.frombuffer(raw, ">u8").reshape(-1, 4).astype(np.uint64)


def texts(words: Words) -> Iterator[str]:
    """Each as it is written."""
    for start in range(0, len(words), _AT_ONCE):
        raw = as_bytes(words[start : start + _AT_ONCE])
        yield from (raw[at : at + 32].hex() for at in range(0, len(raw), 32))


def as_bytes(words: Words) -> bytes:
    """The digests one after the other."""
    return words.astype(">u8").tobytes()
