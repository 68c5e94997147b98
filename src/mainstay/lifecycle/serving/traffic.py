# SPDX-License-Identifier: Apache-2.0
"""Traffic: the routing table that gateways carry out, what they report, and the judging of a canary from their counts."""

from __future__ import annotations

import functools
from collections.abc import Iterable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from mainstay.domain.errors import Conflict
from mainstay.domain.release import WHOLE, Counts, Rollout
from mainstay.domain.serving import Gateway
from mainstay.lifecycle.data.features import views
from mainstay.lifecycle.registry import inputs, versions
from mainstay.lifecycle.release import judging, releases, rollouts
from mainstay.lifecycle.release import tables as release_tables
from mainstay.lifecycle.serving import deployments, prediction_log, tables
from mainstay.store import Change, Ingest, View, ledger

GOLDEN_ROWS = 5
SILENT_AFTER = timedelta(seconds=15)
# What changes the routing table; a contract, because its rules and aliases hold for requests too.
CHANGES = ("rollout.*", "deployment.*", "contract.*", "view.materialised")


def generation(view: View) -> int:
    """A number that rises whenever the routing table may have changed: the newest event that can change it."""
    newest = [ledger.search(view, kind=kind, limit=1) for kind in CHANGES]
    return max((found[0].seq for found in newest if found), default=0)


def routing_table(view: View) -> dict[str, Any]:
    """Everything a gateway must know to answer, for every deployment that has something live."""
    served = [_routes(view, deployment.name) for deployment in deployments.listed(view)]
    return {"generation": generation(view), "deployments": [routes for routes in served if routes["variants"]]}


def report(
    ingest: Ingest,
    *,
    gateway: str,
    started_at: datetime,
    pid: int,
    generation: int,
    loaded: Iterable[dict[str, Any]],
    counts: Iterable[dict[str, Any]],
    faults: Iterable[dict[str, Any]] = (),
) -> None:
    """Write down what a gateway says it has loaded and counted."""
    said = Gateway(
        id=gateway,
        started_at=started_at,
        reported_at=ingest.now(),
        pid=pid,
        generation=generation,
        loaded=tuple(loaded),
        faults=tuple(faults),
    )
    tables.put_gateway(ingest, said)
    tables.put_counts(ingest, gateway, started_at, counts)
    tables.forget_gateways(ingest, ingest.now() - timedelta(days=1))


def reporting(view: View) -> list[Gateway]:
    """Gateways that spoke within the last 15 seconds."""
    return [gateway for gateway in tables.all_gateways(view) if view.now() - gateway.reported_at < SILENT_AFTER]


def loaded_for(view: View, name: str) -> list[dict[str, Any]]:
    """What each gateway has loaded for a deployment, and whether each digest is the registry's."""
    wanted = {release.number: release.manifest["version_digest"] for release, _, _ in rollouts.variants(view, name)}
    found = []
    for gateway in reporting(view):
        ours = [line for line in gateway.loaded if line["deployment"] == name]
        lines = [
            line | {"matches": wanted.get(line["release"]) == line["digest"], "release_id": f"{name}#{line['release']}"}
            for line in ours
        ]
        found.append(
            {
                "gateway": gateway.id,
                "reported_at": gateway.reported_at,
                "generation": gateway.generation,
                "variants": lines,
                "faults": [fault for fault in gateway.faults if fault.get("deployment") == name],
            }
        )
    return found


def agrees(view: View, name: str) -> bool | None:
    """Whether every gateway has loaded exactly what should answer; None while no gateway speaks."""
    wanted = {release.number for release, _, share in rollouts.variants(view, name) if share > 0}
    loaded = loaded_for(view, name)
    if not loaded:
        return None
    for gateway in loaded:
        serving = {line["release"] for line in gateway["variants"] if line["share_bp"] > 0}
        if serving != wanted or not all(line["matches"] for line in gateway["variants"] if line["share_bp"] > 0):
            return False
    return True


def answered(view: View, name: str) -> dict[str, int]:
    """How many requests each release has answered, as far as the gateways have reported."""
    return {f"{name}#{release}": int(row.requests) for release, row in sorted(tables.totals(view, name).items())}


def unmarked(view: View) -> list[Rollout]:
    """Rollouts whose present step has no starting counts yet."""
    return [r for r in release_tables.rollouts_under_way(view) if r.state == "running" and not r.marks]


def mark(ingest: Ingest, rollout: Rollout) -> None:
    """Note the counts with which the first step begins, and from where on an answer is slow."""
    limit = rollout.config.latency_limit_ms
    if limit is None:
        limit = prediction_log.latency_quantile(ingest, rollout.deployment, rollout.champion, 0.95)
    marks = _totals(ingest, rollout) | {"latency_limit_ms": limit}
    release_tables.set_rollout_marks(ingest, rollout.id, marks)


