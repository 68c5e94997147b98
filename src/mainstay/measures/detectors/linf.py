# SPDX-License-Identifier: Apache-2.0
"""L-infinity: the greatest change of any one cell's share, and which cell it is."""

from __future__ import annotations

from mainstay.measures import distances
from mainstay.measures.detectors import Counts, Measurement, detector, is_empty, nothing
from mainstay.measures.specs import ColumnSpec


@detector("linf")
class LInfinity:
    """Of all cells, missing ones too; the interval is that cell's own, as if it had not been picked."""

    def measure(self, baseline_counts: Counts, window_counts: Counts, column_spec: ColumnSpec) -> Measurement:
        if is_empty(baseline_counts, window_counts):
            return nothing("share", window_counts, "no rows to compare")
        value, cell = distances.largest_shift(baseline_counts, window_counts)
        m, n = int(baseline_counts.sum()), int(window_counts.sum())
        shift, lo, hi = distances.share_difference(int(baseline_counts[cell]), m, int(window_counts[cell]), n)
        lo, hi = (lo, hi) if shift >= 0 else (-hi, -lo)
        detail = {"cell": column_spec.cell_names[cell], "shift": shift}
        return Measurement(value=value, unit="share", n=n, lo=lo, hi=hi, detail=detail)
