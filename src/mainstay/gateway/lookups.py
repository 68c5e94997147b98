# SPDX-License-Identifier: Apache-2.0
"""Lookups: inputs that a request does not bring, because feature views know them.

In: a request that names its entities, the online tables that the version's signature pins, and the transforms it holds. Out:
the same request with every input, as the model takes it and as the log keeps it, so that what was served is on record.
Nobody's code runs here: rows that a view made are looked up, by the rule by which training tables are made, and expressions are
carried out. What is not known is null; an input that may not be null then refuses the row.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from operator import attrgetter
from types import MappingProxyType
from typing import Any, NamedTuple

from mainstay.domain.errors import Conflict, Invalid, Unavailable
from mainstay.features import transforms
from mainstay.features.on_disk import OnDisk
from mainstay.features.online import Online, key_of
from mainstay.features.transforms import Transform
from mainstay.formats.signature import Signature
from mainstay.gateway.batching import DeadlineExceeded
from mainstay.gateway.control import ask
from mainstay.gateway.fields import Field, read_fields
from mainstay.gateway.shelf import ByKey, Elsewhere, Table
from mainstay.gateway.validation import Request, Schema

#: What features are looked up in.
Held = Table | Elsewhere

# Computed values, or rows looked up on the disk, of one request that take the event loop a few milliseconds.
_AT_ONCE = 500
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class Shapes(NamedTuple):
    """What a signature with views asks of a request, and what it gives the model and the log."""

    asked: tuple[Field, ...]
    inputs: tuple[Field, ...]
    carried: tuple[Field, ...]
    transforms: tuple[Transform, ...] = ()


def shapes(signature: Signature) -> Shapes:
    """The fields of a request: the inputs that nothing makes, what transforms are made of, and the entities by which views
    are looked up. What is no input of the model is carried beside those, so that the log has the whole of it."""
    inputs = read_fields(signature)
    computed = [transforms.from_json(each) for each in signature.transforms]
    made = {name for pin in signature.views for name in pin["columns"]} | {each.name for each in computed}
    made |= {each["name"] for pin in signature.sources for each in pin["columns"]}
    plain = [field for field in inputs if field.name not in made]
    looked_up = (*signature.views, *signature.sources)
    entities = {each["name"]: each["type"] for pin in looked_up for each in pin["entity"]}
    read = {name: kind for each in computed for name, kind in each.columns}
    known = {field.name for field in plain}
    whose = [Field(name=name, kind=kind) for name, kind in entities.items() if name not in known]
    # A transform of a null is null: whether that may be is for the model to say.
    more = [
        Field(name=name, kind=kind, nullable=True)  # type: ignore[arg-type]
        for name, kind in read.items()
        if name not in {*known, *entities, *made}
    ]
    carried = transforms.carried(signature.to_json()).items()
    kept = [Field(name=name, kind=kind, required=False, nullable=True) for name, kind in carried]  # type: ignore[arg-type]
    return Shapes((*plain, *whose, *more), inputs, tuple(kept), tuple(computed))


class _Known(NamedTuple):
    """A request, and of each row what it brought and what was looked up, by the members of the model's row."""

    request: Request
    values: list[dict[str, Any]]


