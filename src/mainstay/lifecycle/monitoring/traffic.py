# SPDX-License-Identifier: Apache-2.0
"""How a window was answered: how fast, how often not at all, and how many of the answers are labelled by now."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from mainstay.domain.monitoring import ALERT, OK, UNKNOWN, WATCH, Monitor, Verdict
from mainstay.measures.distances import wilson

LEAST_ROWS = 20


def measure(rows: pa.Table) -> dict[str, Any]:
    """Latency in milliseconds (of answers over HTTP), errors with Wilson's interval, predictions a day."""
    return {"latency": _latency(rows), "errors": _errors(rows), "predictions_per_day": _by_day(rows["_at"])}


def judge(monitor: Monitor, measured: Mapping[str, Any]) -> list[Verdict]:
    """Verdicts ``errors``, and ``latency`` where the monitor sets a limit."""
    found = [_judge_errors(measured["errors"], monitor.error_limit)]
    if monitor.latency_limit_ms is not None:
        found.append(_judge_latency(measured["latency"], monitor.latency_limit_ms))
    return found


def judge_labels(monitor: Monitor, *, n: int, labelled: int, is_late: bool) -> list[Verdict]:
    """Verdict ``labels``, once the monitor's label delay is over."""
    if not is_late or not n:
        return []
    share, wanted = labelled / n, monitor.label_coverage
    lacks = share < wanted
    sentence = (
        f"{labelled} of {n} predictions ({share:.0%}) are labelled {monitor.label_delay} after the window; "
        f"{wanted:.0%} are expected."
    )
    title = "Labels are missing" if lacks else "Labels came as expected"
    numbers = {"coverage": share, "expected": wanted}
    return [Verdict(key="labels", state=WATCH if lacks else OK, title=title, sentence=sentence, numbers=numbers)]


def _latency(rows: pa.Table) -> dict[str, Any] | None:
    asked = rows.filter(pc.and_(pc.equal(rows["_source"], "http"), pc.equal(rows["_status"], "ok")))
    values = asked["_latency_us"].drop_null().to_numpy() / 1000
    if not len(values):
        return None
    p50, p95, p99 = (float(value) for value in np.quantile(values, (0.5, 0.95, 0.99)))
    return {"p50": p50, "p95": p95, "p99": p99, "n": len(values)}


def _errors(rows: pa.Table) -> dict[str, Any]:
    counts = {line["values"]: line["counts"] for line in rows["_status"].value_counts().to_pylist()}
    n = rows.num_rows
    bad = n - counts.pop("ok", 0)
    lo, hi = wilson(bad, n)
    return {
        "rate": bad / n if n else None,
        "lo": lo,
        "hi": hi,
        "n": n,
        "bad": bad,
        "by_status": dict(sorted(counts.items())),
    }


def _by_day(at: pa.ChunkedArray) -> list[dict[str, Any]]:
    days = pc.floor_temporal(at, unit="day").value_counts().to_pylist()
    return sorted(
        ({"at": day["values"].date().isoformat(), "n": day["counts"]} for day in days), key=lambda line: line["at"]
    )


def _judge_errors(errors: Mapping[str, Any], limit: float) -> Verdict:
    n, rate = errors["n"], errors["rate"]
    if n < LEAST_ROWS:
        return Verdict(
            key="errors", state=UNKNOWN, title="Errors are not known", sentence=f"insufficient data: {n} requests."
        )
    state = ALERT if errors["lo"] > limit else WATCH if rate > limit else OK
    kinds = ", ".join(f"{status} {count}" for status, count in errors["by_status"].items())
    sentence = (
        f"{errors['bad']} of {n} predictions failed ({rate:.2%}, at least {errors['lo']:.2%}); {limit:.2%} are allowed"
    )
    title = "Predictions succeed" if state == OK else f"{rate:.1%} of predictions failed"
    numbers = {"rate": rate, "lo": errors["lo"], "limit": limit}
    return Verdict(
        key="errors", state=state, title=title, sentence=sentence + (f": {kinds}." if kinds else "."), numbers=numbers
    )


def _judge_latency(latency: Mapping[str, Any] | None, limit: float) -> Verdict:
    if latency is None or latency["n"] < LEAST_ROWS:
        n = latency["n"] if latency else 0
        return Verdict(
            key="latency",
            state=UNKNOWN,
            title="Latency is not known",
            sentence=f"insufficient data: {n} answers over HTTP.",
        )
    slow = latency["p95"] > limit
    sentence = f"95 % of {latency['n']} answers came within {latency['p95']:.1f} ms; {limit:g} ms are allowed."
    title = "Answers are slow" if slow else "Answers are fast enough"
    return Verdict(
        key="latency",
        state=ALERT if slow else OK,
        title=title,
        sentence=sentence,
        numbers={"p95": latency["p95"], "limit": limit},
    )
