# SPDX-License-Identifier: Apache-2.0
"""Approvals: one person's word, for these bytes, for two weeks, and never for one's own work."""

from __future__ import annotations

import pytest

from mainstay.domain.errors import Conflict, Forbidden, Invalid
from mainstay.domain.governance import Approval
from mainstay.lifecycle.governance import approvals, people
from mainstay.store import Store, ledger

from .conftest import HeldClock

DIGEST, OTHER = "a" * 64, "b" * 64


@pytest.fixture(autouse=True)
def somebody(store: Store) -> None:
    with store.change(actor="system") as change:
        for name, role in (("ana", "approver"), ("bo", "admin"), ("cy", "contributor"), ("dee", "approver")):
            people.add(change, name=name, roles=[role])


def give(store: Store, actor: str, *, decision: str = "approve", digest: str = DIGEST, **more: object) -> Approval:
    wanted = {"subject": "release:flights#1", "actual_digest": DIGEST, "authors": (), **more}
    reason = str(wanted.pop("reason", "looked at the gates"))
    with store.change(actor=actor, reason=reason) as change:
        return approvals.give(change, decision=decision, digest=digest, **wanted)  # type: ignore[arg-type]


def valid(store: Store, digest: str = DIGEST) -> set[str]:
    with store.view() as view:
        return {given.actor for given in approvals.valid(view, subject="release:flights#1", digest=digest)}


def test_an_approval_counts_and_is_on_record_with_its_reason_and_digest(store: Store) -> None:
    given = give(store, "ana")

    assert valid(store) == {"ana"}
    with store.view() as view:
        (event,) = ledger.search(view, kind="approval.given")
    assert (event.actor, event.subject, event.reason) == ("ana", "release:flights#1", "looked at the gates")
    assert event.body == {"about": "release:flights#1", "digest": DIGEST, "decision": "approve", "approval": given.id}


def test_whoever_made_it_cannot_approve_it_and_nothing_is_written(store: Store) -> None:
    with pytest.raises(Forbidden, match="ana may not approve release:flights#1"):
        give(store, "ana", authors=["cy", "ana"])

    assert valid(store) == set()


def test_whoever_made_it_can_still_reject_it(store: Store) -> None:
    assert give(store, "ana", decision="reject", authors=["ana"]).decision == "reject"


def test_what_somebody_did_not_see_they_cannot_approve(store: Store) -> None:
    with pytest.raises(Conflict, match="is not what you saw"):
        give(store, "ana", digest=OTHER)


@pytest.mark.parametrize("reason", ["", "   ", "\n"])
def test_an_approval_takes_a_reason(store: Store, reason: str) -> None:
    with pytest.raises(Invalid, match="takes a reason"):
        give(store, "ana", reason=reason)


@pytest.mark.parametrize("decision", ["", "yes", "Approve", "approve "])
def test_a_decision_is_yes_or_no(store: Store, decision: str) -> None:
    with pytest.raises(Invalid, match="a decision is approve or reject"):
        give(store, "ana", decision=decision)


def test_changed_bytes_void_every_approval(store: Store) -> None:
    give(store, "ana")

    assert valid(store, OTHER) == set()


def test_one_person_counts_once(store: Store) -> None:
    give(store, "ana")
    give(store, "ana")
    give(store, "dee")

    assert valid(store) == {"ana", "dee"}


def test_a_later_no_takes_an_earlier_yes_back_and_the_other_way_round(store: Store, clock: HeldClock) -> None:
    give(store, "ana")
    clock.pass_(seconds=1)
    give(store, "ana", decision="reject")
    assert valid(store) == set()

    clock.pass_(seconds=1)
    give(store, "ana")
    assert valid(store) == {"ana"}


def test_a_yes_and_a_no_at_the_same_moment_count_in_the_order_given(store: Store) -> None:
    give(store, "ana")
    give(store, "ana", decision="reject")

    assert valid(store) == set()


def test_an_approval_is_good_for_two_weeks(store: Store, clock: HeldClock) -> None:
    give(store, "ana")

    clock.pass_(days=14, microseconds=-1)
    assert valid(store) == {"ana"}
    clock.pass_(microseconds=1)
    assert valid(store) == set()


def test_who_lost_the_role_since_does_not_count_and_who_never_had_it_neither(store: Store) -> None:
    for name in ("ana", "bo", "cy"):
        give(store, name)
    assert valid(store) == {"ana", "bo"}

    with store.change(actor="bo") as change:
        people.add(change, name="ana", roles=["viewer"])

    assert valid(store) == {"bo"}


def test_an_approval_of_one_subject_is_none_of_another(store: Store) -> None:
    give(store, "ana", subject="release:flights#2")

    assert valid(store) == set()
