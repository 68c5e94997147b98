# SPDX-License-Identifier: Apache-2.0
"""Wasserstein-1 distance in robust standard deviations of the reference; for ordered columns only."""

from __future__ import annotations

from mainstay.measures import distances
from mainstay.measures.detectors import Counts, Measurement, detector, nothing
from mainstay.measures.specs import FIRST, ColumnSpec


@detector("wasserstein")
class Wasserstein:
    """How far the values moved on average, in units of IQR / 1.349, which no outlier can stretch."""

    def measure(self, baseline_counts: Counts, window_counts: Counts, column_spec: ColumnSpec) -> Measurement:
        if not column_spec.is_ordered:
            return nothing("robust sd", window_counts, f"a {column_spec.kind} column has no order")
        if not baseline_counts[FIRST:].any() or not window_counts[FIRST:].any():
            return nothing("robust sd", window_counts, "no values to compare")
        value = distances.wasserstein(baseline_counts, window_counts, column_spec)
        detail = {"scale": column_spec.scale}
        return Measurement(value=value, unit="robust sd", n=int(window_counts[FIRST:].sum()), detail=detail)
