# SPDX-License-Identifier: Apache-2.0
"""Taking away what nothing refers to: the part that adapters share.

A pack is rewritten when a good part of it is dead, and only an old one: what is alive in it goes into a new pack first, which is
durable before the old one is removed. A pack that somebody touched meanwhile stays. What stands in packs is looked at by the
pack, not by the object: there may be millions.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, suppress
from dataclasses import dataclass, field, fields
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from mainstay.store.blobs import Collected, Gone, packs
from mainstay.store.blobs.digest_sets import DigestSet, Gathering, Words, as_bytes, texts, words_in
from mainstay.store.blobs.packing import Packing
from mainstay.store.blobs.packs import RECIPE, Catalogue

_WORTH_REWRITING = 0.1  # the share of a pack that is dead
# Objects that stand side by side are read together, if what is between them is little.
_SPAN = 256 << 10
_GAP = 8 << 10
_NO_DIGEST: Words = np.zeros((1, 4), np.uint64)


class GoneList(Sequence[Gone]):
    """What went, or would: as arrays, for it may be most of a store. ``chunk_of`` is zeros for what is no such chunk."""

    def __init__(self, digests: Words, sizes: NDArray[Any], written: NDArray[Any], chunk_of: Words) -> None:
        self.digests = digests
        self.sizes = sizes
        self.written = written
        self.chunk_of = chunk_of

    @classmethod
    def of(cls, gone: Sequence[Gone]) -> GoneList:
        """Of such as came one by one."""
        if isinstance(gone, GoneList):
            return gone
        return cls(
            words_in(b"".join(bytes.fromhex(each.digest) for each in gone)),
            np.array([each.size for each in gone], np.int64),
            np.array([each.written for each in gone], np.float64),
            words_in(b"".join(bytes.fromhex(each.chunk_of or "0" * 64) for each in gone)),
        )

    @classmethod
    def joined(cls, parts: Iterable[GoneList]) -> GoneList:
        """Several, one after the other."""
        found = [cls.of(()), *parts]
        return cls(*(np.concatenate([getattr(part, name) for part in found]) for name in vars(found[0])))

    def __len__(self) -> int:
        return len(self.digests)

    def __getitem__(self, place: Any) -> Any:
        if isinstance(place, slice):
            return GoneList(*(each[place] for each in vars(self).values()))
        whole = as_bytes(self.chunk_of[place]).hex() if self.chunk_of[place].any() else None
        return Gone(as_bytes(self.digests[place]).hex(), int(self.sizes[place]), float(self.written[place]), whole)


@dataclass
class Counted:
    """Objects seen so far."""

    objects: int = 0
    size: int = 0
    rewritten: int = 0
    kept: int = 0
    kept_size: int = 0
    young: int = 0
    gone: list[Gone] = field(default_factory=list)
    parts: list[GoneList] = field(default_factory=list)

    def add(self, digest: str, is_live: bool, is_young: bool, size: int, written: float) -> bool:
        """Count one; whether it is to go."""
        if is_live or is_young:
            self.kept += 1
            self.kept_size += size
            self.young += not is_live
            return False
        self.objects += 1
        self.size += size
        self.gone.append(Gone(digest, size, written))
        return True

    def keep(self, entries: NDArray[np.void], *, young: int = 0) -> None:
        """Count what stays of a pack."""
        self.kept += len(entries)
        self.kept_size += int(entries["length"].sum())
        self.young += young

    def take(self, gone: GoneList) -> None:
        """Count what goes."""
        self.objects += len(gone)
        self.size += int(gone.sizes.sum())
        self.parts.append(gone)

    def result(self) -> Collected:
        """What was counted."""
        values = {each.name: getattr(self, each.name) for each in fields(Collected)}
        return Collected(**values | {"gone": GoneList.joined([GoneList.of(self.gone), *self.parts])})


class Reached:
    """What is live, and the chunks of every large blob that is, or whose pack is ``young``."""

    def __init__(self, catalogue: Catalogue, live: DigestSet, young: Collection[str]) -> None:
        self._live = live
        chunks, parts, owners = Gathering(), [], []
        for name, index in catalogue.everything():
            for entry in index[index["kind"] == RECIPE]:
                with suppress(FileNotFoundError):
                    made = catalogue.shelf.read(name, int(entry["offset"]), int(entry["length"]))
                    whole = words_in(entry["digest"].tobytes())
                    steps = words_in(bytes.fromhex("".join(digest for digest, _ in packs.steps(made))))
                    if name in young or live.holds(whole)[0]:
                        chunks.add_words(steps)
                    else:
                        parts.append(steps)
                        owners.append(np.repeat(whole, len(steps), axis=0))
        self._chunks = chunks.result()
        # For a chunk of a blob that goes: which one. Of several the first.
        self._going, self._owners = np.concatenate([_NO_DIGEST, *parts]), np.concatenate([_NO_DIGEST, *owners])
        order = np.lexsort(self._going.T[::-1])
        self._going, self._owners = self._going[order], self._owners[order]

    def holds(self, words: Words) -> NDArray[np.bool_]:
        """Whether each stays."""
        return self._live.holds(words) | self._chunks.holds(words)

    def wholes(self, words: Words) -> Words:
        """Of which large blob that goes each is a chunk; zeros for none."""
        places = DigestSet(self._going).places(words)
        return np.where((places >= 0)[:, None], self._owners[places], 0).astype(np.uint64)


class _Sorted(NamedTuple):
    """A pack's index, and which of its entries are dead."""

    entries: NDArray[np.void]
    words: Words
    is_dead: NDArray[np.bool_]

    @property
    def is_worth_rewriting(self) -> bool:
        lost, total = (int(self.entries["length"][which].sum()) for which in (self.is_dead, slice(None)))
        return bool(self.is_dead.any()) and (lost >= total * _WORTH_REWRITING or bool(self.is_dead.all()))


