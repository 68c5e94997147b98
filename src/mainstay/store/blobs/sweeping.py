# SPDX-License-Identifier: Apache-2.0
"""Taking away what nothing refers to: the part that adapters share.

A pack is rewritten when a good part of it is dead, and only an old one: what is alive in it goes into a new pack first, which is
durable before the old one is removed. A pack that somebody touched meanwhile stays.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Iterator, Mapping
from contextlib import AbstractContextManager, suppress
from dataclasses import dataclass, field, fields
from typing import Any

from mainstay.store.blobs import Collected, Gone, packs
from mainstay.store.blobs.packing import Packing
from mainstay.store.blobs.packs import RECIPE, Catalogue

_WORTH_REWRITING = 0.1  # the share of a pack that is dead


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

    def add(self, digest: str, is_live: bool, is_young: bool, size: int, written: float) -> bool:
        """Count one; whether it is to go."""
        if is_live or is_young:
            self.kept += 1
            self.kept_size += size
            self.young += not is_live
            return False
        self.take(Gone(digest, size, written))
        return True

    def take(self, gone: Gone) -> None:
        """Count one that goes."""
        self.objects += 1
        self.size += gone.size
        self.gone.append(gone)

    def result(self) -> Collected:
        """What was counted."""
        return Collected(**vars(self) | {"gone": tuple(self.gone)})


class Reached(Container[str]):
    """What is live, and the chunks of every large blob that is, or whose pack is ``young``."""

    def __init__(self, catalogue: Catalogue, live: Container[str], young: Container[str]) -> None:
        self._live = live
        self._chunks: set[bytes] = set()
        #: For a chunk of a blob that goes: which one.
        self.whole: dict[bytes, str] = {}
        for name, index in catalogue.everything():
            for entry in index[index["kind"] == RECIPE]:
                with suppress(FileNotFoundError):
                    whole = entry["digest"].tobytes().hex()
                    made = catalogue.shelf.read(name, int(entry["offset"]), int(entry["length"]))
                    chunks = [bytes.fromhex(digest) for digest, _ in packs.steps(made)]
                    if name in young or whole in live:
                        self._chunks.update(chunks)
                    else:
                        self.whole.update(dict.fromkeys(chunks, whole))

    def __contains__(self, digest: object) -> bool:
        return digest in self._live or bytes.fromhex(str(digest)) in self._chunks


def collect_packs(
    catalogue: Catalogue,
    packing: Callable[[], AbstractContextManager[Packing]],
    live: Container[str],
    *,
    before: float,
    delete: bool,
) -> Collected:
    """Take dead objects out of packs; or only count them."""
    ages = catalogue.shelf.names()
    young = {name for name, age in ages.items() if age >= before}
    reached, counted = Reached(catalogue, live, young), Counted()
    for name, index in list(catalogue.everything()):
        is_young = name in young
        dead = [entry for entry in index if entry["digest"].tobytes().hex() not in reached]
        lost = sum(int(entry["length"]) for entry in dead)
        total = sum(int(each) for each in index["length"])
        is_worth = bool(dead) and (lost >= total * _WORTH_REWRITING or len(dead) == len(index))
        if not is_worth or is_young:
            _count(counted, index, dead if is_young else [])
            continue
        if delete and not _rewrite(catalogue, packing, name, index, reached, before):
            _count(counted, index, dead)
            continue
        _count(counted, [entry for entry in index if entry["digest"].tobytes().hex() in reached], [])
        for entry in dead:
            counted.take(_gone(entry, ages.get(name, 0.0), reached.whole))
        counted.rewritten += len(dead) < len(index)
    return counted.result()


def packed(catalogue: Catalogue, since: float) -> Iterator[str]:
    """Every digest in packs that were written or touched ``since``."""
    ages = catalogue.shelf.names() if since else {}
    for name, index in catalogue.everything():
        if ages.get(name, since) >= since:
            yield from (entry.tobytes().hex() for entry in index["digest"])


def together(one: Collected, other: Collected) -> Collected:
    """Two parts of one collection."""
    names = [field.name for field in fields(Collected)]
    return Collected(**{name: getattr(one, name) + getattr(other, name) for name in names})


def _gone(entry: Any, written: float, whole: Mapping[bytes, str]) -> Gone:
    key = entry["digest"].tobytes()
    return Gone(key.hex(), int(entry["length"]), written, whole.get(key))


def _count(counted: Counted, kept: Any, young: Any) -> None:
    counted.kept += len(kept)
    counted.kept_size += sum(int(entry["length"]) for entry in kept)
    counted.young += len(young)


def _rewrite(
    catalogue: Catalogue,
    packing: Callable[[], AbstractContextManager[Packing]],
    name: str,
    index: Any,
    reached: Reached,
    before: float,
) -> bool:
    """Bring what is alive in a pack elsewhere, then remove it; False if somebody needs the pack after all."""
    with packing() as batch:
        batch.leave_out(name)
        for entry in index:
            digest = entry["digest"].tobytes().hex()
            if digest in reached:
                stored = catalogue.shelf.read(name, int(entry["offset"]), int(entry["length"]))
                batch.bring(digest, stored, int(entry["size"]), int(entry["kind"]))
    if not catalogue.shelf.remove(name, before):
        return False
    catalogue.forget(name)
    return True
