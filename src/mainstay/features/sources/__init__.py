# SPDX-License-Identifier: Apache-2.0
"""Sources: another feature store, asked for training tables and for what it knows now.

Whoever runs such a store keeps it. A source is named by its operator, ``MAINSTAY_FEATURE_SOURCES="shop=feast:feature_repo"``:
a name, the kind of source, and an address that only the kind understands. A signature pins the name and the features, never the
address, so that training and every gateway reach the store in their own way and with their own secrets. A file in this
folder, or an installed package's entry point in group ``mainstay.feature_sources``, is a kind: something that takes an
address and gives a `FeatureSource`. Good is one that keeps the rows it is given in their order and answers from no later
knowledge than the time it is given.
"""

from __future__ import annotations

import contextlib
import functools
import importlib
import importlib.metadata
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from mainstay import settings
from mainstay.domain.errors import Invalid, NotFound, Unavailable
from mainstay.domain.names import check_name
from mainstay.features import definitions

if TYPE_CHECKING:
    import pyarrow as pa

GROUP = "mainstay.feature_sources"
_ARROW = {"float": "float64", "int": "int64", "str": "string", "bool": "bool", "datetime": "timestamp[us]"}
_OURS = {"feast": "mainstay.features.sources.feast:Feast"}


class FeatureSource(Protocol):
    """A feature store. ``features`` are names in its own words."""

    def get_historical(self, labels: pa.Table, features: Sequence[str], *, time: str) -> pa.Table:
        """For each label, in their order, the features as they were known at ``time``: a column each, in their order."""
        ...

    def get_online(self, entities: pa.Table, features: Sequence[str]) -> pa.Table:
        """For each entity, in their order, the features as they are now: a column each, in their order."""
        ...


@dataclass(frozen=True, kw_only=True)
class External:
    """Features of a source. ``features``: its own name → the column they become here; ``columns`` and ``entity`` have types."""

    source: str
    features: tuple[str, ...]
    entity: tuple[tuple[str, str], ...]
    columns: tuple[tuple[str, str], ...]

    def to_json(self) -> dict[str, Any]:
        """As a signature pins it; `from_json` undoes it."""
        return {
            "source": self.source,
            "features": list(self.features),
            "entity": [{"name": name, "type": kind} for name, kind in self.entity],
            "columns": [{"name": name, "type": kind} for name, kind in self.columns],
        }


def make(source: str, features: Mapping[str, str], entity: Mapping[str, str]) -> External:
    """Features of a source, looked through. A column is called as the last part of its feature: ``total`` of ``spend:total``.

    Raises:
        Invalid: a name or type that cannot be, or a column that is two things at once.
    """
    check_name("feature source", source)
    columns = tuple((name.rpartition(":")[2], kind) for name, kind in features.items())
    for several, kinds in ((columns, definitions.TYPES), (tuple(entity.items()), definitions.ENTITY_TYPES)):
        if wrong := [(name, kind) for name, kind in several if kind not in kinds]:
            raise Invalid(
                f"{wrong[0][0]!r} of source {source!r} has type {wrong[0][1]!r}; {', '.join(kinds)} are possible."
            )
    names = [name for name, _ in (*columns, *entity.items())]
    if not columns or not entity or len(set(names)) != len(names):
        raise Invalid(
            f"source {source!r} is asked for {names}; at least one feature and one entity, each once, are expected."
        )
    return External(source=source, features=tuple(features), entity=tuple(entity.items()), columns=columns)


def from_json(data: Mapping[str, Any]) -> External:
    """As `External.to_json` wrote it.

    Raises:
        Invalid: it is none.
    """
    try:
        kinds = [str(each["type"]) for each in data["columns"]]
        entity = {str(each["name"]): str(each["type"]) for each in data["entity"]}
        return make(data["source"], dict(zip(data["features"], kinds, strict=True)), entity)
    except (KeyError, TypeError, ValueError) as error:
        raise Invalid(f"features of a source cannot be read: {type(error).__name__}: {error}.") from error