def collect_packs(
    catalogue: Catalogue,
    packing: Callable[[], AbstractContextManager[Packing]],
    live: Collection[str],
    *,
    before: float,
    delete: bool,
) -> Collected:
    """Take dead objects out of packs; or only count them."""
    ages = catalogue.shelf.names()
    young = {name for name, age in ages.items() if age >= before}
    reached, counted = Reached(catalogue, DigestSet.of(live), young), Counted()
    for name, index in list(catalogue.everything()):
        words = _words(index)
        found = _Sorted(index, words, ~reached.holds(words))
        if name in young or not found.is_worth_rewriting:
            counted.keep(index, young=int(found.is_dead.sum()) if name in young else 0)
        elif delete and not _rewrite(catalogue, packing, name, index[~found.is_dead], before):
            counted.keep(index, young=int(found.is_dead.sum()))
        else:
            counted.keep(index[~found.is_dead])
            counted.take(_gone(found, ages.get(name, 0.0), reached))
            counted.rewritten += not found.is_dead.all()
    return counted.result()


def packed(catalogue: Catalogue, since: float) -> Iterator[str]:
    """Every digest in packs that were written or touched ``since``."""
    ages = catalogue.shelf.names() if since else {}
    for name, index in catalogue.everything():
        if ages.get(name, since) >= since:
            yield from texts(_words(index))


def beginning(
    catalogue: Catalogue, among: DigestSet, first: bytes, begin: Callable[[Iterable[str]], Iterable[bytes]]
) -> Iterator[str]:
    """See `Blobs.beginning`. ``begin``: the first bytes of such as do not stand in a pack in one piece."""
    is_seen = np.zeros(len(among), bool)
    for name, index in catalogue.everything(is_seen=True):
        places = among.places(_words(index))
        is_new = (places >= 0) & (index["kind"] != RECIPE)
        is_new[is_new] = ~is_seen[places[is_new]]
        with suppress(FileNotFoundError):  # a collection was here: it stands elsewhere
            wanted = index[is_new]
            for entry, data in _stored(catalogue, name, wanted, most=1):
                if data and data in first:
                    yield entry[0].hex()
            is_seen[places[is_new]] = True
    rest = among.words[~is_seen]
    for digest, found in zip(texts(rest), begin(texts(rest)), strict=True):
        if found and found in first:
            yield digest


def together(one: Collected, other: Collected) -> Collected:
    """Two parts of one collection."""
    names = [field.name for field in fields(Collected) if field.name != "gone"]
    sums = {name: getattr(one, name) + getattr(other, name) for name in names}
    return Collected(**sums, gone=GoneList.joined([GoneList.of(one.gone), GoneList.of(other.gone)]))


def _gone(found: _Sorted, written: float, reached: Reached) -> GoneList:
    words, sizes = found.words[found.is_dead], found.entries["length"][found.is_dead].astype(np.int64)
    return GoneList(words, sizes, np.full(len(words), written), reached.wholes(words))


def _words(index: NDArray[np.void]) -> Words:
    return words_in(index["digest"].tobytes())


def _stored(
    catalogue: Catalogue, name: str, entries: NDArray[np.void], *, most: int | None = None
) -> Iterator[tuple[Any, bytes]]:
    """Each of some objects of a pack, or its first ``most`` bytes: its place in the index, and the bytes."""
    waiting: list[Any] = []

    def read() -> Iterator[tuple[Any, bytes]]:
        start = waiting[0][1]
        last = waiting[-1]
        data = catalogue.shelf.read(name, start, last[1] + _asked(last[2], most) - start)
        for each in waiting:
            yield each, data[each[1] - start :][: _asked(each[2], most)]

    for entry in entries[np.argsort(entries["offset"])].tolist():
        if waiting:
            end = waiting[-1][1] + _asked(waiting[-1][2], most)
            if entry[1] - end > _GAP or entry[1] - waiting[0][1] > _SPAN:
                yield from read()
                waiting.clear()
        waiting.append(entry)
    if waiting:
        yield from read()


def _asked(length: int, most: int | None) -> int:
    return length if most is None else min(length, most)


def _rewrite(
    catalogue: Catalogue,
    packing: Callable[[], AbstractContextManager[Packing]],
    name: str,
    alive: NDArray[np.void],
    before: float,
) -> bool:
    """Bring what is alive in a pack elsewhere, then remove it; False if somebody needs the pack after all."""
    with packing() as batch:
        batch.leave_out(name)
        for (digest, _, _, size, kind), stored in _stored(catalogue, name, alive):
            batch.bring(digest.hex(), stored, size, kind)
    if not catalogue.shelf.remove(name, before):
        return False
    catalogue.forget(name)
    return True
