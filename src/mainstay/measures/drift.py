# SPDX-License-Identifier: Apache-2.0
"""Drift verdicts: is this window of rows other than its reference, reliably and by enough to matter?

In: the profiles of a reference and a window, and a ``Calibration`` learnt from how much the reference's own windows
differ. Out: one ``ColumnDrift`` a column, with figures and a sentence. Three conditions hold the false alarms down:
*significant* (the p-value, deflated by the calibration, passes Benjamini-Hochberg over all columns), *material* (an
effect above a floor), and for an alert *persistent* (in 2 of 3 windows, which ``persist`` decides from history).
A p-value alone alarms every day at 100 000 rows; a distance alone alarms every day at 500.

Faults of the data's form (column gone, nulls, unseen categories, a prediction that no longer varies) alert at once:
they need no second look.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from mainstay.domain.errors import Invalid
from mainstay.measures import distances
from mainstay.measures.distances import Counts
from mainstay.measures.distributions import chi2_isf, chi2_sf, kolmogorov_sf
from mainstay.measures.profiles import ColumnProfile, Profile, merge_all, moments
from mainstay.measures.specs import FIRST, SPECIALS, ColumnSpec, ReferenceSpec

OK, WATCH, ALERT, UNKNOWN = "ok", "watch", "alert", "unknown"
#: Smallest rise of a share, absolute, that counts as a fault.
FAULT_FLOORS = {"absent": 0.005, "invalid": 0.005, "null": 0.01, "infinite": 0.005, "new_category": 0.005}
_FAULT_CELLS = {
    "absent": [SPECIALS.index("absent")],
    "invalid": [SPECIALS.index("invalid")],
    "null": [SPECIALS.index("null"), SPECIALS.index("nan")],
    "infinite": [SPECIALS.index("-inf"), SPECIALS.index("+inf")],
}
_FAULT_WORDS = {
    "absent": "the column is missing",
    "invalid": "values do not have the column's type",
    "null": "missing values",
    "infinite": "infinite values",
    "new_category": "values the reference never held",
    "constant": "the value no longer varies",
}
_WINDOWS_FOR_CALIBRATION = 3
_MEAN_SQUARE_KOLMOGOROV = math.pi**2 / 12
_IMPOSSIBLE = 1e-6


@dataclass(frozen=True, kw_only=True)
class ColumnCalibration:
    """How much a column's own reference windows differ, compared to independent rows; 1 means not more.

    ``phi`` divides G, ``s`` divides the Kolmogorov statistic, ``rates`` the score statistic of a fault's share.
    ``is_sometimes_constant``: some reference window held one value only, so a constant window is no fault.
    """

    phi: float = 1.0
    s: float = 1.0
    rates: Mapping[str, float] = field(default_factory=dict)
    is_sometimes_constant: bool = False


@dataclass(frozen=True, kw_only=True)
class Calibration:
    """What ``windows`` windows of the reference taught, by column; none means rows are taken as independent."""

    windows: int = 0
    columns: Mapping[str, ColumnCalibration] = field(default_factory=dict)

    @staticmethod
    def none() -> Calibration:
        """No windows were seen: every factor is 1."""
        return Calibration()

    @staticmethod
    def from_windows(spec: ReferenceSpec, windows: Iterable[Profile]) -> Calibration:
        """Learn from the profiles of the reference's windows, each against the rest (leave one out).

        A window must not be compared with a reference that contains it: the two would look too much alike, and
        columns of many categories would alarm for ever. At least 3 windows of enough rows are needed, 14 or more are
        good.
        """
        held = [window for window in windows if window.n]
        whole = merge_all(spec, held)
        learnt = {column.name: _calibrate(column, whole, held) for column in spec.columns}
        return Calibration(windows=len(held), columns=learnt)

    def of(self, column: str) -> ColumnCalibration:
        return self.columns.get(column, ColumnCalibration())

    def to_json(self) -> dict[str, Any]:
        return {"form": 1, "windows": self.windows, "columns": {name: asdict(c) for name, c in self.columns.items()}}

    @staticmethod
    def from_json(data: Mapping[str, Any]) -> Calibration:
        """The calibration that ``to_json`` wrote. Raises Invalid for a form this version does not know."""
        if data.get("form") != 1:
            raise Invalid(f"calibration has form {data.get('form')!r}; this version reads form 1.")
        columns = {name: ColumnCalibration(**column) for name, column in data["columns"].items()}
        return Calibration(windows=data["windows"], columns=columns)


def _calibrate(column: ColumnSpec, whole: Profile, windows: Sequence[Profile]) -> ColumnCalibration:
    total = whole.columns[column.name].counts
    parts = [window.columns[column.name] for window in windows]
    pairs = [(total - part.counts, part.counts) for part in parts]
    judged = [(rest, part) for rest, part in pairs if part.sum() >= distances.rows_needed(rest, column) and rest.any()]
    if len(judged) < _WINDOWS_FOR_CALIBRATION:
        return ColumnCalibration(is_sometimes_constant=any(_is_constant(part, column) for part in parts))
    return ColumnCalibration(
        phi=_dispersion(judged, column),
        s=_kolmogorov_scale(judged) if column.is_ordered else 1.0,
        rates={fault: _rate_scale(judged, cells) for fault, cells in _fault_cells(column).items()},
        is_sometimes_constant=any(_is_constant(part, column) for part in parts),
    )


def _dispersion(judged: Sequence[tuple[Counts, Counts]], column: ColumnSpec) -> float:
    """max(1, 0.9 quantile of G over chi-squared's own), after Rao and Scott, JASA 76(374), 1981."""
    ratios = []
    for rest, part in judged:
        a, b = distances.comparable(rest, part, column)
        if len(a) > 1:
            ratios.append(distances.g_statistic(a, b) / chi2_isf(0.1, len(a) - 1))
    if not ratios:
        return 1.0
    ratios.sort()
    place = 0.9 * (len(ratios) - 1)
    low = math.floor(place)
    high = min(low + 1, len(ratios) - 1)
    return max(1.0, ratios[low] + (place - low) * (ratios[high] - ratios[low]))


def _kolmogorov_scale(judged: Sequence[tuple[Counts, Counts]]) -> float:
    squares = [_kolmogorov(rest, part)[1] ** 2 for rest, part in judged]
    return max(1.0, math.sqrt(sum(squares) / len(squares) / _MEAN_SQUARE_KOLMOGOROV))


def _kolmogorov(a: Counts, b: Counts) -> tuple[float, float]:
    distance, m, n = distances.ks(a, b)
    return distance, distance * math.sqrt(m * n / (m + n)) if m and n else 0.0


def _rate_scale(judged: Sequence[tuple[Counts, Counts]], cells: Sequence[int]) -> float:
    z = [distances.score_z(int(a[cells].sum()), int(a.sum()), int(b[cells].sum()), int(b.sum())) for a, b in judged]
    return max(1.0, math.sqrt(sum(x * x for x in z) / len(z)))


def _fault_cells(column: ColumnSpec) -> dict[str, list[int]]:
    cells = dict(_FAULT_CELLS)
    if column.new_cell is not None and not column.is_open:
        cells["new_category"] = [column.new_cell]
    return cells


def _is_constant(found: ColumnProfile, column: ColumnSpec) -> bool:
    if column.is_ordered or column.kind == "datetime":
        return found.low is not None and found.low == found.high
    return int((found.counts[FIRST:] > 0).sum()) == 1


@dataclass(frozen=True, kw_only=True)
class Fault:
    """A share that jumped: from ``baseline`` to ``window`` (difference in ``lo``..``hi``, 95 %), p-value one-sided."""

    kind: str
    baseline: float
    window: float
    lo: float
    hi: float
    p: float


@dataclass(frozen=True, kw_only=True)
class ColumnDrift:
    """The verdict on one column of one window.

    ``status``: ok, watch (drifted in this window), alert (a fault, or drift that persisted), unknown (not enough data).
    ``ks`` and ``w1`` are None for columns without order; ``w1`` is in robust standard deviations, ``js_corrected`` a
    distance in 0..1 with the sample-size part removed, ``p`` calibrated but not yet corrected for many columns.
    """

    column: str
    kind: str
    status: str
    reason: str
    n: int
    p: float | None = None
    ks: float | None = None
    js_corrected: float | None = None
    w1: float | None = None
    psi: float | None = None
    is_drifted: bool = False
    faults: tuple[Fault, ...] = ()

    @property
    def effect(self) -> float:
        """The larger of the two effects that the floors are about; 0 where nothing was measured."""
        return max(self.ks or 0.0, self.js_corrected or 0.0)

    def to_json(self) -> dict[str, Any]:
        return asdict(self) | {"faults": [asdict(fault) for fault in self.faults]}


def judge_window(
    spec: ReferenceSpec,
    reference: Profile,
    window: Profile,
    calibration: Calibration | None = None,
    *,
    q: float = 0.01,
    floor_ks: float = 0.05,
    floor_js: float = 0.05,
) -> list[ColumnDrift]:
    """Judge every column of ``window`` against ``reference``, in the spec's order.

    Args:
        reference: must not contain the window's rows.
        q: false discovery rate over the window's columns. floor_ks, floor_js: effects below both are never drift.
    Raises:
        Invalid: a profile was not counted by ``spec``.
    """
    for role, given in (("reference", reference), ("window", window)):
        if given.spec != spec.digest():
            raise Invalid(f"{role} profile was counted by spec {given.spec[:12]}, not by {spec.digest()[:12]}.")
    known = calibration or Calibration.none()
    faults = _find_faults(spec, reference, window, known, q)
    drafts = [_compare(column, reference, window, known.of(column.name)) for column in spec.columns]
    is_significant = benjamini_hochberg([draft.p for draft in drafts], q)
    floors = (floor_ks, floor_js)
    return [
        _conclude(draft, significant, floors, faults[draft.column], q, len(drafts))
        for draft, significant in zip(drafts, is_significant, strict=True)
    ]


def benjamini_hochberg(p_values: Sequence[float | None], q: float) -> list[bool]:
    """Which p-values stand at false discovery rate ``q``; None never does and does not count (JRSS B 57(1), 1995).

    >>> benjamini_hochberg([0.001, None, 0.9, 0.011], 0.03)
    [True, False, False, True]
    """
    known = sorted(p for p in p_values if p is not None)
    cut = max((p for rank, p in enumerate(known, start=1) if p <= q * rank / len(known)), default=-1.0)
    return [p is not None and p <= cut for p in p_values]


def _compare(column: ColumnSpec, reference: Profile, window: Profile, factors: ColumnCalibration) -> ColumnDrift:
    """The figures of one column, and status ``unknown`` with the reason if there is too little to judge."""
    before, now = reference.columns[column.name], window.columns[column.name]
    a, b = before.counts, now.counts
    draft = ColumnDrift(column=column.name, kind=column.kind, status=OK, reason="", n=window.n)
    shortage = _find_shortage(a, column, reference.n, window.n)
    if shortage:
        return replace(draft, status=UNKNOWN, reason=shortage)
    if column.kind == "datetime":
        return replace(draft, reason="times move on by themselves; only faults are judged")
    x, y = distances.comparable(a, b, column)
    g_p = chi2_sf(distances.g_statistic(x, y) / factors.phi, len(x) - 1)
    draft = replace(draft, p=g_p, js_corrected=distances.js_corrected(x, y), psi=distances.psi(x, y))
    if column.is_ordered:
        ks, statistic = _kolmogorov(a, b)
        p = min(1.0, 2.0 * min(g_p, kolmogorov_sf(statistic / factors.s)))
        draft = replace(draft, p=p, ks=ks, w1=distances.wasserstein(a, b, column))
    return replace(draft, reason=_movement(column, before, now))


def _find_shortage(baseline: Counts, column: ColumnSpec, m: int, n: int) -> str | None:
    needed = distances.rows_needed(baseline, column)
    for role, rows in (("reference", m), ("window", n)):
        if rows < needed:
            return f"insufficient data: the {role} has {rows} rows, {needed} are needed"
    return None


def _movement(column: ColumnSpec, before: ColumnProfile, now: ColumnProfile) -> str:
    """Where the column went, in words: its mean, or the category whose share changed most."""
    if column.is_ordered:
        (old, old_sd), (new, new_sd) = moments(before, column), moments(now, column)
        if old is not None and new is not None:
            has_spread = old_sd and new_sd and abs(new_sd / old_sd - 1) > 0.1
            return f"mean {old:.4g} → {new:.4g}" + (f", sd {old_sd:.4g} → {new_sd:.4g}" if has_spread else "")
    shift, cell = distances.largest_shift(before.counts, now.counts)
    if shift == 0.0:
        return "no share changed"
    old_share, new_share = before.counts[cell] / before.counts.sum(), now.counts[cell] / now.counts.sum()
    return f"'{column.cell_names[cell]}' {old_share:.1%} → {new_share:.1%}"


def _find_faults(
    spec: ReferenceSpec, reference: Profile, window: Profile, calibration: Calibration, q: float
) -> dict[str, tuple[Fault, ...]]:
    found: dict[str, tuple[Fault, ...]] = {column.name: () for column in spec.columns}
    if not window.n or not reference.n:
        return found
    asked = [
        (column, _rise(fault, cells, column, reference, window, calibration))
        for column in spec.columns
        for fault, cells in _fault_cells(column).items()
    ]
    stands = benjamini_hochberg([fault.p for _, fault in asked], q)
    for (column, fault), significant in zip(asked, stands, strict=True):
        is_gone = fault.kind == "absent" and fault.window == 1.0 and fault.baseline < 1.0
        if is_gone or (significant and fault.window - fault.baseline > FAULT_FLOORS[fault.kind]):
            found[column.name] += (fault,)
    for column in spec.columns:
        stuck = _find_stuck(column, reference, window, calibration)
        found[column.name] += (stuck,) if stuck else ()
    return found


def _rise(
    kind: str,
    cells: list[int],
    column: ColumnSpec,
    reference: Profile,
    window: Profile,
    calibration: Calibration,
) -> Fault:
    a, b = reference.columns[column.name].counts, window.columns[column.name].counts
    k_a, m, k_b, n = int(a[cells].sum()), int(a.sum()), int(b[cells].sum()), int(b.sum())
    if kind == "new_category":
        # The rows that taught the spec hold no new value by definition; later rows of the same kind will.
        k_a = max(k_a, round(column.unseen * m))
    scale = calibration.of(column.name).rates.get(kind, 1.0)
    _, lo, hi = distances.share_difference(k_a, m, k_b, n)
    return Fault(
        kind=kind, baseline=k_a / m, window=k_b / n, lo=lo, hi=hi, p=distances.rise_p(k_a, m, k_b, n, scale=scale)
    )


def _find_stuck(column: ColumnSpec, reference: Profile, window: Profile, calibration: Calibration) -> Fault | None:
    """A window that holds one value only, though at the reference's shares that would be next to impossible.

    Asked of scores always; of other columns only where the reference's windows show that they do vary within a window
    (a month, a batch number are constant by nature).
    """
    before, now = reference.columns[column.name], window.columns[column.name]
    factors = calibration.of(column.name)
    if column.kind == "datetime" or _is_constant(before, column) or not _is_constant(now, column):
        return None
    if factors.is_sometimes_constant or (column.kind != "score" and not calibration.windows):
        return None
    cell = int(now.counts[FIRST:].argmax()) + FIRST
    n = int(now.counts[cell])
    # One row of each is added to the shares, so that a value the reference never held is rare, not impossible.
    share = (int(before.counts[cell]) + 1) / (int(before.counts[FIRST:].sum()) + 2)
    p = share**n
    lo, hi = distances.wilson(n, n)
    return (
        Fault(kind="constant", baseline=share, window=1.0, lo=lo - share, hi=hi - share, p=p)
        if p < _IMPOSSIBLE
        else None
    )


def _conclude(
    draft: ColumnDrift,
    is_significant: bool,
    floors: tuple[float, float],
    faults: tuple[Fault, ...],
    q: float,
    columns: int,
) -> ColumnDrift:
    floor_ks, floor_js = floors
    is_material = (draft.ks or 0.0) > floor_ks or (draft.js_corrected or 0.0) > floor_js
    is_drifted = is_significant and is_material
    draft = replace(draft, is_drifted=is_drifted, faults=faults)
    if faults:
        return replace(draft, status=ALERT, reason=_explain_faults(draft))
    if draft.status == UNKNOWN or draft.p is None:
        return replace(draft, reason=f"{draft.column}: {draft.reason}.")
    figures = _figures(draft, floors)
    if is_drifted:
        tested = f"{_say_p(draft.p)} stands at false discovery rate {q:g} over {columns} columns"
        return replace(draft, status=WATCH, reason=f"{draft.column} drifted: {draft.reason}; {figures}; {tested}.")
    cause = "reliably different, but too little to matter" if is_significant else "no reliable difference"
    return replace(draft, reason=f"{draft.column}: {cause}; {draft.reason}; {figures}, {_say_p(draft.p)}.")


def _say_p(p: float) -> str:
    return f"p {p:.2g}" if p > 1e-99 else "p below 1e-99"


def _figures(draft: ColumnDrift, floors: tuple[float, float]) -> str:
    js = f"corrected JS {draft.js_corrected:.3f} (floor {floors[1]:g})"
    return js if draft.ks is None else f"KS {draft.ks:.3f} (floor {floors[0]:g}), {js}"


def _explain_faults(draft: ColumnDrift) -> str:
    parts = [
        f"{_FAULT_WORDS[fault.kind]} {fault.baseline:.1%} → {fault.window:.1%}"
        if fault.kind in ("null", "new_category", "infinite", "invalid")
        else _FAULT_WORDS[fault.kind]
        for fault in draft.faults
    ]
    return f"{draft.column}: {'; '.join(parts)} ({draft.n} rows)."


def persist(history: Sequence[bool], *, needed: int = 2, within: int = 3) -> bool:
    """Did it drift in the newest window, and in ``needed`` of the last ``within``? ``history`` is oldest first.

    >>> persist([True, False, True]), persist([True, True, False]), persist([True])
    (True, False, False)
    """
    return bool(history) and history[-1] and sum(history[-within:]) >= needed


def escalate(judged: Sequence[ColumnDrift], history: Mapping[str, Sequence[bool]]) -> list[ColumnDrift]:
    """Turn watch into alert where drift persisted; ``history``: ``is_drifted`` of earlier windows, oldest first."""
    return [
        replace(drift, status=ALERT, reason=f"{drift.reason[:-1]}; in 2 of the last 3 windows.")
        if drift.status == WATCH and persist([*history.get(drift.column, ()), True])
        else drift
        for drift in judged
    ]
