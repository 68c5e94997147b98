# SPDX-License-Identifier: Apache-2.0
"""The shelf: online tables as this gateway holds them, in memory, on its disk, or by key.

In: a view that a version pins, with the table that the control plane answers it from. Out: something that gives an entity's
row. A table is held whole, as the file that its digest names: proven, and there when the control plane is not. A small one
stands in memory, looked up in a microsecond, a larger one on the disk, in ten. Only of one that is too large for that too
the rows asked for lately are held; others are asked of the control plane, as of the very same table. A refresh then lets go
only of the rows that it changed.
"""

from __future__ import annotations

import contextlib
import hashlib
import logging
import math
import time
import weakref
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa

from mainstay.domain.digests import sha256_of_file
from mainstay.domain.errors import Corrupt, Invalid, MainstayError
from mainstay.features import definitions, rows, sources
from mainstay.features.on_disk import OnDisk
from mainstay.features.online import UNKNOWN, Cached, Known, Online
from mainstay.features.rows import as_time, plain_cells
from mainstay.features.transforms import column
from mainstay.gateway.control import Control
from mainstay.gateway.versions import Fetch

logger = logging.getLogger(__name__)

#: What another store said is good for the request that asked, and for those beside it.
REMEMBERED_S = 1.0
#: Rows of one table that are held in memory, and on the disk; `settings` tells a gateway how many it shall be.
DEFAULT_ROWS, DEFAULT_ROWS_ON_DISK = 250_000, 5_000_000


class ByKey(Cached):
    """A larger table: `Cached`, and whom to ask for the rest. ``questions`` counts how often that was."""

    def __init__(self, control: Control, routed: Mapping[str, Any], most: int, former: Mapping[Any, Known]) -> None:
        definition, online = definitions.from_json(routed["definition"]), routed["online"]
        reader = rows.Reader(routed["entity"], online["columns"])
        made = [each["name"] for each in online["columns"]]
        super().__init__(definition, routed["columns"], reader, made, most=most, former=former)
        self.version, self.sequence = int(routed["version"]), int(online["sequence"])
        self.questions = 0
        self._control = control

    @property
    def name(self) -> str:
        return self.definition.name

    def take(self, keys: Sequence[tuple[Any, ...]], found: Sequence[tuple[int, str] | None]) -> None:
        """Keep what `ask` brought."""
        for key, row in zip(keys, found, strict=True):
            self.remember(key, *(row or (None, None)))

    def ask(self, keys: Sequence[tuple[Any, ...]]) -> list[tuple[int, str] | None]:
        """What the control plane has for these keys; blocks."""
        self.questions += 1
        texts = [rows.key_text(key) for key in keys]
        # What is too long to be kept is nobody.
        asked = [text for text in texts if len(text) <= rows.LONGEST_KEY]
        found = iter(self._control.rows(self.definition.name, self.version, self.sequence, asked))
        return [next(found) if len(text) <= rows.LONGEST_KEY else None for text in texts]


#: How an online table of ours is held.
Table = Online | OnDisk | ByKey


class Elsewhere:
    """Features of another store: asked for at each request, and remembered for a second, for the rows of one request."""

    def __init__(self, pinned: Mapping[str, Any], most: int = DEFAULT_ROWS) -> None:
        """Raises NotFound, Unavailable: the source is not named here, or what it needs is not installed."""
        self.external = sources.from_json(pinned)
        sources.opened(self.external.source)
        self.name = self.external.source
        self.entity = tuple(name for name, _ in self.external.entity)
        self.columns = tuple(name for name, _ in self.external.columns)
        self._kinds = dict(self.external.entity)
        self._known: dict[tuple[Any, ...], tuple[float, tuple[Any, ...]]] = {}
        self._most = most

    def __len__(self) -> int:
        return len(self._known)

    def lacking(self, keys: Iterable[tuple[Any, ...]]) -> list[tuple[Any, ...]]:
        """The keys that were not asked for within the last second."""
        since = time.monotonic() - REMEMBERED_S
        return [key for key in dict.fromkeys(keys) if self._known.get(key, (-math.inf,))[0] < since]

    def ask(self, keys: Sequence[tuple[Any, ...]]) -> list[tuple[Any, ...]]:
        """What the store has for these keys; blocks."""
        asked = {
            name: column([as_time(part) if kind == "datetime" else part for part in parts], kind)
            for (name, kind), parts in zip(self._kinds.items(), zip(*keys, strict=True), strict=True)
        }
        found = sources.now(pa.table(asked), self.external)
        return list(zip(*(plain_cells(found[name]) for name in self.columns), strict=True))

    def take(self, keys: Sequence[tuple[Any, ...]], found: Sequence[tuple[Any, ...]]) -> None:
        """Keep what `ask` brought; what was asked for longest ago makes room."""
        for key, row in zip(keys, found, strict=True):
            self._known.pop(key, None)
            if len(self._known) >= self._most:
                del self._known[next(iter(self._known))]
            self._known[key] = time.monotonic(), row

    def row(self, key: tuple[Any, ...], at_us: int) -> tuple[tuple[Any, ...], str | None]:
        """The features of an entity as they are now, whatever the moment: another store knows no other."""
        row = self._known[key][1]
        return row, UNKNOWN if all(cell is None for cell in row) else None


