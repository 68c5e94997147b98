# SPDX-License-Identifier: Apache-2.0
"""Work: jobs that somebody asks for by hand, on record as asked for. What happens to a job afterwards is telemetry."""

from __future__ import annotations

from typing import Any

from mainstay.domain.digests import canonical_json
from mainstay.domain.errors import Invalid, TooLarge
from mainstay.domain.events.pipelines import JobAsked
from mainstay.domain.names import check_name
from mainstay.store import Change, jobs
from mainstay.store.jobs import Job

LARGEST_BODY = 256 << 10


def ask(change: Change, *, kind: str, body: dict[str, Any]) -> Job:
    """Put a job in the queue.

    Raises:
        Invalid: an unusable kind. TooLarge: a body that belongs into a blob.
    """
    check_name("job kind", kind)
    try:
        size = len(canonical_json(body))
    except ValueError as error:
        raise Invalid(f"the body of a {kind} job holds a number that is not finite; write it as text.") from error
    if size > LARGEST_BODY:
        raise TooLarge(f"the body of a {kind} job takes {size} bytes; at most {LARGEST_BODY} fit. Upload a blob.")
    job = jobs.enqueue(change, kind=kind, body=body, by=change.actor, because=change.because)
    change.record(JobAsked(job=job.id, job_kind=kind, asked=body))
    return job
