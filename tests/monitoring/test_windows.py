# SPDX-License-Identifier: Apache-2.0
"""Which windows there are, when they close, and when they are judged again."""

from __future__ import annotations

import itertools
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from live_house import LiveHouse, month
from sqlalchemy import event

from mainstay.domain.errors import Invalid
from mainstay.domain.monitoring import WINDOWS, stretch_at, stretches_between, worst
from mainstay.lifecycle.monitoring import judging, monitors, tables, watch, windows

MOMENTS = st.datetimes(datetime(1999, 1, 1), datetime(2040, 1, 1)).map(lambda moment: moment.replace(tzinfo=UTC))


@given(MOMENTS, st.sampled_from(WINDOWS))
def test_every_moment_lies_in_its_stretch_and_the_next_one_begins_where_it_ends(moment: datetime, kind: str) -> None:
    here = stretch_at(kind, moment)

    assert here.since <= moment < here.until
    assert stretch_at(kind, here.until).since == here.until
    assert stretch_at(kind, here.until - timedelta(microseconds=1)) == here


@given(MOMENTS, st.integers(0, 400), st.sampled_from(WINDOWS))
def test_stretches_follow_each_other_without_a_gap(first: datetime, days: int, kind: str) -> None:
    found = stretches_between(kind, first, first + timedelta(days=days))

    assert found[0].since <= first
    assert found[-1].since <= first + timedelta(days=days) < found[-1].until
    assert all(a.until == b.since for a, b in itertools.pairwise(found))


@given(st.lists(st.sampled_from(["ok", "watch", "alert", "unknown"])))
def test_a_whole_is_as_bad_as_its_worst_part_and_never_ok_for_not_knowing(states: list[str]) -> None:
    assert (worst(states) == "alert") == ("alert" in states)
    assert worst(states) != "ok" or "ok" in states


def test_a_month_is_not_over_while_nothing_later_was_predicted(house: LiveHouse) -> None:
    house.monitor()
    house.predict(month(4), 29, 400)

    assert house.judge() == []


def test_a_month_is_over_once_something_later_was_predicted(house: LiveHouse) -> None:
    house.monitor()
    house.predict(month(4), 29, 400)
    house.predict(month(5), 1, 50)

    assert [window.id for window in house.judge()] == ["2013-04-01"]


def test_a_month_is_over_when_somebody_says_so(house: LiveHouse) -> None:
    house.monitor()
    house.predict(month(4), 29, 400)

    assert [window.id for window in house.judge(until=month(5))] == ["2013-04-01"]
    assert house.judge(until=month(5)) == []


def test_a_replay_of_an_old_year_is_not_taken_for_a_silent_feed(house: LiveHouse) -> None:
    house.monitor(window="1d")
    house.predict(month(4), 3, 300)

    with house.store.view() as view:
        clock = windows.clock_of(view, "flights")

    assert clock is not None
    assert clock.now == clock.last < month(5)


def test_a_live_day_closes_two_hours_after_its_end_though_nothing_follows(house: LiveHouse) -> None:
    house.monitor(window="1d")
    house.predict(month(4), 1, 300)

    house.now += timedelta(hours=1)
    assert house.judge() == []
    house.now += timedelta(hours=2)
    assert [window.id for window in house.judge()] == ["2013-04-01"]


def test_days_without_predictions_are_not_judged(house: LiveHouse) -> None:
    house.monitor(window="1d")
    house.predict(month(4), 1, 200)
    house.predict(month(4) + timedelta(days=4), 1, 200)

    assert [window.id for window in house.judge(until=month(5))] == ["2013-04-01", "2013-04-05"]


def test_late_labels_make_a_new_revision_of_the_same_window(house: LiveHouse) -> None:
    house.monitor()
    identities = house.predict(month(4), 30, 2_000)
    before = house.judge(until=month(5))[0]
    house.tell(identities)

    after = house.judge()[0]

    assert (before.revision, after.revision) == (1, 2)
    assert before.digest != after.digest
    assert before.measurements["performance"] is None
    assert after.measurements["performance"]["auc"]["n"] == 2_000
    assert [window.revision for window in house.windows()] == [2]


def test_a_revised_label_changes_the_measurement(house: LiveHouse) -> None:
    house.monitor()
    identities = house.predict(month(4), 30, 2_000)
    house.tell(identities)
    before = house.judge(until=month(5))[0]
    house.tell(identities, [1 - house.truth[identity] for identity in identities])

    after = house.judge()[0]

    auc = [window.measurements["performance"]["auc"]["value"] for window in (before, after)]
    assert auc[1] == pytest.approx(1 - auc[0])


