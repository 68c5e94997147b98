# SPDX-License-Identifier: Apache-2.0
"""Change of the share of missing values: null, NaN, or the whole column absent."""

from __future__ import annotations

from mainstay.measures import distances
from mainstay.measures.detectors import Counts, Measurement, detector, is_empty, nothing
from mainstay.measures.specs import SPECIALS, ColumnSpec

CELLS = [SPECIALS.index(name) for name in ("absent", "null", "nan")]


@detector("missing")
class Missing:
    """Window's share minus baseline's, with Newcombe's interval."""

    def measure(self, baseline_counts: Counts, window_counts: Counts, column_spec: ColumnSpec) -> Measurement:
        if is_empty(baseline_counts, window_counts):
            return nothing("share", window_counts, "no rows to compare")
        k_a, k_b = int(baseline_counts[CELLS].sum()), int(window_counts[CELLS].sum())
        m, n = int(baseline_counts.sum()), int(window_counts.sum())
        value, lo, hi = distances.share_difference(k_a, m, k_b, n)
        return Measurement(
            value=value, unit="share", n=n, lo=lo, hi=hi, detail={"baseline": k_a / m, "window": k_b / n}
        )
