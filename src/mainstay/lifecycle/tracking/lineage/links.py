# SPDX-License-Identifier: Apache-2.0
"""Links: what a run read and what it made, by name and digest. Stored when it happens, never inferred later."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from mainstay.domain.errors import Invalid, TooLarge
from mainstay.domain.tracking import Link, SeenDataset
from mainstay.lifecycle.tracking import logs
from mainstay.lifecycle.tracking.lineage import tables
from mainstay.store import Ingest, View

MOST_DATASETS = 1_000
LONGEST_DATASET_NAME = 500
LONGEST_DATASET_DIGEST = 64
LARGEST_SCHEMA = 1 << 20
LARGEST_SOURCE = 1 << 16
LARGEST_PROFILE = 16 << 20
LONGEST_TAG = 500


def add(ingest: Ingest, run: str, links: Sequence[Link]) -> None:
    """Keep links of a run; one that is there already stays as it is. Whoever calls has checked that their ends
    exist."""
    there = {link.end for link in tables.links_of(ingest, run)} if links else set()
    new = {link.end: link for link in reversed(links) if link.end not in there}
    tables.put_links(ingest, run, list(reversed(new.values())))


def add_to_new(ingest: Ingest, links_by_run: Mapping[str, Sequence[Link]]) -> None:
    """`add` for many runs that were made in this very transaction, and have no links yet."""
    once = {
        run: list({link.end: link for link in reversed(links)}.values())[::-1] for run, links in links_by_run.items()
    }
    tables.put_links_of_new(ingest, once)


def read_datasets(ingest: Ingest, run: str, datasets: Sequence[tuple[SeenDataset, dict[str, str], str | None]]) -> None:
    """Keep which datasets of other tools a run read: what is known of each, its tags, and the context it was read in.

    Raises:
        NotFound: no such run. Conflict: its record is closed. Invalid, TooLarge: it cannot be kept.
    """
    if len(datasets) > MOST_DATASETS:
        raise TooLarge(f"the request brings {len(datasets)} datasets; at most {MOST_DATASETS} come in one.")
    for seen, tags, _ in datasets:
        _check_dataset(seen, tags)
    footing = logs.must_run(ingest, run)
    tables.see_datasets(ingest, footing.experiment, [seen for seen, _, _ in datasets])
    add(
        ingest,
        run,
        [
            Link(way="in", kind="dataset", ref=seen.digest, name=seen.name, context=context, tags=tags)
            for seen, tags, context in datasets
        ],
    )


def rename(ingest: Ingest, *, kind: str, before: str, after: str) -> None:
    """Let links that name ``before`` name ``after``: the same thing has another name now."""
    tables.rename_ref(ingest, kind, before, after)


def of(view: View, run: str) -> list[Link]:
    """What a run read and made."""
    return tables.links_of(view, run)


def of_runs(view: View, runs: Sequence[str]) -> dict[str, list[Link]]:
    """What each of many runs read and made."""
    return tables.links_of_runs(view, runs)


def datasets_of(view: View, runs: Sequence[str]) -> dict[tuple[int, str, str], SeenDataset]:
    """What is known of the datasets of other tools that runs read, by experiment, name and digest."""
    return tables.datasets_of_runs(view, runs)


def datasets_in(view: View, experiments: Sequence[int], *, limit: int) -> list[tuple[int, str, str, str | None]]:
    """Experiment, name, digest and context of each dataset that runs of these experiments read."""
    return tables.dataset_summaries(view, experiments, limit)


def runs_that_read(view: View, *, kind: str, ref: str) -> list[str]:
    """Ids of the runs with ``ref`` among their inputs, newest first."""
    return tables.runs_linked(view, "in", kind, ref)


def runs_that_made(view: View, *, kind: str, ref: str) -> list[str]:
    """Ids of the runs with ``ref`` among their outputs, newest first."""
    return tables.runs_linked(view, "out", kind, ref)


def _check_dataset(seen: SeenDataset, tags: dict[str, str]) -> None:
    if not seen.name or not seen.digest:
        raise Invalid("a dataset that a run read needs a name and a digest; send both.")
    sizes = {
        "name": (seen.name, LONGEST_DATASET_NAME),
        "digest": (seen.digest, LONGEST_DATASET_DIGEST),
        "source": (seen.source, LARGEST_SOURCE),
        "schema": (seen.schema or "", LARGEST_SCHEMA),
        "profile": (seen.profile or "", LARGEST_PROFILE),
        **{f"tag {key[:40]!r}": (value, LONGEST_TAG) for key, value in tags.items()},
    }
    for what, (text, most) in sizes.items():
        if len(text) > most:
            raise TooLarge(
                f"dataset {seen.name[:40]!r}: its {what} exceeds the maximum length of {most} characters "
                f"({len(text)} were sent); send less, or log the rest as an artifact."
            )
