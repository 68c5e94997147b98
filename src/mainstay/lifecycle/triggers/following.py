# SPDX-License-Identifier: Apache-2.0
"""Following: the one place where the loop closes.

In: the ledger, from where this follower stopped reading. Out: triggers asked, once for each window; and for each
decision that started something, the next step: the run is over, so its version is released; the release has ended, so
the decision has. Every step is one transaction that finds its own place in the record: kill it anywhere, and the next
look goes on.
"""

from __future__ import annotations

from dataclasses import replace

from mainstay.domain.clock import from_wire
from mainstay.domain.errors import Conflict, Invalid, NotFound
from mainstay.domain.monitoring import window_key
from mainstay.domain.registry import parse_version
from mainstay.domain.release import Release
from mainstay.domain.triggers import Decision, Trigger
from mainstay.lifecycle.governance import expressions
from mainstay.lifecycle.monitoring import monitors
from mainstay.lifecycle.registry import lineage
from mainstay.lifecycle.release import releases
from mainstay.lifecycle.release import tables as release_tables
from mainstay.lifecycle.serving import deployments
from mainstay.lifecycle.triggers import decisions, facts, tables
from mainstay.store import Store, View, jobs, ledger

FOLLOWER = "triggers"
BATCH = 200
UNDER_WAY = ("judging", "waiting", "approved", "rolling")
#: How a release ends, and what that makes of the decision behind it.
_RESULT_BY_STATE = {
    "live": "passed",
    "superseded": "passed",
    "refused": "refused",
    "rejected": "rejected",
    "rolled_back": "rolled_back",
    "failed": "failed",
}


def loop(store: Store) -> bool:
    """Ask triggers about newly judged windows, and carry pending decisions one step on; whether anything was done."""
    asked = ask_due(store)
    return carry_on(store) or asked


def ask_due(store: Store) -> bool:
    """Read on in the ledger; ask each trigger about each window that was judged since."""
    with store.view() as view:
        seen = tables.seen(view, FOLLOWER)
        entries = ledger.search(view, kind="window.judged", after=seen, limit=BATCH, newest_first=False)
    for entry in entries:
        _ask_about(store, entry)
        with store.ingest() as ingest:
            tables.set_seen(ingest, FOLLOWER, entry.seq)
    return bool(entries)


def carry_on(store: Store) -> bool:
    """Take every pending decision one step further, if its next step is due."""
    with store.view() as view:
        pending = tables.decisions_pending(view)
    return any([_step(store, decision) for decision in pending])


def _ask_about(store: Store, entry: ledger.Entry) -> None:
    body = entry.body
    window = window_key(body["monitor"], body["window_kind"], body["window"])
    with store.view() as view:
        own = monitors.of_deployment(view, body["deployment"])
        asked = tables.triggers_of(view, body["deployment"]) if own and own.name == body["monitor"] else []
        due = [t for t in asked if t.mode != "manual" and _is_ripe(view, t, window, body["is_mature"])]
    for trigger in due:
        reason = f"window {body['window']} of {body['deployment']} was judged"
        until = from_wire(body["until"])
        with store.change(actor=trigger.subject, reason=reason, because=entry.seq) as change:
            decisions.ask(change, trigger=trigger.name, as_of=until, window=window)


def _is_ripe(view: View, trigger: Trigger, window: str, is_mature: bool) -> bool:
    """Whether to ask now: once a window, and where labels matter to the condition, once enough of them are here."""
    if tables.decision_on(view, trigger.name, window) is not None:
        return False
    return is_mature or not expressions.check(trigger.condition) & facts.OF_LABELS


def _step(store: Store, decision: Decision) -> bool:
    if decision.release is not None:
        return _see_release(store, decision, decision.release)
    return decision.job is not None and _see_job(store, decision, decision.job)


def _see_job(store: Store, decision: Decision, identity: str) -> bool:
    """If the run is over: release what it made, or write down that there is nothing to release."""
    with store.view() as view:
        job = jobs.get(view, identity)
        if job.state not in ("done", "failed"):
            return False
        made = replace(decision, run_id=_run_of(job), version=_version_of(view, job))
        end = _dead_end(view, made, job)
        is_busy = any(release_tables.release_in_state(view, decision.deployment, state) for state in UNDER_WAY)
    if end is not None:
        return _end(store, made, *end)
    return not is_busy and _release(store, made)


def _run_of(job: jobs.Job) -> str | None:
    return (job.result or {}).get("run_id")


def _version_of(view: View, job: jobs.Job) -> str | None:
    """What the run registered, by its own word, else by the record of the registry."""
    told: str | None = (job.result or {}).get("version")
    run_id = _run_of(job)
    if told is not None or run_id is None:
        return told
    found = lineage.versions_of_run(view, run_id)
    return found[-1].id if found else None


def _dead_end(view: View, made: Decision, job: jobs.Job) -> tuple[str, str] | None:
    """Why there is nothing to release: a result and a sentence; None if there is something."""
    if job.state == "failed":
        return "failed", f"the run failed: {job.error or 'it did not say why'}"
    if made.version is None:
        return "failed", "the run ended well, but registered no version"
    model, number = parse_version(made.version)
    wanted = deployments.get(view, made.deployment).model
    if model != wanted:
        return "failed", f"the run registered {made.version}; deployment {made.deployment!r} serves model {wanted!r}"
    known = [r for r in release_tables.releases_of_version(view, model, number) if r.deployment == made.deployment]
    if known:
        return "none", f"the run gave {made.version} again, which is release {known[-1].id} ({known[-1].state}) already"
    return None


def _release(store: Store, made: Decision) -> bool:
    """Request the release, and note it on the decision, in one transaction."""
    assert made.version is not None
    model, number = parse_version(made.version)
    try:
        with store.change(actor=f"trigger:{made.trigger}", reason=made.sentence, because=made.event) as change:
            asked = deployments.release(change, name=made.deployment, model=model, version=number)
            tables.set_decision(change, made.id, run_id=made.run_id, version=made.version, release=asked.number)
    except Conflict:
        return False  # somebody else's release came between; the next look tries again
    except (Invalid, NotFound) as error:
        return _end(store, made, "failed", error.message)
    return True


def _see_release(store: Store, decision: Decision, number: int) -> bool:
    with store.view() as view:
        release = releases.get(view, deployment=decision.deployment, number=number)
    result = _RESULT_BY_STATE.get(release.state)
    return result is not None and _end(store, decision, result, _sentence(release))


def _end(store: Store, decision: Decision, result: str, sentence: str) -> bool:
    with store.change(actor=f"trigger:{decision.trigger}", reason=sentence, because=decision.event) as change:
        tables.set_decision(change, decision.id, run_id=decision.run_id, version=decision.version)
        decisions.end(change, decision, result=result, sentence=sentence)
    return True


def _sentence(release: Release) -> str:
    """What became of a release, in words."""
    objections = [gate.sentence for gate in release.gates if gate.verdict != "pass"]
    if release.state == "refused" and objections:
        more = f" (and {len(objections) - 1} more)" if len(objections) > 1 else ""
        return f"release {release.id} was refused by the gate: {objections[0]}{more}"
    words = {"live": "is live", "superseded": "went live", "rolled_back": "was rolled back", "rejected": "was rejected"}
    return f"release {release.id} {words.get(release.state, 'could not be judged')}"
