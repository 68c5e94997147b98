# SPDX-License-Identifier: Apache-2.0
"""Traces: requests through an application, span by span, and what is thought of them.

In: spans as they are exported (late, twice, children before their root), and traces told as a whole. Out: traces with a
tree of spans, tags, links and assessments, and a search over all of it. Everything here is telemetry: durable, without
an event. Upstream: experiments. Read ``spans`` first, the hot path, then ``stories``.
"""
