# SPDX-License-Identifier: Apache-2.0
"""Tokens: only their hash is kept, and they open nothing before, after or beside their purpose."""

from __future__ import annotations

import hashlib

import pytest
from sqlalchemy import update

from mainstay.domain.errors import Invalid, NotFound, Unauthenticated
from mainstay.lifecycle.governance import people, tables, tokens
from mainstay.store import Store, ledger

from .conftest import HeldClock


@pytest.fixture(autouse=True)
def ana(store: Store) -> None:
    with store.change(actor="system") as change:
        people.add(change, name="ana", roles=["admin"])


def issue(store: Store, days: int = 90) -> tokens.Issued:
    with store.change(actor="ana") as change:
        return tokens.issue(change, name="ana", days=days)


def opens(store: Store, secret: str, use: str = "token") -> bool:
    with store.view() as view:
        try:
            return tokens.holder(view, secret=secret, use=use)[0].name == "ana"
        except Unauthenticated:
            return False


def test_a_token_stands_for_its_person_until_its_time(store: Store, clock: HeldClock) -> None:
    issued = issue(store, days=2)

    clock.pass_(days=2, microseconds=-1)
    assert opens(store, issued.secret)
    clock.pass_(microseconds=1)
    assert not opens(store, issued.secret)


def test_two_tokens_have_nothing_in_common(store: Store) -> None:
    one, other = issue(store), issue(store)

    assert one.id != other.id
    assert one.secret.rpartition("_")[2] != other.secret.rpartition("_")[2]
    assert len(one.secret.rpartition("_")[2]) == 64
    mixed = f"mst_{one.id}_{other.secret.rpartition('_')[2]}"
    assert [opens(store, secret) for secret in (one.secret, other.secret, mixed)] == [True, True, False]


def test_only_the_hash_is_kept(store: Store) -> None:
    clear = issue(store).secret.rpartition("_")[2]

    with store.view() as view:
        (row,) = tables.secrets_of(view, "ana", "token")
        assert row.sha256 == hashlib.sha256(clear.encode()).hexdigest()
        assert clear not in str(row)
        assert clear not in str(ledger.search(view))


def test_a_revoked_token_opens_nothing_and_is_revoked_once(store: Store) -> None:
    issued = issue(store)
    with store.change(actor="ana") as change:
        tokens.revoke(change, identity=issued.id)

    assert not opens(store, issued.secret)
    with pytest.raises(NotFound, match="that still works"), store.change(actor="ana") as change:
        tokens.revoke(change, identity=issued.id)


def test_a_disabled_person_opens_nothing(store: Store) -> None:
    issued = issue(store)
    with store.ingest() as ingest:
        ingest.execute(update(tables.people).values(disabled_at=ingest.now()))

    assert not opens(store, issued.secret)


@pytest.mark.parametrize("days", [0, -1, 3651])
def test_a_token_has_a_bounded_life(store: Store, days: int) -> None:
    with pytest.raises(Invalid, match="from 1 to 3650"):
        issue(store, days)


def test_a_token_belongs_to_somebody(store: Store) -> None:
    with pytest.raises(NotFound), store.change(actor="ana") as change:
        tokens.issue(change, name="nobody")


def test_a_link_becomes_a_session_once(store: Store) -> None:
    with store.ingest() as ingest:
        link = tokens.make_link(ingest, name="ana").secret
        session = tokens.redeem_link(ingest, secret=link).secret

    assert opens(store, session, "session")
    assert not opens(store, session)
    with pytest.raises(Unauthenticated, match="used before"), store.ingest() as ingest:
        tokens.redeem_link(ingest, secret=link)


def test_links_and_sessions_are_forgotten_when_their_time_is_over_and_tokens_never(
    store: Store, clock: HeldClock
) -> None:
    issued = issue(store, days=1)
    with store.ingest() as ingest:
        link = tokens.make_link(ingest, name="ana").secret
        tokens.redeem_link(ingest, secret=link)

    for passed, forgotten in (({"minutes": 4}, 0), ({"minutes": 2}, 1), ({"hours": 12}, 1), ({"days": 9}, 0)):
        clock.pass_(**passed)  # type: ignore[arg-type]
        with store.ingest() as ingest:
            assert tokens.any_stale(ingest) is bool(forgotten)
            assert tokens.forget_stale(ingest) == forgotten

    with store.view() as view:
        assert [row.id for row in tables.secrets_of(view, "ana", "token")] == [issued.id]
