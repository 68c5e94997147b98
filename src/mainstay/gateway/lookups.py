# SPDX-License-Identifier: Apache-2.0
"""Lookups: inputs that a request does not bring, because feature views know them.

In: a request that names its entities, and the online tables that the version's signature pins. Out: the same request with
every input, as the model takes it and as the log keeps it, so that what was served is on record. No code of a view runs
here: only rows that it made are looked up, by the rule by which training tables are made. What a view does not know is null; an
input that may not be null then refuses the row.
"""

from __future__ import annotations

import hashlib
import time
import weakref
from collections.abc import Mapping, Sequence
from dataclasses import replace
from operator import attrgetter
from pathlib import Path
from typing import Any, NamedTuple

from mainstay.domain.errors import Corrupt, Invalid
from mainstay.features import definitions
from mainstay.features.online import Online, key_of
from mainstay.formats.signature import Signature
from mainstay.gateway.fields import Field, read_fields
from mainstay.gateway.validation import Request, Schema
from mainstay.gateway.versions import Fetch


class Shapes(NamedTuple):
    """What a signature with views asks of a request, and what it gives the model and the log."""

    asked: tuple[Field, ...]
    inputs: tuple[Field, ...]
    carried: tuple[Field, ...]


def shapes(signature: Signature) -> Shapes:
    """The fields of a request: the inputs that no view makes, and the entities by which the others are looked up."""
    inputs = read_fields(signature)
    made = {name for pin in signature.views for name in pin["columns"]}
    plain = [field for field in inputs if field.name not in made]
    known = {field.name for field in plain}
    entities = {each["name"]: each["type"] for pin in signature.views for each in pin["entity"]}
    whose = [Field(name=name, kind=kind) for name, kind in entities.items() if name not in known]
    carried = tuple(replace(each, required=False, nullable=True) for each in whose)
    return Shapes((*plain, *whose), inputs, carried)


class Shelf:
    """Online tables in memory, by their bytes; one that nobody holds any more is let go."""

    def __init__(self, fetch: Fetch) -> None:
        self._fetch = fetch
        self._known: weakref.WeakValueDictionary[tuple[str, tuple[str, ...]], Online] = weakref.WeakValueDictionary()

    def get(self, routed: Mapping[str, Any]) -> Online:
        """The table of one pinned view.

        Raises:
            Invalid: there is none to answer from, and why. Corrupt: its bytes are not what its digest says.
        """
        if routed["online"] is None:
            raise Invalid(routed["fault"])
        name = (routed["online"]["blob"], tuple(routed["columns"]))
        found = self._known.get(name)
        if found is None:
            definition = definitions.from_json(routed["definition"])
            data = verified(self._fetch(name[0]), name[0], definition.name)
            found = self._known[name] = Online(definition, data, routed["columns"])
        return found


def verified(path: Path, digest: str, view: str) -> bytes:
    """The bytes of an online table.

    Raises:
        Corrupt: they are others than its digest says.
    """
    data = path.read_bytes()
    if hashlib.sha256(data).hexdigest() != digest:
        raise Corrupt(f"the online table of view {view!r} has other bytes than its digest {digest[:12]}… says.")
    return data


class Lookups:
    """One version's views, ready to complete requests."""

    def __init__(self, shaped: Shapes, asked: Schema, model: Schema, onlines: Sequence[Online]) -> None:
        self._onlines = [(each, _getters(asked, each.definition.entity)) for each in onlines]
        places = {name: (n, k) for n, each in enumerate(onlines) for k, name in enumerate(each.columns)}
        whole = (*shaped.inputs, *shaped.carried)
        self._row_type = model.row_type
        self._taken = [
            (f"f{place}", attrgetter(f"f{asked.names.index(field.name)}"))
            for place, field in enumerate(whole)
            if field.name not in places
        ]
        self._looked_up = [
            (f"f{place}", *places[field.name], field) for place, field in enumerate(whole) if field.name in places
        ]

    def complete(self, request: Request) -> Request:
        """The request with every input.

        Raises:
            Invalid: a view knows nothing of an entity, and the input may not be null.
        """
        at_us = time.time_ns() // 1000 if request.at_us is None else request.at_us
        rows, notes = [], []
        for row in request.rows:
            found = [online.row(key(row), at_us) for online, key in self._onlines]
            values = {member: of(row) for member, of in self._taken}
            for member, view, place, field in self._looked_up:
                value = values[member] = found[view][0][place]
                if value is None and not field.nullable:
                    raise self._lacking(view, row, field, found[view][1])
            rows.append(self._row_type(**values))
            notes.append(
                [
                    f"{why}:{online.definition.name}"
                    for (online, _), (_, why) in zip(self._onlines, found, strict=True)
                    if why
                ]
            )
        return replace(request, rows=rows, notes=notes if any(notes) else ())

    def _lacking(self, view: int, row: Any, field: Field, why: str | None) -> Invalid:
        online, key = self._onlines[view]
        whose = ", ".join(f"{name} {value!r}" for name, value in zip(online.definition.entity, key(row), strict=True))
        said = {"unknown": "has no row", "stale": "has only a row that is too old", "early": "has only a later row"}
        return Invalid(
            f"view {online.definition.name!r} {said.get(why or '', 'has no value')} for {whose[:200]}, and input "
            f"{field.name!r} may not be null; materialise the view, or allow null when the model is registered.",
            input=field.name,
        )


def _getters(asked: Schema, entity: Sequence[str]) -> Any:
    readers = [(name, attrgetter(f"f{asked.names.index(name)}")) for name in entity]
    return lambda row: key_of({name: read(row) for name, read in readers}, entity)
