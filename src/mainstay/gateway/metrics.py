# SPDX-License-Identifier: Apache-2.0
"""Counts: what was answered, how fast, by which release; for the control plane's judge and for Prometheus.

In: one call a request. Out: cumulative counts by release, and the text format of Prometheus (0.0.4). A count belongs
to a release, not to a version in memory, so swapping the table never loses one.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

# Upper ends of the latency buckets, in microseconds.
LATENCY_US = (
    250, 500, 1_000, 2_500, 5_000, 10_000, 25_000, 50_000, 100_000, 250_000, 500_000, 1_000_000, 2_500_000, 10_000_000,
)  # fmt: skip

Sample = tuple[dict[str, Any], float]


@dataclass(slots=True)
class Counts:
    """Of one release in one deployment, since the start.

    ``predictions`` are rows; ``errors``, ``slow`` and ``rejected`` are requests, because the rows of one request are
    not independent of one another and a judge that counted them singly would fool itself.
    """

    requests: int = 0
    predictions: int = 0
    errors: int = 0
    slow: int = 0
    rejected: int = 0
    latency: list[int] = field(default_factory=lambda: [0] * (len(LATENCY_US) + 1))
    latency_sum_us: int = 0

    def observe(self, latency_us: int) -> None:
        """Count one answered request's latency."""
        self.latency[bisect_left(LATENCY_US, latency_us)] += 1
        self.latency_sum_us += latency_us


class Tally:
    """The counts of every release, and of every status answered."""

    def __init__(self) -> None:
        self.by_release: dict[tuple[str, int], Counts] = {}
        self.by_status: dict[int, int] = {}
        self.shadow_dropped = 0

    def of(self, deployment: str, release: int) -> Counts:
        """The counts of one release; they begin at nought."""
        found = self.by_release.get((deployment, release))
        if found is None:
            found = self.by_release[deployment, release] = Counts()
        return found

    def wire(self) -> list[dict[str, Any]]:
        """For the report."""
        return [
            {
                "deployment": deployment,
                "release": release,
                "requests": counts.requests,
                "predictions": counts.predictions,
                "errors": counts.errors,
                "slow": counts.slow,
                "rejected": counts.rejected,
            }
            for (deployment, release), counts in self.by_release.items()
        ]

    def lines(self) -> Iterator[str]:
        """Their part of the metrics page."""
        named = [({"deployment": d, "release": r}, counts) for (d, r), counts in self.by_release.items()]
        for name, words in (
            ("requests", "Requests answered or failed."),
            ("predictions", "Rows predicted and logged."),
            ("errors", "Requests that failed in the model, timed out, or got an unusable value."),
            ("slow", "Requests slower than the deployment's latency limit."),
            ("rejected", "Requests refused by validation, counted at the champion."),
        ):
            yield from family(f"{name}_total", "counter", words, [(labels, getattr(c, name)) for labels, c in named])
        yield from _histogram(named)
        statuses = [({"status": status}, count) for status, count in sorted(self.by_status.items())]
        yield from family("http_responses_total", "counter", "Responses by status.", statuses)
        words = "Shadow requests left out because too many waited."
        yield from family("shadow_dropped_total", "counter", words, [({}, self.shadow_dropped)])


def family(name: str, kind: str, words: str, samples: Iterable[Sample | tuple[dict[str, Any], int]]) -> Iterator[str]:
    """One metric: its help, its type, its samples."""
    full = f"mainstay_gateway_{name}"
    yield f"# HELP {full} {words}"
    yield f"# TYPE {full} {kind}"
    for labels, value in samples:
        yield f"{full}{_labels(labels)} {value}"


def _histogram(named: Iterable[tuple[dict[str, Any], Counts]]) -> Iterator[str]:
    full = "mainstay_gateway_latency_seconds"
    yield f"# HELP {full} From the whole request to its record in the log."
    yield f"# TYPE {full} histogram"
    for labels, counts in named:
        total = 0
        for end, count in zip((*LATENCY_US, None), counts.latency, strict=True):
            total += count
            edge = "+Inf" if end is None else f"{end / 1e6:g}"
            yield f"{full}_bucket{_labels({**labels, 'le': edge})} {total}"
        yield f"{full}_sum{_labels(labels)} {counts.latency_sum_us / 1e6}"
        yield f"{full}_count{_labels(labels)} {total}"


def _labels(labels: dict[str, Any]) -> str:
    if not labels:
        return ""
    escaped = {k: str(v).replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n") for k, v in labels.items()}
    return "{" + ",".join(f'{name}="{value}"' for name, value in escaped.items()) + "}"
