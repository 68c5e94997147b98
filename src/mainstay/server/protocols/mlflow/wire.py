# SPDX-License-Identifier: Apache-2.0
"""MLflow's words: its error codes, its way to write numbers and ids, and reading a request body.

Protocol buffers as JSON: names in snake_case, 64-bit integers also as strings, ``NaN`` as a string, fields without a value left
out, unknown fields passed over. A field of a `Request` without a default is required, and an empty text counts as missing.

Source: MLflow's REST API reference; error texts are those by which its clients and their tests recognise a refusal.
"""

from __future__ import annotations

import json
import logging
import math
import re
import secrets
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any, TypeVar

import msgspec
from starlette.requests import ClientDisconnect
from starlette.responses import Response

from mainstay.domain.errors import Invalid, MainstayError, Malformed
from mainstay.server.routes import Repeated

log = logging.getLogger("mainstay.server")

#: The version whose protocol is spoken; clients ask for it at ``/version`` before some calls.
VERSION = "3.17.2"

#: What MLflow makes of infinity, having no word for it: the largest double.
LARGEST = 1.7976931348623157e308

_CODE_BY_KIND = {
    "malformed": (400, "BAD_REQUEST"),
    "invalid": (400, "INVALID_PARAMETER_VALUE"),
    "too_large": (400, "INVALID_PARAMETER_VALUE"),
    "unauthenticated": (401, "UNAUTHENTICATED"),
    "forbidden": (403, "PERMISSION_DENIED"),
    "not_found": (404, "RESOURCE_DOES_NOT_EXIST"),
    "conflict": (409, "RESOURCE_CONFLICT"),
    # Never 500 and never 503 for what would not get better: the client repeats those for minutes.
    "corrupt": (422, "DATA_LOSS"),
    "unavailable": (503, "TEMPORARILY_UNAVAILABLE"),
    "storage_full": (507, "RESOURCE_EXHAUSTED"),
}

STATUS_BY_CODE = {
    "INVALID_PARAMETER_VALUE": 400,
    "RESOURCE_ALREADY_EXISTS": 400,
    "BAD_REQUEST": 400,
    "INVALID_STATE": 400,
    "PERMISSION_DENIED": 403,
    "RESOURCE_DOES_NOT_EXIST": 404,
    "NOT_FOUND": 404,
    "ENDPOINT_NOT_FOUND": 404,
    "RESOURCE_CONFLICT": 409,
    "NOT_IMPLEMENTED": 501,
}


class Refused(MainstayError):
    """A refusal for which MLflow has a code of its own, where the kind of our error would give another."""

    kind = "refused"

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


class Request(msgspec.Struct, kw_only=True):
    """What a call may bring."""


R = TypeVar("R", bound=Request)


class Reply(msgspec.Struct, kw_only=True, omit_defaults=True):
    """An answer or a part of one; what has no value is left out."""


def read(kind: type[R], data: bytes) -> R:
    """A request body.

    Raises:
        Malformed: it is no JSON. Invalid: a field is missing or has another type than expected.
    """
    if b"\\u0000" in data:
        raise Malformed("the request body holds a NUL character; leave it out.")
    try:
        found = _decoder(kind).decode(data or b"{}")
    except msgspec.ValidationError as error:
        raise _mistake(error, data) from error
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise Malformed(f"the request body is not acceptable JSON: {error}.") from error
    return _complete(kind, found)


def convert(kind: type[R], values: dict[str, Any]) -> R:
    """A request that came as query parameters; texts become what the fields want.

    Raises:
        Invalid: a field is missing or cannot be read.
    """
    try:
        found = msgspec.convert(values, kind, strict=False)
    except msgspec.ValidationError as error:
        raise _mistake(error, json.dumps(values).encode()) from error
    return _complete(kind, found)


def number(value: float) -> float | str:
    """A double as MLflow writes it: NaN as a text, infinity as the largest there is."""
    if math.isnan(value):
        return "NaN"
    return math.copysign(LARGEST, value) if math.isinf(value) else value


def millis(moment: datetime | None) -> int | None:
    """A moment in whole milliseconds since 1970."""
    return None if moment is None else (moment - _EPOCH) // _MILLISECOND


