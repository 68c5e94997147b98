# SPDX-License-Identifier: Apache-2.0
"""OTLP's words: reading an export request, and what the attributes of a span mean.

Attributes are kept as they came. Beside them stands what they say by one of the conventions below, so that a trace
of any library can be searched and drawn alike.
"""

from __future__ import annotations

import base64
import json
import logging
import math
import secrets
import zlib
from collections.abc import Iterable, Mapping
from typing import Any

import msgspec
from starlette.requests import ClientDisconnect
from starlette.responses import Response

from mainstay.domain import strict_json
from mainstay.domain.errors import Invalid, MainstayError, Malformed, NotFound, TooLarge
from mainstay.domain.traces import Clues, Span
from mainstay.domain.tracking import LONGEST_KEY, LONGEST_TAG
from mainstay.server.faults import STATUS_BY_KIND

log = logging.getLogger("mainstay.server")

MOST_BYTES = 32 << 20
LONGEST_ATTRIBUTE = 500
PROTOBUF, JSON = "application/x-protobuf", "application/json"

EXPERIMENT = "x-mainstay-experiment"
EXPERIMENT_NUMBER = "x-mlflow-experiment-id"
RUN = "x-mlflow-run-id"

# What an attribute means, in the order in which it is looked for.
INPUTS = ("mlflow.spanInputs", "input.value", "gen_ai.input.messages", "gen_ai.prompt", "traceloop.entity.input")
OUTPUTS = (
    "mlflow.spanOutputs",
    "output.value",
    "gen_ai.output.messages",
    "gen_ai.completion",
    "traceloop.entity.output",
)
KINDS = ("mlflow.spanType", "openinference.span.kind", "traceloop.span.kind", "gen_ai.operation.name")
KIND_BY_OPERATION = {
    "chat": "CHAT_MODEL",
    "text_completion": "LLM",
    "generate_content": "LLM",
    "embeddings": "EMBEDDING",
    "execute_tool": "TOOL",
    "invoke_agent": "AGENT",
    "create_agent": "AGENT",
}
USAGE = "mlflow.chat.tokenUsage"
USAGE_BY_COUNT = {
    "gen_ai.usage.input_tokens": "input_tokens",
    "gen_ai.usage.output_tokens": "output_tokens",
    "llm.token_count.prompt": "input_tokens",
    "llm.token_count.completion": "output_tokens",
    "llm.token_count.total": "total_tokens",
}
COST = "mlflow.llm.cost"
SESSIONS = ("session.id", "gen_ai.conversation.id")
PERSON = "user.id"
TAG = "mlflow.traceTag."
# What a resource says of the library that sends, or of another tool's books, is no tag of a trace.
NO_TAGS = ("telemetry.sdk.", "mlflow.")

_STATES = ("unset", "ok", "error")
_WINDOWS = {"gzip": (31,), "deflate": (15, -15)}  # by the book deflate has a header; some leave it out


def encoding(headers: Mapping[str, str]) -> str:
    """How the body is written.

    Raises:
        Malformed: neither as protocol buffers nor as JSON.
    """
    said = headers.get("content-type", "")
    kind = said.partition(";")[0].strip().lower()
    if kind not in (PROTOBUF, JSON):
        raise Malformed(f"the content type is {said[:80]!r}; {PROTOBUF} or {JSON} is expected.")
    return kind


def unpacked(data: bytes, packing: str) -> bytes:
    """The body as it was before it was packed; never more than `MOST_BYTES`, whatever it claims.

    Raises:
        Malformed: it is packed otherwise than said. TooLarge: a bomb, or just too much.
    """
    packing = packing.strip().lower()
    if packing in ("", "identity"):
        return data
    if packing not in _WINDOWS:
        raise Malformed(f"the content encoding is {packing[:40]!r}; gzip, deflate or none is expected.")
    for window in _WINDOWS[packing]:
        unpacking = zlib.decompressobj(window)
        try:
            whole = unpacking.decompress(data, MOST_BYTES)
        except zlib.error:
            continue
        if unpacking.unconsumed_tail or len(whole) >= MOST_BYTES:
            raise TooLarge(f"the request body is larger than {MOST_BYTES} bytes when unpacked; send it in parts.")
        if unpacking.eof:
            return whole
    raise Malformed(f"the request body is not {packing}, though it says so.")