class Lookups:
    """One version's views and transforms, ready to complete requests."""

    def __init__(
        self,
        shaped: Shapes,
        asked: Schema,
        model: Schema,
        onlines: Sequence[Held],
        known_up_to: Mapping[str, str] = MappingProxyType({}),
    ) -> None:
        """``known_up_to``: of each view the watermark of its table, as it was told."""
        self._onlines = [(each, _getters(asked, _entity(each))) for each in onlines]
        self._on_disk = sum(isinstance(each, OnDisk) for each in onlines)
        self._asks = any(isinstance(each, ByKey | Elsewhere) for each in onlines)
        self._dates = [f"as_of:{view}@{moment}" for view, moment in known_up_to.items()]
        told = ", ".join(f"{view}={moment}" for view, moment in known_up_to.items())
        #: How old the answers' features may be, for the caller.
        self.headers = ((b"known-up-to", told.encode()),) if told else ()
        places = {name: (n, k) for n, each in enumerate(onlines) for k, name in enumerate(each.columns)}
        whole = (*shaped.inputs, *shaped.carried)
        member = {field.name: (f"f{place}", field) for place, field in enumerate(whole)}
        self._computed = [
            (
                *member[each.name],
                each.apply,
                [None if name == each.moment else member[name][0] for name, _ in each.inputs],
            )
            for each in shaped.transforms
        ]
        made = {*places, *(each.name for each in shaped.transforms)}
        self._row_type = model.row_type
        self._taken = [
            (f"f{place}", attrgetter(f"f{asked.names.index(field.name)}"))
            for place, field in enumerate(whole)
            if field.name not in made
        ]
        # Another version beside this one may take a null where this one does not.
        self._needed = [
            (attrgetter(f"f{asked.names.index(field.name)}"), field)
            for field in shaped.asked
            if not field.nullable and asked.fields[asked.names.index(field.name)].nullable
        ]
        self._found = [
            (f"f{place}", *places[field.name], field) for place, field in enumerate(whole) if field.name in places
        ]

    def described(self) -> list[dict[str, Any]]:
        """What is looked up, how it is held, and how many rows of it are at hand."""
        words = {Online: "whole", OnDisk: "on disk", ByKey: "by key", Elsewhere: "elsewhere"}
        return [{"name": _name(held), "held": words[type(held)], "rows": len(held)} for held, _ in self._onlines]

    async def fetch(self, request: Request, deadline: float) -> None:
        """Ask for the rows that are not at hand, so that `complete` has them.

        Raises:
            Unavailable: the control plane is away. DeadlineExceeded: it did not answer by ``deadline``.
        """
        # Again until nothing lacks: what was at hand a moment ago may have made room for another request's rows.
        while lacking := self._lacking(request):
            for table, keys in lacking:
                await _fetched(table, keys, deadline)

    def _lacking(self, request: Request) -> list[tuple[ByKey | Elsewhere, list[tuple[Any, ...]]]]:
        tables = [(online, key) for online, key in self._onlines if isinstance(online, ByKey | Elsewhere)]
        found = [(table, table.lacking(map(key, request.rows))) for table, key in tables]
        return [(table, keys) for table, keys in found if keys]

    async def completed(self, request: Request, deadline: float, *, is_behind: bool = False) -> Request:
        """The request with every input, asked for what is not at hand; much arithmetic delays no other request.

        Where newer tables may be known elsewhere (``is_behind``), each row is marked with the moment of those it was answered
        from: a replay could not tell it otherwise.

        Raises:
            As `fetch` and `complete`.
        """
        whole = await self._completed(request, deadline)
        if not (is_behind and self._dates):
            return whole
        return replace(whole, notes=[[*notes, *self._dates] for notes in whole.notes or [()] * len(whole.rows)])

    async def _completed(self, request: Request, deadline: float) -> Request:
        await self.fetch(request, deadline)
        loop, rows = asyncio.get_running_loop(), len(request.rows)
        # What was fetched may make room for other rows, so it is taken without a pause.
        if rows * self._on_disk > _AT_ONCE and not self._asks:
            return await loop.run_in_executor(None, self.complete, request)
        known = self._looked_up(request)
        if rows * len(self._computed) <= _AT_ONCE:
            return self._whole(known)
        return await loop.run_in_executor(None, self._whole, known)

    def complete(self, request: Request) -> Request:
        """The request with every input, where all rows are at hand.

        Raises:
            Invalid: nothing is known of an entity, or a transform gives nothing, and the input may not be null.
        """
        return self._whole(self._looked_up(request))

    def _looked_up(self, request: Request) -> _Known:
        at_us = time.time_ns() // 1000 if request.at_us is None else request.at_us
        rows, notes = [], []
        for row in request.rows:
            for of, field in self._needed:
                if of(row) is None:
                    raise Invalid(
                        f"this request is for a version that takes no null for {field.name!r}.", input=field.name
                    )
            found = [online.row(key(row), at_us) for online, key in self._onlines]
            values = {member: of(row) for member, of in self._taken}
            for member, view, place, field in self._found:
                value = values[member] = found[view][0][place]
                if value is None and not field.nullable:
                    raise self._refused(view, row, field, found[view][1])
            rows.append(values)
            notes.append(
                [f"{why}:{_name(online)}" for (online, _), (_, why) in zip(self._onlines, found, strict=True) if why]
            )
        # The log keeps the very moment by which features were looked up and computed: a replay asks for that one again.
        return _Known(replace(request, at_us=at_us, notes=notes if any(notes) else ()), rows)

    def _whole(self, known: _Known) -> Request:
        assert known.request.at_us is not None
        moment = _EPOCH + timedelta(microseconds=known.request.at_us)
        for values in known.values:
            for member, field, apply, sources in self._computed:
                value = values[member] = apply([moment if name is None else values[name] for name in sources])
                if value is None and not field.nullable:
                    raise _nothing(field)
        return replace(known.request, rows=[self._row_type(**values) for values in known.values])

    def _refused(self, view: int, row: Any, field: Field, why: str | None) -> Invalid:
        online, key = self._onlines[view]
        whose = ", ".join(f"{name} {value!r}" for name, value in zip(_entity(online), key(row), strict=True))
        said = {"unknown": "has no row", "stale": "has only a row that is too old", "early": "has only a later row"}
        return Invalid(
            f"view {_name(online)!r} {said.get(why or '', 'has no value')} for {whose[:200]}, and input "
            f"{field.name!r} may not be null; materialise the view, or register a model that may miss it: "
            f"nullable=[{field.name!r}].",
            input=field.name,
        )


def _nothing(field: Field) -> Invalid:
    return Invalid(
        f"transform {field.name!r} gives nothing for these values, and input {field.name!r} may not be null; let the transform "
        f"say what then holds, or register a model that may miss it: nullable=[{field.name!r}].",
        input=field.name,
    )


async def _fetched(table: ByKey | Elsewhere, keys: list[tuple[Any, ...]], deadline: float) -> None:
    what = f"{'view' if isinstance(table, ByKey) else 'source'} {table.name!r}"
    try:
        async with asyncio.timeout_at(deadline):
            found: Any = await ask(lambda: table.ask(keys))
    except TimeoutError:
        raise DeadlineExceeded(f"{what} was not looked up within the request's time.") from None
    # A table that is no longer kept by key: the newer one is on its way here.
    except (Conflict, Unavailable) as error:
        raise Unavailable(f"{what} cannot be looked up now: {error.message}") from error
    table.take(keys, found)


def _entity(held: Held) -> tuple[str, ...]:
    return held.entity if isinstance(held, Elsewhere) else held.definition.entity


def _name(held: Held) -> str:
    return held.name if isinstance(held, Elsewhere) else held.definition.name


def _getters(asked: Schema, entity: Sequence[str]) -> Any:
    readers = [(name, attrgetter(f"f{asked.names.index(name)}")) for name in entity]
    return lambda row: key_of({name: read(row) for name, read in readers}, entity)
