# SPDX-License-Identifier: Apache-2.0
"""Approvals: one person's yes or no, with a reason, for one digest. Changed bytes are another digest, so the yes is void."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import timedelta

from mainstay.domain import ids
from mainstay.domain.errors import Conflict, Forbidden, Invalid
from mainstay.domain.events.governance import ApprovalGiven
from mainstay.domain.governance import Approval
from mainstay.lifecycle.governance import people, tables
from mainstay.store import Change, View

DECISIONS = ("approve", "reject")
VALID_FOR = timedelta(days=14)


def give(
    change: Change, *, subject: str, digest: str, decision: str, actual_digest: str, authors: Iterable[str] = ()
) -> Approval:
    """Record what ``change.actor`` decided about ``subject``.

    ``digest`` is what the person saw, ``actual_digest`` what is there now; ``authors`` are those who may not approve
    because they trained, registered or requested it (four eyes).

    Raises:
        Conflict: the subject is no longer what the person saw. Forbidden: own work. Invalid: neither yes nor no, or no reason.
    """
    if decision not in DECISIONS:
        raise Invalid(f"a decision is {' or '.join(DECISIONS)}, not {decision!r}.")
    if not change.reason.strip():
        raise Invalid(f"to {decision} {subject} takes a reason; say what you looked at.")
    if digest != actual_digest:
        raise Conflict(f"{subject} is not what you saw: its digest is {actual_digest[:12]}…, you named {digest[:12]}….")
    if decision == "approve" and change.actor in set(authors):
        raise Forbidden(
            f"{change.actor} may not approve {subject}: whoever trained, registered or requested it cannot. Ask somebody else."
        )
    given = Approval(
        id=ids.uuid7(),
        subject=subject,
        digest=digest,
        decision=decision,
        actor=change.actor,
        reason=change.reason,
        at=change.now(),
    )
    tables.put_approval(change, given)
    change.record(ApprovalGiven(about=subject, digest=digest, decision=decision, approval=given.id))
    return given


def given_to(view: View, subject: str) -> list[Approval]:
    """Every yes and no about ``subject``, oldest first."""
    return tables.approvals_of(view, subject)


def valid(view: View, *, subject: str, digest: str) -> list[Approval]:
    """The yeses that count now: for these bytes, not too old, each by a person who may still approve; one a person."""
    counted: dict[str, Approval] = {}
    for given in tables.approvals_of(view, subject):
        if given.decision == "reject":
            counted.pop(given.actor, None)
        elif given.digest == digest and view.now() - given.at < VALID_FOR and _may_approve(view, given.actor):
            counted[given.actor] = given
    return list(counted.values())


def _may_approve(view: View, name: str) -> bool:
    someone = tables.person(view, name)
    return bool(someone and not someone.disabled_at and {"approver", "admin"} & set(people.get(view, name).roles))
