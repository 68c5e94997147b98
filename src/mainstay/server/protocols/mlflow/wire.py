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
import posixpath
import re
import secrets
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any, TypeVar

import msgspec
from starlette.requests import ClientDisconnect
from starlette.responses import Response

from mainstay.domain.errors import Invalid, MainstayError, Malformed
from mainstay.domain.search import Comparison, page_token, read_token
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


def number(value: float | None) -> float | str:
    """A double as MLflow writes it: what is no number as a text, infinity as the largest there is."""
    if value is None or math.isnan(value):
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
    shown = json.dumps(value, default=str, sort_keys=True, separators=(",", ":"))
    shown = shown if len(shown) <= 200 else shown[:200] + "…"
    return Invalid(f"Invalid value {shown} for parameter '{name}' supplied: {why or 'it cannot be used here'}.")


def plain_text(value: Any) -> str:
    """A parameter's value as MLflow's clients know it: a text."""
    return value if isinstance(value, str) else msgspec.json.encode(value).decode()


def encode(value: Any) -> bytes:
    """An answer's bytes; one that is made of bytes already stays as it is."""
    if isinstance(value, bytes):
        return value
    return _encoder.encode({} if value is None else value)


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
        return shaped(*_CODE_BY_KIND[error.kind], _recognisable(error))
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


def number_of(experiment: str, what: str = "experiment") -> int:
    """The number that MLflow's text of an id stands for.

    Raises:
        Invalid: for none.
    """
    if not _WHOLE.fullmatch(experiment):
        raise Invalid(f"Invalid {what} ID '{experiment[:80]}'. {what.capitalize()} ID must be a valid integer.")
    return int(experiment)


def checked_name(name: str, path: str) -> str:
    """The key of a parameter, metric or tag, if MLflow takes it too.

    Raises:
        Invalid: in the words by which its clients know why.
    """
    if not _NAME.fullmatch(name):
        raise unusable(
            path,
            name,
            "Names may only contain alphanumerics, underscores (_), dashes (-), periods (.), spaces ( ), colon(:) "
            "and slashes (/).",
        )
    if name != posixpath.normpath(name) or name.startswith(("..", "/")) or name == ".":
        raise unusable(
            path,
            name,
            "Names may be treated as files in certain cases, and must not resolve to other names when treated as such. "
            f"This name would resolve to {posixpath.normpath(name)!r}",
        )
    return name


def page_size(value: int | None, *, default: int, most: int) -> int:
    """How many of a list are asked for.

    Raises:
        Invalid: none, or more than ``most``.
    """
    if value is None:
        return default
    if value < 1:
        raise unusable("max_results", value, "It must be a positive integer.")
    if value > most:
        raise unusable("max_results", value, f"It must be at most {most}.")
    return value


def deleted(view: str | int | None) -> bool | None:
    """MLflow's view type, as what to look for: what is put away (True), what is not (False), or both (None).

    Raises:
        Invalid: there is no such view.
    """
    views: dict[str, bool | None] = {
        "ACTIVE_ONLY": False,
        "DELETED_ONLY": True,
        "ALL": None,
        "1": False,
        "2": True,
        "3": None,
    }
    found = str(view or "ACTIVE_ONLY").upper()
    if found not in views:
        raise unusable("view_type", view, "one of ACTIVE_ONLY, DELETED_ONLY, ALL is expected.")
    return views[found]


def in_micros(comparison: Comparison) -> list[Comparison]:
    """A comparison of a time in whole milliseconds as one of microseconds: a millisecond is a thousand of them."""
    first = int(comparison.value) * 1000
    bounds = {
        "=": [(">=", first), ("<", first + 1000)],
        ">": [(">=", first + 1000)],
        ">=": [(">=", first)],
        "<": [("<", first)],
        "<=": [("<", first + 1000)],
        "!=": [("!=", first)],
    }
    return [comparison._replace(operator=operator, value=value) for operator, value in bounds[comparison.operator]]


def place_of(token: str | None) -> list[Any] | None:
    """Where a page begins, by its token; None at the first.

    Raises:
        Invalid: it is not a token of ours.
    """
    return read_token(token) if token else None


def token_of(place: Sequence[Any] | None) -> str | None:
    """The token of a page that begins behind ``place``."""
    return page_token(place) if place else None


_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_WHOLE = re.compile(r"[0-9]{1,9}")
_NAME = re.compile(r"[/\w.\- :]*")
_encoder = msgspec.json.Encoder()

# By these words MLflow's clients and their tests know what is missing.
_MISSED = {
    "run": "Run with id={} not found",
    "experiment": "No Experiment with id={} exists",
    "logged_model": "Logged model with ID '{}' not found.",
    "webhook": "Webhook with ID {} not found",
    "evaluation_set": "Evaluation dataset with id '{}' not found",
}
_MILLISECOND = timedelta(milliseconds=1)
_MISSING = re.compile(r"Object missing required field `(?P<name>\w+)`(?: - at `\$\.?(?P<path>.*)`)?")
_PLACE = re.compile(r"(?P<why>.*?)(?: - at `(?:key in )?\$\.?(?P<path>.*)`)?", re.DOTALL)
_STEP = re.compile(r"(\w+)|\[(\d+)\]")


def _recognisable(error: MainstayError) -> str:
    if error.kind == "not_found":
        for name, words in _MISSED.items():
            if name in error.facts:
                return f"{words.format(error.facts[name])} ({error.message})"
    return error.message


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
