# SPDX-License-Identifier: Apache-2.0
"""Performance of a window against known truth, beside what the release's own evaluation promised.

In: labels and scores. Out: figures with intervals as plain JSON, and verdicts on them. *Below* means that even the
upper end of the interval lies under the evaluation's value less the tolerance, so that chance alone does not raise an
alert. Labels that have come so far are seldom a fair sample of those that will: until enough are here, the worst
verdict is *watch*.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mainstay.domain.errors import Invalid
from mainstay.domain.monitoring import ALERT, OK, UNKNOWN, WATCH, Verdict
from mainstay.measures import classes, regression
from mainstay.measures import performance as figures
from mainstay.measures.estimates import Estimate

Floats = NDArray[np.float64]
BINARY, MULTICLASS, NUMBER = "binary", "multiclass", "number"
#: What a signature calls it, and we. A model of two classes may answer margins: there the values tell.
KINDS = {"multiclass": MULTICLASS, "regression": NUMBER}
#: How far the mean promise may be off the share of positives.
CALIBRATION_LIMIT = 0.05
LEAST_OF_SLICE = 200
MOST_SLICE_VALUES = 50


# Below this share the labelled rows are likely those of one corner of the window (its first hours, one region).
LEAST_COVERAGE = 0.1


def measure(labels: Floats, scores: Floats, kind: str | None = None) -> dict[str, Any]:
    """Figures of a model that answers a probability (kind ``binary``), a class or a number; ``kind`` None: as the values look.

    Of several classes labels and scores are places of classes: the true one, and the one that was said.
    ``calibration_gap`` is the mean score less the share of positives: above 0 the model promises too much.
    """
    kind = kind or _kind_of(labels, scores)
    if kind == BINARY:
        found = [
            figures.auc(labels, scores),
            figures.brier(labels, scores),
            figures.share_figure("base_rate", int(labels.sum()), len(labels)),
        ]
        gap = regression.bias(labels, scores)
        found.append(
            figures.Figure(name="calibration_gap", value=gap.value, lo=gap.lo, hi=gap.hi, n=gap.n, reason=gap.reason)
        )
    elif kind == MULTICLASS:
        found = list(classes.evaluate_places(labels, scores).values())
    else:
        found = list(regression.evaluate_regression(labels, scores).values())
    return {"kind": kind, "n": len(labels)} | {figure.name: figure.to_json() for figure in found}


def measure_window(
    labels: Floats, scores: Floats, reference: dict[str, Any] | None, kind: str | None = None
) -> dict[str, Any] | str:
    """Figures of the same kind as the reference's, else of ``kind``; a sentence where they cannot be measured."""
    if not len(labels):
        return "no prediction is labelled yet"
    try:
        return measure(labels, scores, reference["kind"] if reference else kind)
    except Invalid as error:
        return error.message


def measure_slices(labels: Floats, scores: Floats, groups: dict[str, list[Any]]) -> list[dict[str, Any]]:
    """AUC with its interval for each value of each column in ``groups``; values of fewer than 200 rows say so."""
    found = []
    for column, values in groups.items():
        rows_by_value = figures.group_rows(values, len(labels))
        largest = sorted(rows_by_value.items(), key=lambda pair: (-len(pair[1]), pair[0]))[:MOST_SLICE_VALUES]
        for value, rows in largest:
            lack = len(rows) < LEAST_OF_SLICE
            auc = None if lack else figures.auc(labels[rows], scores[rows]).to_json()
            found.append({"column": column, "value": value, "n": len(rows), "auc": auc})
    return found


def judge(
    measured: dict[str, Any] | str, reference: dict[str, Any] | None, *, tolerance: float, is_mature: bool, so_far: str
) -> list[Verdict]:
    """Verdicts ``performance`` and ``calibration``. ``so_far`` says in words how many labels are here."""
    if isinstance(measured, str):
        return [
            Verdict(
                key="performance", state=UNKNOWN, title="Performance is not known", sentence=f"{measured}; {so_far}."
            )
        ]
    if reference is None:
        sentence = f"the release has no evaluation to compare with; {so_far}."
        return [Verdict(key="performance", state=UNKNOWN, title="Performance has no reference", sentence=sentence)]
    if measured["kind"] == MULTICLASS:
        return [_soften(_judge_share("accuracy", "accuracy", measured, reference, tolerance), is_mature, so_far)]
    if measured["kind"] == NUMBER:
        return [_soften(_judge_error(measured, reference, tolerance), is_mature, so_far)]
    judged = (_judge_share("auc", "AUC", measured, reference, tolerance), _judge_calibration(measured, reference))
    return [_soften(verdict, is_mature, so_far) for verdict in judged]


def judge_estimate(estimate: Estimate | None, reference: dict[str, Any] | None, tolerance: float) -> list[Verdict]:
    """Verdict ``estimate``: at most *watch*, for an estimate does not see a change of the concept."""
    if estimate is None or estimate.value is None or estimate.hi is None or not _known(reference, "auc"):
        return []
    assert reference is not None
    limit = reference["auc"]["value"] - tolerance
    below = estimate.hi < limit
    sentence = (
        f"without labels AUC is estimated at {_interval(estimate.value, estimate.lo, estimate.hi)} from the scores of "
        f"{estimate.n} predictions; {'below' if below else 'not below'} {limit:.3f} "
        f"(evaluation {reference['auc']['value']:.3f})."
    )
    numbers = {"value": estimate.value, "hi": estimate.hi, "limit": limit}
    title = f"Estimated AUC is below {limit:.3f}" if below else "Estimated AUC is as expected"
    return [Verdict(key="estimate", state=WATCH if below else OK, title=title, sentence=sentence, numbers=numbers)]


