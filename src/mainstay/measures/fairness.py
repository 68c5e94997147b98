# SPDX-License-Identifier: Apache-2.0
"""Fairness between groups of people: who is selected, who is wronged, who is ranked well.

In: the group, the decision and, where known, the label and the score of each row. Out: a table of counts that adds up,
and from it the selection rate ratio, the equalised odds difference, and each group's AUC, all with 95 % intervals.
Groups too small to say anything are named, never dropped in silence and never compared.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mainstay.measures.distances import share_difference
from mainstay.measures.distributions import normal_quantile
from mainstay.measures.performance import (
    LEAST_OF_SLICE,
    Confusion,
    Figure,
    auc,
    decide_figures,
    group_rows,
    read_labels,
    read_scores,
    share_figure,
)

#: The four-fifths rule of US selection guidelines (29 CFR 1607.4 D): a ratio below this calls for an explanation.
FOUR_FIFTHS = 0.8
_Z95 = normal_quantile(0.975)


@dataclass(frozen=True, kw_only=True)
class GroupCounts:
    """One group: ``n`` rows, ``selected`` of them; and the confusion of those whose label is known."""

    n: int
    selected: int
    known: Confusion = field(default_factory=lambda: Confusion(tp=0, fp=0, fn=0, tn=0))

    def __add__(self, other: GroupCounts) -> GroupCounts:
        return GroupCounts(n=self.n + other.n, selected=self.selected + other.selected, known=self.known + other.known)


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """Two groups compared on one quantity: the one with the least and the one with the greatest.

    ``value`` within ``lo``..``hi`` (95 %, for this pair, not corrected for having picked the extremes). None, with the
    reason, if fewer than two groups are large enough.
    """

    name: str
    value: float | None
    lo: float | None = None
    hi: float | None = None
    least: str | None = None
    greatest: str | None = None
    n: int
    reason: str | None = None


@dataclass(frozen=True, kw_only=True)
class FairnessReport:
    """All comparisons, each group's own figures by name, and the groups left out for being small."""

    selection_rate_ratio: Comparison
    equalised_odds_difference: Comparison
    groups: Mapping[str, Mapping[str, Figure]]
    too_small: tuple[str, ...]

    @property
    def is_below_four_fifths(self) -> bool | None:
        """Is the selection rate ratio below 0.8? None where it is unknown."""
        ratio = self.selection_rate_ratio.value
        return None if ratio is None else ratio < FOUR_FIFTHS

    def to_json(self) -> dict[str, Any]:
        return asdict(self) | {"is_below_four_fifths": self.is_below_four_fifths}


def count_groups(
    groups: Sequence[Any] | NDArray[Any], decisions: ArrayLike, labels: ArrayLike | None = None
) -> dict[str, GroupCounts]:
    """Count selections, and confusions where labels are given, per group; a missing group is the group ``null``."""
    said = read_labels(decisions)
    truth = None if labels is None else read_labels(labels)
    if truth is not None:
        read_scores(truth, len(said), what="labels")
    found = {}
    for name, rows in group_rows(groups, len(said)).items():
        picked = said[rows]
        known = Confusion(tp=0, fp=0, fn=0, tn=0)
        if truth is not None:
            tp, positives = int((picked & truth[rows]).sum()), int(truth[rows].sum())
            fp = int(picked.sum()) - tp
            known = Confusion(tp=tp, fp=fp, fn=positives - tp, tn=len(rows) - positives - fp)
        found[name] = GroupCounts(n=len(rows), selected=int(picked.sum()), known=known)
    return found


def compare_groups(counts: Mapping[str, GroupCounts], *, least: int = LEAST_OF_SLICE) -> FairnessReport:
    """Compare all groups of at least ``least`` rows (and, for odds, at least ``least`` rows of either true class)."""
    large = {name: group for name, group in counts.items() if group.n >= least}
    figures = {name: _figures(group, least) for name, group in sorted(counts.items())}
    return FairnessReport(
        selection_rate_ratio=_compare_selection(large),
        equalised_odds_difference=_compare_odds(large, least),
        groups=figures,
        too_small=tuple(sorted(set(counts) - set(large))),
    )