def ripe(view: View) -> list[Rollout]:
    """Rollouts about which the judge has made up its mind."""
    running = [r for r in release_tables.rollouts_under_way(view) if r.state == "running" and r.marks]
    return [rollout for rollout in running if look(view, rollout).decision != "continue"]


def look(view: View, rollout: Rollout) -> judging.Ruling:
    """What the judge would say now."""
    counts = _since_mark(view, rollout)
    return judging.rule(counts, share=rollout.share_bp / WHOLE, config=rollout.config, past=rollout.evidence)


def advance(change: Change, rollout: Rollout) -> Rollout:
    """Do what the judge says.

    Raises:
        Conflict: nothing yet, or somebody moved the rollout since it was read.
    """
    if rollouts.get(change, rollout.id) != rollout:
        raise Conflict(f"rollout of {rollout.deployment}#{rollout.release} was moved meanwhile; look at it again.")
    marks = _totals(change, rollout) | {"latency_limit_ms": rollout.marks.get("latency_limit_ms")}
    return rollouts.advance(change, rollout=rollout, guards=_since_mark(change, rollout), marks=marks)


def _routes(view: View, name: str) -> dict[str, Any]:
    deployment = deployments.get(view, name)
    rollout = rollouts.under_way(view, name)
    variants = [_variant(view, *variant) for variant in rollouts.variants(view, name)]
    return {
        "name": name,
        "environment": deployment.environment,
        "owner": deployment.owner,
        # Another salt for each release, so that it is not always the same callers who meet the canary first.
        "salt": f"{name}#{rollout.release}" if rollout else "",
        "signature": variants[0]["signature"] if variants else None,
        "rules": _rules(view, name) if variants else [],
        "latency_limit_ms": rollout.marks.get("latency_limit_ms") if rollout else None,
        "variants": variants,
    }


def _variant(view: View, release: Any, role: str, share_bp: int) -> dict[str, Any]:
    version = versions.get(view, model=release.model, number=release.version)
    return releases.loadable(version, release.manifest) | {
        "release": release.id,
        "number": release.number,
        "role": role,
        "share_bp": share_bp,
        "views": [views.routed(view, pin) for pin in version.signature.get("views", [])],
        "golden": _golden(view, version.evaluation_blob, tuple(c["name"] for c in version.signature["inputs"])),
    }


def _rules(view: View, name: str) -> list[dict[str, Any]]:
    release = rollouts.variants(view, name)[0][0]
    version = versions.get(view, model=release.model, number=release.version)
    return [rule.content() for rule in inputs.rules_of(view, version)]


def _golden(view: View, blob: str | None, columns: tuple[str, ...]) -> dict[str, Any] | None:
    return None if blob is None else _golden_of(view.blobs.path(blob), columns)


@functools.lru_cache(maxsize=64)
def _golden_of(evaluation: Path, columns: tuple[str, ...]) -> dict[str, Any]:
    """The first rows of an evaluation with the scores they had then: what a gateway must reproduce before it serves."""
    first = next(pq.ParquetFile(evaluation).iter_batches(GOLDEN_ROWS, columns=[*columns, "_score"]))
    rows = first.to_pylist()
    return {"rows": [{c: row[c] for c in columns} for row in rows], "scores": [row["_score"] for row in rows]}


def _totals(view: View, rollout: Rollout) -> dict[str, Any]:
    totals = tables.totals(view, rollout.deployment)
    limit = prediction_log.error_limit(view, rollout.deployment, rollout.champion)
    found: dict[str, Any] = {}
    for role, number in (("canary", rollout.release), ("champion", rollout.champion)):
        row = totals.get(number) if number is not None else None
        n = int(row.requests) if row else 0
        wrong, labelled = prediction_log.wrong_since(view, rollout.deployment, number, rollout.started_at, limit=limit)
        found[role] = {
            "errors": [n, int(row.errors) if row else 0],
            "latency": [n, int(row.slow) if row else 0],
            "quality": [labelled, wrong],
        }
    return found


def _since_mark(view: View, rollout: Rollout) -> dict[str, tuple[Counts, Counts]]:
    now = _totals(view, rollout)

    def counts(role: str, guard: str) -> Counts:
        before = rollout.marks[role][guard]
        return Counts(n=now[role][guard][0] - before[0], bad=now[role][guard][1] - before[1])

    return {guard: (counts("canary", guard), counts("champion", guard)) for guard in rollout.config.guards}
