# SPDX-License-Identifier: Apache-2.0
"""Paired tests against what is known of them: how often they err, and what drawing again says."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from mainstay.domain.errors import Invalid
from mainstay.measures import paired
from mainstay.measures.paired import PairedTest

from .drawn import draw, draw_days


def test_the_paired_test_is_falsely_sure_as_often_as_it_says() -> None:
    random = np.random.default_rng(1)
    p_values = []
    for _ in range(500):
        y = random.random(300) < 0.4
        signal = random.standard_normal(300) + y
        a, b = (signal + 0.5 * random.standard_normal(300) for _ in range(2))
        p_values.append(paired.auc(y, a, b).p)

    assert 0.03 <= np.mean(np.array(p_values) < 0.05) <= 0.07


def test_each_row_a_cluster_of_its_own_is_the_plain_paired_test() -> None:
    _, y, a, b = draw_days(np.random.default_rng(0))

    plain = paired.auc(y, a, b)
    alone = paired.auc(y, a, b, clusters=np.arange(len(y)))

    assert (alone.difference, alone.n, alone.clusters) == (plain.difference, plain.n, len(y))
    assert alone.hi - alone.lo == pytest.approx(plain.hi - plain.lo, rel=1e-3)  # Student's t with 1,599 degrees
    assert alone.p == pytest.approx(plain.p, rel=0.05)


@pytest.mark.parametrize("test", [paired.auc, paired.brier])
def test_the_clustered_interval_is_as_wide_as_drawing_whole_days_again_says(test: Callable[..., PairedTest]) -> None:
    random = np.random.default_rng(5)
    day, y, a, b = draw_days(random)
    a, b = (1 / (1 + np.exp(-score)) for score in (a, b))
    rows_of = [np.flatnonzero(day == each) for each in range(40)]

    drawn = []
    for _ in range(400):
        rows = np.concatenate([rows_of[each] for each in random.integers(0, 40, 40)])
        drawn.append(test(y[rows], a[rows], b[rows]).difference)
    found, plain = test(y, a, b, clusters=day), test(y, a, b)

    spread = (found.hi - found.lo) / (2 * 2.0227)  # Student's t with 39 degrees
    assert spread == pytest.approx(np.std(drawn), rel=0.15)
    assert found.hi - found.lo > 2 * (plain.hi - plain.lo)


def test_among_days_with_their_own_luck_only_the_clustered_test_is_as_sure_as_it_says() -> None:
    random = np.random.default_rng(6)
    plain, clustered = [], []
    for _ in range(300):
        day, y, a, b = draw_days(random, days=15, a_day=30)
        plain.append(paired.auc(y, a, b).p)
        clustered.append(paired.auc(y, a, b, clusters=day).p)

    assert np.mean(np.array(plain) < 0.05) > 0.3
    assert np.mean(np.array(clustered) < 0.05) < 0.1


def test_few_clusters_say_nothing() -> None:
    day, y, a, b = draw_days(np.random.default_rng(7), days=9)

    found = paired.auc(y, a, b, clusters=day)

    assert found.is_insufficient
    assert found.reason == "9 clusters with positives and as many with negatives; at least 10 are needed"
    with pytest.raises(Invalid, match="one cluster for every row"):
        paired.auc(y, a, b, clusters=day[:-1])


def test_a_better_ranking_is_found_better_and_the_same_one_is_not() -> None:
    y, good = draw(2000, 3, edge=2.0)
    _, bad = draw(2000, 4)

    assert paired.auc(y, good, bad).lo > 0
    assert paired.auc(y, bad, good).hi < 0
    same = paired.auc(y, good, good)
    assert (same.difference, same.lo, same.hi, same.p) == (0.0, 0.0, 0.0, 1.0)
    assert (same.n, same.n_pos) == (2000, int(y.sum()))
