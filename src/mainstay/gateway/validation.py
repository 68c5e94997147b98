# SPDX-License-Identifier: Apache-2.0
"""Validation: the signature compiled once into a decoder that reads a request and checks it in the same pass.

In: the bytes of a request. Out: a `Request` whose rows have exactly the inputs of the signature, each of its type. The
surprising thing: there are two readers. The compiled one takes microseconds and only says yes; for anything it does not
like, a slow one reads again and finds every problem, so that the answer can name them all with their paths. Numbers and
categories that training never saw are flagged and answered, not refused: whether they matter is for monitoring to say.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from operator import attrgetter
from typing import Annotated, Any

import msgspec
import numpy as np
import numpy.typing as npt

from mainstay.domain import strict_json
from mainstay.domain.errors import Malformed, TooLarge
from mainstay.gateway.fields import Field, Problem, in_utc, problems_of_names, refuse, show, wrong_request, wrong_value

Columns = dict[str, npt.NDArray[Any]]

DEFAULT_ROWS = 5_000
LONGEST_KEY = 512
# 5.0 is a whole number: whoever sends a column in which something was missing once has floats there.
_WHOLE = Annotated[int, msgspec.Meta(ge=-(2**63), le=2**63 - 1)] | float
_TYPES: dict[str, Any] = {"float": float, "int": _WHOLE, "str": str, "bool": bool, "datetime": datetime}
_SHOWN = 20


@dataclass(frozen=True, kw_only=True, slots=True)
class Request:
    """A request that fits the signature. ``at_us``: event time in microseconds since 1970, None if not told."""

    rows: Sequence[Any]
    key: str | None
    at_us: int | None
    release: int | None
    notes: Sequence[Sequence[str]] = ()  # of each row, flags that were found on the way


class Schema:
    """A signature's inputs, compiled.

    Args:
        fields: the inputs in order. carried: what stands in a row beside them, for the log. max_rows: rows that one
        request may hold.
    """

    def __init__(self, fields: Sequence[Field], *, carried: Sequence[Field] = (), max_rows: int = DEFAULT_ROWS) -> None:
        self.fields = tuple(fields)
        self.names = tuple(field.name for field in fields)
        self.max_rows = max_rows
        self.row_type = _row_type((*self.fields, *carried))
        self.rows_decoder = msgspec.json.Decoder(list[self.row_type])  # type: ignore[name-defined]
        self._decoder: msgspec.json.Decoder[Any] = msgspec.json.Decoder(_request_type(self.row_type))
        self._values = _all_attributes(len(self.fields))
        self._watched = [
            (attrgetter(f"f{place}"), field)
            for place, field in enumerate(self.fields)
            if field.categories is not None or field.minimum is not None or field.maximum is not None
        ]
        self._texts = [attrgetter(f"f{place}") for place, field in enumerate(self.fields) if field.kind == "str"]
        self._may_be_absent = not all(field.required for field in fields)
        self._wholes = [f"f{place}" for place, field in enumerate(self.fields) if field.kind == "int"]

    def decode(self, body: bytes) -> Request:
        """Read a request.

        Raises:
            Malformed: not strict JSON. Invalid: it does not fit the signature; facts name each place.
            TooLarge: more rows than one request may hold.
        """
        try:
            found = self._decoder.decode(body)
            _make_whole(found.rows, self._wholes)
            at_us = None if found.at is None else _microseconds(found.at)
        except (msgspec.MsgspecError, ValueError, RecursionError, OverflowError) as error:
            raise self.explain(body, str(error)) from None
        count = len(found.rows)
        if not 0 < count <= self.max_rows:
            raise self._row_count(count)
        if not self._has_one_meaning(body, found):
            strict_json.loads(body)
        return Request(rows=found.rows, key=found.key, at_us=at_us, release=found.release)

    def explain(self, body: bytes, otherwise: str) -> Exception:
        """Why ``body`` is refused, from a second, patient reading; ``otherwise`` if that finds nothing."""
        try:
            document = strict_json.loads(body)
        except Malformed as error:
            return error
        problems = self._problems(document)
        return refuse(problems or [wrong_request("request", otherwise, "a request for this deployment")])

    def columns(self, rows: Sequence[Any]) -> Columns:
        """Rows as arrays for the model: float64 for numbers (NaN for null), object for text."""
        by_field = zip(*map(self._values, rows), strict=True)
        return {field.name: _ARRAYS[field.kind](values) for field, values in zip(self.fields, by_field, strict=True)}

    def flags(self, row: Any) -> list[str]:
        """What in ``row`` lies outside of what training saw."""
        found = [field.flags(value(row)) for value, field in self._watched]
        return [flag for flag in found if flag is not None] if any(found) else []

    def example(self) -> Any:
        """A row that fits, to warm a model with when it brought none of its own."""
        return self.row_type(**{f"f{place}": _typical(field) for place, field in enumerate(self.fields)})

    def _has_one_meaning(self, body: bytes, found: Any) -> bool:
        """Whether no key stands twice and no string hides a NUL, told by counting instead of by reading again.

        Outside of strings there is one colon a key. So when the colons are as many as the keys that were read, plus
        those in the strings that were read, no key was read over. Escapes, and rows from which an input may be absent,
        are left to the patient reader.
        """
        if b"\\" in body or self._may_be_absent:
            return False
        keys = 1 + (found.key is not None) + (found.at is not None) + (found.release is not None)
        left = body.count(b":") - keys - len(found.rows) * len(self.fields)
        if left and found.key:
            left -= found.key.count(":")
        if left and found.at:
            left -= found.at.count(":")
        if left:
            left -= sum((value(row) or "").count(":") for row in found.rows for value in self._texts)
        return left == 0

    def _row_count(self, count: int) -> Exception:
        if not count:
            return refuse([wrong_request("rows", "an empty list", "at least one row")])
        return TooLarge(
            f"the request has {count} rows; at most {self.max_rows} are taken at once. Send several requests,"
            " or score a file with `mainstay predict`.",
            rows=count,
            limit=self.max_rows,
        )

    def _problems(self, document: Any) -> list[Problem]:
        if not isinstance(document, dict):
            return [wrong_request("the body", show(document), 'an object such as {"rows": [{…}]}')]
        problems = _envelope_problems(document)
        rows = document.get("rows")
        if isinstance(rows, list):
            for number, row in enumerate(rows):
                problems += self._row_problems(row, f"rows[{number}]")
                if len(problems) >= _SHOWN:
                    break
        return problems

    def _row_problems(self, row: Any, path: str) -> list[Problem]:
        if not isinstance(row, dict):
            return [wrong_request(path, show(row), "an object with one value for each input")]
        problems = problems_of_names(row, self.fields, path)
        for field in self.fields:
            if field.name in row and not _fits(row[field.name], field):
                value = row[field.name]
                kind = "null" if value is None else "type"
                problems.append(wrong_value(f"{path}.{field.name}", field, show(value), kind))  # type: ignore[arg-type]
        return problems


def _row_type(fields: Sequence[Field]) -> type[msgspec.Struct]:
    members: list[tuple[str, Any] | tuple[str, Any, Any]] = []
    for place, field in enumerate(fields):
        kind = _TYPES[field.kind] | None if field.nullable else _TYPES[field.kind]
        members.append((f"f{place}", kind) if field.required else (f"f{place}", kind, None))
    rename = {f"f{place}": field.name for place, field in enumerate(fields)}
    # kw_only: an input that may be absent can stand before one that may not.
    return msgspec.defstruct("Row", members, rename=rename, forbid_unknown_fields=True, gc=False, kw_only=True)


def _request_type(row_type: type[msgspec.Struct]) -> Any:
    key = Annotated[str, msgspec.Meta(min_length=1, max_length=LONGEST_KEY)] | None
    release = Annotated[int, msgspec.Meta(ge=1, le=2**31)] | None
    members: list[tuple[str, Any] | tuple[str, Any, Any]] = [
        ("rows", list[row_type]),  # type: ignore[valid-type]
        ("key", key, None),
        ("at", str | None, None),
        ("release", release, None),
    ]
    return msgspec.defstruct("Body", members, forbid_unknown_fields=True)


def _all_attributes(count: int) -> Any:
    if not count:  # a model of the moment alone asks for nothing
        return lambda row: ()
    if count == 1:
        only = attrgetter("f0")
        return lambda row: (only(row),)
    return attrgetter(*(f"f{place}" for place in range(count)))


def _make_whole(rows: Sequence[Any], members: Sequence[str]) -> None:
    """Turn 5.0 into 5 in place. Raises ValueError: a number is not whole."""
    for member in members:
        for row in rows:
            value = getattr(row, member)
            if type(value) is float:
                setattr(row, member, _whole(value))


def _whole(value: float) -> int:
    if not value.is_integer() or not -(2.0**63) <= value < 2.0**63:
        raise ValueError(f"{value} is not a whole number of 64 bits")
    return int(value)


def _numbers(values: Sequence[Any]) -> npt.NDArray[Any]:
    return np.array(values, dtype=np.float64)  # None becomes NaN


def _texts(values: Sequence[Any]) -> npt.NDArray[Any]:
    array = np.empty(len(values), dtype=object)
    array[:] = values
    return array


def _times(values: Sequence[Any]) -> npt.NDArray[Any]:
    plain = [None if value is None else in_utc(value).replace(tzinfo=None) for value in values]
    return np.array(plain, dtype="datetime64[us]")


_ARRAYS = {"float": _numbers, "int": _numbers, "bool": _numbers, "str": _texts, "datetime": _times}


def _typical(field: Field) -> Any:
    if field.kind == "str":
        return min(field.categories) if field.categories else ""
    if field.kind == "bool":
        return False
    value = field.minimum if field.minimum is not None else field.maximum
    if field.kind == "datetime":
        return _EPOCH if value is None else value
    return int(value or 0) if field.kind == "int" else float(value or 0)


def _microseconds(text: str) -> int:
    return (in_utc(datetime.fromisoformat(text)) - _EPOCH) // timedelta(microseconds=1)


_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def _fits(value: Any, field: Field) -> bool:
    if value is None:
        return field.nullable
    if field.kind == "str":
        return isinstance(value, str)
    if field.kind == "bool":
        return isinstance(value, bool)
    if field.kind == "datetime":
        return isinstance(value, str) and _is_time(value)
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    return field.kind == "float" or isinstance(value, int) or (value.is_integer() and abs(value) < 2.0**63)


def _envelope_problems(document: dict[str, Any]) -> list[Problem]:
    problems = []
    known = {"rows", "key", "at", "release"}
    for name in sorted(set(document) - known):
        problems.append(wrong_request(name, "unknown", "one of rows, key, at, release"))
    rows = document.get("rows")
    if not isinstance(rows, list):
        found = show(rows) if "rows" in document else "missing"
        problems.append(wrong_request("rows", found, "a list of objects, one for each row"))
    key, at, release = document.get("key"), document.get("at"), document.get("release")
    if key is not None and not (isinstance(key, str) and 0 < len(key) <= LONGEST_KEY):
        problems.append(wrong_request("key", show(key), f"text of 1 to {LONGEST_KEY} characters, or null"))
    if at is not None and not _is_time(at):
        problems.append(wrong_request("at", show(at), "an ISO 8601 time such as '2013-03-01T00:00:00Z'"))
    if release is not None and (isinstance(release, bool) or not isinstance(release, int) or not 1 <= release <= 2**31):
        problems.append(wrong_request("release", show(release), "the number of a release, or null"))
    return problems


def _is_time(value: Any) -> bool:
    try:
        _microseconds(value)
    except (TypeError, ValueError, OverflowError):
        return False
    return True
