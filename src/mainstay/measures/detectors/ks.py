# SPDX-License-Identifier: Apache-2.0
"""Kolmogorov-Smirnov distance read at the cells' bounds; for ordered columns only."""

from __future__ import annotations

import math

from mainstay.measures import distances
from mainstay.measures.detectors import Counts, Measurement, detector, nothing
from mainstay.measures.distributions import kolmogorov_sf
from mainstay.measures.specs import ColumnSpec


@detector("ks")
class KolmogorovSmirnov:
    """``value`` is the distance; ``detail["p"]`` supposes independent rows, ``drift`` calibrates it."""

    def measure(self, baseline_counts: Counts, window_counts: Counts, column_spec: ColumnSpec) -> Measurement:
        if not column_spec.is_ordered:
            return nothing("distance", window_counts, f"a {column_spec.kind} column has no order")
        distance, m, n = distances.ks(baseline_counts, window_counts)
        if not m or not n:
            return nothing("distance", window_counts, "no values to compare")
        p = kolmogorov_sf(distance * math.sqrt(m * n / (m + n)))
        return Measurement(value=distance, unit="distance", n=n, detail={"p": p})