def _judge_share(
    name: str, word: str, measured: dict[str, Any], reference: dict[str, Any], tolerance: float
) -> Verdict:
    """Of a figure from 0 to 1 of which more is better."""
    found = measured[name]
    if not _known(measured, name) or not _known(reference, name):
        reason = found["reason"] or f"the evaluation has too few rows: {reference[name]['reason']}"
        return Verdict(
            key="performance", state=UNKNOWN, title="Performance is not known", sentence=f"insufficient data: {reason}."
        )
    promised = reference[name]["value"]
    limit = promised - tolerance
    below = found["value"] < limit and _differs(found, reference[name])
    state = ALERT if found["hi"] < limit else WATCH if below else OK
    said = {ALERT: "certainly below", WATCH: "perhaps below", OK: "not below"}[state]
    sentence = (
        f"{word} {_interval(found['value'], found['lo'], found['hi'])} on {found['n']} labelled predictions is {said} "
        f"{limit:.3f}, the evaluation's {promised:.3f} less {tolerance:g}."
    )
    title = "Performance is as promised" if state == OK else f"Performance is below {limit:.3f}"
    numbers = {name: found["value"], "upper": found["hi"], "limit": limit, "reference": promised}
    return Verdict(key="performance", state=state, title=title, sentence=sentence, numbers=numbers)


def _judge_calibration(measured: dict[str, Any], reference: dict[str, Any]) -> Verdict:
    gap = measured["calibration_gap"]
    if not _known(measured, "calibration_gap"):
        sentence = f"insufficient data: {gap['reason']}."
        return Verdict(key="calibration", state=UNKNOWN, title="Calibration is not known", sentence=sentence)
    promised = (reference.get("calibration_gap") or {}).get("value")
    # The end of the interval that is nearer to 0: only a gap that is certain counts.
    certain = max(0.0, gap["lo"], -gap["hi"])
    off = abs(gap["value"]) > CALIBRATION_LIMIT and certain > 0
    state = ALERT if certain > CALIBRATION_LIMIT else WATCH if off else OK
    rate = measured["base_rate"]["value"]
    sentence = (
        f"{rate:.1%} came true where {rate + gap['value']:.1%} was promised on average ({gap['n']} labelled "
        f"predictions); a gap of {CALIBRATION_LIMIT:.0%} is allowed"
    )
    sentence += "." if promised is None else f", the evaluation's own was {abs(promised):.1%}."
    title = "Promises are kept on average" if state == OK else f"Promises are {abs(gap['value']):.1%} off on average"
    return Verdict(
        key="calibration",
        state=state,
        title=title,
        sentence=sentence,
        numbers={"gap": gap["value"], "limit": CALIBRATION_LIMIT},
    )


def _judge_error(measured: dict[str, Any], reference: dict[str, Any], tolerance: float) -> Verdict:
    """Of numbers: the mean absolute error, with the tolerance taken as a share of the evaluation's."""
    mae = measured["mae"]
    if not _known(measured, "mae") or not _known(reference, "mae"):
        sentence = f"insufficient data: {mae['reason'] or reference['mae']['reason']}."
        return Verdict(key="performance", state=UNKNOWN, title="Performance is not known", sentence=sentence)
    limit = reference["mae"]["value"] * (1 + tolerance)
    above = mae["value"] > limit and _differs(mae, reference["mae"])
    state = ALERT if mae["lo"] > limit else WATCH if above else OK
    said = {ALERT: "certainly above", WATCH: "perhaps above", OK: "not above"}[state]
    sentence = (
        f"mean absolute error {mae['value']:.4g} [{mae['lo']:.4g}, {mae['hi']:.4g}] on {mae['n']} labelled predictions "
        f"is {said} {limit:.4g}, the evaluation's {reference['mae']['value']:.4g} and {tolerance:.0%} more."
    )
    title = "Performance is as promised" if state == OK else f"Mean absolute error is above {limit:.4g}"
    return Verdict(
        key="performance", state=state, title=title, sentence=sentence, numbers={"mae": mae["value"], "limit": limit}
    )


def _soften(verdict: Verdict, is_mature: bool, so_far: str) -> Verdict:
    if is_mature or verdict.state not in (ALERT, WATCH):
        return verdict
    sentence = (
        f"{verdict.sentence[:-1]}; only watched for now: {so_far}, and those that come first may be no fair sample."
    )
    return Verdict(key=verdict.key, state=WATCH, title=verdict.title, sentence=sentence, numbers=verdict.numbers)


def _differs(a: dict[str, Any], b: dict[str, Any]) -> bool:
    """Whether two figures differ by more than chance in both (95 %): a lucky evaluation must not spoil every day."""
    apart = float(a["value"]) - float(b["value"])
    half = math.hypot(a["hi"] - a["lo"], b["hi"] - b["lo"]) / 2
    return abs(apart) > half


def _known(measured: dict[str, Any] | None, name: str) -> bool:
    return bool(measured) and measured is not None and (measured.get(name) or {}).get("value") is not None


def _interval(value: float, lo: float | None, hi: float | None) -> str:
    return f"{value:.3f} [{lo:.3f}, {hi:.3f}]"


def _kind_of(labels: Floats, scores: Floats) -> str:
    yes_or_no = bool(((labels == 0) | (labels == 1)).all())
    return BINARY if yes_or_no and (not len(scores) or (scores.min() >= 0 and scores.max() <= 1)) else NUMBER