def read(data: bytes, kind: str) -> list[Span]:
    """The spans of an export request.

    Raises:
        Malformed: it cannot be read. Invalid: a span has no usable id, or a time that does not fit.
    """
    request = _parsed(data, kind)
    if data and not request.resource_spans:
        raise Malformed("the request body holds no spans; an ExportTraceServiceRequest is expected.")
    return [
        _span(span, scope.scope, resource)
        for group in request.resource_spans
        for resource in [_values(group.resource.attributes)]
        for scope in group.scope_spans
        for span in scope.spans
    ]


def number(text: str) -> int:
    """An experiment's number.

    Raises:
        NotFound: no experiment can have it.
    """
    if not (text.isascii() and text.isdigit() and len(text) < 10):
        raise NotFound(f"there is no experiment {text[:40]!r}; `mainstay experiments list` shows those there are.")
    return int(text)


def accepted(kind: str) -> Response:
    """All spans are kept: an empty ExportTraceServiceResponse."""
    return Response(b"" if kind == PROTOBUF else b"{}", media_type=kind)


def answer(error: Exception) -> Response:
    """An error with a message in its body; exporters go by the status."""
    if isinstance(error, ClientDisconnect):
        return Response(status_code=400)  # nobody is there to read it
    if isinstance(error, MainstayError):
        status, message = STATUS_BY_KIND.get(error.kind, 500), error.message
    else:
        request_id = secrets.token_hex(8)
        log.error("request %s failed", request_id, exc_info=error)
        status = 500
        message = f"something went wrong in Mainstay itself; the server's log has it as {request_id}."
    headers = {"WWW-Authenticate": "Bearer"} if status == 401 else None
    return Response(msgspec.json.encode({"code": status, "message": message}), status, headers, JSON)


def unknown(method: str, path: str) -> NotFound:
    """The error for an address that there is not."""
    return NotFound(f"there is nothing at {method} {path}; send traces by POST to /v1/traces.")


def _parsed(data: bytes, kind: str) -> Any:
    # Late: the messages' classes are made on import, which takes longer than the rest of this file together.
    from google.protobuf import json_format
    from google.protobuf.message import DecodeError
    from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

    request = ExportTraceServiceRequest()
    try:
        if kind == JSON:
            json_format.ParseDict(_with_bytes(strict_json.loads(data)), request, ignore_unknown_fields=True)
        else:
            request.ParseFromString(data)
    except (DecodeError, json_format.Error, ValueError, TypeError, AttributeError, RecursionError) as error:
        raise Malformed("the request body is no ExportTraceServiceRequest that can be read.") from error
    return request


def _with_bytes(request: Any) -> Any:
    """The request with its ids in base64, as JSON of protocol buffers has bytes; OTLP alone writes them in hexadecimal."""
    for group in request.get("resourceSpans", []):
        for scope in group.get("scopeSpans", []):
            for span in scope.get("spans", []):
                for each in (span, *span.get("links", [])):
                    for name in ("traceId", "spanId", "parentSpanId"):
                        if each.get(name):
                            each[name] = base64.b64encode(bytes.fromhex(each[name])).decode()
    return request


def _span(span: Any, scope: Any, resource: Mapping[str, Any]) -> Span:
    trace, identity, parent = span.trace_id, span.span_id, span.parent_span_id
    if len(trace) != 16 or len(identity) != 8 or len(parent) not in (0, 8) or not any(trace) or not any(identity):
        raise Invalid(
            f"span {_text(span.name)[:80]!r} has no usable ids; 16 bytes for its trace and 8 for itself are expected."
        )
    attributes = _values(span.attributes)
    inputs_in, outputs_in = (next((key for key in keys if key in attributes), None) for keys in (INPUTS, OUTPUTS))
    root = not any(parent)
    return Span(
        trace=f"tr-{trace.hex()}",
        id=identity.hex(),
        parent=None if root else parent.hex(),
        name=_text(span.name),
        kind=_kind(attributes),
        state=_STATES[span.status.code] if 0 <= span.status.code < len(_STATES) else "unset",
        message=_text(span.status.message) or None,
        started_ns=span.start_time_unix_nano,
        ended_ns=span.end_time_unix_nano or None,
        inputs_in=inputs_in,
        outputs_in=outputs_in,
        usage=_usage(attributes),
        cost=_numbers(attributes.get(COST)),
        details=_details(span, scope),
        attributes=attributes,
        clues=Clues(
            session=next((str(attributes[key]) for key in SESSIONS if attributes.get(key)), None),
            person=str(attributes[PERSON]) if attributes.get(PERSON) else None,
            tags=_tags(resource, attributes if root else {}),
        ),
    )


