# SPDX-License-Identifier: Apache-2.0
"""Groups compared by counts that can be checked by hand."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest
from sklearn import metrics

from mainstay.domain.errors import Invalid
from mainstay.measures.fairness import GroupCounts, audit, compare_groups, count_groups
from mainstay.measures.performance import Confusion


def make_group(tp: int, fp: int, fn: int, tn: int) -> GroupCounts:
    return GroupCounts(n=tp + fp + fn + tn, selected=tp + fp, known=Confusion(tp=tp, fp=fp, fn=fn, tn=tn))


GROUPS = {
    "a": make_group(tp=80, fp=20, fn=20, tn=80),  # selects 100 of 200; finds 80 %, wrongs 20 %
    "b": make_group(tp=50, fp=10, fn=50, tn=90),  # selects 60 of 200; finds 50 %, wrongs 10 %
    "tiny": make_group(tp=1, fp=1, fn=1, tn=1),
}


def test_the_selection_rate_ratio_is_least_over_greatest() -> None:
    report = compare_groups(GROUPS)
    ratio = report.selection_rate_ratio

    assert ratio.value == pytest.approx(0.6)
    assert (ratio.least, ratio.greatest, ratio.n) == ("b", "a", 400)
    spread = math.sqrt(1 / 60 - 1 / 200 + 1 / 100 - 1 / 200)
    assert ratio.lo == pytest.approx(0.6 * math.exp(-1.96 * spread), rel=0.01)
    assert ratio.hi == pytest.approx(0.6 * math.exp(1.96 * spread), rel=0.01)
    assert report.is_below_four_fifths


def test_the_equalised_odds_difference_is_the_greater_gap() -> None:
    odds = compare_groups(GROUPS).equalised_odds_difference

    assert odds.value == pytest.approx(0.3)
    assert (odds.least, odds.greatest) == ("b", "a")
    assert odds.lo < 0.3 < odds.hi


def test_small_groups_are_named_and_never_compared() -> None:
    report = compare_groups(GROUPS)

    assert report.too_small == ("tiny",)
    assert all(figure.value is None and figure.reason for figure in report.groups["tiny"].values())
    alone = compare_groups({"a": GROUPS["a"], "tiny": GROUPS["tiny"]})
    assert alone.selection_rate_ratio.value is None
    assert "two are needed" in alone.selection_rate_ratio.reason
    assert alone.equalised_odds_difference.value is None
    assert alone.is_below_four_fifths is None


def test_counts_of_parts_add_up_to_the_counts_of_the_whole() -> None:
    random = np.random.default_rng(0)
    groups, said, y = random.choice(["a", "b"], 500), random.random(500) < 0.4, random.random(500) < 0.5

    whole = count_groups(groups, said, y)
    first, second = (count_groups(groups[s], said[s], y[s]) for s in (slice(0, 200), slice(200, 500)))

    assert {name: first[name] + second[name] for name in whole} == whole
    assert sum(group.n for group in whole.values()) == 500
    a = groups == "a"
    tn, fp, fn, tp = metrics.confusion_matrix(y[a], said[a]).ravel().tolist()
    assert whole["a"].known == Confusion(tp=tp, fp=fp, fn=fn, tn=tn)


def test_an_audit_of_rows_ranks_each_group_and_needs_no_labels() -> None:
    random = np.random.default_rng(1)
    groups = np.array(["a", "b", None], dtype=object)[random.choice(3, 1200, p=[0.5, 0.48, 0.02])]
    y = random.random(1200) < 0.4
    scores = 1 / (1 + np.exp(-(random.standard_normal(1200) + y * np.where(groups == "a", 2.0, 0.2))))

    report = audit(groups, scores, y)

    for name in ("a", "b"):
        rows = groups == name
        assert report.groups[name]["auc"].value == pytest.approx(metrics.roc_auc_score(y[rows], scores[rows]))
        assert report.groups[name]["selection_rate"].value == pytest.approx((scores[rows] >= 0.5).mean())
    assert report.groups["a"]["auc"].lo > report.groups["b"]["auc"].hi
    assert report.too_small == ("null",)
    assert report.groups["null"]["auc"].value is None
    json.dumps(report.to_json(), allow_nan=False)
    unlabelled = audit(groups, scores)
    assert unlabelled.equalised_odds_difference.value is None
    assert unlabelled.selection_rate_ratio == report.selection_rate_ratio


def test_nobody_selected_or_one_group_never_selected_is_still_answered() -> None:
    none = {name: GroupCounts(n=100, selected=0) for name in "ab"}
    some = {"a": GroupCounts(n=100, selected=0), "b": GroupCounts(n=100, selected=40)}

    assert compare_groups(none).selection_rate_ratio.value is None
    ratio = compare_groups(some).selection_rate_ratio
    assert ratio.value == 0.0
    assert ratio.lo == 0.0
    assert 0 < ratio.hi < 0.5


def test_rows_without_a_group_for_each_are_refused() -> None:
    with pytest.raises(Invalid, match="groups have 1 rows"):
        count_groups(["a"], [0, 1])
