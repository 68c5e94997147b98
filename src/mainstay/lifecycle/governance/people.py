# SPDX-License-Identifier: Apache-2.0
"""People and services: who can act here, in which roles."""

from __future__ import annotations

from collections.abc import Iterable

from mainstay.domain.errors import Conflict, Invalid, NotFound
from mainstay.domain.events.governance import PersonAdded
from mainstay.domain.governance import PERMISSIONS_BY_ROLE, Person
from mainstay.domain.names import check_name
from mainstay.lifecycle.governance import tables
from mainstay.store import Change, View

KINDS = ("user", "service")


def add(change: Change, *, name: str, kind: str = "user", roles: Iterable[str]) -> Person:
    """Let somebody act, or give somebody other roles. Adding the same again changes nothing but leaves its event.

    Raises:
        Invalid: an unusable name, an unknown kind or role. Conflict: nobody would be left who is admin.
    """
    check_name("person", name)
    wanted = tuple(sorted(set(roles)))
    if kind not in KINDS:
        raise Invalid(f"person {name!r} cannot be of kind {kind!r}; the kinds are {', '.join(KINDS)}.")
    if unknown := [role for role in wanted if role not in PERMISSIONS_BY_ROLE]:
        raise Invalid(f"there is no role {unknown[0]!r}; the roles are {', '.join(PERMISSIONS_BY_ROLE)}.")
    before = tables.person(change, name)
    if "admin" not in wanted and _admins(change) == [name]:
        raise Conflict(f"{name} is the only admin here and cannot stop being one; make somebody else admin first.")
    someone = Person(
        name=name,
        kind=kind,
        roles=wanted,
        created_at=before.created_at if before else change.now(),
        disabled_at=None,
    )
    tables.put_person(change, someone)
    change.record(PersonAdded(name=name, person_kind=kind, roles=list(wanted)))
    return someone


def get(view: View, name: str) -> Person:
    """One person.

    Raises:
        NotFound: nobody has that name.
    """
    someone = tables.person(view, name)
    if someone is None:
        raise NotFound(f"there is nobody called {name!r}; `mainstay people list` shows who there is.")
    return someone


def listed(view: View) -> list[Person]:
    """Everybody, by name."""
    return tables.all_people(view)


def _admins(view: View) -> list[str]:
    return [one.name for one in tables.all_people(view) if "admin" in one.roles and not one.disabled_at]
