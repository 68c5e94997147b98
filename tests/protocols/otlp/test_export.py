# SPDX-License-Identifier: Apache-2.0
"""OpenTelemetry's own SDK and exporter against a real server, and requests that no exporter would send."""

from __future__ import annotations

import gzip
import json
import os
import time
import zlib
from collections.abc import Callable
from typing import Any

import pytest
from opentelemetry.exporter.otlp.proto.http import Compression
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.trace import Link, SpanContext, Status, StatusCode

from mainstay.server.protocols.otlp import wire

PROTOBUF = {"Content-Type": "application/x-protobuf"}
AS_JSON = {"Content-Type": "application/json"}


def exported(
    served: Any, act: Callable[[Any], None], *, packed: Compression = Compression.Gzip, **headers: str
) -> None:
    """Let an application do something under OpenTelemetry's SDK, and have it all exported."""
    exporter = OTLPSpanExporter(
        endpoint=served.url + "/v1/traces",
        headers={"authorization": f"Bearer {served.token}"} | {key.replace("_", "-"): v for key, v in headers.items()},
        compression=packed,
    )
    provider = TracerProvider(resource=Resource({"service.name": "shop", "telemetry.sdk.name": "opentelemetry"}))
    provider.add_span_processor(BatchSpanProcessor(exporter))
    act(provider.get_tracer("tests", "1.0"))
    assert provider.force_flush()
    provider.shutdown()


def shown(served: Any, trace: str) -> Any:
    reply = served.ask("GET", f"/api/traces/{trace}")
    assert reply.status_code == 200, reply.text
    return reply.json()


def listed(served: Any, **wanted: Any) -> list[str]:
    reply = served.ask("GET", "/api/traces", params=wanted)
    assert reply.status_code == 200, reply.text
    return [each["id"] for each in reply.json()["items"]]


@pytest.mark.parametrize("packed", [Compression.Gzip, Compression.Deflate, Compression.NoCompression])
def test_what_an_application_does_is_shown_as_a_tree(served: Any, packed: Compression) -> None:
    def act(tracer: Any) -> None:
        with tracer.start_as_current_span("request", attributes={"session.id": "s1", "user.id": "u1"}) as root:
            root.set_attribute("input.value", '{"q": "why"}')
            with tracer.start_as_current_span("chat m", attributes={"gen_ai.operation.name": "chat"}) as call:
                call.set_attribute("gen_ai.usage.input_tokens", 12)
                call.set_attribute("gen_ai.usage.output_tokens", 3)
                call.add_event("token", {"n": 1})
            elsewhere = Link(SpanContext(int("ab" * 16, 16), int("cd" * 8, 16), False), {"why": "retry"})
            with tracer.start_as_current_span("fetch", links=[elsewhere]) as failed:
                failed.set_attributes({"many": [1, 2], "bytes": b"\x00\x01", "real": float("nan"), "yes": True})
                failed.set_status(Status(StatusCode.ERROR, "no route"))
            root.set_attribute("output.value", "because")

    experiment = f"shop {packed}"
    exported(served, act, packed=packed, x_mainstay_experiment=experiment)

    [trace] = listed(served, experiment=experiment)
    found = shown(served, trace)
    assert (found["name"], found["state"], found["session"], found["person"]) == ("request", "ok", "s1", "u1")
    assert (found["request_preview"], found["response_preview"]) == ('{"q": "why"}', "because")
    assert found["usage"] == {"input_tokens": 12, "output_tokens": 3, "total_tokens": 15}
    assert found["tags"] == {"service.name": "shop"}
    root, chat, fetch = found["spans"]
    assert [(span["name"], span["depth"], span["kind"]) for span in (root, chat, fetch)] == [
        ("request", 0, None),
        ("chat m", 1, "CHAT_MODEL"),
        ("fetch", 1, None),
    ]
    assert chat["parent"] == fetch["parent"] == root["id"]
    assert root["offset_ms"] == 0 <= chat["offset_ms"] <= fetch["offset_ms"] <= root["duration_ms"]
    assert [(event["name"], event["attributes"]) for event in chat["events"]] == [("token", {"n": 1})]
    assert fetch["links"] == [{"trace": "tr-" + "ab" * 16, "span": "cd" * 8, "attributes": {"why": "retry"}}]
    assert (fetch["state"], fetch["message"]) == ("error", "no route")
    assert fetch["attributes"] == {"many": [1, 2], "bytes": "AAE=", "real": "nan", "yes": True}
    assert listed(served, experiment=experiment, filter="span.kind = 'CHAT_MODEL' and tags.service.name = 'shop'") == [
        trace
    ]


