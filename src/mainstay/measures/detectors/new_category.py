# SPDX-License-Identifier: Apache-2.0
"""Change of the share of values that the reference never held; for columns of categories."""

from __future__ import annotations

from mainstay.measures import distances
from mainstay.measures.detectors import Counts, Measurement, detector, is_empty, nothing
from mainstay.measures.specs import ColumnSpec


@detector("new_category")
class NewCategory:
    """Window's share minus baseline's, with Newcombe's interval. A reference of too many values can call none new."""

    def measure(self, baseline_counts: Counts, window_counts: Counts, column_spec: ColumnSpec) -> Measurement:
        cell = column_spec.new_cell
        if cell is None:
            return nothing("share", window_counts, f"a {column_spec.kind} column has no categories")
        if column_spec.is_open:
            return nothing("share", window_counts, "the reference held too many values to call one new")
        if is_empty(baseline_counts, window_counts):
            return nothing("share", window_counts, "no rows to compare")
        k_a, k_b = int(baseline_counts[cell]), int(window_counts[cell])
        m, n = int(baseline_counts.sum()), int(window_counts.sum())
        value, lo, hi = distances.share_difference(k_a, m, k_b, n)
        return Measurement(
            value=value, unit="share", n=n, lo=lo, hi=hi, detail={"baseline": k_a / m, "window": k_b / n}
        )
