# SPDX-License-Identifier: Apache-2.0
"""Metrics: the points of what a run measures.

In: readings as they come: a step, a time, a value or none. Out: series, each with its latest reading at hand, read whole, in
pages, or as few points as a chart can show. Telemetry: durable, without an event; the end of the run closes it with a digest.
Which run may still log is not known here. Read ``series`` first.
"""
