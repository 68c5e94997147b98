# SPDX-License-Identifier: Apache-2.0
"""People: their roles, and that somebody is always left who can change them."""

from __future__ import annotations

import pytest

from mainstay.domain.errors import Conflict, Invalid, NotFound
from mainstay.domain.governance import PERMISSIONS_BY_ROLE, Person
from mainstay.lifecycle.governance import people
from mainstay.store import Store, ledger

from .conftest import HeldClock


def add(store: Store, name: str, *roles: str, kind: str = "user") -> Person:
    with store.change(actor="system") as change:
        return people.add(change, name=name, kind=kind, roles=roles)


def test_somebody_is_added_once_and_given_other_roles_later(store: Store, clock: HeldClock) -> None:
    first = add(store, "ana", "viewer", "viewer")
    clock.pass_(days=1)
    second = add(store, "ana", "contributor", "approver")

    assert (first.roles, second.roles) == (("viewer",), ("approver", "contributor"))
    assert second.created_at == first.created_at
    with store.view() as view:
        assert people.listed(view) == [second]
        assert [event.body["roles"] for event in ledger.search(view, subject="person:ana")] == [
            ["approver", "contributor"],
            ["viewer"],
        ]


@pytest.mark.parametrize(
    ("name", "kind", "roles"), [("a b", "user", []), ("ana", "robot", []), ("ana", "user", ["root"])]
)
def test_an_unusable_name_kind_or_role_is_refused_and_leaves_nothing(
    store: Store, name: str, kind: str, roles: list[str]
) -> None:
    with pytest.raises(Invalid):
        add(store, name, *roles, kind=kind)

    with store.view() as view:
        assert people.listed(view) == []


def test_the_last_admin_cannot_stop_being_one(store: Store) -> None:
    add(store, "ana", "admin")
    with pytest.raises(Conflict, match="ana is the only admin"):
        add(store, "ana", "viewer")

    add(store, "bo", "admin")
    assert add(store, "ana", "viewer").roles == ("viewer",)
    with pytest.raises(Conflict, match="bo is the only admin"):
        add(store, "bo")


def test_nobody_of_that_name_is_not_found(store: Store) -> None:
    with pytest.raises(NotFound, match="nobody called 'ana'"), store.view() as view:
        people.get(view, "ana")


def test_roles_separate_duties() -> None:
    able = {role for role, granted in PERMISSIONS_BY_ROLE.items() if "approve" in granted}

    assert able == {"approver", "admin"}
    assert "write" not in PERMISSIONS_BY_ROLE["approver"]
    assert {role for role, granted in PERMISSIONS_BY_ROLE.items() if "admin" in granted} == {"admin"}
    assert "write" not in PERMISSIONS_BY_ROLE["gateway"]
    assert all("read" in granted for granted in PERMISSIONS_BY_ROLE.values())
