# SPDX-License-Identifier: Apache-2.0
"""Performance against known truth: how good were these predictions, and how sure may we be?

In: labels (0/1 or numbers) and predictions, one per row, as arrays. Out: ``Figure``s: a value, a 95 % interval, and the
rows it rests on. Where there are too few rows the value is None and ``reason`` says so; a figure never guesses.
Intervals are closed formulas, no bootstrap, so the same rows always give the same interval.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mainstay.domain.errors import Invalid
from mainstay.measures.distances import wilson
from mainstay.measures.distributions import normal_quantile

Floats = NDArray[np.float64]
#: Fewer rows of either class than this say nothing about ranking.
LEAST_OF_CLASS = 10
LEAST_ROWS = 20
LEAST_OF_SLICE = 50
_Z95 = normal_quantile(0.975)


@dataclass(frozen=True, kw_only=True)
class Figure:
    """One measured quantity: ``value`` within ``lo``..``hi`` (95 %), from ``n`` rows, ``n_pos`` of them positive.

    ``value`` is None when the rows are too few; ``reason`` then says what is lacking. ``lo`` and ``hi`` are None too
    where the quantity has no honest closed interval (calibration error).
    """

    name: str
    value: float | None
    lo: float | None = None
    hi: float | None = None
    n: int
    n_pos: int | None = None
    reason: str | None = None

    @property
    def is_insufficient(self) -> bool:
        """Were there too few rows to say anything?"""
        return self.value is None

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


# ---------------------------------------------------------------- reading the arrays


def read_labels(labels: ArrayLike) -> NDArray[np.bool_]:
    """Labels as booleans, shape (n,). Raises Invalid unless each is 0, 1, False or True."""
    given = np.asarray(labels)
    if given.dtype == np.bool_ and given.ndim == 1:
        return given
    found = read_numbers(given, "labels")
    strange = (found != 0.0) & (found != 1.0)
    if strange.any():
        raise Invalid(
            f"labels hold {found[strange][0]:g} and {int(strange.sum())} such values in all; 0 or 1 is expected."
        )
    return found == 1.0


def read_scores(scores: ArrayLike, n: int, *, what: str = "scores") -> Floats:
    """Scores as float64, shape (n,). Raises Invalid for another length, or for values that are not finite numbers."""
    found = read_numbers(scores, what)
    if len(found) != n:
        raise Invalid(f"{what} have {len(found)} rows and labels {n}; give one of each for every row.")
    return found


def read_numbers(values: ArrayLike, what: str) -> Floats:
    try:
        found = np.asarray(values, dtype=np.float64)
    except (TypeError, ValueError):
        raise Invalid(f"{what} hold values that are not numbers; leave out rows without a value.") from None
    if found.ndim != 1:
        raise Invalid(f"{what} have shape {found.shape}; one number a row is expected.")
    bad = int((~np.isfinite(found)).sum())
    if bad:
        raise Invalid(f"{what} hold {bad} values that are not finite among {len(found)}; leave those rows out.")
    return found


def _refuse_probabilities(scores: Floats, what: str = "scores") -> None:
    if len(scores) and (scores.min() < 0.0 or scores.max() > 1.0):
        raise Invalid(f"{what} range from {scores.min():g} to {scores.max():g}; probabilities in 0..1 are expected.")


def lack_of_class(positive: int, negative: int, least: int = LEAST_OF_CLASS) -> str | None:
    if min(positive, negative) >= least:
        return None
    return f"{positive} positives and {negative} negatives; at least {least} of each are needed"


def lack_of_rows(n: int, least: int = LEAST_ROWS) -> str | None:
    return None if n >= least else f"{n} rows; at least {least} are needed"


# ---------------------------------------------------------------- ranking


def auc(labels: ArrayLike, scores: ArrayLike) -> Figure:
    """Area under the ROC curve, with DeLong's interval on the logit scale (so it stays inside 0..1).

    A perfect ranking has no DeLong variance; its interval is then 0.025**(1/k) for the smaller class of k rows.

    Cost: one sort. Source: DeLong et al., Biometrics 44(3), 1988; Sun and Xu, IEEE SPL 21(11), 2014 (midranks).
    """
    truth = read_labels(labels)
    values = read_scores(scores, len(truth))
    distinct, at = np.unique(values, return_inverse=True)
    positives = np.bincount(at[truth], minlength=len(distinct))
    negatives = np.bincount(at[~truth], minlength=len(distinct))
    return auc_of_counts(positives, negatives)


def auc_of_counts(positives: ArrayLike, negatives: ArrayLike) -> Figure:
    """``auc`` from counts per score, ascending; rows in one cell count as ties, so coarse cells pull it towards 1/2."""
    pos, neg = np.asarray(positives, dtype=np.float64), np.asarray(negatives, dtype=np.float64)
    n_pos, n_neg = round(float(pos.sum())), round(float(neg.sum()))
    n, lack = n_pos + n_neg, lack_of_class(n_pos, n_neg)
    if lack:
        return Figure(name="auc", value=None, n=n, n_pos=n_pos, reason=lack)
    value, variance = delong(pos, neg)
    lo, hi = _logit_interval(value, variance, min(n_pos, n_neg))
    return Figure(name="auc", value=value, lo=lo, hi=hi, n=n, n_pos=n_pos)


def delong(positives: Floats, negatives: Floats) -> tuple[float, float]:
    """AUC and its DeLong variance from (possibly fractional) weights of each class per score, ascending."""
    n_pos, n_neg = float(positives.sum()), float(negatives.sum())
    beaten = (np.cumsum(negatives) - negatives / 2) / n_neg
    beating = 1.0 - (np.cumsum(positives) - positives / 2) / n_pos
    value = float(np.dot(positives, beaten)) / n_pos
    of_pos = float(np.dot(positives, (beaten - value) ** 2)) / max(n_pos - 1, 1e-9)
    of_neg = float(np.dot(negatives, (beating - value) ** 2)) / max(n_neg - 1, 1e-9)
    return min(1.0, max(0.0, value)), of_pos / n_pos + of_neg / n_neg


def _logit_interval(value: float, variance: float, smaller_class: int) -> tuple[float, float]:
    if variance <= 1e-18 or not 0.0 < value < 1.0:
        bound: float = 0.025 ** (1 / smaller_class)
        return (bound, 1.0) if value >= 0.5 else (0.0, 1.0 - bound)
    centre = math.log(value / (1 - value))
    half = _Z95 * math.sqrt(variance) / (value * (1 - value))
    return 1 / (1 + math.exp(min(700.0, half - centre))), 1 / (1 + math.exp(max(-700.0, -half - centre)))


# ---------------------------------------------------------------- probabilities


def brier(labels: ArrayLike, scores: ArrayLike) -> Figure:
    """Mean squared error of the probabilities, 0 best; normal interval.

    Source: Brier, Mon. Weather Rev. 78(1), 1950.
    """
    truth, values = read_probabilities(labels, scores)
    return mean_figure("brier", (values - truth) ** 2, n_pos=int(truth.sum()), most=1.0)


def log_loss(labels: ArrayLike, scores: ArrayLike) -> Figure:
    """Mean negative log-likelihood in nats, 0 best; probabilities count as at least 2.2e-16 away from 0 and 1."""
    truth, values = read_probabilities(labels, scores)
    eps = float(np.finfo(np.float64).eps)
    values = np.clip(values, eps, 1 - eps)
    return mean_figure("log_loss", -np.log(np.where(truth, values, 1 - values)), n_pos=int(truth.sum()))


def read_probabilities(labels: ArrayLike, scores: ArrayLike, what: str = "scores") -> tuple[NDArray[np.bool_], Floats]:
    truth = read_labels(labels)
    values = read_scores(scores, len(truth), what=what)
    _refuse_probabilities(values, what)
    return truth, values


def mean_figure(name: str, losses: Floats, *, n_pos: int | None = None, most: float = math.inf) -> Figure:
    n, lack = len(losses), lack_of_rows(len(losses))
    if lack:
        return Figure(name=name, value=None, n=n, n_pos=n_pos, reason=lack)
    value = float(losses.mean())
    half = _Z95 * math.sqrt(float(losses.var(ddof=1)) / n)
    return Figure(name=name, value=value, lo=max(0.0, value - half), hi=min(most, value + half), n=n, n_pos=n_pos)


@dataclass(frozen=True, kw_only=True)
class CalibrationBin:
    """Rows whose probability lies in one band: what was promised (mean score) and what came (share of positives)."""

    lo_score: float
    hi_score: float
    n: int
    promised: float
    observed: float
    lo: float
    hi: float


def calibration_curve(labels: ArrayLike, scores: ArrayLike, *, bins: int = 10) -> tuple[CalibrationBin, ...]:
    """Promised against observed in ``bins`` equal bands of [0, 1], with Wilson's interval; empty bands left out."""
    truth, values = read_probabilities(labels, scores)
    at = np.minimum((values * bins).astype(np.intp), bins - 1)
    counts = np.bincount(at, minlength=bins)
    hits = np.bincount(at, weights=truth, minlength=bins)
    sums = np.bincount(at, weights=values, minlength=bins)
    found = []
    for i in np.flatnonzero(counts).tolist():
        n, k = int(counts[i]), int(hits[i])
        lo, hi = wilson(k, n)
        band = {"lo_score": i / bins, "hi_score": (i + 1) / bins, "promised": float(sums[i]) / n}
        found.append(CalibrationBin(n=n, observed=k / n, lo=lo, hi=hi, **band))
    return tuple(found)