def test_without_a_header_the_experiment_is_the_default(served: Any) -> None:
    exported(served, lambda tracer: tracer.start_span("plain").end())

    assert "plain" in [each["name"] for each in served.ask("GET", "/api/traces?experiment=Default").json()["items"]]


def test_a_trace_can_be_linked_to_a_run_by_a_header(served: Any) -> None:
    run = served.ask("POST", "/api/runs", json={"name": "evaluate"}).json()["id"]
    exported(served, lambda tracer: tracer.start_span("of a run").end(), x_mlflow_run_id=run)

    [trace] = listed(served, filter=f"run = '{run}'")
    assert shown(served, trace)["links"]["run"] == [run]


def one(**facts: Any) -> ExportTraceServiceRequest:
    request = ExportTraceServiceRequest()
    span = request.resource_spans.add().scope_spans.add().spans.add()
    values = {
        "trace_id": os.urandom(16),
        "span_id": os.urandom(8),
        "name": "one",
        "start_time_unix_nano": time.time_ns(),
    }
    for key, value in (values | facts).items():
        setattr(span, key, value)
    return request


def post(served: Any, content: bytes, headers: dict[str, str], **more: str) -> Any:
    return served.ask("POST", "/v1/traces", content=content, headers=headers | more)


def test_json_is_as_good_as_protocol_buffers(served: Any) -> None:
    span = {
        "traceId": "0AF7651916CD43DD8448EB211C80319C",
        "spanId": "b7ad6b7169203331",
        "name": "json",
        "kind": 2,
        "startTimeUnixNano": "1700000000000000000",
        "endTimeUnixNano": "1700000000250000000",
        "attributes": [
            {"key": "n", "value": {"intValue": "7"}},
            {"key": "deep", "value": {"kvlistValue": {"values": []}}},
        ],
        "status": {"code": 2, "message": "bad"},
        "newField": 1,
    }
    body = {"resourceSpans": [{"resource": {}, "scopeSpans": [{"scope": {"name": "js"}, "spans": [span]}]}]}

    reply = post(served, json.dumps(body).encode(), {"Content-Type": "application/json; charset=utf-8"})

    assert (reply.status_code, reply.content) == (200, b"{}")
    found = shown(served, "tr-0af7651916cd43dd8448eb211c80319c")
    assert (found["state"], found["duration_ms"]) == ("error", 250)
    assert found["spans"][0]["attributes"] == {"n": 7, "deep": {}}


def test_the_same_request_again_changes_nothing(served: Any) -> None:
    request = one(end_time_unix_nano=time.time_ns()).SerializeToString()
    trace = (
        "tr-" + ExportTraceServiceRequest.FromString(request).resource_spans[0].scope_spans[0].spans[0].trace_id.hex()
    )

    first = post(served, request, PROTOBUF)
    before = shown(served, trace)
    second = post(served, request, PROTOBUF)

    assert (first.status_code, first.content, second.status_code) == (200, b"", 200)
    assert shown(served, trace) == before


