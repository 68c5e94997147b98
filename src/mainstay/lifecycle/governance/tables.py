# SPDX-License-Identifier: Apache-2.0
"""The tables of governance and the questions asked of them. Secrets are kept as SHA-256 only."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import (
    Boolean,
    Column,
    Index,
    Integer,
    Row,
    String,
    Table,
    Text,
    bindparam,
    delete,
    func,
    insert,
    select,
    update,
)

from mainstay.domain.governance import Approval, Person, Policy
from mainstay.store import Change, Ingest, Instant, Json, View, metadata

people = Table(
    "people",
    metadata,
    Column("name", String, primary_key=True),
    Column("kind", String, nullable=False),
    Column("roles", Json, nullable=False),
    Column("created_at", Instant, nullable=False),
    Column("disabled_at", Instant),
)

# Tokens, browser sessions and one-time links are one idea: a secret that stands for a person until some time.
secrets = Table(
    "secrets",
    metadata,
    Column("id", String, primary_key=True),
    Column("use", String, nullable=False),  # token | session | link
    Column("person", String, nullable=False, index=True),
    Column("sha256", String(64), nullable=False),
    Column("created_at", Instant, nullable=False),
    Column("expires_at", Instant, nullable=False),
    Column("ended_at", Instant),
)

policies = Table(
    "policies",
    metadata,
    Column("name", String, primary_key=True),
    Column("version", Integer, primary_key=True),
    Column("gates", Json, nullable=False),
    Column("approvals", Integer, nullable=False),
    Column("not_author", Boolean, nullable=False),
    Column("digest", String(64), nullable=False),
    Column("created_at", Instant, nullable=False),
    Column("actor", String, nullable=False),
)

approvals = Table(
    "approvals",
    metadata,
    Column("id", String(32), primary_key=True),
    Column("subject", String, nullable=False),
    Column("digest", String(64), nullable=False),
    Column("decision", String, nullable=False),
    Column("actor", String, nullable=False),
    Column("reason", Text, nullable=False),
    Column("at", Instant, nullable=False),
    Index(None, "subject", "at"),
)


def person(view: View, name: str) -> Person | None:
    row = view.first(_PERSON, {"wanted": name})
    return row and _person(row)


# This and the next are asked before whatever else is: made once, as making them takes longer than asking.
_PERSON = select(people).where(people.c.name == bindparam("wanted"))


def all_people(view: View) -> list[Person]:
    return [_person(row) for row in view.rows(select(people).order_by(people.c.name))]


def put_person(change: Change, someone: Person) -> None:
    values = {"kind": someone.kind, "roles": list(someone.roles), "disabled_at": someone.disabled_at}
    if not change.execute(update(people).where(people.c.name == someone.name).values(**values)):
        change.insert(people, name=someone.name, created_at=someone.created_at, **values)


def put_secret(ingest: Ingest, **values: Any) -> None:
    ingest.execute(insert(secrets).values(**values))


def secret(view: View, identity: str, use: str) -> Row[Any] | None:
    return view.first(_SECRET, {"wanted": identity, "use": use})


_SECRET = select(secrets).where(secrets.c.id == bindparam("wanted"), secrets.c.use == bindparam("use"))


def end_secret(ingest: Ingest, identity: str, at: datetime) -> int:
    """1 if this call ended it; 0 if it had ended before."""
    still = (secrets.c.id == identity) & secrets.c.ended_at.is_(None)
    return ingest.execute(update(secrets).where(still).values(ended_at=at))


def secrets_of(view: View, name: str, use: str) -> Sequence[Row[Any]]:
    query = select(secrets).where(secrets.c.person == name, secrets.c.use == use)
    return view.rows(query.order_by(secrets.c.created_at.desc()))


def any_ended_before(view: View, moment: datetime) -> bool:
    return view.first(select(secrets.c.id).where(*_ended_before(moment)).limit(1)) is not None


def forget_ended_before(ingest: Ingest, moment: datetime) -> int:
    return ingest.execute(delete(secrets).where(*_ended_before(moment)))


def _ended_before(moment: datetime) -> tuple[Any, ...]:
    return secrets.c.use != "token", secrets.c.expires_at < moment


def policy(view: View, name: str, version: int | None = None) -> Policy | None:
    query = select(policies).where(policies.c.name == name).order_by(policies.c.version.desc()).limit(1)
    if version is not None:
        query = query.where(policies.c.version == version)
    row = view.first(query)
    return row and _policy(row)


def newest_policies(view: View) -> list[Policy]:
    newest = select(policies.c.name, func.max(policies.c.version).label("version")).group_by(policies.c.name).subquery()
    query = select(policies).join(newest, (newest.c.name == policies.c.name) & (newest.c.version == policies.c.version))
    return [_policy(row) for row in view.rows(query.order_by(policies.c.name))]


def put_policy(change: Change, new: Policy) -> None:
    change.insert(
        policies,
        name=new.name,
        version=new.version,
        gates=list(new.gates),
        approvals=new.approvals,
        not_author=new.not_author,
        digest=new.digest,
        created_at=new.created_at,
        actor=new.actor,
    )


def put_approval(change: Change, given: Approval) -> None:
    change.insert(
        approvals,
        id=given.id,
        subject=given.subject,
        digest=given.digest,
        decision=given.decision,
        actor=given.actor,
        reason=given.reason,
        at=given.at,
    )


def approvals_of(view: View, subject: str) -> list[Approval]:
    query = select(approvals).where(approvals.c.subject == subject).order_by(approvals.c.at, approvals.c.id)
    return [Approval(**row._mapping) for row in view.rows(query)]


def _person(row: Row[Any]) -> Person:
    return Person(**{**row._mapping, "roles": tuple(row.roles)})


def _policy(row: Row[Any]) -> Policy:
    return Policy(**{**row._mapping, "gates": tuple(row.gates)})