def calibration_error(labels: ArrayLike, scores: ArrayLike, *, bins: int = 10) -> Figure:
    """Expected calibration error: mean of |promised - observed| over the rows' bands. High-biased for few rows."""
    truth = read_labels(labels)
    curve = calibration_curve(truth, scores, bins=bins)
    n, lack = len(truth), lack_of_rows(len(truth))
    if lack:
        return Figure(name="calibration_error", value=None, n=n, n_pos=int(truth.sum()), reason=lack)
    value = sum(band.n * abs(band.promised - band.observed) for band in curve) / n
    return Figure(name="calibration_error", value=value, n=n, n_pos=int(truth.sum()))


# ---------------------------------------------------------------- decisions


@dataclass(frozen=True, kw_only=True)
class Confusion:
    """Decisions against truth: ``tp`` true positives, ``fp`` false positives, ``fn``, ``tn``. Adds up over parts."""

    tp: int
    fp: int
    fn: int
    tn: int

    @property
    def n(self) -> int:
        return self.tp + self.fp + self.fn + self.tn

    def __add__(self, other: Confusion) -> Confusion:
        return Confusion(tp=self.tp + other.tp, fp=self.fp + other.fp, fn=self.fn + other.fn, tn=self.tn + other.tn)


def confusion(labels: ArrayLike, scores: ArrayLike, *, threshold: float = 0.5) -> Confusion:
    """Counts of decisions, positive where the score is at least ``threshold``."""
    truth = read_labels(labels)
    said = read_scores(scores, len(truth)) >= threshold
    tp, fp, fn = int((said & truth).sum()), int((said & ~truth).sum()), int((~said & truth).sum())
    return Confusion(tp=tp, fp=fp, fn=fn, tn=len(truth) - tp - fp - fn)


