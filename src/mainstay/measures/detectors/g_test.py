# SPDX-License-Identifier: Apache-2.0
"""G-test of homogeneity over comparable cells; the p-value supposes independent rows, ``drift`` calibrates it."""

from __future__ import annotations

from mainstay.measures import distances
from mainstay.measures.detectors import Counts, Measurement, detector, is_empty, nothing
from mainstay.measures.distributions import chi2_sf
from mainstay.measures.specs import ColumnSpec


@detector("g_test")
class GTest:
    """``value`` is G; ``detail["p"]`` its tail in chi-squared with ``detail["df"]`` degrees of freedom."""

    def measure(self, baseline_counts: Counts, window_counts: Counts, column_spec: ColumnSpec) -> Measurement:
        if is_empty(baseline_counts, window_counts):
            return nothing("G", window_counts, "no rows to compare")
        a, b = distances.comparable(baseline_counts, window_counts, column_spec)
        g, df = distances.g_statistic(a, b), len(a) - 1
        return Measurement(value=g, unit="G", n=int(b.sum()), detail={"df": df, "p": chi2_sf(g, df)})
