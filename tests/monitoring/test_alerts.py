# SPDX-License-Identifier: Apache-2.0
"""The life of an alert: opened once, counted, graded, taken back, muted, ended; and alerts that no window carries."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import numpy as np
import pytest
from live_house import LiveHouse, month

from mainstay.domain.errors import Conflict, Invalid, NotFound
from mainstay.domain.monitoring import Alert
from mainstay.lifecycle.monitoring import alerts, reviews, watch
from mainstay.store import ledger


def missing(columns: dict[str, Any]) -> None:
    columns["z"][::5] = np.nan


def judge_month(house: LiveHouse, number: int, **how: Any) -> None:
    house.predict(month(number), 27, 1_000, **how)
    house.judge(until=month(number + 1))


def the_alert(house: LiveHouse, key: str = "fault:null") -> Alert:
    with house.store.view() as view:
        return next(alert for alert in alerts.listed(view) if alert.key == key)


def told(house: LiveHouse, alert: Alert) -> list[str]:
    with house.store.view() as view:
        return [entry.kind for entry in alerts.history(view, alert)]


def test_an_alert_has_an_owner_and_names_the_judging_that_raised_it(house: LiveHouse) -> None:
    house.monitor()
    judge_month(house, 4, spoil=missing)

    alert = the_alert(house)

    with house.store.view() as view:
        cause = view.event(alert.because or 0)
        opening = view.event(alert.event)
    assert alert.owner == "ana"
    assert alert.as_of == month(5)
    assert cause is not None and (cause.kind, cause.body["window"]) == ("window.judged", "2013-04-01")
    assert opening is not None and (opening.kind, opening.because) == ("alert.opened", cause.seq)


def test_an_alert_that_fires_again_is_counted_and_not_opened_again(house: LiveHouse) -> None:
    house.monitor()
    for number in (4, 5, 6):
        judge_month(house, number, spoil=missing)

    alert = the_alert(house)

    assert (alert.count, alert.windows) == (3, ("2013-04-01", "2013-05-01", "2013-06-01"))
    assert alert.as_of == month(7)
    assert told(house, alert) == ["alert.opened"]


def test_the_same_window_judged_again_counts_once(house: LiveHouse) -> None:
    house.monitor()
    identities = house.predict(month(4), 27, 1_000, spoil=missing)
    house.judge(until=month(5))
    house.tell(identities)
    house.judge()

    assert the_alert(house).count == 1


def test_a_warning_becomes_an_alert_under_the_same_id(house: LiveHouse) -> None:
    house.monitor()
    judge_month(house, 4, shift=0.7)
    warning = the_alert(house, "drift")
    judge_month(house, 5, shift=0.7)

    alert = the_alert(house, "drift")

    assert (warning.severity, alert.severity, alert.id) == ("warning", "alert", warning.id)
    assert told(house, alert) == ["alert.opened", "alert.graded"]


def test_later_labels_can_take_an_alert_back(house: LiveHouse) -> None:
    house.monitor(label_coverage=0.1, tolerance=0.05)
    identities = house.predict(month(4), 27, 2_000)
    house.tell(identities[:500], [1 - house.truth[identity] for identity in identities[:500]])
    house.judge(until=month(5))
    assert the_alert(house, "performance").state == "open"

    house.tell(identities)
    house.judge()

    with house.store.view() as view:
        last = alerts.history(view, the_alert(house, "performance"))[-1]
    assert the_alert(house, "performance").state == "resolved"
    assert last.body["cause"] == "taken back"


def test_an_alert_ends_when_another_release_took_over_and_is_fine(house: LiveHouse) -> None:
    house.monitor()
    judge_month(house, 4, spoil=missing)
    house.release(house.register())
    judge_month(house, 5)

    assert the_alert(house).state == "resolved"


def test_what_another_release_shows_is_another_alert(house: LiveHouse) -> None:
    house.monitor()
    judge_month(house, 4, spoil=missing)
    first = the_alert(house)
    house.release(house.register())
    judge_month(house, 5, spoil=missing)

    second = the_alert(house)

    assert second.id != first.id
    with house.store.view() as view:
        assert alerts.get(view, first.id).state == "resolved"
    assert (second.state, second.release, second.count) == ("open", 2, 1)


def test_a_quiet_alert_ends_by_itself_only_if_somebody_had_seen_it(house: LiveHouse) -> None:
    house.monitor()
    judge_month(house, 3, spoil=missing)
    for number in (4, 5, 6):
        judge_month(house, number)
    assert the_alert(house).state == "open"
    assert the_alert(house).quiet == 3

    with house.store.change(actor="ana") as change:
        alerts.acknowledge(change, the_alert(house).id)
    judge_month(house, 7)

    assert the_alert(house).state == "resolved"


def test_a_resolved_alert_does_not_come_back_for_a_window_it_rested_on(house: LiveHouse) -> None:
    house.monitor()
    identities = house.predict(month(4), 27, 1_000, spoil=missing)
    house.judge(until=month(5))
    first = the_alert(house)
    with house.store.change(actor="ana", reason="the sensor is being replaced") as change:
        alerts.resolve(change, first.id, cause="sensor")
    house.tell(identities)
    house.judge()
    assert the_alert(house).id == first.id

    judge_month(house, 5, spoil=missing)

    assert the_alert(house).id != first.id


def test_a_muted_alert_counts_on_and_speaks_again_when_its_time_is_over(house: LiveHouse) -> None:
    house.monitor()
    judge_month(house, 4, spoil=missing)
    alert = the_alert(house)
    with house.store.change(actor="ana", reason="known; the fix ships on Monday") as change:
        alerts.mute(change, alert.id, until=house.now + timedelta(days=3))
    judge_month(house, 5, spoil=missing)
    assert (the_alert(house).state, the_alert(house).count) == ("muted", 2)

    house.now += timedelta(days=4)
    judge_month(house, 6, spoil=missing)

    assert (the_alert(house).state, the_alert(house).count) == ("open", 3)
    assert told(house, alert) == ["alert.opened", "alert.muted", "alert.opened"]


def test_what_is_not_allowed_is_refused_and_changes_nothing(house: LiveHouse) -> None:
    house.monitor()
    judge_month(house, 4, spoil=missing)
    alert = the_alert(house)
    with pytest.raises(Invalid, match="reason"), house.store.change(actor="ana") as change:
        alerts.resolve(change, alert.id)
    with pytest.raises(Invalid, match="past"), house.store.change(actor="ana", reason="r") as change:
        alerts.mute(change, alert.id, until=house.now - timedelta(days=1))
    with pytest.raises(NotFound), house.store.change(actor="ana") as change:
        alerts.acknowledge(change, "0" * 32)
    assert the_alert(house) == alert

    with house.store.change(actor="ana", reason="done") as change:
        alerts.resolve(change, alert.id)
    with pytest.raises(Conflict, match="resolved"), house.store.change(actor="ana") as change:
        alerts.acknowledge(change, alert.id)


def test_the_ledger_tells_every_state_that_the_table_shows(house: LiveHouse) -> None:
    """Folding the events of alerts gives the table: state and severity of each."""
    house.monitor()
    judge_month(house, 4, shift=0.7, spoil=missing)
    judge_month(house, 5, shift=0.7)
    with house.store.change(actor="ana", reason="seen") as change:
        alerts.acknowledge(change, the_alert(house, "drift").id)
        alerts.mute(change, the_alert(house).id, until=house.now + timedelta(days=3))
    house.release(house.register())
    judge_month(house, 6)

    after = {"opened": "open"} | {state: state for state in ("acknowledged", "muted", "resolved")}
    folded: dict[str, tuple[str, str]] = {}
    with house.store.view() as view:
        for entry in ledger.search(view, kind="alert.*", newest_first=False, limit=1000):
            identity, what = entry.body["alert"], entry.kind.partition(".")[2]
            state, severity = folded.get(identity, ("", ""))
            folded[identity] = after.get(what, state), entry.body.get("severity", severity)
        table = {alert.id: (alert.state, alert.severity) for alert in alerts.listed(view)}
    assert folded == table
    assert len(table) >= 3


def test_a_silent_feed_is_an_alert_within_two_windows_and_ends_when_it_speaks(house: LiveHouse) -> None:
    house.monitor(window="1d", review="3000d")
    house.predict(month(4), 1, 300)
    watch.look(house.store)
    house.now += timedelta(days=1)
    watch.look(house.store)
    with house.store.view() as view:
        assert not [alert for alert in alerts.listed(view) if alert.key == "silence"]

    house.now += timedelta(days=1, hours=3)
    watch.look(house.store)
    assert (the_alert(house, "silence").severity, the_alert(house, "silence").state) == ("alert", "open")

    house.predict(month(4) + timedelta(days=2), 1, 300)
    watch.look(house.store)
    assert the_alert(house, "silence").state == "resolved"


def test_an_overdue_review_is_an_alert_until_somebody_looks(house: LiveHouse) -> None:
    house.monitor(review="7d")
    judge_month(house, 4, spoil=missing)
    house.now += timedelta(days=8)
    watch.look(house.store)
    assert the_alert(house, "review").state == "open"

    with house.store.change(actor="ana") as change:
        review = reviews.give(change, monitor="flights", decision="keep", note="the missing z is known")

    assert the_alert(house, "review").state == "resolved"
    assert review.seen["alerts"] == [alert for alert in review.seen["alerts"] if alert]
    assert review.seen["window"] == "2013-04-01"
    assert not watch.look(house.store)


@pytest.mark.parametrize(("decision", "note"), [("ignore", "x"), ("keep", " ")])
def test_a_review_decides_something_and_says_what_was_seen(house: LiveHouse, decision: str, note: str) -> None:
    house.monitor()

    with pytest.raises(Invalid), house.store.change(actor="ana") as change:
        reviews.give(change, monitor="flights", decision=decision, note=note)


def test_a_monitor_without_a_known_owner_is_refused(house: LiveHouse) -> None:
    with pytest.raises(NotFound, match="nobody"):
        house.monitor(owner="nobody")
