# SPDX-License-Identifier: Apache-2.0
"""What a trigger answers, and that it always says why."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import numpy as np
import pytest
from live_house import LiveHouse, month
from seasons import follow, made, pass_month, retrain_when, run_pipeline, take_job

from mainstay.domain.errors import Conflict, Invalid, NotFound
from mainstay.lifecycle.monitoring import alerts
from mainstay.lifecycle.triggers import decisions, facts
from mainstay.store import jobs


def ask(house: LiveHouse, **how: Any) -> Any:
    with house.store.change(actor="ana") as change:
        return decisions.ask(change, trigger="flights-retrain", **how)


def test_a_good_month_is_no_reason_and_the_answer_names_the_facts(house: LiveHouse) -> None:
    retrain_when(house)
    pass_month(house, 4)
    follow(house)

    [decision] = made(house)

    assert (decision.outcome, decision.result, decision.job) == ("hold", "none", None)
    assert decision.sentence.startswith("the condition is false: calibration_gap is 0.0")
    assert "performance_drop is false" in decision.sentence


def test_a_bad_month_starts_the_pipeline_with_the_end_of_the_window(house: LiveHouse) -> None:
    retrain_when(house)
    window = pass_month(house, 4, is_bad=True)
    follow(house)

    [decision] = made(house)
    job = take_job(house)

    assert (decision.outcome, decision.result, decision.window) == ("start", "pending", window.key)
    assert "performance_drop is true" in decision.sentence
    assert job is not None and job.id == decision.job
    assert job.body["entry"] == "flights.py:flights_late"
    assert job.body["params"] == {"until": "2013-05-01", "depth": 4}
    assert job.body["because"] == job.because == decision.event


def test_the_reason_is_the_alert_and_the_alerts_reason_is_the_window(house: LiveHouse) -> None:
    retrain_when(house)
    window = pass_month(house, 4, is_bad=True)
    follow(house)

    [decision] = made(house)

    with house.store.view() as view:
        alert = view.event(decision.because or 0)
        own = view.event(decision.event)
    assert alert is not None and own is not None
    assert (alert.kind, alert.body["key"], alert.because) == ("alert.opened", "performance", window.event)
    assert (own.kind, own.because, own.actor) == ("decision.made", alert.seq, "trigger:flights-retrain")


def test_every_fact_is_there_or_null(house: LiveHouse) -> None:
    retrain_when(house)
    pass_month(house, 4, told=0)

    found = ask(house).facts

    assert set(found) == facts.NAMES
    assert (found["auc"], found["performance_drop"], found["calibration_gap"]) == (None, None, None)
    assert (found["n"], found["labelled"], found["coverage"]) == (1_500, 0, 0.0)
    assert found["drifted_columns"] == 0 and found["score_drift"] is False
    assert found["age_days"] == 61.0  # from the end of February to the end of April
    assert found["new_rows"] == 0


def test_rows_of_later_snapshots_are_new(house: LiveHouse) -> None:
    retrain_when(house)
    pass_month(house, 4)
    house.snapshot(month(3), month(4), rows=120)
    house.snapshot(month(4), month(5), rows=80)
    house.snapshot(month(5), month(6), rows=999)

    assert ask(house, as_of=month(5)).facts["new_rows"] == 200


@pytest.mark.parametrize(
    "condition",
    ["auc < 0.5", "auc != 0.9", "!performance_drop", "calibration_gap > 0.05 && n > 0", "auc < 0.5 || auc >= 0.5"],
)
def test_not_to_know_never_satisfies_a_condition(house: LiveHouse, condition: str) -> None:
    retrain_when(house, condition)
    pass_month(house, 4, told=0)

    decision = ask(house)

    assert decision.outcome == "hold"
    assert decision.sentence.startswith("not known: ")
    assert "0 of 1500 predictions are labelled" in decision.sentence


def test_what_is_known_may_be_enough(house: LiveHouse) -> None:
    retrain_when(house, "auc < 0.5 || n > 1000")
    pass_month(house, 4, told=0)

    assert ask(house).outcome == "start"


def test_a_fault_of_the_data_is_never_learnt(house: LiveHouse) -> None:
    def missing(columns: dict[str, Any]) -> None:
        columns["z"][::4] = np.nan
        columns["_label"] = 1 - columns["_label"]

    retrain_when(house)
    pass_month(house, 4, spoil=missing)
    follow(house)

    [decision] = made(house)

    assert decision.facts["performance_drop"] is True
    assert (decision.outcome, decision.job) == ("hold", None)
    assert "mend the data" in decision.sentence


def test_the_cooldown_is_measured_in_the_time_of_the_predictions(house: LiveHouse) -> None:
    retrain_when(house, cooldown="40d")
    pass_month(house, 4, is_bad=True)
    follow(house)
    run_pipeline(house, error="no luck")
    follow(house)
    house.now += timedelta(days=400)  # ours passes; theirs is what counts

    pass_month(house, 5, is_bad=True)
    follow(house)
    pass_month(house, 6, is_bad=True)
    follow(house)

    outcomes = [(decision.outcome, decision.as_of) for decision in made(house)]
    assert outcomes == [("start", month(5)), ("hold", month(6)), ("start", month(7))]
    assert "cooldown of 40d lasts 9 more days" in made(house)[1].sentence


def test_only_one_thing_is_under_way_at_a_time(house: LiveHouse) -> None:
    retrain_when(house)
    pass_month(house, 4, is_bad=True)
    follow(house)
    pass_month(house, 5, is_bad=True)
    follow(house)

    first, second = made(house)

    assert (first.result, second.outcome) == ("pending", "hold")
    assert "under way since 2013-05-01" in second.sentence


def test_a_suggestion_waits_for_somebodys_yes(house: LiveHouse) -> None:
    retrain_when(house, mode="suggest")
    pass_month(house, 4, is_bad=True)
    follow(house)
    [suggestion] = made(house)
    with house.store.view() as view:
        assert [each.id for each in decisions.waiting(view)] == [suggestion.id]
    assert take_job(house) is None

    with house.store.change(actor="ana") as change:
        accepted = decisions.accept(change, suggestion.id)

    job = take_job(house)
    assert job is not None and (job.id, job.created_by) == (accepted.job, "ana")
    with pytest.raises(Conflict), house.store.change(actor="ana") as change:
        decisions.accept(change, suggestion.id)


def test_a_suggestion_can_be_declined_with_a_reason(house: LiveHouse) -> None:
    retrain_when(house, mode="suggest")
    pass_month(house, 4, is_bad=True)
    follow(house)
    [suggestion] = made(house)
    with pytest.raises(Invalid, match="reason"), house.store.change(actor="ana") as change:
        decisions.decline(change, suggestion.id)

    with house.store.change(actor="ana", reason="storms, not the model") as change:
        declined = decisions.decline(change, suggestion.id)

    assert (declined.result, declined.job) == ("declined", None)


def test_a_manual_trigger_is_asked_by_people_only(house: LiveHouse) -> None:
    retrain_when(house, mode="manual")
    pass_month(house, 4, is_bad=True)
    follow(house)
    assert made(house) == []

    decision = ask(house)

    assert (decision.outcome, decision.actor, decision.window) == ("start", "ana", None)
    with house.store.view() as view:
        assert jobs.get(view, decision.job or "").state == "queued"


def test_an_open_alert_is_a_fact_and_a_muted_one_is_not(house: LiveHouse) -> None:
    retrain_when(house, "alert", mode="manual")
    pass_month(house, 4, is_bad=True)
    with house.store.view() as view:
        open_ones = alerts.open_of(view, "flights")
    with house.store.change(actor="ana", reason="known") as change:
        for alert in open_ones:
            alerts.mute(change, alert.id, until=house.now + timedelta(days=1))

    assert ask(house).facts["alert"] is False


def test_there_is_nothing_to_decide_by_before_a_window_was_judged(house: LiveHouse) -> None:
    retrain_when(house)

    with pytest.raises(Conflict, match="judged"):
        ask(house)


@pytest.mark.parametrize(
    ("rules", "named"),
    [
        ({"condition": "auc <"}, "not a CEL expression"),
        ({"condition": "aux < 0.7"}, "'aux'"),
        ({"mode": "always"}, "always"),
        ({"cooldown": "0d"}, "cooldown"),
        ({"cooldown": "99999999999d"}, "cooldown"),
    ],
)
def test_a_rule_that_means_nothing_is_refused(house: LiveHouse, rules: dict[str, Any], named: str) -> None:
    with pytest.raises(Invalid, match=named):
        retrain_when(house, **rules)


def test_a_trigger_needs_an_owner_and_a_deployment_that_exist(house: LiveHouse) -> None:
    from mainstay.lifecycle.triggers import rules

    for wrong in ({"owner": "nobody"}, {"deployment": "nowhere"}):
        asked = {
            "name": "t",
            "deployment": "flights",
            "condition": "true",
            "pipeline": "a.py:b",
            "owner": "ana",
        } | wrong
        with pytest.raises(NotFound), house.store.change(actor="ana") as change:
            rules.declare(change, **asked)  # type: ignore[arg-type]


def test_a_parameter_cannot_reach_behind_its_text(house: LiveHouse) -> None:
    retrain_when(house, params={"q": "{until.__class__} {since} {{until}}"})
    pass_month(house, 4, is_bad=True)
    follow(house)

    job = take_job(house)

    assert job is not None
    assert job.body["params"] == {"q": "{until.__class__} 2013-04-01 {2013-05-01}"}
