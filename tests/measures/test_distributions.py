# SPDX-License-Identifier: Apache-2.0
"""Our tails against scipy's."""

from __future__ import annotations

import doctest

import numpy as np
import pytest
from scipy import special, stats

from mainstay.measures import distances, distributions, drift, estimates


@pytest.mark.parametrize("df", [1, 2, 3, 7, 31, 32, 127, 1023, 5000])
def test_chi_squared_tails_equal_scipy_to_ten_digits(df: int) -> None:
    for x in [1e-6, 0.1, *np.linspace(0.2, 3, 12) * df, df + 20 * np.sqrt(2 * df)]:
        assert distributions.chi2_sf(x, df) == pytest.approx(stats.chi2.sf(x, df), rel=1e-10, abs=1e-280)


@pytest.mark.parametrize("df", [1, 5, 31, 400])
@pytest.mark.parametrize("p", [0.9, 0.5, 0.1, 0.01, 1e-9])
def test_chi_squared_quantiles_equal_scipy(df: int, p: float) -> None:
    assert distributions.chi2_isf(p, df) == pytest.approx(stats.chi2.isf(p, df), rel=1e-9)


def test_no_degrees_of_freedom_surprise_nobody() -> None:
    assert distributions.chi2_sf(0.0, 0) == 1.0
    assert distributions.gamma_q(2.0, float("inf")) == 0.0


def test_kolmogorov_tail_equals_scipy_on_both_sides_of_the_switch() -> None:
    for x in [*np.linspace(0.05, 5, 200), 0.8 - 1e-12, 0.8]:
        assert distributions.kolmogorov_sf(x) == pytest.approx(stats.kstwobign.sf(x), rel=1e-9, abs=1e-13)


def test_normal_tail_equals_scipy_far_out() -> None:
    for z in np.linspace(-8, 37, 100):
        assert distributions.normal_sf(z) == pytest.approx(stats.norm.sf(z), rel=1e-12)
    assert distributions.normal_quantile(0.975) == pytest.approx(stats.norm.ppf(0.975), rel=1e-14)
    assert distributions.normal_cdf(1.0) + distributions.normal_sf(1.0) == pytest.approx(1.0, abs=1e-15)


def test_log_beta_equals_scipy() -> None:
    for a, b in ((0.5, 0.5), (1, 19), (3000.5, 1e6)):
        assert distributions.log_beta(a, b) == pytest.approx(special.betaln(a, b), rel=1e-9)


@pytest.mark.parametrize("df", [1, 2, 9, 13, 39, 400, 5000])
def test_students_tails_and_quantiles_equal_scipy(df: int) -> None:
    for t in [-3.0, 0.0, 0.3, 1.0, 2.16, 5.0, 30.0]:
        assert distributions.student_sf(t, df) == pytest.approx(stats.t.sf(t, df), rel=1e-9, abs=1e-250)
    for p in (0.5, 0.1, 0.025, 1e-6):
        assert distributions.student_isf(p, df) == pytest.approx(stats.t.isf(p, df), rel=1e-9, abs=1e-12)


def test_the_incomplete_beta_function_equals_scipy() -> None:
    for a, b in ((0.5, 0.5), (2.0, 30.0), (2500.0, 0.5), (40.0, 60.0)):
        for x in (0.0, 1e-6, 0.2, 0.5, 0.97, 1.0):
            assert distributions.beta_p(x, a, b) == pytest.approx(special.betainc(a, b, x), rel=1e-9, abs=1e-250)


@pytest.mark.parametrize("module", [distributions, distances, drift, estimates])
def test_examples_in_the_docstrings_are_true(module: object) -> None:
    found = doctest.testmod(module)

    assert found.attempted > 0
    assert found.failed == 0
