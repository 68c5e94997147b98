# SPDX-License-Identifier: Apache-2.0
"""Drift verdicts of a window: which columns moved, for how long, and whether it matters to the model.

In: the profiles of baseline and window, and which columns drifted in the windows before. Out: one line a column, and
verdicts. A drift that persists is an alert only where it matters: the column carries the model, or its answers moved
too. Seasons change the temperature every month; a model that does not mind must not wake anybody. Faults of the
data's form are weighed by nobody: they alert at once.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from mainstay.domain.monitoring import ALERT, OK, UNKNOWN, WATCH, Verdict, Window, worst
from mainstay.lifecycle.monitoring.baselines import SCORE, Baseline
from mainstay.measures.drift import ColumnDrift, escalate, judge_window
from mainstay.measures.profiles import Profile

#: Columns that together carry this share of the importance matter; the rest do not.
MATTERS = 0.8
HISTORY = 2  # windows before, for "in 2 of 3"
_TITLES = {
    "absent": "Column missing",
    "invalid": "Values of another type",
    "null": "Missing values",
    "infinite": "Infinite values",
    "new_category": "New values",
    "constant": "The same value always",
}


def judge(
    baseline: Baseline, profile: Profile, before: Sequence[Window], importance: Mapping[str, float] | None
) -> list[ColumnDrift]:
    """Judge every column; ``before`` are the windows before this one, newest first.

    Earlier windows count only as far as they were held against the same baseline: another release has another history.
    """
    judged = judge_window(baseline.spec, baseline.profile, profile, baseline.calibration)
    same = [window for window in before[:HISTORY] if window.baseline == baseline.blob]
    judged = escalate(judged, _history(list(reversed(same))))
    return _weigh(judged, important(importance))


def important(importance: Mapping[str, float] | None) -> frozenset[str] | None:
    """The fewest columns that carry 80 % of the importance; None where it is not known."""
    if not importance:
        return None
    found, carried = set(), 0.0
    for name, share in sorted(importance.items(), key=lambda pair: (-pair[1], pair[0])):
        if carried >= MATTERS:
            break
        found.add(name)
        carried += share
    return frozenset(found)


def verdicts(judged: Sequence[ColumnDrift]) -> list[Verdict]:
    """``drift`` (all inputs), ``score``, ``constant``, ``new_category``, and ``fault:KIND`` for each kind of fault."""
    inputs = [drift for drift in judged if drift.column != SCORE]
    score = next((drift for drift in judged if drift.column == SCORE), None)
    found = [_of_inputs(inputs, score)]
    if score is not None:
        found.append(_of_score(score))
    return found + _of_faults(judged)


def confirm(verdict: Verdict) -> Verdict:
    """``verdict`` where labels show that performance held: whatever moved did no harm, so it is only watched."""
    if verdict.key not in ("drift", "score", "new_category") or verdict.state != ALERT:
        return verdict
    sentence = f"{verdict.sentence[:-1]}; only watched, for the labels show that performance held."
    return replace(verdict, state=WATCH, sentence=sentence)


def lines(judged: Sequence[ColumnDrift], importance: Mapping[str, float] | None) -> list[dict[str, Any]]:
    """One JSON object a column, those that moved most first; with known importance, those that matter most."""

    def rank(drift: ColumnDrift) -> tuple[bool, float, str]:
        weight = importance.get(drift.column, 0.0) if importance else 1.0
        return drift.status not in (ALERT, WATCH), -drift.effect * weight, drift.column

    return [
        {
            "name": drift.column,
            "kind": drift.kind,
            "state": drift.status,
            "effect": drift.effect,
            "ks": drift.ks,
            "js": drift.js_corrected,
            "w1": drift.w1,
            "psi": drift.psi,
            "p": drift.p,
            "n": drift.n,
            "drifted": drift.is_drifted,
            "faults": [fault.kind for fault in drift.faults],
            "importance": importance.get(drift.column) if importance else None,
            "reason": drift.reason,
        }
        for drift in sorted(judged, key=rank)
    ]


def _history(oldest_first: Sequence[Window]) -> dict[str, list[bool]]:
    history: dict[str, list[bool]] = {}
    for window in oldest_first:
        for line in (window.measurements.get("drift") or {}).get("columns", ()):
            history.setdefault(line["name"], []).append(line["drifted"])
    return history


def _weigh(judged: Sequence[ColumnDrift], matter: frozenset[str] | None) -> list[ColumnDrift]:
    has_score = any(drift.column == SCORE and drift.status != UNKNOWN for drift in judged)
    score_moved = any(drift.column == SCORE and drift.is_drifted for drift in judged)
    if score_moved or not has_score:
        return list(judged)
    lacks = "and this column is not among those that carry the model" if matter is not None else ""
    why = f"the model's answers did not move {lacks}".strip()
    return [
        replace(drift, status=WATCH, reason=f"{drift.reason[:-1]}; {why}, so it is only watched.")
        if drift.status == ALERT and not drift.faults and not (matter and drift.column in matter)
        else drift
        for drift in judged
    ]


def _of_inputs(inputs: Sequence[ColumnDrift], score: ColumnDrift | None) -> Verdict:
    moved = sorted((d for d in inputs if d.is_drifted), key=lambda d: -d.effect)
    state = worst(WATCH if d.faults and d.is_drifted else OK if d.faults else d.status for d in inputs)
    numbers: dict[str, Any] = {"drifted": len(moved), "columns": [d.column for d in moved]}
    if state == UNKNOWN:
        reason = inputs[0].reason if inputs else "the release has no inputs that can be judged."
        return Verdict(key="drift", state=state, title="Drift is not known", sentence=reason, numbers=numbers)
    if not moved:
        title = "Inputs are as expected"
        sentence = f"none of {len(inputs)} columns differs from the evaluation reliably and by enough to matter."
        return Verdict(key="drift", state=state, title=title, sentence=sentence, numbers=numbers)
    answers = "" if score is None else "; the model's answers " + ("moved too" if score.is_drifted else "did not")
    named = ", ".join(f"{d.column} ({d.effect:.2f})" for d in moved[:3]) + (
        f" and {len(moved) - 3} more" if len(moved) > 3 else ""
    )
    sentence = f"{len(moved)} of {len(inputs)} columns drifted: {named}{answers}."
    title = f"{len(moved)} input column{'s' if len(moved) > 1 else ''} drifted"
    return Verdict(key="drift", state=state, title=title, sentence=sentence, numbers=numbers)


def _of_score(score: ColumnDrift) -> Verdict:
    titles = {OK: "Answers are as expected", UNKNOWN: "Drift of the answers is not known"}
    state = OK if score.faults and not score.is_drifted else score.status
    numbers = {"effect": score.effect, "drifted": score.is_drifted}
    return Verdict(
        key="score",
        state=state,
        title=titles.get(state, "The model's answers drifted"),
        sentence=score.reason,
        numbers=numbers,
    )


def _of_faults(judged: Sequence[ColumnDrift]) -> list[Verdict]:
    """One verdict a kind of fault: when the weather feed breaks, six columns break, and that is one finding."""
    found: dict[str, list[ColumnDrift]] = {}
    for drift in judged:
        for fault in drift.faults:
            found.setdefault(_key_of_fault(drift.column, fault.kind), []).append(drift)
    return [_of_fault(key, columns) for key, columns in sorted(found.items())]


def _key_of_fault(column: str, kind: str) -> str:
    if column == SCORE and kind == "constant":
        return "constant"
    # Values that are new are the world's doing more often than the pipe's, and what a new model would rightly learn.
    return kind if kind == "new_category" else f"fault:{kind}"


def _of_fault(key: str, columns: Sequence[ColumnDrift]) -> Verdict:
    kind = key.removeprefix("fault:")
    names = [drift.column for drift in columns]
    shown = ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")
    title = "The model answers always the same" if key == "constant" else f"{_TITLES[kind]} in {shown}"
    sentence = " ".join(drift.reason for drift in columns[:3])
    more = len(columns) - 3
    sentence += f" And {more} more column{'s' if more > 1 else ''}." if more > 0 else ""
    return Verdict(key=key, state=ALERT, title=title, sentence=sentence, numbers={"columns": names})
