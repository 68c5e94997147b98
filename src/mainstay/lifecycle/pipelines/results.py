# SPDX-License-Identifier: Apache-2.0
"""Results: outputs by the key of the step that made them.

A hit is promised only while every byte of it is here and sound; what is missing or damaged is no hit, so the step is
carried out again and its result takes the place of the broken one. Otherwise the first result of a key stays: whoever
carried out the same step at the same time gets the outputs of the first, so that what follows has one meaning.
"""

from __future__ import annotations

import re
from collections.abc import Container, Sequence

from mainstay.domain.errors import Corrupt, Invalid, NotFound, TooLarge
from mainstay.domain.pipelines import FAMILY_DIGITS, Output, Published, Told
from mainstay.lifecycle.pipelines import tables
from mainstay.store import Change, View

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
    """Verify the bytes of one output.

    Raises:
        NotFound, Corrupt: they are gone or damaged.
    """
    if output.kind not in _NAMES_OF_THE_HOUSE:
        view.blobs.path(output.digest)
