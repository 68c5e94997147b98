# SPDX-License-Identifier: Apache-2.0
"""Distances between two counted samples over the same cells.

In: int64 counts ``a`` (baseline, m rows) and ``b`` (window, n rows), shape (cells,). Out: one float each.
``comparable`` joins sparse cells first, by the baseline alone: a distance over a thousand nearly empty cells measures
the sample size, not the drift.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from mainstay.measures.distributions import normal_quantile, normal_sf
from mainstay.measures.specs import FIRST, ColumnSpec

Counts = NDArray[np.int64]
#: A cell is compared only if the window is expected to put this many rows in it.
LEAST_EXPECTED = 10
#: Below this many cells (or below the baseline's own number) joining would hide what is to be seen.
LEAST_CELLS = 8
#: A reference that must have missed more than this share of the rows' categories has no reliable tail.
UNSEEN_FLOOR = 0.005
_MANY_CELLS = 200
_Z95 = normal_quantile(0.975)


def comparable(a: Counts, b: Counts, column: ColumnSpec) -> tuple[Counts, Counts]:
    """The two samples over cells wide enough to compare: shape (k,), no cell empty in both.

    Ordered cells are joined with their neighbours, categories into one rest, until the baseline expects at least 10
    window rows in each; missing values stay one cell, and new categories another, unless the reference must have
    missed many by chance: then the whole tail is one cell. 1024 score cells become at most 40.
    """
    n, m = int(b.sum()), int(a.sum())
    least = max(LEAST_EXPECTED * m / n if n else math.inf, m / 40 if len(a) > _MANY_CELLS else 0.0)
    group = _join_ordered(a, least) if column.is_ordered else _join_nominal(a, least, column)
    size = int(group.max()) + 1
    x = np.bincount(group, weights=a, minlength=size).astype(np.int64)
    y = np.bincount(group, weights=b, minlength=size).astype(np.int64)
    used = (x + y) > 0
    return x[used], y[used]


def _join_ordered(a: Counts, least: float) -> NDArray[np.intp]:
    group = np.zeros(len(a), dtype=np.intp)
    current, held = 1, 0.0
    for i, count in enumerate(a[FIRST:].tolist(), start=FIRST):
        if held >= least:
            current, held = current + 1, 0.0
        group[i] = current
        held += count
    if held < least and current > 1:
        group[group == current] = current - 1
    return group


def _join_nominal(a: Counts, least: float, column: ColumnSpec) -> NDArray[np.intp]:
    home = _find_homes(a, column)
    is_wide = np.bincount(home, weights=a, minlength=len(a)) >= least
    is_wide[:FIRST] = False
    if column.new_cell is not None:
        is_wide[column.new_cell] = True
        if column.unseen >= UNSEEN_FLOOR:
            # The reference's own rare values are over-represented in it, by just the share that later rows will hold of
            # values it missed. Only the rare known and the new together have the same share in both.
            is_wide[FIRST + len(column.categories) :] = False
    group = np.ones(len(a), dtype=np.intp)
    group[:FIRST] = 0
    group[is_wide] = np.arange(2, 2 + int(is_wide.sum()))
    return group[home]


def _find_homes(a: Counts, column: ColumnSpec) -> NDArray[np.intp]:
    """The cell each cell is compared in: itself, but for names that may owe their name to chance their hash cell.

    Of a thousand equal categories the 64 most frequent *in the reference* were lucky there, and will be rarer in any
    later window. Only what stands three standard errors above the least of them is frequent for sure.
    """
    home = np.arange(len(a), dtype=np.intp)
    if not column.has_hash_cells:
        return home
    named = a[FIRST : FIRST + len(column.categories)]
    is_lucky = named - 3 * np.sqrt(named) <= named.min()
    home[FIRST : FIRST + len(named)][is_lucky] = column.hash_cell_of_category[is_lucky]
    return home


def rows_needed(a: Counts, column: ColumnSpec) -> int:
    """Rows a window must have to be judged against baseline ``a``: 10 for each cell, of at most 8 cells."""
    used = int((a[FIRST:] > 0).sum()) + int(a[:FIRST].any())
    return LEAST_EXPECTED * max(1, min(used, LEAST_CELLS))


def g_statistic(a: Counts, b: Counts) -> float:
    r"""Likelihood-ratio statistic of homogeneity, about chi-squared with k - 1 degrees of freedom if nothing drifted.

    .. math:: 2 \sum_j a_j \ln (a_j / ea_j) + b_j \ln (b_j / eb_j), \quad ea_j = (a_j + b_j) m / (m + n)

    Source: Wilks, Ann. Math. Statist. 9(1), 1938; Sokal and Rohlf, Biometry, ch. 17.
    """
    m, n = int(a.sum()), int(b.sum())
    if not m or not n:
        return 0.0
    both = (a + b) / (m + n)
    return max(0.0, 2.0 * (_relative(a, both * m) + _relative(b, both * n)))


def _relative(observed: NDArray[np.generic], expected: NDArray[np.float64]) -> float:
    x = observed.astype(np.float64)
    used = x > 0
    return float(np.dot(x[used], np.log(x[used] / expected[used])))


def js_squared(a: Counts, b: Counts) -> float:
    r"""Jensen-Shannon divergence in bits, 0 to 1; its root is a metric (Endres and Schindelin, IEEE T-IT 49(7), 2003).

    >>> js_squared(np.array([5, 0]), np.array([0, 5]))
    1.0
    """
    if not a.sum() or not b.sum():
        return 0.0
    p, q = a / a.sum(), b / b.sum()
    middle = (p + q) / 2
    return min(1.0, max(0.0, (_relative(p, middle) + _relative(q, middle)) / 2 / math.log(2)))


def js_bias(k: int, m: int, n: int) -> float:
    """What ``js_squared`` shows on average without any drift: (k - 1)(1/m + 1/n) / (8 ln 2) bits."""
    return (k - 1) * (1 / m + 1 / n) / (8 * math.log(2)) if m and n else 0.0


def js_corrected(a: Counts, b: Counts) -> float:
    """Jensen-Shannon distance with the part that sample size alone explains taken out; 0 if that is all of it."""
    return math.sqrt(max(0.0, js_squared(a, b) - js_bias(len(a), int(a.sum()), int(b.sum()))))


def psi(a: Counts, b: Counts) -> float:
    r"""Population stability index in nats, each count taken half a row larger so that an empty cell stays finite.

    .. math:: \sum_j (p_j - q_j) \ln (p_j / q_j)

    0.1 and 0.25 are conventions of credit scoring; they mean something only where (k - 1)(1/m + 1/n), the value
    expected without drift, is much smaller (Yurdakul and Naranjo, J. Risk Model Validation 14(4), 2020).
    """
    if not a.sum() or not b.sum():
        return 0.0
    p = (a + 0.5) / (a.sum() + 0.5 * len(a))
    q = (b + 0.5) / (b.sum() + 0.5 * len(b))
    return float(np.dot(p - q, np.log(p / q)))


def hellinger(a: Counts, b: Counts) -> float:
    """Hellinger distance, 0 to 1: the root of half the squared difference of the roots of the shares."""
    if not a.sum() or not b.sum():
        return 0.0
    return math.sqrt(max(0.0, float(np.sum((np.sqrt(a / a.sum()) - np.sqrt(b / b.sum())) ** 2)) / 2))


def ks(a: Counts, b: Counts) -> tuple[float, int, int]:
    """Greatest difference of the two distribution functions at the cells' bounds, and the rows it rests on (m, n).

    Of present values only; infinities are the outermost cells. It is at most the KS distance of the raw rows, which it
    misses by less than 0.003 at 32 cells, so a p-value from it is on the safe side.
    """
    x, y = _in_order(a), _in_order(b)
    m, n = int(x.sum()), int(y.sum())
    if not m or not n:
        return 0.0, m, n
    return float(np.abs(np.cumsum(x) / m - np.cumsum(y) / n).max()), m, n


def _in_order(counts: Counts) -> Counts:
    return np.concatenate([counts[FIRST - 2 : FIRST - 1], counts[FIRST:], counts[FIRST - 1 : FIRST]])


def wasserstein(a: Counts, b: Counts, column: ColumnSpec) -> float:
    """Wasserstein-1 distance in robust standard deviations of the reference (IQR / 1.349), values even within a cell.

    Values outside the reference count at its least or greatest value: how far out they are does not matter, or one bad
    row would decide. The scale is never the plain standard deviation, which one outlier in the reference can blow up.
    """
    x, y = a[FIRST:], b[FIRST:]
    if not x.sum() or not y.sum():
        return 0.0
    gap = (np.cumsum(x) / x.sum() - np.cumsum(y) / y.sum())[:-1]
    with np.errstate(over="ignore"):
        widths = np.diff(np.clip(column.bounds, *_reach(column)) / column.scale)
    return float(np.dot(widths, _mean_absolute(gap[:-1], gap[1:])))


def _reach(column: ColumnSpec) -> tuple[float, float]:
    """A quarter as far beyond the outermost edges as they are apart.

    The reference's own outliers must not stretch a cell either.
    """
    if not column.edges:
        return column.bounds[0], column.bounds[-1]
    first, last = column.edges[0], column.edges[-1]
    room = (last - first) / 4 + column.scale
    return first - room, last + room


def _mean_absolute(left: NDArray[np.float64], right: NDArray[np.float64]) -> NDArray[np.float64]:
    """Mean of |f| where f goes straight from ``left`` to ``right``; where it crosses zero, two triangles."""
    total = np.abs(left) + np.abs(right)
    crosses = left * right < 0
    squares = left**2 + right**2
    return np.where(crosses, squares / np.where(total > 0, total, 1.0), total) / 2


def largest_shift(a: Counts, b: Counts) -> tuple[float, int]:
    """The greatest change of any one cell's share, in 0..1, and the cell's number (Breck et al., MLSys 2019)."""
    if not a.sum() or not b.sum():
        return 0.0, 0
    shift = np.abs(a / a.sum() - b / b.sum())
    cell = int(np.argmax(shift))
    return float(shift[cell]), cell


# ---------------------------------------------------------------- shares


def wilson(k: float, n: float, z: float = _Z95) -> tuple[float, float]:
    """Wilson's interval for a share k of n; (0, 1) for n = 0. Source: Wilson, JASA 22(158), 1927.

    >>> [round(x, 4) for x in wilson(0, 10)]
    [0.0, 0.2775]
    """
    if n <= 0:
        return 0.0, 1.0
    p, zz = k / n, z * z
    middle = (p + zz / (2 * n)) / (1 + zz / n)
    half = z / (1 + zz / n) * math.sqrt(p * (1 - p) / n + zz / (4 * n * n))
    return (0.0 if k == 0 else max(0.0, middle - half)), (1.0 if k == n else min(1.0, middle + half))


def share_difference(k_a: int, m: int, k_b: int, n: int) -> tuple[float, float, float]:
    """Share in b minus share in a, with Newcombe's interval from two Wilson intervals (Stat. Med. 17(8), 1998)."""
    if not m or not n:
        return 0.0, -1.0, 1.0
    p, q = k_a / m, k_b / n
    (low_a, high_a), (low_b, high_b) = wilson(k_a, m), wilson(k_b, n)
    difference = q - p
    down = math.hypot(q - low_b, high_a - p)
    up = math.hypot(high_b - q, p - low_a)
    return difference, difference - down, difference + up


