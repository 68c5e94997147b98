# SPDX-License-Identifier: Apache-2.0
"""Tracking: what was tried, with what, and how it went.

In: what running code reports. Out: experiments, runs, their parameters, metrics, tags, artifacts, links and logged models,
and a search over them. Points of a metric are telemetry: durable, but without an event. When a run ends, one event closes
it with the digests of all it said, so that nothing can be added to the record unseen: what comes later reopens or amends it,
with an event. Events: ``experiment.*`` and ``run.*``. Upstream: only the store; a link to a snapshot or a version is a name
here, checked by the rooms that have both. Read ``runs`` first, then ``logs``, the hot path. Rooms of
their own inside are ``metrics``, ``lineage``, ``search`` and ``logged_models``; ``traces``, what applications do with requests;
and ``evaluation``, what they are judged by.
"""