@pytest.mark.parametrize(
    ("content", "headers", "status"),
    [
        (b"no protocol buffers", PROTOBUF, 400),
        (b"{", AS_JSON, 400),
        (b"[]", AS_JSON, 400),
        (b'{"resourceSpans": 5}', AS_JSON, 400),
        (b'{"resourceSpans": [{"scopeSpans": [{"spans": [{"traceId": "xyz"}]}]}]}', AS_JSON, 400),
        (b'{"resourceSpans": [' + b"[" * 100 + b"]" * 100 + b"]}", AS_JSON, 400),
        (b"x", {"Content-Type": "text/plain"}, 400),
        (b"x", PROTOBUF | {"Content-Encoding": "br"}, 400),
        (b"x", PROTOBUF | {"Content-Encoding": "gzip"}, 400),
        (gzip.compress(b"abc")[:-4], PROTOBUF | {"Content-Encoding": "gzip"}, 400),
        (one(trace_id=b"short").SerializeToString(), PROTOBUF, 422),
        (one(trace_id=bytes(16)).SerializeToString(), PROTOBUF, 422),
        (one(span_id=b"").SerializeToString(), PROTOBUF, 422),
        (one(start_time_unix_nano=1 << 63).SerializeToString(), PROTOBUF, 422),
        (one().SerializeToString(), PROTOBUF | {"x-mlflow-experiment-id": "99999"}, 404),
        (one().SerializeToString(), PROTOBUF | {"x-mlflow-experiment-id": "'; drop"}, 404),
        (one().SerializeToString(), PROTOBUF | {"x-mlflow-run-id": "0" * 32}, 404),
        (b"", PROTOBUF, 200),
    ],
    ids=range(18),  # not after the content: it has dice in it, and test runners must agree on the names
)
def test_what_cannot_be_kept_is_one_clear_error(
    served: Any, content: bytes, headers: dict[str, str], status: int
) -> None:
    reply = post(served, content, headers)

    assert reply.status_code == status, reply.text
    if status != 200:
        assert reply.json()["message"]


def test_a_refused_batch_leaves_nothing_of_itself(served: Any) -> None:
    request = one(name="good half")
    request.MergeFrom(one(span_id=b""))

    assert post(served, request.SerializeToString(), PROTOBUF).status_code == 422
    assert listed(served, filter="name = 'good half'") == []


@pytest.mark.parametrize("packing", ["gzip", "deflate"])
def test_a_bomb_is_refused_before_it_is_unpacked(served: Any, packing: str) -> None:
    plain = bytes(wire.MOST_BYTES + 1)
    bomb = gzip.compress(plain) if packing == "gzip" else zlib.compress(plain)
    assert len(bomb) < 100_000

    assert post(served, bomb, PROTOBUF, **{"Content-Encoding": packing}).status_code == 413


def test_a_nul_in_a_name_is_replaced(served: Any) -> None:
    request = one(name="a\x00b")
    trace = "tr-" + request.resource_spans[0].scope_spans[0].spans[0].trace_id.hex()

    assert post(served, request.SerializeToString(), PROTOBUF).status_code == 200
    assert shown(served, trace)["spans"][0]["name"] == "a\ufffdb"


def test_half_a_character_hidden_in_an_attribute_breaks_nothing(served: Any) -> None:
    request = one()
    span = request.resource_spans[0].scope_spans[0].spans[0]
    for key in ("mlflow.traceTag.t", "mlflow.chat.tokenUsage", "mlflow.spanType", "mlflow.spanInputs", "session.id"):
        span.attributes.add(key=key).value.string_value = '{"\\ud800": 1}'

    assert post(served, request.SerializeToString(), PROTOBUF).status_code == 200
    assert shown(served, "tr-" + span.trace_id.hex())["tags"] == {"t": '{"\\ud800": 1}'}


def test_nothing_is_taken_from_a_stranger_and_nothing_else_is_there(served: Any) -> None:
    assert served.ask("POST", "/v1/traces", headers={"Authorization": "Bearer x"}).status_code == 401
    assert served.ask("GET", "/v1/traces").status_code == 404
    assert served.ask("POST", "/v1/traces/x").status_code == 404
