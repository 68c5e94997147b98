# SPDX-License-Identifier: Apache-2.0
"""Population stability index, in nats, over comparable cells; with the value that no drift at all would give."""

from __future__ import annotations

from mainstay.measures import distances
from mainstay.measures.detectors import Counts, Measurement, detector, is_empty, nothing
from mainstay.measures.specs import ColumnSpec


@detector("psi")
class PopulationStabilityIndex:
    """The banks' number. ``detail["expected_without_drift"]`` says what share of it is sample size."""

    def measure(self, baseline_counts: Counts, window_counts: Counts, column_spec: ColumnSpec) -> Measurement:
        if is_empty(baseline_counts, window_counts):
            return nothing("nats", window_counts, "no rows to compare")
        a, b = distances.comparable(baseline_counts, window_counts, column_spec)
        m, n = int(a.sum()), int(b.sum())
        detail = {"cells": len(a), "expected_without_drift": (len(a) - 1) * (1 / m + 1 / n)}
        return Measurement(value=distances.psi(a, b), unit="nats", n=n, detail=detail)
