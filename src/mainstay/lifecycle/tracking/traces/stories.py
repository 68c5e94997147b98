# SPDX-License-Identifier: Apache-2.0
"""Stories: traces told as a whole, their tags, their links to runs and prompts, and their end.

What is told has precedence over what the spans of a trace say, whichever comes first. Telling it again replaces what
was told; tags, metadata and links are added to.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime

from mainstay.domain.errors import Invalid, NotFound, TooLarge
from mainstay.domain.traces import LINK_KINDS, MOST_LINKS, STATES, Trace, check_id, unknown_trace
from mainstay.domain.tracking import LONGEST_KEY, LONGEST_TAG, MOST_TAGS
from mainstay.lifecycle.tracking import experiments, runs
from mainstay.lifecycle.tracking.traces import tables
from mainstay.store import Ingest, View


def tell(ingest: Ingest, told: Trace) -> Trace:
    """Keep a trace as it is told, whether its spans are here already or not.

    Raises:
        Invalid: an unusable id, state or key, or the experiment is put away. NotFound: no such experiment. TooLarge: a
            label is too long.
    """
    check_id(told.id)
    if told.state not in STATES:
        raise Invalid(f"trace {told.id} cannot be {told.state!r}; the states are {', '.join(STATES)}.")
    experiments.get_active(ingest, told.experiment)
    check_labels(told.id, told.tags)
    check_labels(told.id, told.metadata)
    before = tables.trace(ingest, told.id)
    after = replace(told, is_told=True)
    if before is not None:
        after = _beside(before, after)
    tables.put_traces(ingest, [after], known=[told.id])
    tables.put_labels(ingest, tables.trace_tags, {told.id: told.tags})
    tables.put_labels(ingest, tables.trace_metadata, {told.id: told.metadata})
    return get(ingest, told.id)


def get(view: View, trace: str) -> Trace:
    """One trace.

    Raises:
        NotFound: there is none.
    """
    found = tables.trace(view, trace)
    if found is None:
        raise unknown_trace(trace)
    return found


def of_ids(view: View, traces: Sequence[str]) -> list[Trace]:
    """Those that exist, in the order in which they are asked for."""
    found = tables.traces_by_id(view, traces)
    return [found[identity] for identity in dict.fromkeys(traces) if identity in found]


def tag(ingest: Ingest, trace: str, tags: Mapping[str, str]) -> None:
    """Set tags; one that is there already takes the new value.

    Raises:
        NotFound: no such trace. Invalid, TooLarge: an unusable tag.
    """
    check_labels(trace, tags)
    get(ingest, trace)
    tables.put_labels(ingest, tables.trace_tags, {trace: tags})


def untag(ingest: Ingest, trace: str, key: str) -> None:
    """Take a tag away.

    Raises:
        NotFound: no such trace, or it has no such tag.
    """
    if not tables.remove_labels(ingest, tables.trace_tags, trace, [key]):
        get(ingest, trace)
        raise NotFound(f"trace {trace} has no tag {key[:80]!r}.", trace=trace)


def rename(ingest: Ingest, trace: str, name: str | None) -> None:
    """Give a trace another name.

    Raises:
        NotFound: no such trace.
    """
    tables.put_traces(ingest, [replace(get(ingest, trace), name=name)], known=[trace])


def link_run(ingest: Ingest, run: str, traces: Sequence[str]) -> None:
    """Say that traces belong to a run that did not make them, such as one that evaluates them.

    Raises:
        NotFound: no such run. TooLarge: more than one request may bring.
    """
    _check_count(len(traces))
    runs.get(ingest, run)
    there = tables.known(ingest, traces)
    tables.put_links(ingest, "run", ((trace, run) for trace in traces if trace in there))


def link_prompts(ingest: Ingest, trace: str, prompts: Sequence[str]) -> None:
    """Say which prompts (``name/version``) a trace used.

    Raises:
        NotFound: no such trace. TooLarge: more than one request may bring.
    """
    _check_count(len(prompts))
    get(ingest, trace)
    tables.put_links(ingest, "prompt", ((trace, prompt) for prompt in prompts))


def links(view: View, trace: str) -> dict[str, list[str]]:
    """What a trace is linked to, by kind."""
    found: dict[str, list[str]] = {kind: [] for kind in LINK_KINDS}
    for kind, ref in tables.links_of(view, trace):
        found[kind].append(ref)
    return found


def remove(ingest: Ingest, experiment: int, traces: Sequence[str]) -> int:
    """Delete traces of one experiment, with all that was said of them; how many there were."""
    there = tables.of_experiment(ingest, experiment, traces)
    return tables.remove_traces(ingest, there) if there else 0


def remove_until(ingest: Ingest, experiment: int, until: datetime, most: int | None = None) -> int:
    """Delete an experiment's traces up to a time, the oldest first; how many there were."""
    removed = 0
    while most is None or removed < most:
        there = tables.oldest(ingest, experiment, until, 500 if most is None else min(500, most - removed))
        if not there:
            break
        removed += tables.remove_traces(ingest, there)
    return removed


def check_labels(trace: str, labels: Mapping[str, str], most: int = MOST_TAGS) -> None:
    """Pass if a trace can have these tags, or this metadata.

    Raises:
        Invalid: an empty or unprintable key. TooLarge: too many, or one is too long.
    """
    if len(labels) > most:
        raise TooLarge(f"trace {trace[:80]} is given {len(labels)} labels; at most {most} come in one request.")
    for key, value in labels.items():
        if not key.strip() or not key.isprintable():
            raise Invalid(f"trace {trace[:80]} cannot have a label {key[:80]!r}; a printable name is expected.")
        if len(key) > LONGEST_KEY or len(value) > LONGEST_TAG:
            raise TooLarge(
                f"label {key[:40]!r} of trace {trace[:80]} is too long; a key may have {LONGEST_KEY} characters, "
                f"a value {LONGEST_TAG}."
            )


def _beside(before: Trace, told: Trace) -> Trace:
    """What is told, and where it is silent, what was known."""
    silent: Iterable[str] = (
        name
        for name in ("name", "request_preview", "response_preview", "session", "person", "usage", "cost", "run")
        if getattr(told, name) is None
    )
    return replace(told, **{name: getattr(before, name) for name in silent})


def _check_count(found: int) -> None:
    if found > MOST_LINKS:
        raise TooLarge(
            f"the request brings {found} links; at most {MOST_LINKS} come in one. Send the rest in the next."
        )