def audit(
    groups: Sequence[Any] | NDArray[Any],
    scores: ArrayLike,
    labels: ArrayLike | None = None,
    *,
    threshold: float = 0.5,
    least: int = LEAST_OF_SLICE,
) -> FairnessReport:
    """The whole report from rows: positive where the score is at least ``threshold``; with AUC per group."""
    values = read_scores(scores, len(groups))
    counts = count_groups(groups, values >= threshold, labels)
    report = compare_groups(counts, least=least)
    if labels is None:
        return report
    truth = read_labels(labels)
    ranked = {
        name: {**report.groups[name], "auc": _withhold_small(auc(truth[rows], values[rows]), least)}
        for name, rows in group_rows(groups, len(values)).items()
    }
    return FairnessReport(
        selection_rate_ratio=report.selection_rate_ratio,
        equalised_odds_difference=report.equalised_odds_difference,
        groups=ranked,
        too_small=report.too_small,
    )


def _withhold_small(figure: Figure, least: int) -> Figure:
    if figure.n >= least:
        return figure
    reason = f"{figure.n} rows; at least {least} are needed"
    return Figure(name=figure.name, value=None, n=figure.n, n_pos=figure.n_pos, reason=reason)


def _figures(group: GroupCounts, least: int) -> dict[str, Figure]:
    found = {"selection_rate": share_figure("selection_rate", group.selected, group.n)}
    if group.known.n:
        decided = decide_figures(group.known)
        found |= {name: decided[name] for name in ("recall", "false_positive_rate", "precision", "accuracy")}
    return {name: _withhold_small(figure, least) if group.n < least else figure for name, figure in found.items()}


def _compare_selection(groups: Mapping[str, GroupCounts]) -> Comparison:
    """Least selection rate over greatest: 1 is equal.

    Interval on the log scale (Katz et al., Biometrics 34(3), 1978).
    """
    n = sum(group.n for group in groups.values())
    name = "selection_rate_ratio"
    if len(groups) < 2:
        return Comparison(name=name, value=None, n=n, reason=f"{len(groups)} groups are large enough; two are needed")
    rates = {group: counts.selected / counts.n for group, counts in groups.items()}
    low, high = min(rates, key=lambda g: rates[g]), max(rates, key=lambda g: rates[g])
    if rates[high] == 0.0:
        return Comparison(name=name, value=None, n=n, reason="nobody is selected in any group")
    a, b = groups[low], groups[high]
    value = rates[low] / rates[high]
    # Half a selection more in each group, or a group of which nobody is selected would have no interval.
    middle = math.log(((a.selected + 0.5) / (a.n + 0.5)) / ((b.selected + 0.5) / (b.n + 0.5)))
    spread = 1 / (a.selected + 0.5) - 1 / (a.n + 0.5) + 1 / (b.selected + 0.5) - 1 / (b.n + 0.5)
    half = _Z95 * math.sqrt(max(0.0, spread))
    lo, hi = min(value, math.exp(middle - half)), max(value, math.exp(middle + half))
    return Comparison(name=name, value=value, lo=lo, hi=hi, least=low, greatest=high, n=n)


def _compare_odds(groups: Mapping[str, GroupCounts], least: int) -> Comparison:
    """The greater of the gaps in true and false positive rate between any two groups: 0 is equal."""
    name = "equalised_odds_difference"
    fit = {
        group: counts.known
        for group, counts in groups.items()
        if min(counts.known.tp + counts.known.fn, counts.known.fp + counts.known.tn) >= least
    }
    n = sum(known.n for known in fit.values())
    if len(fit) < 2:
        reason = f"{len(fit)} groups have {least} labelled rows of either class; two are needed"
        return Comparison(name=name, value=None, n=n, reason=reason)
    hits = {group: (known.tp, known.tp + known.fn) for group, known in fit.items()}
    alarms = {group: (known.fp, known.fp + known.tn) for group, known in fit.items()}
    return max((_gap(name, rates, n) for rates in (hits, alarms)), key=lambda gap: gap.value or 0.0)


def _gap(name: str, rates: Mapping[str, tuple[int, int]], n: int) -> Comparison:
    share = {group: k / rows for group, (k, rows) in rates.items()}
    low, high = min(share, key=lambda g: share[g]), max(share, key=lambda g: share[g])
    value, lo, hi = share_difference(*rates[low], *rates[high])
    return Comparison(name=name, value=float(np.abs(value)), lo=lo, hi=hi, least=low, greatest=high, n=n)
