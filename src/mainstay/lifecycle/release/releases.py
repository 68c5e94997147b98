# SPDX-License-Identifier: Apache-2.0
"""Releases: from a request, through judging and approval, to the start of a rollout.

The manifest fixes everything that goes live together; its digest is what people approve. The scores that the gates look at
are made by a worker (a job), since the control plane never loads a model; the verdicts are made here, from that evidence.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict
from typing import Any

from mainstay.domain import states
from mainstay.domain.digests import digest_of
from mainstay.domain.errors import Conflict, NotFound
from mainstay.domain.events.release import (
    ReleaseApproved,
    ReleaseFailed,
    ReleaseJudged,
    ReleaseRejected,
    ReleaseRequested,
)
from mainstay.domain.governance import Approval, Policy
from mainstay.domain.registry import Permission, Version
from mainstay.domain.release import GateResult, Release, Target
from mainstay.lifecycle.data import lineage as data_lineage
from mainstay.lifecycle.data.features import views
from mainstay.lifecycle.governance import approvals, policies
from mainstay.lifecycle.registry import lineage as registry_lineage
from mainstay.lifecycle.registry import permissions, versions
from mainstay.lifecycle.release import gates, rollouts, tables
from mainstay.lifecycle.tracking import runs
from mainstay.store import Change, View, jobs, ledger

JOB = "judge_release"
#: So many releases before the live one can be gone back to with all that they were answered from at hand.
KEPT_FORMER = 2
_MOST_RELEASES = 100_000


def request(change: Change, *, target: Target, version: int) -> Release:
    """Ask for ``version`` of the target's model to go live there; it is judged at once, by a worker.

    A version without an evaluation is judged by what was told of it; a gate that needs rows then finds too little to say.

    Raises:
        Conflict: another release of this deployment is on its way, this version is live already, or a feature view that it
        was trained on cannot be answered from. NotFound: no such version or policy.
        Invalid: the version cannot be loaded, or has no signature.
        Forbidden: it must be unpickled, and no admin has allowed that.
    """
    candidate = versions.get(change, model=target.model, number=version)
    _refuse_second(change, target, version)
    allowed = permissions.check_releasable(change, candidate)
    policy = policies.get(change, target.policy)
    number = tables.next_number(change, target.deployment)
    pinned = views.pinned(change, candidate.signature.get("views", []))
    views.check_transforms(candidate.signature.get("transforms", []))
    manifest = _manifest(candidate, target, policy, allowed, pinned)
    champion = live(change, target.deployment)
    release = Release(
        deployment=target.deployment,
        number=number,
        model=target.model,
        version=version,
        state="judging",
        manifest=manifest,
        digest=digest_of(manifest | {"deployment": target.deployment, "number": number}),
        requested_by=change.actor,
        requested_at=change.now(),
        reason=change.reason,
        because=change.because,
        authors=_authors(change, candidate),
        job=_enqueue(change, target, number, candidate, manifest, champion),
        gates=(),
        evidence_blob=None,
        judged_at=None,
    )
    tables.put_release(change, release)
    change.record(
        ReleaseRequested(
            deployment=release.deployment,
            number=number,
            model=release.model,
            version=version,
            digest=release.digest,
            manifest=manifest,
        )
    )
    _note_use(change, release, candidate)
    return release


def get(view: View, *, deployment: str, number: int) -> Release:
    """One release.

    Raises:
        NotFound: there is none of that number.
    """
    found = tables.release(view, deployment, number)
    if found is None:
        raise NotFound(f"there is no release {deployment}#{number}; `mainstay releases list` shows those there are.")
    return found


def live(view: View, deployment: str) -> Release | None:
    """The release that is meant to answer (the champion), or None before the first."""
    return tables.release_in_state(view, deployment, "live")


def needed_views(view: View) -> set[str]:
    """The versions of feature views (``spend/1``) of releases that answer or may come to, and of those to which a rollback goes
    first."""
    found: list[Release] = []
    former: Counter[str] = Counter()
    for release in tables.releases_of(view, limit=_MOST_RELEASES):
        if release.state in ("superseded", "rolled_back"):
            former[release.deployment] += 1
            found += [release] if former[release.deployment] <= KEPT_FORMER else []
        elif release.state not in ("refused", "rejected", "failed"):
            found.append(release)
    return {each["view"] for release in found for each in release.manifest.get("features", [])}


def failure(view: View, release: Release) -> str | None:
    """Why a release could not be judged or loaded, if that is how it ended."""
    if release.state != "failed":
        return None
    told = ledger.search(view, kind=ReleaseFailed.kind, subject=release.subject, limit=1)
    return str(told[0].body["error"]) if told else None


def judge(change: Change, *, release: Release, job: jobs.Job) -> Release:
    """Read the evidence that the job made, ask every gate, and move the release on.

    Refused when a gate does not pass; waiting when people must still agree; otherwise approved, and its rollout starts.
    """
    if job.state == "failed":
        return fail(change, release=release, error=job.error or "the judging job failed without a word")
    assert job.result is not None
    policy = policies.get(change, release.manifest["policy"]["name"], release.manifest["policy"]["version"])
    results = gates.ask(change, policy=policy, release=release, evidence=job.result)
    passed = all(result.verdict == "pass" for result in results)
    state = "refused" if not passed else "waiting" if policy.approvals else "approved"
    _move(change, release, state, gates=results, evidence_blob=job.result["evidence_blob"], judged_at=change.now())
    change.record(
        ReleaseJudged(
            deployment=release.deployment,
            number=release.number,
            state=state,
            policy=f"{policy.name}/{policy.version}",
            gates=[asdict(result) for result in results],
            evidence=job.result["evidence_blob"],
        ),
        reason=_summary(results),
        because=release.because,
    )
    judged = get(change, deployment=release.deployment, number=release.number)
    if state == "approved":
        rollouts.start(change, release=judged)
    return judged


def decide(change: Change, *, deployment: str, number: int, decision: str, digest: str) -> Release:
    """Record somebody's yes or no; with enough valid yeses the rollout starts.

    Raises:
        Conflict: it does not wait for anybody, or is not what the person saw. Forbidden: own work.
    """
    release = get(change, deployment=deployment, number=number)
    if release.state != "waiting":
        raise Conflict(
            f"release {release.id} is {release.state}; only one that is waiting can be approved or rejected."
        )
    policy = policies.get(change, release.manifest["policy"]["name"], release.manifest["policy"]["version"])
    authors = release.authors if policy.not_author else ()
    approvals.give(
        change,
        subject=release.subject,
        digest=digest,
        decision=decision,
        actual_digest=release.digest,
        authors=authors,
    )
    if decision == "reject":
        _move(change, release, "rejected")
        change.record(ReleaseRejected(deployment=deployment, number=number, digest=release.digest))
        return get(change, deployment=deployment, number=number)
    return _approve_if_enough(change, release, policy)


def valid_approvals(view: View, release: Release) -> list[Approval]:
    """The yeses that count for this release now."""
    return approvals.valid(view, subject=release.subject, digest=release.digest)


def _approve_if_enough(change: Change, release: Release, policy: Policy) -> Release:
    given = valid_approvals(change, release)
    if len(given) >= policy.approvals:
        _move(change, release, "approved")
        change.record(
            ReleaseApproved(
                deployment=release.deployment,
                number=release.number,
                digest=release.digest,
                approvals=[approval.id for approval in given],
            )
        )
        rollouts.start(change, release=get(change, deployment=release.deployment, number=release.number))
    return get(change, deployment=release.deployment, number=release.number)


def _refuse_second(view: View, target: Target, version: int) -> None:
    for state in ("judging", "waiting", "approved", "rolling"):
        if other := tables.release_in_state(view, target.deployment, state):
            raise Conflict(
                f"release {other.id} ({other.model}/{other.version}) is {state}; "
                f"end it before another goes to {target.deployment!r}: reject it, or abort its rollout."
            )
    champion = live(view, target.deployment)
    if champion and (champion.model, champion.version) == (target.model, version):
        raise Conflict(f"{target.model}/{version} is live on {target.deployment!r} already, as release {champion.id}.")


def _manifest(
    candidate: Version, target: Target, policy: Policy, allowed: Permission | None, pinned: list[dict[str, str]]
) -> dict[str, Any]:
    given = (
        {"what": allowed.what, "by": allowed.actor, "reason": allowed.reason, "event": allowed.event}
        if allowed
        else None
    )
    # Part of what is approved: whoever agrees to the digest has seen that somebody's code will run, and who allowed it.
    return ({"permission": given} if given else {}) | {
        "v": 1,
        "version": candidate.id,
        "version_digest": candidate.digest,
        "snapshots": list(dict.fromkeys(used.id for used in candidate.snapshots)),
        "features": pinned,
        "config": asdict(target.rollout) | {"steps": list(target.rollout.steps), "guards": list(target.rollout.guards)},
        "policy": {"name": policy.name, "version": policy.version, "digest": policy.digest},
        "environment": target.environment,
        "environment_digest": digest_of(candidate.environment),
    }


def _note_use(change: Change, release: Release, candidate: Version) -> None:
    registry_lineage.use(change, model=candidate.model, number=candidate.number, subject=release.subject)
    for used in candidate.snapshots:
        data_lineage.use(change, snapshot=used.id, subject=release.subject, role=used.role)


def _authors(change: Change, candidate: Version) -> tuple[str, ...]:
    """Those who may not approve: who asks, who registered, who ran the training."""
    trained = {runs.get(change, candidate.run_id).actor} if candidate.run_id else set()
    return tuple(sorted({change.actor, candidate.actor} | trained))


def _enqueue(
    change: Change,
    target: Target,
    number: int,
    candidate: Version,
    manifest: dict[str, Any],
    champion: Release | None,
) -> str:
    loaded = champion and versions.get(change, model=champion.model, number=champion.version)
    body = {
        "deployment": target.deployment,
        "release": number,
        "candidate": loadable(candidate, manifest),
        "champion": loadable(loaded, champion.manifest) if loaded and champion else None,
        "evaluation_blob": candidate.evaluation_blob,
    }
    about = f"release:{target.deployment}#{number}"
    return jobs.enqueue(change, kind=JOB, body=body, by=change.actor, because=change.because, subject=about).id


def loadable(version: Version, manifest: dict[str, Any]) -> dict[str, Any]:
    """What a process must know to load a version as the release with this manifest fixes it."""
    return {
        "model": version.model,
        "version": version.number,
        "digest": version.digest,
        "format": version.format,
        "files": {name: file.digest for name, file in version.files.items()},
        "environment": version.environment,
        "signature": version.signature,
        "allow_pickle": "permission" in manifest,
    }


def fail(change: Change, *, release: Release, error: str) -> Release:
    """End a release that cannot be judged."""
    _move(change, release, "failed", judged_at=change.now())
    change.record(ReleaseFailed(deployment=release.deployment, number=release.number, error=error), reason=error)
    return get(change, deployment=release.deployment, number=release.number)


def _move(change: Change, release: Release, state: str, **values: Any) -> None:
    states.check_move(states.RELEASE, f"release {release.id}", release.state, state)
    tables.set_release(change, release.deployment, release.number, state=state, **values)


def _summary(results: list[GateResult]) -> str:
    failed = [result for result in results if result.verdict != "pass"]
    if not failed:
        return f"all {len(results)} gates passed"
    return f"{len(failed)} of {len(results)} gates did not pass: {failed[0].sentence}"
