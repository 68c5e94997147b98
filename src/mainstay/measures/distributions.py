# SPDX-License-Identifier: Apache-2.0
"""Tail probabilities and quantiles of the few laws the measures need, without scipy.

In: plain floats. Out: plain floats, within 1e-10 (relative, down to 1e-250) of scipy, which the tests use as oracle.
They live here because a serving replica must not carry scipy for forty lines.
"""

from __future__ import annotations

import math
from functools import cache
from statistics import NormalDist

_NORMAL = NormalDist()
_TINY = 1e-300
_EPS = 1e-16


def normal_cdf(z: float) -> float:
    """P(Z <= z) for a standard normal Z."""
    return 0.5 * math.erfc(-z / math.sqrt(2.0))


def normal_sf(z: float) -> float:
    """P(Z > z) for a standard normal Z; accurate far into the tail."""
    return 0.5 * math.erfc(z / math.sqrt(2.0))


def normal_quantile(p: float) -> float:
    """The z with P(Z <= z) = p, for 0 < p < 1 (Wichura's AS 241, from the standard library)."""
    return _NORMAL.inv_cdf(p)


def gamma_q(a: float, x: float) -> float:
    """Upper regularised incomplete gamma function Q(a, x) for a > 0, x >= 0.

    A series for x < a + 1, else Lentz's continued fraction; both cost about sqrt(a) steps.
    Source: Abramowitz and Stegun, Handbook of Mathematical Functions, 6.5.29 and 6.5.31.
    """
    if x <= 0.0:
        return 1.0
    if math.isinf(x):
        return 0.0
    front = math.exp(-x + a * math.log(x) - math.lgamma(a))
    return 1.0 - front * _lower_series(a, x) if x < a + 1.0 else front * _upper_fraction(a, x)


def _lower_series(a: float, x: float) -> float:
    term = total = 1.0 / a
    step = a
    while abs(term) > abs(total) * _EPS:
        step += 1.0
        term *= x / step
        total += term
    return total


def _upper_fraction(a: float, x: float) -> float:
    b = x + 1.0 - a
    c = 1.0 / _TINY
    d = 1.0 / b
    h = d
    for i in range(1, 100_000):
        an = -i * (i - a)
        b += 2.0
        d = an * d + b
        d = _TINY if abs(d) < _TINY else d
        c = b + an / c
        c = _TINY if abs(c) < _TINY else c
        d = 1.0 / d
        step = d * c
        h *= step
        if abs(step - 1.0) < _EPS * 4:
            break
    return h


def chi2_sf(x: float, df: float) -> float:
    """P(X > x) for X chi-squared with ``df`` degrees of freedom; 1 where ``df`` is 0 (nothing can vary).

    >>> round(chi2_sf(3.841458820694124, 1), 6)
    0.05
    """
    return 1.0 if df <= 0 else gamma_q(df / 2.0, x / 2.0)


@cache
def chi2_isf(p: float, df: float) -> float:
    """The x with P(X > x) = p, by bisection; 0 < p < 1, ``df`` > 0.

    >>> round(chi2_isf(0.05, 1), 6)
    3.841459
    """
    high = df + 10.0
    while chi2_sf(high, df) > p:
        high *= 2.0
    low = 0.0
    while high - low > 1e-12 * high:
        middle = (low + high) / 2.0
        low, high = (middle, high) if chi2_sf(middle, df) > p else (low, middle)
    return (low + high) / 2.0


def kolmogorov_sf(x: float) -> float:
    """P(K > x) for Kolmogorov's law, the limit of sqrt(nm/(n+m)) times the two-sample KS distance.

    The alternating series converges fast for large x, its theta-function dual for small x.
    Source: Kolmogorov, Giorn. Ist. Ital. Attuari 4, 1933; Marsaglia, Tsang and Wang, J. Stat. Softw. 8(18), 2003.

    >>> round(kolmogorov_sf(1.3580986), 6)
    0.05
    """
    if x <= 0.0:
        return 1.0
    if x < 0.8:
        weight = math.sqrt(2.0 * math.pi) / x
        return 1.0 - weight * sum(math.exp(-((2 * k - 1) ** 2) * math.pi**2 / (8.0 * x * x)) for k in range(1, 8))
    return min(1.0, 2.0 * sum((-1.0) ** (k - 1) * math.exp(-2.0 * (k * x) ** 2) for k in range(1, 12)))


def log_beta(a: float, b: float) -> float:
    """ln B(a, b) for a, b > 0."""
    return math.lgamma(a) + math.lgamma(b) - math.lgamma(a + b)


def beta_p(x: float, a: float, b: float) -> float:
    """Lower regularised incomplete beta function I(x; a, b) for a, b > 0 and x in 0..1.

    Lentz's continued fraction, on the side where it converges fast; about sqrt(max(a, b)) steps.
    Source: Abramowitz and Stegun, Handbook of Mathematical Functions, 26.5.8.
    """
    if x <= 0.0 or x >= 1.0:
        return float(x >= 1.0)
    front = math.exp(a * math.log(x) + b * math.log1p(-x) - log_beta(a, b))
    if x > (a + 1.0) / (a + b + 2.0):
        return 1.0 - front * _beta_fraction(1.0 - x, b, a) / b
    return front * _beta_fraction(x, a, b) / a


def _beta_fraction(x: float, a: float, b: float) -> float:
    c, d = 1.0, 1.0 / (1.0 - (a + b) * x / (a + 1.0))
    total = d
    for m in range(1, 10_000):
        even = m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m))
        odd = -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1))
        before = total
        for step in (even, odd):
            d = 1.0 / (1.0 + step * d or _TINY)
            c = 1.0 + step / c or _TINY
            total *= c * d
        if abs(total - before) <= abs(total) * _EPS:
            break
    return total


def student_sf(t: float, df: float) -> float:
    """P(T > t) for Student's T with ``df`` degrees of freedom, df > 0.

    >>> round(student_sf(2.160369, 13), 6)
    0.025
    """
    tail = 0.5 * beta_p(df / (df + t * t), df / 2.0, 0.5)
    return tail if t >= 0.0 else 1.0 - tail


@cache
def student_isf(p: float, df: float) -> float:
    """The t with P(T > t) = p, for 0 < p <= 1/2. Bisection, so a hundred calls of `student_sf`."""
    low, high = 0.0, 1.0
    while student_sf(high, df) > p:
        high *= 2.0
    for _ in range(80):
        middle = (low + high) / 2.0
        low, high = (middle, high) if student_sf(middle, df) > p else (low, middle)
    return (low + high) / 2.0
