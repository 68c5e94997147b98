# SPDX-License-Identifier: Apache-2.0
"""OTLP over HTTP: any OpenTelemetry exporter can send its spans to ``/v1/traces``.

In: an export request, as protocol buffers or as JSON, as it is or packed by gzip or deflate. Out: spans of traces, kept
before the answer leaves. The experiment is named by a header; without one it is ``Default``. What a span's attributes
mean is read by the conventions in ``wire``: OpenTelemetry's own, MLflow's and OpenInference's.

Source: OTLP specification 1.9, "OTLP/HTTP"; statuses 400 and 422 are not repeated by exporters, 503 is.
"""

from __future__ import annotations

from mainstay.server.protocols.otlp.export import PREFIXES, mounts
from mainstay.server.protocols.otlp.wire import answer, unknown

__all__ = ["PREFIXES", "answer", "mounts", "unknown"]