def joined(labels: pa.Table, external: External, *, time: str) -> pa.Table:
    """``labels`` with the source's features as of ``time``.

    Raises:
        Invalid: a column is missing or stands there already, or the source gave another table than it was asked for.
        NotFound, Unavailable: the source is not named here, or fails.
    """
    for name in (*(name for name, _ in external.entity), time):
        if name not in labels.column_names:
            raise Invalid(f"the labels have no column {name!r}, by which source {external.source!r} is asked.")
    if twice := [name for name, _ in external.columns if name in labels.column_names]:
        raise Invalid(
            f"feature {twice[0]!r} of source {external.source!r} stands in the table already; rename one of them."
        )
    asked = labels.select([*(name for name, _ in external.entity), time])
    found = _answer(
        external, labels.num_rows, lambda source: source.get_historical(asked, external.features, time=time)
    )
    for name in found.column_names:
        labels = labels.append_column(name, found[name])
    return labels


def now(entities: pa.Table, external: External) -> pa.Table:
    """What the source knows of these entities now. Raises as `joined`."""
    return _answer(external, entities.num_rows, lambda source: source.get_online(entities, external.features))


def _answer(external: External, rows: int, ask: Callable[[FeatureSource], pa.Table]) -> pa.Table:
    import pyarrow as pa

    source = opened(external.source)
    try:
        found = ask(source)
    except Exception as error:  # a guest's library, asked over a network: whatever it raises, it could not answer
        raise Unavailable(f"feature source {external.source!r} failed with {type(error).__name__}: {error}.") from error
    if found.num_columns != len(external.columns) or found.num_rows != rows:
        raise Invalid(
            f"feature source {external.source!r} gave {found.num_rows} rows of {found.num_columns} columns; "
            f"{rows} of {len(external.columns)} were asked for."
        )
    columns = zip(external.columns, found.columns, strict=True)
    return pa.table({name: _read_as(external, name, kind, column) for (name, kind), column in columns})


def _read_as(external: External, name: str, kind: str, column: Any) -> Any:
    """A column by its declared type. Whole numbers may come as floats: that is what pandas makes of them beside a null.

    Raises:
        Invalid: it is of another type.
    """
    import pyarrow as pa
    import pyarrow.compute as pc

    told = definitions.type_of(column.type)
    if pa.types.is_floating(column.type):
        column = pc.if_else(pc.is_nan(column), pa.scalar(None, column.type), column)
    if told == kind:
        return column
    if (told, kind) in (("int", "float"), ("float", "int")) or column.null_count == len(column):
        with contextlib.suppress(pa.ArrowInvalid):
            return column.cast(_ARROW[kind])
    raise Invalid(f"feature {name!r} of source {external.source!r} is {column.type}; {kind} is declared.")


@functools.cache
def opened(name: str) -> FeatureSource:
    """The source of that name, as this process reaches it.

    Raises:
        NotFound: none is named so here. Unavailable: what its kind needs is not installed.
    """
    known = _named(settings.get("feature_sources"))
    if name not in known:
        raise NotFound(
            f"no feature source is named {name!r} here ({', '.join(sorted(known)) or 'none is named'}); "
            f'set MAINSTAY_FEATURE_SOURCES="{name}=KIND:ADDRESS" where it is asked.'
        )
    kind, address = known[name]
    try:
        made: FeatureSource = _kind(kind)(address)
    except ImportError as error:
        raise Unavailable(
            f"feature source {name!r} needs {error.name}, which is not installed; pip install it."
        ) from error
    return made


def _named(text: str) -> dict[str, tuple[str, str]]:
    found = {}
    for each in filter(None, (part.strip() for part in text.split(";"))):
        name, is_named, rest = each.partition("=")
        kind, is_placed, address = rest.partition(":")
        if not (name and is_named and kind and is_placed):
            raise Invalid(
                f"setting MAINSTAY_FEATURE_SOURCES has {each!r}; NAME=KIND:ADDRESS, several with `;`, is expected."
            )
        found[name] = kind, address
    return found


def _kind(name: str) -> Callable[[str], FeatureSource]:
    if name in _OURS:
        module, _, attribute = _OURS[name].partition(":")
        found: Callable[[str], FeatureSource] = getattr(importlib.import_module(module), attribute)
        return found
    there = {each.name: each for each in importlib.metadata.entry_points(group=GROUP)}
    if name not in there:
        raise NotFound(f"there is no kind of feature source {name!r}; there are {', '.join(sorted({*_OURS, *there}))}.")
    found = there[name].load()
    return found
