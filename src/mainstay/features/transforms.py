# SPDX-License-Identifier: Apache-2.0
"""Transforms of a request: features that are made of what it brings and of what is looked up, at the moment it is asked.

In: an expression with typed inputs. Out: a column of a training table, or the value for one request, by the very same
function. A transform is data through and through, so a model's signature holds it whole, a gateway carries it out without
running anybody's code, and nothing of it can differ between the two.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from typing import TYPE_CHECKING, Any

from mainstay.domain.clock import from_wire
from mainstay.domain.digests import digest_of
from mainstay.domain.errors import Invalid
from mainstay.domain.names import check_name
from mainstay.features import definitions, expressions

if TYPE_CHECKING:
    import pyarrow as pa


@dataclass(frozen=True, kw_only=True)
class Transform:
    """``inputs``: columns and their types. ``moment``: which of them is the time of asking, in training that of the label."""

    name: str
    kind: str
    inputs: tuple[tuple[str, str], ...]
    moment: str | None
    expression: Any

    @cached_property
    def apply(self) -> Callable[[Sequence[Any]], Any]:
        """The value for the values of the inputs."""
        of = expressions.read(self.expression, dict(self.inputs)).evaluate
        plain = [_PLAIN[kind] for _, kind in self.inputs]
        made = _PLAIN[self.kind]

        def apply(values: Sequence[Any]) -> Any:
            found = of([None if value is None else as_(value) for as_, value in zip(plain, values, strict=True)])
            return None if found is None else made(found)

        return apply

    @property
    def columns(self) -> tuple[tuple[str, str], ...]:
        """The inputs that are columns: all but the moment."""
        return tuple(each for each in self.inputs if each[0] != self.moment)

    @property
    def digest(self) -> str:
        return digest_of(self.to_json())

    def to_json(self) -> dict[str, Any]:
        """As a signature holds it; `from_json` undoes it."""
        return {
            "name": self.name,
            "type": self.kind,
            "inputs": [{"name": name, "type": kind} for name, kind in self.inputs],
            "moment": self.moment,
            "expression": self.expression,
        }


def make(name: str, *, kind: str, inputs: Sequence[tuple[str, str]], moment: str | None, expression: Any) -> Transform:
    """A transform that was looked through.

    Raises:
        Invalid: an unusable name or type, or an expression that does not give what is said.
    """
    check_name("transform", name)
    for each, told in ((name, kind), *inputs):
        if told not in definitions.TYPES:
            raise Invalid(
                f"{each!r} of transform {name!r} has type {told!r}; {', '.join(definitions.TYPES)} are possible."
            )
    if moment is not None and dict(inputs).get(moment) != "datetime":
        raise Invalid(f"transform {name!r} has no input {moment!r} of type datetime to be the time of asking.")
    try:
        found = expressions.read(expression, dict(inputs)).kind
    except Invalid as error:
        raise Invalid(f"transform {name!r} cannot be carried out: {error.message}") from error
    if found not in (kind, "null") and not (kind == "float" and found == "int"):
        raise Invalid(f"transform {name!r} gives {found}; {kind} is declared.")
    return Transform(name=name, kind=kind, inputs=tuple(inputs), moment=moment, expression=expression)


def from_json(data: Mapping[str, Any]) -> Transform:
    """A transform as `Transform.to_json` wrote it, by whomever.

    Raises:
        Invalid: it is none.
    """
    try:
        inputs = [(str(each["name"]), str(each["type"])) for each in data["inputs"]]
        return make(
            data["name"], kind=data["type"], inputs=inputs, moment=data["moment"], expression=data["expression"]
        )
    except (KeyError, TypeError, AttributeError) as error:
        raise Invalid(f"a transform cannot be read: {type(error).__name__}: {error}.") from error


def added(table: pa.Table, transforms: Sequence[Transform], *, time: str | None) -> pa.Table:
    """``table`` with a column for each transform, in their order; a later one may read what an earlier one made.

    Args:
        time: the column that says when each row was asked.

    Raises:
        Invalid: a column is missing, of another type than declared, or stands there already.
    """
    for each in transforms:
        if each.name in table.column_names:
            raise Invalid(
                f"transform {each.name!r} makes a column that stands in the table already; rename one of them."
            )
        columns = [
            _values(table, each, name, kind, time if name == each.moment else name) for name, kind in each.inputs
        ]
        apply = each.apply
        made = [apply(row) for row in zip(*columns, strict=True)] if columns else [apply(())] * table.num_rows
        table = table.append_column(each.name, column(made, each.kind))
    return table


def carried(signature: Mapping[str, Any]) -> dict[str, str]:
    """What the log keeps of a prediction beside the model's inputs, and its type: by which entities features were looked up, what
    transforms were made of, and what one made for another."""
    looked_up = (*signature.get("views", ()), *signature.get("sources", ()))
    found = {each["name"]: each["type"] for pin in looked_up for each in pin["entity"]}
    for each in signature.get("transforms", ()):
        for one in (*each["inputs"], each):
            if one["name"] != each["moment"]:
                found.setdefault(one["name"], one["type"])
    inputs = {each["name"] for each in signature["inputs"]}
    return {name: kind for name, kind in found.items() if name not in inputs}


def _values(table: pa.Table, each: Transform, name: str, kind: str, place: str | None) -> list[Any]:
    import pyarrow as pa

    if place is None or place not in table.column_names:
        raise Invalid(
            f"transform {each.name!r} reads {name!r}, and the table has {', '.join(table.column_names)}; name its inputs "
            "by the columns, and the time of asking by on_request(time=…)."
        )
    found = table[place]
    told = definitions.type_of(found.type)
    if told != kind and not (kind == "float" and told == "int") and not pa.types.is_null(found.type):
        raise Invalid(f"transform {each.name!r} reads {name!r} as {kind}, and that column is {found.type}.")
    if pa.types.is_temporal(found.type):
        found = found.cast(pa.timestamp("us", getattr(found.type, "tz", None)))
    elif pa.types.is_decimal(found.type):
        found = found.cast(pa.float64())
    values: list[Any] = found.to_pylist()
    return values


def column(values: Sequence[Any], kind: str) -> pa.Array:
    """Values of one type as a column; a time may be written as in JSON."""
    import pyarrow as pa

    kinds = {
        "float": pa.float64(),
        "int": pa.int64(),
        "str": pa.string(),
        "bool": pa.bool_(),
        "datetime": pa.timestamp("us", "UTC"),
    }
    if kind == "datetime":
        values = [from_wire(value) if isinstance(value, str) else value for value in values]
    return pa.array(values, kinds[kind])


def _number(value: Any) -> float | None:
    found = float(value)
    return None if found != found else found


def _instant(value: datetime) -> datetime:
    return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


_PLAIN: dict[str, Callable[[Any], Any]] = {
    "float": _number,
    "int": int,
    "str": str,
    "bool": bool,
    "datetime": _instant,
}
