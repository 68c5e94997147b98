# SPDX-License-Identifier: Apache-2.0
"""Webhooks: each event is planned once, for whoever asked for it, and goes on being due until it is settled."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from mainstay.domain.errors import Invalid, NotFound
from mainstay.domain.registry import Delivery, Webhook
from mainstay.lifecycle.registry import models
from mainstay.lifecycle.registry.webhooks import deliveries, endpoints
from mainstay.store import Store, View, ledger, open_store

from ..clocks import HeldClock


@pytest.fixture
def clock() -> HeldClock:
    return HeldClock(datetime(2026, 1, 1, tzinfo=UTC))


@pytest.fixture
def house(tmp_path: Path, clock: HeldClock) -> Iterator[Store]:
    opened = open_store(tmp_path / "workspace", clock=clock)
    yield opened
    opened.close()


def told(view: View, entry: ledger.Entry) -> Iterator[deliveries.Told]:
    if entry.kind == "model.created":
        yield "made", {"name": entry.body["model"]}


@pytest.fixture
def hook(house: Store) -> Webhook:
    with house.change(actor="ana") as change:
        models.create(change, name="before", owner="ana")
        return endpoints.create(change, name="chat", url="https://example.com/x", events=["made"], secret="s3cret")


def make(house: Store, name: str) -> None:
    with house.change(actor="ana") as change:
        models.create(change, name=name, owner="ana")


def planned(house: Store, hook: Webhook) -> list[Delivery]:
    while deliveries.plan(house, told):
        pass
    with house.view() as view:
        return deliveries.of(view, hook.id)


def test_each_event_since_then_is_planned_once(house: Store, hook: Webhook) -> None:
    make(house, "after")

    assert [each.data for each in planned(house, hook)] == [{"name": "after"}]
    assert [each.data for each in planned(house, hook)] == [{"name": "after"}]
    assert deliveries.plan(house, told) is False


@pytest.mark.parametrize("change", [{"state": "disabled"}, {"events": ["other"]}])
def test_who_rests_or_asked_for_something_else_is_not_told(
    house: Store, hook: Webhook, change: dict[str, object]
) -> None:
    with house.change(actor="ana") as handle:
        endpoints.update(handle, hook.id, **change)

    make(house, "after")

    assert planned(house, hook) == []


def test_a_delivery_is_leased_to_one_and_due_again_if_nobody_settles_it(
    house: Store, hook: Webhook, clock: HeldClock
) -> None:
    make(house, "after")
    planned(house, hook)

    [(_, first)] = deliveries.lease(house, 4)
    assert deliveries.lease(house, 4) == []
    clock.moment += deliveries.LEASE
    [(_, second)] = deliveries.lease(house, 4)

    assert (first.id, first.attempts, second.attempts) == (second.id, 1, 2)


def test_an_attempt_that_failed_is_repeated_later_and_later_and_then_given_up(
    house: Store, hook: Webhook, clock: HeldClock
) -> None:
    make(house, "after")
    planned(house, hook)
    waited = []

    for _ in range(len(deliveries.WAITS) + 1):
        [(_, taken)] = deliveries.lease(house, 4)
        with house.ingest() as ingest:
            deliveries.settle(ingest, taken, is_done=False, may_repeat=True, answer="status 503")
        with house.view() as view:
            found = deliveries.of(view, hook.id)[0]
        waited.append(found.due_at - clock.moment)
        clock.moment = max(found.due_at, clock.moment)

    assert waited == [*deliveries.WAITS, timedelta(0)]
    assert (found.state, found.attempts, found.answer) == ("failed", 6, "status 503")
    assert deliveries.lease(house, 4) == []


@pytest.mark.parametrize(("is_done", "may_repeat", "state"), [(True, False, "done"), (False, False, "failed")])
def test_what_is_settled_is_not_sent_again(
    house: Store, hook: Webhook, clock: HeldClock, is_done: bool, may_repeat: bool, state: str
) -> None:
    make(house, "after")
    planned(house, hook)
    [(_, taken)] = deliveries.lease(house, 4)

    with house.ingest() as ingest:
        deliveries.settle(ingest, taken, is_done=is_done, may_repeat=may_repeat, answer="status 200")

    clock.moment += timedelta(days=1)
    assert deliveries.lease(house, 4) == []
    with house.view() as view:
        assert deliveries.of(view, hook.id)[0].state == state


def test_a_secret_is_nowhere_in_the_ledger(house: Store, hook: Webhook) -> None:
    with house.change(actor="ana") as change:
        endpoints.update(change, hook.id, secret="other")
        endpoints.delete(change, hook.id)

    with house.view() as view:
        bodies = repr([event.body for event in ledger.search(view, kind="webhook.*")])
        with pytest.raises(NotFound):
            endpoints.get(view, hook.id)
    assert "s3cret" not in bodies and "other" not in bodies and "'secret': 'changed'" in bodies


@pytest.mark.parametrize(
    "facts", [{"name": ""}, {"events": []}, {"url": "https://a b"}, {"secret": "x" * 1001}, {"state": "on"}]
)
def test_a_webhook_that_cannot_be_is_refused(house: Store, facts: dict[str, object]) -> None:
    sound: dict[str, object] = {"name": "chat", "url": "https://example.com", "events": ["made"]}

    with pytest.raises(Invalid), house.change(actor="ana") as change:
        endpoints.create(change, **(sound | facts))  # type: ignore[arg-type]
