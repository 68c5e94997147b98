# SPDX-License-Identifier: Apache-2.0
"""Why: the chain behind a prediction, a release, a version, a run or a snapshot, walked along stored pointers.

prediction → release → version → run → code, and → snapshots → source; beside the release its gates, approvals and rollout.
With ``verify`` every blob on the way is hashed again, the ledger's chain is walked, and the approvals' digests are compared.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from mainstay.domain.errors import Invalid, MainstayError, NotFound
from mainstay.domain.names import parse_numbered, parse_subject
from mainstay.domain.registry import Version
from mainstay.domain.release import Release
from mainstay.formats.signature import Output
from mainstay.lifecycle.data import snapshots
from mainstay.lifecycle.governance import approvals, policies
from mainstay.lifecycle.monitoring import alerts, monitors
from mainstay.lifecycle.registry import versions
from mainstay.lifecycle.release import releases
from mainstay.lifecycle.release import tables as release_tables
from mainstay.lifecycle.serving import prediction_log
from mainstay.lifecycle.tracking import logs, runs
from mainstay.lifecycle.triggers import decisions
from mainstay.store import View, collecting, ledger

UNKNOWN = "UNKNOWN"


@dataclass(frozen=True, kw_only=True)
class Fact:
    """One thing that the record says of a step."""

    name: str
    value: Any


@dataclass(kw_only=True)
class Step:
    """One thing on the way. ``verified`` is None when nobody asked; ``unknown``: a pointer leads nowhere."""

    kind: str
    subject: str
    title: str
    at: datetime | None = None
    actor: str | None = None
    facts: list[Fact] = field(default_factory=list)
    href: str | None = None
    verified: bool | None = None
    unknown: bool = False


@dataclass(frozen=True, kw_only=True)
class Why:
    """The chain: ``edges`` are (from, to, label), by position in ``steps``."""

    subject: str
    steps: list[Step]
    edges: list[tuple[int, int, str]]
    chain_ok: bool | None


def ask(view: View, subject: str, *, verify: bool = False) -> Why:
    """The chain behind ``subject``; a bare prediction id will do.

    Raises:
        Invalid: a kind of subject that has no chain. NotFound: there is no such thing.
    """
    kind, name = parse_subject(subject if ":" in subject else f"prediction:{subject}")
    walk = Walk(view=view, verify=verify)
    steps: dict[str, Callable[[str], int]] = {
        "prediction": walk.prediction,
        "release": walk.release_named,
        "version": walk.version_named,
        "run": walk.run,
        "snapshot": walk.snapshot,
        "alert": walk.alert,
        "decision": walk.decision,
        "deployment": walk.deployment,
    }
    if kind not in steps:
        raise Invalid(f"there is no chain behind a {kind}; ask about one of {', '.join(steps)}.")
    steps[kind](name)
    chain_ok = ledger.verify(view).ok if verify else None
    return Why(subject=f"{kind}:{name}", steps=walk.steps, edges=walk.edges, chain_ok=chain_ok)


@dataclass(kw_only=True)
class Walk:
    """The steps found so far. Each method adds what it is named after, and what lies behind it, and returns its place."""

    view: View
    verify: bool
    steps: list[Step] = field(default_factory=list)
    edges: list[tuple[int, int, str]] = field(default_factory=list)
    _places: dict[str, int] = field(default_factory=dict)
    _told: list[Fact] = field(default_factory=list)

    def prediction(self, identity: str) -> int:
        row, told = prediction_log.get(self.view, identity)
        output = prediction_log.output_of(self.view, row["_deployment"], row["_release"])
        facts = [
            Fact(name="answer", value=_said(output, row["_value"])),
            Fact(name="asked at", value=row["_at"]),
            Fact(name="variant", value=row["_variant"]),
            Fact(name="status", value=row["_status"]),
            Fact(name="key", value=row["_key"]),
            Fact(name="by", value=row["_source"]),
        ]
        facts += [Fact(name="turned out as", value=_said(output, one.label)) for one in told[-1:]]
        here = self._add(
            Step(
                kind="prediction",
                subject=f"prediction:{identity}",
                title=f"prediction {identity}",
                at=row["_logged_at"],
                actor="a gateway" if row["_source"] == "http" else "offline scoring",
                facts=facts,
                href=f"/predictions/{identity}",
            )
        )
        self._follow(here, "answered by", self.release_named, f"{row['_deployment']}#{row['_release']}")
        return here

    def deployment(self, name: str) -> int:
        here = self._add(
            Step(
                kind="deployment", subject=f"deployment:{name}", title=f"deployment {name}", href=f"/deployments/{name}"
            )
        )
        live = releases.live(self.view, name)
        if live is None:
            return self._unknown(here, "serves", "release", f"nothing is live on {name}")
        self._follow(here, "serves", self.release_named, live.id)
        return here

    def release_named(self, text: str) -> int:
        deployment, number = parse_numbered(text, "#", kind="release")
        release = releases.get(self.view, deployment=deployment, number=number)
        here = self._add(
            Step(
                kind="release",
                subject=release.subject,
                title=f"release {release.id}",
                at=release.requested_at,
                actor=release.requested_by,
                facts=[
                    Fact(name="state", value=release.state),
                    Fact(name="reason", value=release.reason or "none given"),
                    Fact(name="digest", value=release.digest),
                    *_allowed(release),
                ],
                href=f"/releases/{deployment}/{number}",
            )
        )
        self._follow(here, "fixes", self.version_named, f"{release.model}/{release.version}")
        self._gates(here, release)
        self._approvals(here, release)
        self._rollout(here, release)
        self._cause(here, release.because)
        return here

    def version_named(self, text: str) -> int:
        model, number = parse_numbered(text, "/", kind="version")
        version = versions.get(self.view, model=model, number=number)
        here = self._add(
            Step(
                kind="version",
                subject=f"version:{version.id}",
                title=f"version {version.id}",
                at=version.created_at,
                actor=version.actor,
                facts=[
                    Fact(name="digest", value=version.digest),
                    Fact(name="format", value=version.format),
                    *_views(version),
                    *(Fact(name=name, value=value) for name, value in version.metrics.items()),
                ],
                href=f"/models/{model}/{number}",
                verified=self._check(lambda: versions.verify(self.view, version)),
            )
        )
        if version.run_id:
            self._follow(here, "made by", self.run, version.run_id)
        else:
            said = f"it came from {version.source!r}" if version.source else "nothing says where it came from"
            self._unknown(here, "made by", "run", f"no run of this workspace made it; {said}")
        self._data(here, version)
        return here

    def run(self, identity: str) -> int:
        run = runs.get(self.view, identity)
        logged = logs.of(self.view, identity)
        here = self._add(
            Step(
                kind="run",
                subject=f"run:{identity}",
                title=f"{run.kind} {run.name}",
                at=run.started_at,
                actor=run.actor,
                facts=[
                    Fact(name="state", value=run.state),
                    Fact(name="seconds", value=run.seconds),
                    *(Fact(name=name, value=value) for name, value in logged.params.items()),
                ],
                href=f"/runs/{identity}",
            )
        )
        self._code(here, run.code, run.environment)
        self._cause(here, run.because)
        return here

    def snapshot(self, text: str) -> int:
        snapshot = snapshots.named(self.view, text)
        here = self._add(
            Step(
                kind="snapshot",
                subject=f"snapshot:{snapshot.id}",
                title=f"snapshot {snapshot.id}",
                at=snapshot.created_at,
                actor=snapshot.actor,
                facts=[
                    Fact(name="rows", value=snapshot.rows),
                    Fact(name="digest", value=snapshot.digest),
                    Fact(name="source", value=snapshot.source),
                    Fact(name="contract", value=f"version {snapshot.contract_version}"),
                    *(
                        Fact(name="warning", value=warning.sentence)
                        for warning in snapshot.warnings
                        if warning.problem == "mutable"
                    ),
                ],
                href=f"/snapshots/{snapshot.id}",
                verified=self._check(lambda: snapshots.verify(self.view, snapshot)),
            )
        )
        if snapshot.run_id:
            self._follow(here, "produced by", self.run, snapshot.run_id)
        return here

    def alert(self, identity: str) -> int:
        alert = alerts.get(self.view, identity)
        monitor = monitors.get(self.view, alert.monitor)
        here = self._add(
            Step(
                kind="alert",
                subject=f"alert:{identity}",
                title=alert.title,
                at=alert.opened_at,
                facts=[
                    Fact(name="says", value=alert.sentence),
                    Fact(name="state", value=alert.state),
                    Fact(name="owner", value=alert.owner),
                ],
                href=f"/alerts/{identity}",
            )
        )
        if alert.release:
            self._follow(here, "about", self.release_named, f"{monitor.deployment}#{alert.release}")
        self._cause(here, alert.because)
        return here

    def decision(self, identity: str) -> int:
        decision = decisions.get(self.view, identity)
        here = self._add(
            Step(
                kind="decision",
                subject=f"decision:{identity}",
                title=f"decision of {decision.trigger}: {decision.outcome}",
                at=decision.at,
                actor=decision.actor,
                facts=[Fact(name="says", value=decision.sentence), Fact(name="condition", value=decision.condition)],
                href=f"/decisions/{identity}",
            )
        )
        self._cause(here, decision.because)
        return here

    def _gates(self, here: int, release: Release) -> None:
        policy = release.manifest["policy"]
        for result in release.gates:
            step = Step(
                kind="gate",
                subject=f"policy:{policy['name']}",
                title=result.gate,
                at=release.judged_at,
                actor=f"policy {policy['name']}/{policy['version']}",
                facts=[
                    Fact(name="verdict", value=result.verdict),
                    Fact(name="says", value=result.sentence),
                    Fact(name="rows", value=result.rows),
                ],
                verified=self._check(lambda: self._read_evidence(release)),
            )
            self._link(here, self._put(step), "passed" if result.verdict == "pass" else "did not pass")

    def _read_evidence(self, release: Release) -> None:
        if release.evidence_blob:
            self.view.blobs.read(release.evidence_blob)
        policy = release.manifest["policy"]
        if policies.get(self.view, policy["name"], policy["version"]).digest != policy["digest"]:
            raise Invalid("the policy is not the one that was asked.")

    def _approvals(self, here: int, release: Release) -> None:
        given = approvals.given_to(self.view, release.subject)
        for approval in given:
            step = Step(
                kind="approval",
                subject=release.subject,
                title=approval.actor,
                at=approval.at,
                actor=approval.actor,
                facts=[Fact(name="reason", value=approval.reason), Fact(name="digest", value=approval.digest)],
                verified=approval.digest == release.digest if self.verify else None,
            )
            self._link(here, self._put(step), "approved by" if approval.decision == "approve" else "rejected by")
        if not given:
            needed = policies.get(self.view, release.manifest["policy"]["name"], release.manifest["policy"]["version"])
            if needed.approvals and release.state not in ("judging", "refused", "failed", "waiting"):
                self._unknown(here, "approved by", "approval", "no approval is on record")

    def _rollout(self, here: int, release: Release) -> None:
        for rollout in reversed(release_tables.rollouts_of(self.view, release.deployment, release.number)):
            shares = [f"{line['share']:.0%} ({line['guard']}: {line['decision']})" for line in rollout.evidence]
            step = Step(
                kind="rollout",
                subject=release.subject,
                title=f"{rollout.kind} rollout, {rollout.state}",
                at=rollout.started_at,
                actor="system",
                facts=[Fact(name="steps", value=", ".join(shares) or "all traffic at once")],
            )
            self._link(here, self._put(step), "rolled out by")

    def _data(self, here: int, version: Version) -> None:
        if not version.snapshots:
            self._unknown(here, "trained on", "snapshot", "no snapshot is on record")
        for used in version.snapshots:
            label = {"train": "trained on", "holdout": "judged on"}.get(used.role, "used")
            self._follow(here, label, self.snapshot, used.id)

    def _code(self, here: int, code: dict[str, Any] | None, environment: str | None) -> None:
        if not code:
            self._unknown(here, "code", "code", "no code was recorded")
            return
        facts = [
            Fact(name=name, value=value) for name, value in sorted(code.items()) if value not in (None, "", [], {})
        ]
        if environment:
            facts.append(Fact(name="environment", value=environment))
        step = Step(kind="code", subject=self.steps[here].subject, title=str(code.get("entry") or "code"), facts=facts)
        step.at, step.actor = self.steps[here].at, self.steps[here].actor
        self._link(here, self._put(step), "code")

    def _cause(self, here: int, because: int | None) -> None:
        """The event that caused this, once."""
        if because is None:
            return
        entry = self.view.event(because)
        if entry is None:
            self._unknown(here, "because of", "event", f"event {because} is not in the ledger")
            return
        known = f"event:{entry.seq}"
        if known not in self._places:
            step = Step(
                kind="event",
                subject=entry.subject,
                title=f"{entry.kind} {entry.subject}",
                at=entry.at,
                actor=entry.actor,
                facts=[Fact(name="event", value=entry.seq), Fact(name="reason", value=entry.reason or "")],
                href=f"/ledger?subject={entry.subject}",
            )
            self._places[known] = self._put(step)
        self._link(here, self._places[known], "because of")

    def _add(self, step: Step) -> int:
        self._places[step.subject] = place = self._put(step)
        return place

    def _put(self, step: Step) -> int:
        step.facts += self._told
        self._told = []
        self.steps.append(step)
        return len(self.steps) - 1

    def _link(self, here: int, there: int, label: str) -> None:
        self.edges.append((here, there, label))

    def _follow(self, here: int, label: str, walk: Callable[[str], int], name: str) -> None:
        kind = {"release_named": "release", "version_named": "version"}.get(walk.__name__, walk.__name__)
        known = self._places.get(f"{kind}:{name}")
        if known is not None:
            self._link(here, known, label)
            return
        try:
            self._link(here, walk(name), label)
        except NotFound as error:
            self._unknown(here, label, kind, error.message)

    def _unknown(self, here: int, label: str, kind: str, sentence: str) -> int:
        step = Step(kind=kind, subject=UNKNOWN, title=UNKNOWN, facts=[Fact(name="says", value=sentence)], unknown=True)
        step.verified = False if self.verify else None
        self._link(here, self._put(step), label)
        return here

    def _check(self, look: Callable[[], object]) -> bool | None:
        if not self.verify:
            return None
        try:
            look()
        except NotFound as error:
            # What gc took is not damaged: it can no longer be shown to be what it was, and that is told.
            freed = collecting.missing(self.view, error)
            self._told += [Fact(name="bytes", value=freed.sentence)] if freed else []
            return None if freed else False
        except MainstayError:
            return False
        return True


def _views(version: Version) -> list[Fact]:
    """The feature views and the transforms that make inputs, if any do."""
    pins = [f"{pin['view']}/{pin['version']}" for pin in version.signature.get("views", [])]
    made = [each["name"] for each in version.signature.get("transforms", [])]
    told = (("feature views", pins), ("made on request", made))
    return [Fact(name=name, value=", ".join(several)) for name, several in told if several]


def _allowed(release: Release) -> list[Fact]:
    """What an admin had to allow for this release."""
    given = release.manifest.get("permission")
    return [Fact(name=given["what"], value=f"allowed by {given['by']}: {given['reason']}")] if given else []


def _said(output: Output, value: float | None) -> Any:
    """What a number stands for: of several classes it is the place of one."""
    return (output.classes or ())[int(value)] if output.type == "multiclass" and value is not None else value
