# SPDX-License-Identifier: Apache-2.0
"""Backfills: a pipeline once for each partition of a stretch of time gone by.

In: the stretch, the unit it is cut by, the pipeline and its parameters. Out: at most ``concurrency`` ``run_pipeline`` jobs at
a time, until every partition is dealt with. How far it is stands in the table alone: kill the server anywhere, and the
next look goes on. A worker skips a partition of which every step is a hit, or whose earlier run succeeded with the same
code.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from mainstay.domain import ids
from mainstay.domain.clock import to_wire
from mainstay.domain.digests import digest_of
from mainstay.domain.errors import Conflict, Invalid, NotFound
from mainstay.domain.events.pipelines import BackfillCancelled, BackfillEnded, BackfillStarted
from mainstay.domain.pipelines import subject_of
from mainstay.domain.scheduling import CANCELLED, COMPLETED, FAILED, RUNNING, Backfill, Partition, Portion
from mainstay.lifecycle.pipelines.scheduling import calendar, tables, templates
from mainstay.store import Change, Ingest, Store, View, jobs

JOB = "run_pipeline"
WORDS = ("partition", "since", "until")
MOST_CONCURRENCY = 100


def start(
    change: Change,
    *,
    pipeline: str,
    since: str,
    until: str,
    by: str = "day",
    timezone: str = "UTC",
    params: Mapping[str, Any] | None = None,
    concurrency: int = 2,
    again: bool = False,
) -> Backfill:
    """Ask for a pipeline once for each partition from ``since`` up to but not with ``until``.

    ``again``: also where it was done before. Texts in ``params`` may contain ``{partition}``, ``{since}`` and ``{until}``.

    Raises:
        Invalid: an unusable pipeline, unit, zone, end, number or parameter. TooLarge: very many partitions.
    """
    kept, begin, end, found = _read(pipeline, since, until, by, timezone, params, concurrency)
    identity = ids.uuid7()
    told = BackfillStarted(
        backfill=identity,
        pipeline=pipeline,
        params=kept,
        by=by,
        timezone=timezone,
        since=to_wire(begin),
        until=to_wire(end),
        partitions=len(found),
    )
    new = Backfill(
        id=identity,
        pipeline=pipeline,
        params=kept,
        by=by,
        timezone=timezone,
        since=begin,
        until=end,
        concurrency=concurrency,
        is_again=again,
        state=RUNNING,
        event=change.record(told).seq,
        created_at=change.now(),
        created_by=change.actor,
    )
    orders = [_filled(kept, each.name, each.since, each.until, timezone) for each in found]
    portions_ = [_portion(identity, each) for each in found]
    digests = [_digest(pipeline, each, order) for each, order in zip(found, orders, strict=True)]
    tables.put_backfill(change, new, zip(portions_, digests, strict=True))
    return new


def preview(
    view: View,
    *,
    pipeline: str,
    since: str,
    until: str,
    by: str = "day",
    timezone: str = "UTC",
    params: Mapping[str, Any] | None = None,
    concurrency: int = 2,
    again: bool = False,
) -> list[tuple[Partition, dict[str, Any], str | None]]:
    """What `start` would ask for: each partition, the parameters of its run, and the run that did it before.

    Raises:
        Invalid, TooLarge: as `start` does.
    """
    kept, _, _, found = _read(pipeline, since, until, by, timezone, params, concurrency)
    asked = [(each, _filled(kept, each.name, each.since, each.until, timezone)) for each in found]
    done = [None if again else tables.done_before(view, _digest(pipeline, *each)) for each in asked]
    return [(each, order, before) for (each, order), before in zip(asked, done, strict=True)]


def cancel(change: Change, identity: str) -> Backfill:
    """Call a backfill off: what waits is not begun, what is under way is stopped, what is done stays.

    Raises:
        NotFound: no such backfill. Conflict: it has ended.
    """
    found = get(change, identity)
    if found.state != RUNNING:
        raise Conflict(f"backfill {identity} is {found.state} and cannot be cancelled; nothing of it is under way.")
    for portion in tables.portions(change, identity, state="asked"):
        if portion.job is not None:
            jobs.withdraw(change, portion.job, why=f"backfill {identity} was cancelled")
    tables.cancel_portions(change, identity)
    tables.set_backfill(change, identity, state=CANCELLED, ended_at=change.now())
    change.record(BackfillCancelled(backfill=identity), because=found.event)
    return get(change, identity)


def get(view: View, identity: str) -> Backfill:
    """One backfill.

    Raises:
        NotFound: there is none of that id.
    """
    found = tables.backfill(view, identity)
    if found is None:
        raise NotFound(f"there is no backfill {identity[:80]!r}; `mainstay backfills list` shows those there are.")
    return found


def listed(view: View, *, before: str | None = None, limit: int = 100) -> list[Backfill]:
    """Backfills, newest first."""
    return tables.all_backfills(view, before, limit)


def portions(view: View, identity: str, *, after: str = "", limit: int = 1000) -> list[Portion]:
    """The partitions of a backfill, the earliest first, from behind the one called ``after``."""
    return tables.portions(view, identity, after=after, limit=limit)


def counts(view: View, identity: str) -> dict[str, int]:
    """How many partitions are in each state."""
    return tables.counts(view, identity)


def carry_on(store: Store) -> bool:
    """Take every backfill under way one step further; whether anything was done."""
    with store.view() as view:
        running = tables.running_backfills(view)
    return any([_step(store, each) for each in running])


def _step(store: Store, backfill: Backfill) -> bool:
    with store.view() as view:
        asked = tables.portions(view, backfill.id, state="asked")
        ended = [(each, job) for each in asked if (job := _ended_job(view, each)) is not None]
        free = backfill.concurrency - len(asked) + len(ended)
        waiting = tables.portions(view, backfill.id, state="waiting", limit=free) if free > 0 else []
    if ended or waiting:
        with store.ingest() as ingest:
            if get(ingest, backfill.id).state == RUNNING:  # else somebody called it off since we looked
                for portion, job in ended:
                    _note_end(ingest, portion, job)
                for portion in waiting:
                    _ask(ingest, backfill, portion)
        return True
    return not asked and _end(store, backfill)


def _ended_job(view: View, portion: Portion) -> jobs.Job | None:
    assert portion.job is not None
    job = jobs.get(view, portion.job)
    return job if job.state in ("done", "failed") else None


def _note_end(ingest: Ingest, portion: Portion, job: jobs.Job) -> None:
    result = job.result or {}
    if job.state == "failed":
        sentence = job.error or "it did not say why"
        tables.set_portion(ingest, portion, state="failed", sentence=sentence, run_id=result.get("run_id"))
    elif skipped := result.get("skipped"):
        tables.set_portion(ingest, portion, state="skipped", sentence=skipped, run_id=result.get("run_id"))
    else:
        sentence = str(result.get("summary") or "")
        tables.set_portion(ingest, portion, state="succeeded", sentence=sentence, run_id=result.get("run_id"))


def _ask(ingest: Ingest, backfill: Backfill, portion: Portion) -> None:
    params = _filled(backfill.params, portion.partition, portion.since, portion.until, backfill.timezone)
    before = tables.done_before(ingest, _digest(backfill.pipeline, portion, params))
    body = {
        "entry": backfill.pipeline,
        "params": params,
        "because": backfill.event,
        "reason": f"partition {portion.partition} of a backfill by {backfill.created_by}",
        "tags": {"backfill": backfill.id, "partition": portion.partition, "logical_time": to_wire(portion.since)},
        "unless": None if backfill.is_again else {"run": before},
    }
    about = subject_of(backfill.pipeline)
    job = jobs.enqueue(ingest, kind=JOB, body=body, by=backfill.subject, because=backfill.event, subject=about)
    tables.set_portion(ingest, portion, state="asked", job=job.id)


def _end(store: Store, backfill: Backfill) -> bool:
    try:
        with store.change(actor=backfill.subject, because=backfill.event) as change:
            if get(change, backfill.id).state != RUNNING:
                raise Conflict(f"backfill {backfill.id} was cancelled a moment ago.")
            found = Counter(tables.counts(change, backfill.id))
            state = FAILED if found["failed"] else COMPLETED
            tables.set_backfill(change, backfill.id, state=state, ended_at=change.now())
            change.record(BackfillEnded(backfill=backfill.id, state=state, counts=dict(found)))
    except Conflict:
        return False
    return True


def _read(
    pipeline: str,
    since: str,
    until: str,
    by: str,
    timezone: str,
    params: Mapping[str, Any] | None,
    concurrency: int,
) -> tuple[dict[str, Any], datetime, datetime, list[Partition]]:
    what = f"backfill of {pipeline[:80]!r}"
    templates.check_entry(pipeline, what=what)
    if not 1 <= concurrency <= MOST_CONCURRENCY:
        raise Invalid(f"{what} has a concurrency of {concurrency}; from 1 to {MOST_CONCURRENCY} is possible.")
    kept = templates.checked(params or {}, words=WORDS, what=what)
    begin, end = (calendar.local_moment(text, timezone, what=f"an end of {what}") for text in (since, until))
    return kept, begin, end, calendar.partitions(begin, end, by=by, timezone=timezone)


def _filled(params: dict[str, Any], name: str, since: datetime, until: datetime, timezone: str) -> dict[str, Any]:
    where = calendar.zone(timezone)
    words = {"partition": name, "since": calendar.written(since, where), "until": calendar.written(until, where)}
    return dict(templates.filled(params, words))


def _portion(backfill: str, each: Partition) -> Portion:
    return Portion(backfill=backfill, partition=each.name, since=each.since, until=each.until, state="waiting")


def _digest(pipeline: str, each: Partition | Portion, params: dict[str, Any]) -> str:
    return digest_of({"pipeline": pipeline, "params": params, "since": to_wire(each.since)})