class Shelf:
    """Online tables by what they are; one that nobody holds any more is let go.

    Args:
        fetch: bytes by digest. control: whom to ask by key; without it every table is held whole. most: rows of one table in
        memory. most_on_disk: rows of one that stands on the disk.
    """

    def __init__(
        self,
        fetch: Fetch,
        control: Control | None = None,
        *,
        most: int = DEFAULT_ROWS,
        most_on_disk: int = DEFAULT_ROWS_ON_DISK,
    ) -> None:
        self._fetch, self._control, self._most, self._most_on_disk = fetch, control, most, most_on_disk
        self._known: weakref.WeakValueDictionary[tuple[Any, ...], Table] = weakref.WeakValueDictionary()
        self._newest: weakref.WeakValueDictionary[tuple[Any, ...], ByKey] = weakref.WeakValueDictionary()

    def get(self, routed: Mapping[str, Any]) -> Table:
        """The table of one pinned view.

        Raises:
            Invalid: there is none to answer from, and why. Corrupt: its bytes are not what its digest says.
        """
        online = routed["online"]
        if online is None:
            raise Invalid(routed["fault"])
        name = (routed["digest"], online["sequence"], online["blob"], tuple(routed["columns"]))
        found = self._known.get(name)
        if found is None:
            found = self._known[name] = self._made(routed)
        return found

    def _made(self, routed: Mapping[str, Any]) -> Table:
        online, control = routed["online"], self._control if routed["online"].get("by_key") else None
        if online["rows"] <= self._most:
            return self._in_memory(routed)
        if control is not None and online["rows"] > self._most_on_disk:
            return self._by_key(control, routed)
        try:
            return self._on_disk(routed)
        except OSError as error:
            if control is None:
                raise
            logger.warning("view %r is asked for key by key, its table finds no room here: %s", routed["view"], error)
            return self._by_key(control, routed)

    def _in_memory(self, routed: Mapping[str, Any]) -> Online:
        definition, blob = definitions.from_json(routed["definition"]), routed["online"]["blob"]
        return Online(definition, verified(self._fetch(blob), blob, definition.name), routed["columns"])

    def _on_disk(self, routed: Mapping[str, Any]) -> OnDisk:
        definition, blob = definitions.from_json(routed["definition"]), routed["online"]["blob"]
        path = self._fetch(blob)
        if sha256_of_file(path) != blob:
            raise _damaged(blob, definition.name)
        return OnDisk(definition, path, routed["columns"])

    def _by_key(self, control: Control, routed: Mapping[str, Any]) -> ByKey:
        name = (routed["digest"], tuple(routed["columns"]))
        before = self._newest.get(name)
        former = {} if before is None else _unchanged(control, routed, before)
        found = self._newest[name] = ByKey(control, routed, self._most, former)
        return found


def verified(path: Path, digest: str, view: str) -> bytes:
    """The bytes of an online table.

    Raises:
        Corrupt: they are others than its digest says.
    """
    data = path.read_bytes()
    if hashlib.sha256(data).hexdigest() != digest:
        raise _damaged(digest, view)
    return data


def _damaged(digest: str, view: str) -> Corrupt:
    return Corrupt(f"the online table of view {view!r} has other bytes than its digest {digest[:12]}… says.")


def _unchanged(control: Control, routed: Mapping[str, Any], before: ByKey) -> dict[Any, Known]:
    """What was known of the table before and is the same in this one."""
    # A copy in one step: requests look up, and so reorder, the old one meanwhile.
    held = dict(before.known)
    changed = None
    with contextlib.suppress(MainstayError):  # begun anew, it is slower for a while and not wrong
        changed = control.changed(routed["view"], before.version, before.sequence, int(routed["online"]["sequence"]))
    if changed is None:
        return {}
    reader = rows.Reader(routed["entity"], routed["online"]["columns"])
    for key in changed:
        held.pop(reader.key(key), None)
    return held
