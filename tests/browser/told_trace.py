# SPDX-License-Identifier: Apache-2.0
"""A trace of four spans, sent as OpenTelemetry sends it: a request, its retrieval, a model's call and a tool that fails.

In: a session. Out: the id under which the server shows it.
"""

from __future__ import annotations

import json
from typing import Any

from mainstay.client.session import Session

TRACE = "5b8efff798038103d269b633813fc60c"
BEGUN_MS = 1_760_000_000_000


def tell(session: Session) -> str:
    spans = [
        span("a1", None, "answer", 0, 2400, kind="CHAIN", inputs={"question": "Why late?"}, outputs="Because of wind."),
        span("b2", "a1", "retrieve", 40, 600, kind="RETRIEVER", inputs={"query": "UA 1545"}, outputs=["wind at EWR"]),
        span("c3", "a1", "chat", 700, 1500, kind="CHAT_MODEL", inputs=[{"role": "user", "content": "Why?"}], outputs="wind"),
        span("d4", "c3", "look up gate", 900, 300, kind="TOOL", inputs={"flight": 1545}, failed="no such gate"),
    ]  # fmt: skip
    body = {
        "resourceSpans": [{"resource": {"attributes": []}, "scopeSpans": [{"scope": {"name": "shop"}, "spans": spans}]}]
    }
    session.wire.ask("POST", "/v1/traces", json=body)
    found: str = session.get("/traces")["items"][0]["id"]
    return found


def span(identity: str, parent: str | None, name: str, at_ms: int, took_ms: int, **told: Any) -> dict[str, Any]:
    begun = BEGUN_MS + at_ms
    texts = {"mlflow.spanType": told["kind"]} | {
        f"mlflow.span{side.title()}": told[side] for side in ("inputs", "outputs") if side in told
    }
    failed = told.get("failed")
    return {
        "traceId": TRACE,
        "spanId": identity * 8,
        "parentSpanId": (parent or "") * 8,
        "name": name,
        "kind": 1,
        "startTimeUnixNano": f"{begun * 1_000_000}",
        "endTimeUnixNano": f"{(begun + took_ms) * 1_000_000}",
        "attributes": [{"key": key, "value": {"stringValue": json.dumps(value)}} for key, value in texts.items()],
        "status": {"code": 2, "message": failed} if failed else {"code": 1},
    }