def moment(value: int | None) -> datetime | None:
    """The moment of whole milliseconds since 1970; 0 stands for none.

    Raises:
        Invalid: no calendar has it.
    """
    if not value:
        return None
    try:
        return _EPOCH + timedelta(milliseconds=value)
    except OverflowError as error:
        raise Invalid(
            f"time {value} is out of range; milliseconds since 1970 within the years 1 to 9999 are expected."
        ) from error


def missing(name: str) -> Invalid:
    """The error for a parameter that must be given."""
    return Invalid(f"Missing value for required parameter '{name}'. Send it with the request.")


def unusable(name: str, value: Any, why: str = "") -> Invalid:
    """The error for a parameter whose value cannot be used."""
    shown = json.dumps(value, default=str)
    shown = shown if len(shown) <= 200 else shown[:200] + "…"
    return Invalid(f"Invalid value {shown} for parameter '{name}' supplied: {why or 'it cannot be used here'}.")


def encode(value: Any) -> bytes:
    """An answer's bytes."""
    return msgspec.json.encode({} if value is None else value)


def answer(error: Exception) -> Response:
    """An error as MLflow's clients read it: ``error_code`` and ``message``."""
    if isinstance(error, Repeated):
        headers = {"Idempotency-Replayed": "true"}
        return Response(error.answer.body, error.answer.status, headers, "application/json")
    if isinstance(error, ClientDisconnect):
        return Response(status_code=400)  # nobody is there to read it
    if isinstance(error, Refused):
        return shaped(STATUS_BY_CODE[error.code], error.code, error.message)
    if isinstance(error, MainstayError) and error.kind in _CODE_BY_KIND:
        return shaped(*_CODE_BY_KIND[error.kind], error.message)
    request_id = secrets.token_hex(8)
    log.error("request %s failed", request_id, exc_info=error)
    return shaped(
        500, "INTERNAL_ERROR", f"something went wrong in Mainstay itself; the server's log has it as {request_id}."
    )


def unknown(method: str, path: str) -> Refused:
    """The refusal of a call that is not answered here."""
    return Refused(
        "ENDPOINT_NOT_FOUND",
        f"{method} {path} is not answered by this server; docs/mlflow.md lists the calls that are.",
    )


def shaped(status: int, code: str, message: str) -> Response:
    """Every error of this protocol has this shape."""
    headers = {"WWW-Authenticate": "Bearer"} if status == 401 else None
    return Response(encode({"error_code": code, "message": message}), status, headers, "application/json")


_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND = timedelta(milliseconds=1)
_MISSING = re.compile(r"Object missing required field `(?P<name>\w+)`(?: - at `\$\.?(?P<path>.*)`)?")
_PLACE = re.compile(r"(?P<why>.*?)(?: - at `(?:key in )?\$\.?(?P<path>.*)`)?", re.DOTALL)
_STEP = re.compile(r"(\w+)|\[(\d+)\]")


@cache
def _decoder(kind: type[Request]) -> msgspec.json.Decoder[Any]:
    return msgspec.json.Decoder(kind, strict=False)


@cache
def _required(kind: type[Request]) -> tuple[str, ...]:
    fields = msgspec.structs.fields(kind)
    return tuple(each.encode_name for each in fields if each.required and each.type is str)


def _complete(kind: type[R], found: R) -> R:
    for name in _required(kind):
        if getattr(found, name) == "":
            raise missing(name)
    return found


def _mistake(error: msgspec.ValidationError, data: bytes) -> Invalid:
    """What a field's parser found, in the words that MLflow's clients expect."""
    text = str(error)
    if found := _MISSING.fullmatch(text):
        path = found["path"]
        return missing(f"{path}.{found['name']}" if path else found["name"])
    place = _PLACE.fullmatch(text)
    path = (place and place["path"]) or ""
    value = _value_at(data, path)
    if value is None and path:
        return missing(path)
    return unusable(path or "body", value, (place["why"] if place else text).replace("`", "'"))


def _value_at(data: bytes, path: str) -> Any:
    try:
        value = json.loads(data)
        for name, index in _STEP.findall(path):
            value = value[name] if name else value[int(index)]
    except (ValueError, LookupError, TypeError, RecursionError):
        return None
    return value
