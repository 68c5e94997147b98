# SPDX-License-Identifier: Apache-2.0
"""Jensen-Shannon distance, base 2, so 0 to 1; raw and with the part that sample size alone explains taken out."""

from __future__ import annotations

import math

from mainstay.measures import distances
from mainstay.measures.detectors import Counts, Measurement, detector, is_empty, nothing
from mainstay.measures.specs import ColumnSpec


@detector("jensen_shannon")
class JensenShannon:
    """``value`` is the raw distance that other tools show; alarms read ``detail["corrected"]``."""

    def measure(self, baseline_counts: Counts, window_counts: Counts, column_spec: ColumnSpec) -> Measurement:
        if is_empty(baseline_counts, window_counts):
            return nothing("distance", window_counts, "no rows to compare")
        a, b = distances.comparable(baseline_counts, window_counts, column_spec)
        detail = {"cells": len(a), "base": 2, "corrected": distances.js_corrected(a, b)}
        return Measurement(value=math.sqrt(distances.js_squared(a, b)), unit="distance", n=int(b.sum()), detail=detail)