def score_z(k_a: int, m: int, k_b: int, n: int) -> float:
    """The two-proportion score statistic (b above a is positive), about standard normal if the shares are equal."""
    if not m or not n:
        return 0.0
    both = (k_a + k_b) / (m + n)
    spread = math.sqrt(both * (1 - both) * (1 / m + 1 / n))
    return (k_b / n - k_a / m) / spread if spread > 0 else 0.0


def rise_p(k_a: int, m: int, k_b: int, n: int, *, scale: float = 1.0) -> float:
    """One-sided p-value that b's share is no higher than a's; ``scale`` divides the statistic (over-dispersion, >= 1).

    The score test where b expects 10 events or more, else the exact hypergeometric tail (Fisher): one null in twenty
    rows is no wonder, but the normal law would call it one.
    """
    z = score_z(k_a, m, k_b, n)
    if z <= 0:
        return 1.0
    if (k_a + k_b) * n / (m + n) < 10:
        tail = _hypergeometric_tail(k_a, m, k_b, n)
        z = -normal_quantile(tail) if 1e-300 < tail < 1 else (0.0 if tail >= 1 else z)
    return normal_sf(z / scale)


def _hypergeometric_tail(k_a: int, m: int, k_b: int, n: int) -> float:
    """P(at least k_b of the k_a + k_b events fall among the n rows), by the ratio of neighbouring terms."""
    events = k_a + k_b

    def log_choose(a: int, b: int) -> float:
        return math.lgamma(a + 1) - math.lgamma(b + 1) - math.lgamma(a - b + 1)

    term = math.exp(log_choose(n, k_b) + log_choose(m, k_a) - log_choose(m + n, events))
    total, k = term, k_b
    while k < min(events, n) and term > total * 1e-15:
        term *= (events - k) * (n - k) / ((k + 1) * (m - events + k + 1))
        total += term
        k += 1
    return min(1.0, total)