def decide_figures(counts: Confusion) -> dict[str, Figure]:
    """Accuracy, precision, recall, F1 and the false positive rate, with Wilson's intervals.

    F1 = 2J/(1+J) of J = tp/(tp+fp+fn), so its interval is that of the share J, carried through.
    """
    c = counts
    shares = {
        "accuracy": (c.tp + c.tn, c.n),
        "precision": (c.tp, c.tp + c.fp),
        "recall": (c.tp, c.tp + c.fn),
        "false_positive_rate": (c.fp, c.fp + c.tn),
    }
    found = {name: share_figure(name, k, n, c.tp + c.fn) for name, (k, n) in shares.items()}
    j = share_figure("f1", c.tp, c.tp + c.fp + c.fn, c.tp + c.fn)
    found["f1"] = Figure(
        name="f1", value=_double(j.value), lo=_double(j.lo), hi=_double(j.hi), n=j.n, n_pos=j.n_pos, reason=j.reason
    )
    return found


def _double(j: float | None) -> float | None:
    return None if j is None else 2 * j / (1 + j)


def share_figure(name: str, k: int, n: int, n_pos: int | None = None) -> Figure:
    """A share k of n with Wilson's interval; insufficient below 10 rows."""
    lack = lack_of_rows(n, LEAST_OF_CLASS)
    if lack:
        return Figure(name=name, value=None, n=n, n_pos=n_pos, reason=lack)
    lo, hi = wilson(k, n)
    return Figure(name=name, value=k / n, lo=lo, hi=hi, n=n, n_pos=n_pos)


