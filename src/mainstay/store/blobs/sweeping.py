# SPDX-License-Identifier: Apache-2.0
"""Taking away what nothing refers to: the part that adapters share.

A pack is rewritten when a good part of it is dead, and only an old one: what is alive in it goes into a new pack first, which is
durable before the old one is removed. A pack that somebody touched meanwhile stays.
"""

from __future__ import annotations

from collections.abc import Callable, Container
from contextlib import AbstractContextManager, suppress
from dataclasses import dataclass, fields
from typing import Any

from mainstay.store.blobs import Collected, packs
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

    def add(self, is_live: bool, is_young: bool, size: int) -> bool:
        """Count one; whether it is to go."""
        if is_live or is_young:
            self.kept += 1
            self.kept_size += size
            self.young += not is_live
            return False
        self.objects += 1
        self.size += size
        return True

    def result(self) -> Collected:
        """What was counted."""
        return Collected(**vars(self))


class Reached(Container[str]):
    """What is live, and the chunks of every large blob that is, or whose pack is ``young``."""

    def __init__(self, catalogue: Catalogue, live: Container[str], young: Container[str]) -> None:
        self._live = live
        self._chunks: set[bytes] = set()
        for name, index in catalogue.everything():
            for entry in index[index["kind"] == RECIPE]:
                if name in young or entry["digest"].tobytes().hex() in live:
                    with suppress(FileNotFoundError):
                        made = catalogue.shelf.read(name, int(entry["offset"]), int(entry["length"]))
                        self._chunks |= {bytes.fromhex(digest) for digest, _ in packs.steps(made)}

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
    young = {name for name, age in catalogue.shelf.names().items() if age >= before}
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
        counted.objects += len(dead)
        counted.size += lost
        counted.rewritten += len(dead) < len(index)
    return counted.result()


def together(one: Collected, other: Collected) -> Collected:
    """Two parts of one collection."""
    names = [field.name for field in fields(Collected)]
    return Collected(**{name: getattr(one, name) + getattr(other, name) for name in names})


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
