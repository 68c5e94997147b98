# SPDX-License-Identifier: Apache-2.0
"""Estimates: how well the model probably does, before the labels have come.

In: scores of a window without labels, and a calibration learnt on labelled rows that are later than the training data.
Out: expected AUC, accuracy, precision, recall, F1 with a band of three standard errors. CBPE, confidence-based
performance estimation (Białek et al., arXiv 2401.08348, 2024): if c(s) = P(y = 1 | score s), the expected confusion
matrix is a sum of c and 1 - c.

It supposes that c still holds. When the *concept* drifts it does not, and the estimate stays calm while the truth
falls: an estimate may open a warning, it must never close an alarm nor carry a promotion.

Two forms: exact, from rows; and mergeable, from counts in 1024 equal score cells, which a ``Profile`` already holds.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mainstay.domain.errors import Invalid
from mainstay.measures import performance
from mainstay.measures.profiles import Profile, score_cells
from mainstay.measures.specs import FIRST, SCORE_CELLS, ReferenceSpec

Floats = NDArray[np.float64]
Counts = NDArray[np.int64]
BAND = 3.0
LEAST_ROWS = 100


@dataclass(frozen=True, kw_only=True)
class Estimate:
    """An expected quantity over ``n`` unlabelled rows, within ``lo``..``hi`` (three standard errors).

    The band is what the realised figure may differ by when the calibration still holds: chance in the window's own
    labels and in the reference's. It does not cover concept drift, which nothing without labels can.
    """

    name: str
    value: float | None
    lo: float | None = None
    hi: float | None = None
    n: int
    reason: str | None = None

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


# ---------------------------------------------------------------- isotonic regression


@dataclass(frozen=True, kw_only=True, eq=False)
class Isotonic:
    """A non-decreasing curve through (``x``, ``y``), straight between the points and level outside; from ``n`` rows."""

    x: Floats
    y: Floats
    n: int

    def predict(self, scores: ArrayLike) -> Floats:
        """The curve at ``scores``."""
        found: Floats = np.interp(np.asarray(scores, dtype=np.float64), self.x, self.y)
        return found

    def to_json(self) -> dict[str, Any]:
        """The curve without the points that lie on a level stretch, which do not change it."""
        kept = np.ones(len(self.y), dtype=bool)
        kept[1:-1] = (self.y[1:-1] != self.y[:-2]) | (self.y[1:-1] != self.y[2:])
        return {"x": self.x[kept].tolist(), "y": self.y[kept].tolist(), "n": self.n}

    @staticmethod
    def from_json(data: Mapping[str, Any]) -> Isotonic:
        return Isotonic(x=np.asarray(data["x"], float), y=np.asarray(data["y"], float), n=data["n"])


def pool_adjacent_violators(values: ArrayLike, weights: ArrayLike) -> Floats:
    """The non-decreasing sequence closest to ``values`` in weighted least squares; linear time.

    Source: Ayer et al., Ann. Math. Statist. 26(4), 1955.

    >>> pool_adjacent_violators([1, 3, 2, 4], [1, 1, 1, 1]).tolist()
    [1.0, 2.5, 2.5, 4.0]
    """
    means: list[float] = []
    masses: list[float] = []
    lengths: list[int] = []
    for value, weight in zip(np.asarray(values, float).tolist(), np.asarray(weights, float).tolist(), strict=True):
        length = 1
        while means and means[-1] >= value:
            mass = masses.pop()
            value = (means.pop() * mass + value * weight) / (mass + weight)
            weight += mass
            length += lengths.pop()
        means.append(value)
        masses.append(weight)
        lengths.append(length)
    return np.repeat(np.asarray(means), lengths)


def fit_isotonic(labels: ArrayLike, scores: ArrayLike) -> Isotonic:
    """Learn P(y = 1 | score) from labelled reference rows, which must not be training rows.

    Raises:
        Invalid: fewer than 100 rows, or only one class: nothing to calibrate.
    """
    truth = performance.read_labels(labels)
    values = performance.read_scores(scores, len(truth))
    _refuse_few(len(truth), int(truth.sum()))
    x, at, weights = np.unique(values, return_inverse=True, return_counts=True)
    means = np.bincount(at, weights=truth) / weights
    return Isotonic(x=x, y=pool_adjacent_violators(means, weights), n=len(truth))


def _refuse_few(n: int, n_pos: int) -> None:
    if n < LEAST_ROWS or n_pos in (0, n):
        raise Invalid(
            f"cannot calibrate on {n} labelled rows with {n_pos} positives; at least {LEAST_ROWS} rows of both classes "
            "are needed.",
            n=n,
            n_pos=n_pos,
        )


def estimate(scores: ArrayLike, calibration: Isotonic, *, threshold: float = 0.5) -> dict[str, Estimate]:
    """Exact CBPE of the unlabelled ``scores``; decisions are positive where the score is at least ``threshold``."""
    values = performance.read_scores(scores, np.asarray(scores).shape[0])
    x, counts = np.unique(values, return_counts=True)
    return _estimate(counts.astype(np.float64), calibration.predict(x), x >= threshold, calibration.n)


# ---------------------------------------------------------------- mergeable form


@dataclass(frozen=True, kw_only=True, eq=False)
class ScoreCells:
    """Labelled rows counted in 1024 equal cells of the score: ``n`` rows and ``n_pos`` positives each.

    Adds up exactly.
    """

    n: Counts
    n_pos: Counts

    @staticmethod
    def empty() -> ScoreCells:
        return ScoreCells(n=np.zeros(SCORE_CELLS, np.int64), n_pos=np.zeros(SCORE_CELLS, np.int64))

    @staticmethod
    def of(labels: ArrayLike, scores: ArrayLike) -> ScoreCells:
        """Count rows. Raises Invalid for scores outside 0..1."""
        truth = performance.read_labels(labels)
        values = performance.read_scores(scores, len(truth))
        if len(values) and (values.min() < 0 or values.max() > 1):
            raise Invalid(
                f"scores range from {values.min():g} to {values.max():g}; probabilities in 0..1 are expected."
            )
        at = score_cells(values)
        n = np.bincount(at, minlength=SCORE_CELLS).astype(np.int64)
        return ScoreCells(n=n, n_pos=np.bincount(at[truth], minlength=SCORE_CELLS).astype(np.int64))

    def __add__(self, other: ScoreCells) -> ScoreCells:
        return ScoreCells(n=self.n + other.n, n_pos=self.n_pos + other.n_pos)

    def __sub__(self, other: ScoreCells) -> ScoreCells:
        """Take rows back, as when a label is revised."""
        return ScoreCells(n=self.n - other.n, n_pos=self.n_pos - other.n_pos)

    def auc(self) -> performance.Figure:
        """AUC of the labelled rows, rows of one cell as ties."""
        return performance.auc_of_counts(self.n_pos, self.n - self.n_pos)

    def to_json(self) -> dict[str, Any]:
        at = np.flatnonzero(self.n)
        return {"at": at.tolist(), "n": self.n[at].tolist(), "n_pos": self.n_pos[at].tolist()}

    @staticmethod
    def from_json(data: Mapping[str, Any]) -> ScoreCells:
        cells = ScoreCells.empty()
        cells.n[data["at"]] = data["n"]
        cells.n_pos[data["at"]] = data["n_pos"]
        return cells


@dataclass(frozen=True, kw_only=True, eq=False)
class CellCalibration:
    """P(y = 1 | score cell), non-decreasing, shape (1024,); from ``n`` labelled rows."""

    chance: Floats
    n: int


def calibrate_cells(cells: ScoreCells) -> CellCalibration:
    """Isotonic calibration from counts; cells that no row fell in lie straight between their neighbours.

    Raises:
        Invalid: fewer than 100 rows, or only one class.
    """
    total = int(cells.n.sum())
    _refuse_few(total, int(cells.n_pos.sum()))
    used = np.flatnonzero(cells.n)
    smooth = pool_adjacent_violators(cells.n_pos[used] / cells.n[used], cells.n[used])
    return CellCalibration(chance=np.interp(np.arange(SCORE_CELLS), used, smooth), n=total)


def count_scores(profile: Profile, spec: ReferenceSpec) -> Counts:
    """The 1024 score cells of a profile. Raises Invalid if its spec has no score column of probabilities."""
    if spec.score is None or spec.column(spec.score).kind != "score":
        raise Invalid("the reference spec has no score column of probabilities; infer it with score=….")
    return profile.columns[spec.score].counts[FIRST + 1 : -1]


def estimate_cells(counts: ArrayLike, calibration: CellCalibration, *, threshold: float = 0.5) -> dict[str, Estimate]:
    """Mergeable CBPE from the 1024 score counts of a window: within 1e-4 of the exact form on large windows.

    ``threshold`` is taken to the nearest cell bound, a multiple of 1/1024.
    """
    n = np.asarray(counts, dtype=np.float64)
    return _estimate(n, calibration.chance, np.arange(SCORE_CELLS) >= round(threshold * SCORE_CELLS), calibration.n)


# ---------------------------------------------------------------- the expectation


def _estimate(weights: Floats, chance: Floats, is_said: NDArray[np.bool_], n_reference: int) -> dict[str, Estimate]:
    """Expected figures from score groups in ascending order: rows, chance of a positive, and the decision of each."""
    n = round(float(weights.sum()))
    pos, neg = weights * chance, weights * (1 - chance)
    noise = weights * chance * (1 - chance)
    # Chance in the window's labels, and as much per row again in the reference that taught the calibration.
    widening = 1 + n / n_reference
    tp, fn = float(pos[is_said].sum()), float(pos[~is_said].sum())
    said = float(weights[is_said].sum())
    noise_said, noise_rest = float(noise[is_said].sum()) * widening, float(noise[~is_said].sum()) * widening
    found: dict[str, tuple[float, float] | None] = {
        "auc": None,
        "accuracy": ((tp + float(neg[~is_said].sum())) / n, (noise_said + noise_rest) / n**2) if n else None,
        "precision": (tp / said, noise_said / said**2) if said else None,
        "recall": None,
        "f1": None,
    }
    if n and float(pos.sum()) > 1 and float(neg.sum()) > 1:
        value, variance = performance.delong(pos, neg)
        found["auc"] = value, variance * widening
        found["recall"] = tp / (tp + fn), (fn**2 * noise_said + tp**2 * noise_rest) / (tp + fn) ** 4
        whole = said + tp + fn
        f1_variance = (4 * (said + fn) ** 2 * noise_said + 4 * tp**2 * noise_rest) / whole**4
        found["f1"] = 2 * tp / whole, f1_variance
    return {name: _with_band(name, pair, n) for name, pair in found.items()}


def _with_band(name: str, pair: tuple[float, float] | None, n: int) -> Estimate:
    if pair is None:
        return Estimate(name=name, value=None, n=n, reason="not defined: no rows of one class are expected or decided")
    value, half = pair[0], BAND * math.sqrt(pair[1])
    return Estimate(name=name, value=value, lo=max(0.0, value - half), hi=min(1.0, value + half), n=n)