def test_judging_again_what_has_not_changed_leaves_no_event(house: LiveHouse) -> None:
    house.monitor()
    house.predict(month(4), 30, 500)
    window = house.judge(until=month(5))[0]
    with house.store.view() as view:
        monitor = monitors.get(view, "flights")
    stretch = stretch_at("1mo", month(4))

    assert judging.judge(house.store, monitor, stretch, actor="ana") is None
    assert house.windows() == [window]


def test_the_loop_waits_for_a_tenth_of_the_labels_or_a_minute(house: LiveHouse) -> None:
    house.monitor()
    identities = house.predict(month(4), 30, 1_000)
    house.judge(until=month(5))
    with house.store.view() as view:
        monitor = monitors.get(view, "flights")

    def is_due() -> bool:
        with house.store.view() as view:
            return bool(windows.due(view, monitor))

    house.tell(identities[:50])
    assert not is_due()
    house.now += timedelta(seconds=61)
    assert is_due()
    watch.look(house.store)
    assert not is_due()
    house.tell(identities[50:160])
    assert is_due()


def test_a_look_that_was_overtaken_does_not_hide_what_came_since(house: LiveHouse) -> None:
    """Two judges at once: the one that saw fewer labels comes last, and leaves no trace."""
    house.monitor()
    identities = house.predict(month(4), 30, 1_000)
    house.judge(until=month(5))
    with house.store.view() as view:
        monitor = monitors.get(view, "flights")
        house.tell(identities[:100])
    with house.store.view() as view:
        old = judging.look(view, monitor, stretch_at("1mo", month(4)))
    assert old is not None
    house.tell(identities[100:])
    house.judge()

    with pytest.raises(judging.Overtaken), house.store.change(actor="late") as change:
        judging.record(change, old)

    assert [(window.labelled, window.revision) for window in house.windows()] == [(1_000, 2)]


def test_a_failed_judging_can_be_repeated(house: LiveHouse, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever dies between measuring and recording leaves nothing, and the next look finds the same work."""
    house.monitor()
    house.predict(month(4), 30, 500)
    whole = tables.put_window

    def die(*_: object) -> None:
        raise OSError("killed")

    monkeypatch.setattr(tables, "put_window", die)
    with pytest.raises(OSError, match="killed"):
        house.judge(until=month(5))
    assert house.windows() == []
    monkeypatch.setattr(tables, "put_window", whole)

    assert len(house.judge(until=month(5))) == 1


@pytest.mark.parametrize(
    ("rules", "named"),
    [
        ({"window": "1h"}, "1h"),
        ({"review": "0d"}, "review"),
        ({"review": "99999999999d"}, "review"),
        ({"label_delay": "soon"}, "label_delay"),
        ({"tolerance": float("nan")}, "tolerance"),
        ({"label_coverage": 2.0}, "label_coverage"),
        ({"latency_limit_ms": 0.0}, "latency_limit_ms"),
    ],
)
def test_a_rule_that_means_nothing_is_refused(house: LiveHouse, rules: dict[str, object], named: str) -> None:
    with pytest.raises(Invalid, match=named):
        house.monitor(**rules)


def test_labels_are_counted_for_the_part_whose_predictions_they_are_of(house: LiveHouse) -> None:
    house.monitor()
    april = house.predict(month(4), 29, 400)
    may = house.predict(month(5), 29, 300)

    house.tell(may, [1.0] * 300)
    house.tell(april[:10], [0.0] * 10)
    house.tell(april[:5], [1.0] * 5)

    with house.store.view() as view:
        logged = [tables.logged_between(view, "flights", month(n), month(n + 1)) for n in (4, 5)]
    assert [(row.rows, row.labels) for row in logged] == [(400, 15), (300, 300)]


def test_a_look_at_what_is_stale_reads_no_label(house: LiveHouse) -> None:
    house.monitor()
    ids = house.predict(month(4), 29, 400)
    house.judge(until=month(5))
    house.tell(ids)
    asked: list[str] = []
    event.listen(house.store.engine, "before_cursor_execute", lambda *call: asked.append(call[2]))

    with house.store.view() as view:
        due = windows.due(view, monitors.get(view, "flights"))

    assert [stretch.id for stretch in due] == ["2013-04-01"]
    assert asked
    assert not [text for text in asked if "feedback" in text]
