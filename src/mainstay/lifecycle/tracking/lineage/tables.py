# SPDX-License-Identifier: Apache-2.0
"""The tables of what runs read and made, and the questions asked of them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from typing import Any

from sqlalchemy import BigInteger, Column, Index, Integer, String, Table, Text, exists, func, select, update

from mainstay.domain.tracking import Link, SeenDataset
from mainstay.lifecycle.tracking.tables import runs
from mainstay.store import Ingest, Json, View, metadata
from mainstay.store.conditions import in_parts

run_links = Table(
    "run_links",
    metadata,
    Column("run", String(32), primary_key=True),
    Column("way", String, primary_key=True),
    Column("kind", String, primary_key=True),
    Column("ref", String, primary_key=True),
    Column("name", String, primary_key=True),
    Column("place", Integer, nullable=False),
    Column("step", BigInteger),
    Column("context", Text),
    Column("tags", Json),
    Index(None, "kind", "ref"),
    info={"of": "run:{run}"},
)

# What other tools tell of a dataset that a run read, once an experiment: a schema or a profile may be large.
seen_datasets = Table(
    "seen_datasets",
    metadata,
    Column("experiment", Integer, primary_key=True, autoincrement=False),
    Column("name", String, primary_key=True),
    Column("digest", String, primary_key=True),
    Column("source_type", Text, nullable=False),
    Column("source", Text, nullable=False),
    Column("schema", Text),
    Column("profile", Text),
)


def links_of(view: View, identity: str) -> list[Link]:
    return links_of_runs(view, [identity])[identity]


def links_of_runs(view: View, identities: Sequence[str]) -> dict[str, list[Link]]:
    c = run_links.c
    found: dict[str, list[Link]] = {identity: [] for identity in identities}
    for some in in_parts(identities):
        query = select(c.run, c.way, c.kind, c.ref, c.name, c.step, c.context, c.tags).where(c.run.in_(some))
        query = query.order_by(c.run, c.way, c.place, c.name, c.kind, c.ref)
        rows: Sequence[Any] = view.rows(query)
        for run, way, kind, ref, name, step, context, tags in rows:
            found[run].append(Link(way=way, kind=kind, ref=ref, name=name, step=step, context=context, tags=tags))
    return found


def put_links(ingest: Ingest, identity: str, links: Sequence[Link]) -> None:
    first = ingest.scalar(select(func.count()).select_from(run_links).where(run_links.c.run == identity))
    rows = ({"run": identity, "place": first + n, **vars(link)} for n, link in enumerate(links))
    ingest.bulk_append(run_links, rows)


def put_links_of_new(ingest: Ingest, links_by_run: Mapping[str, Sequence[Link]]) -> None:
    rows = [
        {"run": run, "place": place, **vars(link)}
        for run, links in links_by_run.items()
        for place, link in enumerate(links)
    ]
    ingest.bulk_append(run_links, rows)


def rename_ref(ingest: Ingest, kind: str, before: str, after: str) -> None:
    ingest.execute(update(run_links).where(run_links.c.kind == kind, run_links.c.ref == before).values(ref=after))


def runs_linked(view: View, way: str, kind: str, ref: str) -> list[str]:
    c = run_links.c
    query = select(c.run).where(c.kind == kind, c.ref == ref, c.way == way).distinct().order_by(c.run.desc())
    return [row.run for row in view.rows(query)]


def see_datasets(ingest: Ingest, experiment: int, seen: Iterable[SeenDataset]) -> None:
    for one in seen:
        if seen_dataset(ingest, experiment, one.name, one.digest) is None:
            ingest.insert(seen_datasets, experiment=experiment, **asdict(one))


def seen_dataset(view: View, experiment: int, name: str, digest: str) -> SeenDataset | None:
    c = seen_datasets.c
    query = select(c.name, c.digest, c.source_type, c.source, c.schema, c.profile)
    row = view.first(query.where(c.experiment == experiment, c.name == name, c.digest == digest))
    return row and SeenDataset(**row._mapping)


def datasets_of_runs(view: View, identities: Sequence[str]) -> dict[tuple[int, str, str], SeenDataset]:
    """What is known of every dataset that these runs read, by experiment, name and digest."""
    d = seen_datasets.c
    found: dict[tuple[int, str, str], SeenDataset] = {}
    for some in in_parts(identities):
        here = (run_links.c.kind == "dataset") & (run_links.c.name == d.name) & (run_links.c.ref == d.digest)
        read = exists().where(run_links.c.run == runs.c.id, here, runs.c.experiment == d.experiment)
        query = select(seen_datasets).where(exists().where(runs.c.id.in_(some), read))
        for experiment, *facts in view.tuples(query):
            seen = SeenDataset(**dict(zip(_SEEN, facts, strict=True)))
            found[experiment, seen.name, seen.digest] = seen
    return found


_SEEN = tuple(column.name for column in seen_datasets.c)[1:]


def dataset_summaries(view: View, experiments: Sequence[int], limit: int) -> list[tuple[int, str, str, str | None]]:
    """Which datasets the runs of experiments read, and in which context: each once."""
    c = run_links.c
    query = select(runs.c.experiment, c.name, c.ref, c.context).join(runs, runs.c.id == c.run)
    query = query.where(c.kind == "dataset", runs.c.experiment.in_(experiments), runs.c.deleted_at.is_(None))
    return [tuple(row) for row in view.rows(query.distinct().order_by(c.name, c.ref, c.context).limit(limit))]
