# SPDX-License-Identifier: Apache-2.0
"""Lines: what steps write while they run, kept as it is written, so that it can be followed.

In: lines, each with its step and stream. Out: the same, numbered within the run of the pipeline. Telemetry: no event tells
of it. A run keeps `MOST_LINES`; whoever writes more has written enough.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from mainstay.domain.errors import Invalid, TooLarge
from mainstay.domain.pipelines import Line
from mainstay.lifecycle.pipelines import tables
from mainstay.lifecycle.tracking import logs, runs
from mainstay.store import Ingest, View

STREAMS = ("out", "err", "log")
MOST_LINES = 200_000
MOST_AT_ONCE = 5_000
LONGEST = 8_000


def add(ingest: Ingest, run_id: str, lines: Sequence[Line]) -> int:
    """Keep lines behind those of the run that are there; the number of the last one.

    Raises:
        NotFound: no such run. Conflict: it has ended. Invalid: an unknown stream. TooLarge: too many at once, or too long.
    """
    logs.must_run(ingest, run_id)
    if len(lines) > MOST_AT_ONCE:
        raise TooLarge(f"{len(lines)} lines were sent; at most {MOST_AT_ONCE} come in one request.")
    for line in lines:
        if line.stream not in STREAMS:
            raise Invalid(f"a line cannot be of stream {line.stream[:20]!r}; it can of {', '.join(STREAMS)}.")
        if len(line.text) > LONGEST or len(line.step) > LONGEST:
            raise TooLarge(f"a line of {len(line.text)} characters was sent; at most {LONGEST} are kept. Cut it.")
    last = tables.last_line(ingest, run_id)
    fitting = lines[: max(0, MOST_LINES - last)]
    tables.put_lines(ingest, run_id, [replace(each, seq=last + n) for n, each in enumerate(fitting, 1)])
    return last + len(fitting)


def of(view: View, run_id: str, *, step: str | None = None, after: int = 0, limit: int = 1000) -> list[Line]:
    """Lines of a run, or of one step of it, from behind number ``after``.

    Raises:
        NotFound: no such run.
    """
    runs.get(view, run_id)
    return tables.lines_of(view, run_id, step, after, limit)


def is_over(view: View, run_id: str) -> bool:
    """Whether no more lines will come. Raises NotFound: no such run."""
    return runs.get(view, run_id).state not in runs.OPEN
