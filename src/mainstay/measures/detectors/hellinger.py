# SPDX-License-Identifier: Apache-2.0
"""Hellinger distance over comparable cells, 0 to 1."""

from __future__ import annotations

from mainstay.measures import distances
from mainstay.measures.detectors import Counts, Measurement, detector, is_empty, nothing
from mainstay.measures.specs import ColumnSpec


@detector("hellinger")
class Hellinger:
    """Shown beside the others; it raises no alarm of its own."""

    def measure(self, baseline_counts: Counts, window_counts: Counts, column_spec: ColumnSpec) -> Measurement:
        if is_empty(baseline_counts, window_counts):
            return nothing("distance", window_counts, "no rows to compare")
        a, b = distances.comparable(baseline_counts, window_counts, column_spec)
        return Measurement(value=distances.hellinger(a, b), unit="distance", n=int(b.sum()), detail={"cells": len(a)})