def _details(span: Any, scope: Any) -> dict[str, Any]:
    """What else OTLP knows of a span, and nothing where it says nothing."""
    said = {
        "events": [
            {"name": _text(event.name), "at_ns": _int64(event.time_unix_nano), "attributes": _values(event.attributes)}
            for event in span.events
        ],
        "links": [
            {"trace": f"tr-{link.trace_id.hex()}", "span": link.span_id.hex(), "attributes": _values(link.attributes)}
            for link in span.links
        ],
        "role": span.kind,  # internal, server, client, producer, consumer: 1 to 5
        "trace_state": _text(span.trace_state),
        "scope": _text(scope.name),
        "scope_version": _text(scope.version),
    }
    return {name: value for name, value in said.items() if value}


def _values(attributes: Iterable[Any]) -> dict[str, Any]:
    return {_key(each.key): _value(each.value) for each in attributes}


def _key(key: str) -> str:
    if len(key) > LONGEST_ATTRIBUTE:
        raise Invalid(
            f"attribute {key[:40]!r}… has a name of {len(key)} characters; at most {LONGEST_ATTRIBUTE} are kept."
        )
    return _text(key)


def _value(value: Any) -> Any:
    """An attribute's value as JSON can hold it: bytes in base64, a number that is not finite as a text."""
    kind = value.WhichOneof("value")
    if kind == "string_value":
        return _text(value.string_value)
    if kind == "double_value":
        found = value.double_value
        return found if math.isfinite(found) else str(found)
    if kind == "array_value":
        return [_value(each) for each in value.array_value.values]
    if kind == "kvlist_value":
        return _values(value.kvlist_value.values)
    if kind == "bytes_value":
        return base64.b64encode(value.bytes_value).decode()
    return getattr(value, kind) if kind in ("bool_value", "int_value") else None


def _text(text: str) -> str:
    # A NUL is no character that PostgreSQL could keep.
    return text.replace("\x00", "\ufffd")


def _int64(value: int) -> int:
    return min(value, (1 << 63) - 1)


def _kind(attributes: Mapping[str, Any]) -> str | None:
    found = next((plain(attributes[key]) for key in KINDS if attributes.get(key)), None)
    return KIND_BY_OPERATION.get(str(found), str(found).upper()) if found else None


def _usage(attributes: Mapping[str, Any]) -> dict[str, float] | None:
    if told := _numbers(attributes.get(USAGE)):
        return told
    counted = {
        name: attributes[key]
        for key, name in USAGE_BY_COUNT.items()
        if isinstance(attributes.get(key), int) and not isinstance(attributes[key], bool)
    }
    if counted:
        counted.setdefault("total_tokens", sum(counted.values()))
    return counted or None


def _numbers(value: Any) -> dict[str, float] | None:
    """Numbers by name, also where a library has written them as a text."""
    value = plain(value)
    if not isinstance(value, dict):
        return None
    return {
        key: each
        for key, each in value.items()
        if isinstance(each, int | float) and not isinstance(each, bool) and abs(each) < 1e300
    } or None


def plain(value: Any) -> Any:
    """A value that may have been written as a text of JSON."""
    if not isinstance(value, str):
        return value
    try:
        return strict_json.loads(value)
    except Malformed:
        return value


def _tags(resource: Mapping[str, Any], attributes: Mapping[str, Any]) -> dict[str, str]:
    said = {key: value for key, value in resource.items() if not key.startswith(NO_TAGS)}
    said |= {key.removeprefix(TAG): plain(value) for key, value in attributes.items() if key.startswith(TAG)}
    told = {key: value if isinstance(value, str) else json.dumps(value) for key, value in said.items()}
    return {
        key: value
        for key, value in told.items()
        if key.strip() and key.isprintable() and len(key) <= LONGEST_KEY and len(value) <= LONGEST_TAG
    }
