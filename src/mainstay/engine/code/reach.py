# SPDX-License-Identifier: Apache-2.0
"""Which statements of a closure a step can reach by name: for telling people, never for deciding what is a hit.

Following names fails silently, so the key covers the whole closure. But when a key has changed, it is worth saying that
only code changed which nothing on the way from the step names: somebody may then accept the stored result.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from mainstay.engine.code import modules
from mainstay.engine.code.modules import Part


def idle(parts: Mapping[str, Sequence[Part]], begin: Iterable[str]) -> dict[str, tuple[str, ...]]:
    """By module, the statements that nothing names on the way from the functions ``begin``.

    None are idle where anything looks things up by a computed name.
    """
    names, found, before = set(begin), set[tuple[str, int]](), -1
    everything = [(label, place, part) for label, several in parts.items() for place, part in enumerate(several)]
    renames = [pair for _, _, part in everything for pair in part.renames]
    while before != len(names) + len(found):
        before = len(names) + len(found)
        names |= {name for alias, name in renames if alias in names}
        for label, place, part in everything:
            if (label, place) in found or (part.may_idle and part.name not in names):
                continue
            if part.is_dynamic or not part.mentions.isdisjoint(modules.REFLECTION):
                return {}
            found.add((label, place))
            # An import statement makes names known; which of them are used is for others to say.
            names |= frozenset() if part.name == "imports" else part.mentions
    left = {
        label: _unnamed(several, {place for each, place in found if each == label}) for label, several in parts.items()
    }
    return {label: several for label, several in left.items() if several}


def _unnamed(parts: Sequence[Part], reached: set[int]) -> tuple[str, ...]:
    used = {parts[place].name for place in reached}
    return tuple(dict.fromkeys(part.name for part in parts if part.digest and part.name not in used))
