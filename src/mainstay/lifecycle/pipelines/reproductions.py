# SPDX-License-Identifier: Apache-2.0
"""Reproductions: runs that were carried out again from their record, and how alike the results were.

The carrying out is the engine's. Here is what it found, as an event of the run: whoever looks at the run, or walks the
chain behind a version, sees that somebody tried, when, and what came of it.
"""

from __future__ import annotations

from mainstay.domain.errors import Invalid
from mainstay.domain.events.pipelines import RunReproduced
from mainstay.lifecycle.tracking import runs
from mainstay.store import Change

VERDICTS = ("identical", "equivalent", "different")
MOST_STEPS = 10_000


def record(
    change: Change,
    *,
    run: str,
    verdict: str,
    sentence: str,
    tolerance: float,
    is_rebuilt: bool,
    steps: list[dict[str, str]],
    environment: dict[str, list[str]],
) -> None:
    """Put the outcome of one reproduction on record.

    Raises:
        NotFound: there is no such run. Invalid: it is no run of a pipeline, or a verdict that nobody knows.
    """
    found = runs.get(change, run)
    if found.kind != "pipeline":
        raise Invalid(f"run {run} is a {found.kind}; only runs of pipelines are reproduced.")
    if verdict not in VERDICTS:
        raise Invalid(f"a reproduction cannot be {verdict[:80]!r}; it is {', '.join(VERDICTS)}.")
    if len(steps) > MOST_STEPS:
        raise Invalid(f"the reproduction of run {run} tells of {len(steps)} steps; at most {MOST_STEPS} are kept.")
    runs.check_record(f"the reproduction of run {run}", {"steps": steps, "environment": environment})
    change.record(
        RunReproduced(
            run=run,
            verdict=verdict,
            sentence=sentence[:4000],
            tolerance=tolerance,
            is_rebuilt=is_rebuilt,
            steps=steps,
            environment=environment,
        )
    )