def accuracy(labels: ArrayLike, scores: ArrayLike, *, threshold: float = 0.5) -> Figure:
    """Share of right decisions, with Wilson's interval."""
    return decide_figures(confusion(labels, scores, threshold=threshold))["accuracy"]


def evaluate_binary(labels: ArrayLike, scores: ArrayLike, *, threshold: float = 0.5) -> dict[str, Figure]:
    """All figures of a probability model: ranking, probabilities, decisions at ``threshold``."""
    truth, values = read_probabilities(labels, scores)
    found = [auc(truth, values), brier(truth, values), log_loss(truth, values), calibration_error(truth, values)]
    decided = decide_figures(confusion(truth, values, threshold=threshold))
    base = share_figure("base_rate", int(truth.sum()), len(truth), int(truth.sum()))
    return {figure.name: figure for figure in [*found, *decided.values(), base]}


# ---------------------------------------------------------------- slices


def evaluate_slices(
    labels: ArrayLike,
    scores: ArrayLike,
    slices: Sequence[Any] | NDArray[Any],
    *,
    threshold: float = 0.5,
    least: int = LEAST_OF_SLICE,
) -> Mapping[str, dict[str, Figure]]:
    """``evaluate_binary`` for each value of ``slices`` (one a row), by name; a missing value is slice ``null``.

    Slices of fewer than ``least`` rows are listed with every value None, never dropped: who is left out must be seen.
    """
    truth, values = read_probabilities(labels, scores)
    at = group_rows(slices, len(truth))
    found: dict[str, dict[str, Figure]] = {}
    for name, rows in at.items():
        figures = evaluate_binary(truth[rows], values[rows], threshold=threshold)
        lack = lack_of_rows(len(rows), least)
        found[name] = {key: _withhold(figure, lack) for key, figure in figures.items()} if lack else figures
    return found


def _withhold(figure: Figure, reason: str) -> Figure:
    return Figure(name=figure.name, value=None, n=figure.n, n_pos=figure.n_pos, reason=reason)


def group_rows(groups: Sequence[Any] | NDArray[Any], n: int) -> dict[str, NDArray[np.intp]]:
    """Row numbers by group, names in order; None and NaN are the group ``null``. Raises Invalid for another length."""
    if len(groups) != n:
        raise Invalid(f"groups have {len(groups)} rows and labels {n}; give one group for every row.")
    names = np.array(
        ["null" if g is None or g != g else str(g) for g in np.asarray(groups, dtype=object)], dtype=object
    )
    distinct, at = np.unique(names.astype(str), return_inverse=True)
    order = np.argsort(at, kind="stable")
    ends = np.cumsum(np.bincount(at, minlength=len(distinct)))
    return {str(name): rows for name, rows in zip(distinct, np.split(order, ends[:-1]), strict=True)} if n else {}
