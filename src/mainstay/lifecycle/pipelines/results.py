# SPDX-License-Identifier: Apache-2.0
"""Results: outputs by the key of the step that made them.

A hit is promised only while every byte of it is here and sound; what is missing or damaged is no hit, so the step is
carried out again and its result takes the place of the broken one. Otherwise the first result of a key stays: whoever
carried out the same step at the same time gets the outputs of the first, so that what follows has one meaning.
"""

from __future__ import annotations

import json
import re
from collections.abc import Container, Iterator, Sequence
from typing import Any

from mainstay.domain import folders
from mainstay.domain.errors import Corrupt, Invalid, NotFound, TooLarge
from mainstay.domain.pipelines import FAMILY_DIGITS, Output, Published, Told
from mainstay.lifecycle.pipelines import tables
from mainstay.store import Change, View
from mainstay.store.blobs import Blobs

MOST_KEYS = 1_000
MOST_OF_FAMILIES = 2_000  # results in one answer
_SMALL = 64 << 10  # bytes that are looked at for whoever may not ask for them
_FAMILY = re.compile(rf"[0-9a-f]{{{FAMILY_DIGITS}}}")

# Their digests name manifests: a snapshot's is a blob as well, a version's is not; the rooms that made them answer
# for them.
_NAMES_OF_THE_HOUSE = ("snapshot", "version")


def lookup(view: View, keys: Sequence[str]) -> dict[str, Published]:
    """The sound results among ``keys``, in one query.

    Raises:
        TooLarge: more keys than one request may ask for.
    """
    if len(keys) > MOST_KEYS:
        raise TooLarge(f"{len(keys)} keys were asked for; at most {MOST_KEYS} are answered in one request.")
    return {found.key: found for found in tables.published(view, keys) if is_sound(view, found.outputs)} if keys else {}


def lookup_with_families(view: View, keys: Sequence[str], families: Sequence[str]) -> Told:
    """`lookup`, and all results whose keys begin alike. Of these only what is small and near is looked at: most will not be
    asked for.

    Raises:
        TooLarge: more than one request may ask for. Invalid: that is no beginning of a key.
    """
    if len(families) > MOST_KEYS:
        raise TooLarge(f"{len(families)} families were asked for; at most {MOST_KEYS} are answered in one request.")
    sound, unsure, whole = lookup(view, keys), dict[str, Published](), []
    for family in dict.fromkeys(families):
        if not _FAMILY.fullmatch(family):
            raise Invalid(f"{family[:80]!r} is no family; the first {FAMILY_DIGITS} digits of a key are.")
        room = MOST_OF_FAMILIES - len(sound) - len(unsure)
        found = tables.published_alike(view, family, limit=room + 1)
        if len(found) > room:
            continue
        whole.append(family)
        for each in found:
            if not view.blobs.is_near or any(output.size > _SMALL for output in each.outputs):
                unsure[each.key] = each
            elif is_sound(view, each.outputs):
                sound[each.key] = each
    return Told(sound=sound, unsure=unsure, whole=tuple(whole))


def publish(change: Change, new: Sequence[Published], *, renewed: Container[str] = ()) -> dict[str, Published]:
    """Keep each of ``new``, unless a sound result stands under its key that is not to be ``renewed``; what stands under
    each key afterwards."""
    first = lookup(change, [each.key for each in new if each.key not in renewed])
    fresh = {each.key: each for each in reversed(new) if each.key not in first}
    if fresh:
        tables.put_published(change, list(fresh.values()))
    return {**fresh, **first}


def is_sound(view: View, outputs: Sequence[Output]) -> bool:
    """Whether every blob of ``outputs`` is here and has its digest."""
    try:
        for output in outputs:
            check(view, output)
    except (NotFound, Corrupt):
        return False
    return True


def check(view: View, output: Output) -> None:
    """Verify the bytes of one output, and that those it names are here; a collection that runs meanwhile lets all of them be.

    Raises:
        NotFound, Corrupt: they are gone or damaged.
    """
    if output.kind in _NAMES_OF_THE_HOUSE:
        return
    view.blobs.path(output.digest)
    named = dict.fromkeys(_named(view.blobs, output.kind, output.digest))
    if named and (gone := view.blobs.missing(named)):
        raise NotFound(f"output {output.name!r} names blob {gone[0]}, which is not here.", digest=gone[0])


def forget(change: Change, gone: Container[str]) -> int:
    """Drop the results of which some bytes are ``gone``; how many."""
    keys = [each.key for each in tables.all_published(change) if any(o.digest in gone for o in each.outputs)]
    return sum(tables.forget_published(change, keys[n : n + MOST_KEYS]) for n in range(0, len(keys), MOST_KEYS))


def _named(blobs: Blobs, kind: str, digest: str) -> Iterator[str]:
    """The blobs that a result is made of, if it is kept as a list."""
    if kind == "model":
        yield from json.loads(blobs.read(digest))["files"].values()
    elif kind == "files":
        for file in folders.walk(blobs.read, folders.read_root(blobs.read(digest)).folder):
            yield file.digest
            if file.is_list:
                yield from (chunk for chunk, _ in folders.read_chunks(blobs.read(file.digest), file.size))
    elif kind == "nested":
        for part in _artifacts(json.loads(blobs.read(digest))):
            yield part["digest"]
            yield from _named(blobs, part["kind"], part["digest"])


def _artifacts(told: Any) -> Iterator[dict[str, Any]]:
    """What stands in a nested value as a blob of its own; plain values may look like anything."""
    if isinstance(told, dict):
        told = list(told.values())
    if isinstance(told, list) and told[:1] == ["artifact"]:
        yield told[1]
    elif isinstance(told, list) and told[:1] != ["plain"]:
        for each in told:
            yield from _artifacts(each)
