# SPDX-License-Identifier: Apache-2.0
"""Definitions: what a feature view is, beside the function that makes its table.

``entity`` and ``time`` are columns of that table; every other column is a feature. A row counts from ``available_after``
its time on, because nobody knew it before, and for as long as ``ttl`` says, because it grows stale.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from mainstay.domain.clock import parse_duration
from mainstay.domain.errors import Invalid
from mainstay.domain.names import check_name

if TYPE_CHECKING:
    import pyarrow as pa

TYPES = ("float", "int", "str", "bool", "datetime")
#: A float is no name: two that look alike may differ, and NaN is not even itself.
ENTITY_TYPES = ("int", "str", "bool", "datetime")


@dataclass(frozen=True, kw_only=True)
class Definition:
    """``ttl`` and ``available_after`` as durations are written (``90d``); a ``ttl`` of None never ends.

    ``columns``: features and their types, in order; None: whatever the function makes.
    """

    name: str
    entity: tuple[str, ...]
    time: str
    ttl: str | None = None
    available_after: str = "0s"
    columns: tuple[tuple[str, str], ...] | None = None

    @property
    def ttl_us(self) -> int | None:
        return None if self.ttl is None else _microseconds(self.ttl, f"ttl of view {self.name!r}")

    @property
    def delay_us(self) -> int:
        return _microseconds(self.available_after, f"available_after of view {self.name!r}")

    def to_json(self) -> dict[str, Any]:
        """As it is kept and hashed; `from_json` undoes it."""
        return {
            "name": self.name,
            "entity": list(self.entity),
            "time": self.time,
            "ttl": self.ttl,
            "available_after": self.available_after,
            "columns": None if self.columns is None else [list(each) for each in self.columns],
        }


def make(
    name: str,
    *,
    entity: str | Sequence[str],
    time: str,
    ttl: str | None = None,
    available_after: str = "0s",
    columns: Mapping[str, str] | None = None,
) -> Definition:
    """A definition that was looked through.

    Raises:
        Invalid: an unusable name, duration or type, or a column that is two things at once.
    """
    check_name("feature view", name)
    entities = (entity,) if isinstance(entity, str) else tuple(entity)
    if not entities or len(set(entities)) != len(entities) or not all(isinstance(each, str) for each in entities):
        raise Invalid(f"view {name!r} has entity {entity!r}; name its column, or several different ones.")
    made = Definition(
        name=name,
        entity=entities,
        time=time,
        ttl=ttl,
        available_after=available_after,
        columns=None if columns is None else tuple(columns.items()),
    )
    if time in entities:
        raise Invalid(f"view {name!r} has {time!r} both as entity and as time; they are two columns.")
    for column, kind in made.columns or ():
        if kind not in TYPES:
            raise Invalid(f"feature {column!r} of view {name!r} has type {kind!r}; {', '.join(TYPES)} are possible.")
        if column in (*entities, time):
            raise Invalid(f"view {name!r} has {column!r} as a feature too; leave it out of the schema.")
    _ = made.ttl_us, made.delay_us
    return made


def from_json(data: Mapping[str, Any]) -> Definition:
    """A definition as `Definition.to_json` wrote it.

    Raises:
        Invalid: it is none.
    """
    try:
        columns = data["columns"]
        return make(
            data["name"],
            entity=data["entity"],
            time=data["time"],
            ttl=data["ttl"],
            available_after=data["available_after"],
            columns=None if columns is None else {str(name): str(kind) for name, kind in columns},
        )
    except (KeyError, TypeError, ValueError) as error:
        raise Invalid(f"a feature view's definition cannot be read: {type(error).__name__}: {error}.") from error


def checked(definition: Definition, table: pa.Table) -> pa.Table:
    """The view's table with its columns in order: entity, time, features; and nothing else where a schema says so. Its times are
    in microseconds.

    Raises:
        Invalid: a column is missing, not declared, or of another type than declared.
    """
    what = f"view {definition.name!r}"
    for name in (*definition.entity, definition.time):
        if name not in table.column_names:
            raise Invalid(f"{what} made no column {name!r}; its columns are {', '.join(table.column_names) or 'none'}.")
    for name in definition.entity:
        if (kind := type_of(table.schema.field(name).type)) not in ENTITY_TYPES:
            found = kind or table.schema.field(name).type
            raise Invalid(f"{what} has entity {name!r} as {found}; {', '.join(ENTITY_TYPES)} can name one.")
    if type_of(table.schema.field(definition.time).type) != "datetime":
        raise Invalid(
            f"{what} has time {definition.time!r} as {table.schema.field(definition.time).type}; make it a time."
        )
    own = (*definition.entity, definition.time)
    features = [name for name in table.column_names if name not in own]
    if definition.columns is not None:
        _compare(what, dict(definition.columns), {name: table.schema.field(name).type for name in features})
        features = [name for name, _ in definition.columns]
    for name in features:
        if type_of(table.schema.field(name).type) is None:
            raise Invalid(f"feature {name!r} of {what} is {table.schema.field(name).type}; make it {', '.join(TYPES)}.")
    if not features:
        raise Invalid(f"{what} made no feature: every column is its entity or its time.")
    return _in_microseconds(table.select([*own, *features]))


def _in_microseconds(table: pa.Table) -> pa.Table:
    """Finer times are cut off: a request can bring none, and training and serving must find the same row."""
    import pyarrow as pa

    for place, field in enumerate(table.schema):
        if pa.types.is_timestamp(field.type) and field.type.unit == "ns":
            kind = pa.timestamp("us", field.type.tz)
            table = table.set_column(place, field.name, table[field.name].cast(kind, safe=False))
    return table


def described(definition: Definition, table: pa.Table) -> list[dict[str, str]]:
    """Name and type of each feature of a checked table."""
    own = (*definition.entity, definition.time)
    return [{"name": field.name, "type": type_of(field.type) or ""} for field in table.schema if field.name not in own]


def type_of(kind: Any) -> str | None:
    """What an Arrow type is called here; None: it is none of a feature."""
    import pyarrow.types as kinds

    if kinds.is_dictionary(kind):
        kind = kind.value_type
    tests = (
        ("bool", kinds.is_boolean),
        ("int", kinds.is_integer),
        ("float", lambda each: kinds.is_floating(each) or kinds.is_decimal(each) or kinds.is_null(each)),
        ("str", lambda each: kinds.is_string(each) or kinds.is_large_string(each) or kinds.is_string_view(each)),
        ("datetime", lambda each: kinds.is_timestamp(each) or kinds.is_date(each)),
    )
    return next((name for name, holds in tests if holds(kind)), None)


def _compare(what: str, declared: Mapping[str, str], found: Mapping[str, Any]) -> None:
    if missing := [name for name in declared if name not in found]:
        raise Invalid(f"{what} declares feature {missing[0]!r}, and its table has {', '.join(found) or 'none'}.")
    if more := [name for name in found if name not in declared]:
        raise Invalid(
            f"{what} made feature {more[0]!r}, which its schema does not declare; declare it, or leave it out."
        )
    for name, kind in declared.items():
        told = type_of(found[name])
        if told != kind and not (kind == "float" and told == "int"):
            raise Invalid(f"feature {name!r} of {what} is {told or found[name]}; {kind} is declared.")


def _microseconds(text: str, what: str) -> int:
    length = parse_duration(text, what=what)
    return (length.days * 86_400 + length.seconds) * 1_000_000
