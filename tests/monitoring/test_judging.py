# SPDX-License-Identifier: Apache-2.0
"""What windows show: a quiet stream nothing, each planted fault its own verdict and alert."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from live_house import Break, LiveHouse, chance_of, month

from mainstay.domain.monitoring import ALERT, OK, WATCH, Window
from mainstay.formats.signature import Output
from mainstay.lifecycle.monitoring import alerts, baselines, distributions, drift, monitors, performance, watch
from mainstay.store import ledger


def judge_month(house: LiveHouse, n: int = 4_000, number: int = 4, *, told: bool = True, **how: Any) -> Window:
    identities = house.predict(month(number), 29.9, n, **how)
    if told:
        house.tell(identities)
    return house.judge(until=month(number + 1))[-1]


def firing(house: LiveHouse) -> dict[str, str]:
    """Alerts that are not resolved: severity by key."""
    with house.store.view() as view:
        return {alert.key: alert.severity for alert in alerts.open_of(view, "flights")}


def states(window: Window) -> dict[str, str]:
    return {verdict.key: verdict.state for verdict in window.verdicts}


def test_a_quiet_stream_raises_nothing_in_a_year(house: LiveHouse) -> None:
    house.monitor()

    judged = [judge_month(house, number=number) for number in range(3, 11)]

    assert {window.state for window in judged} == {"ok"}
    assert firing(house) == {}


def test_small_quiet_days_hardly_ever_ask_for_anybody(house: LiveHouse) -> None:
    house.monitor(window="1d")
    house.predict(month(4), 30, 30 * 400)

    judged = house.judge(until=month(5))

    assert len(judged) == 30
    assert sum(window.state != "ok" for window in judged) <= 1


def nothing_of(column: str) -> Break:
    def spoil(columns: dict[str, Any]) -> None:
        columns[column] = np.full(len(columns[column]), np.nan)

    return spoil


def some_missing(columns: dict[str, Any]) -> None:
    columns["z"][::12] = np.nan


def new_airport(columns: dict[str, Any]) -> None:
    columns["origin"][::20] = "ISP"


def stuck(columns: dict[str, Any]) -> None:
    columns["_score"] = np.full(len(columns["_score"]), 0.31)


def infinite(columns: dict[str, Any]) -> None:
    columns["z"][::50] = np.inf


@pytest.mark.parametrize(
    ("spoil", "key", "named"),
    [
        (nothing_of("z"), "fault:null", "z"),
        (some_missing, "fault:null", "z"),
        (infinite, "fault:infinite", "z"),
        (new_airport, "new_category", "origin"),
        (stuck, "constant", "always the same"),
    ],
    ids=["a column gone", "missing values", "infinite values", "a new category", "a constant answer"],
)
def test_a_fault_of_the_data_alerts_in_the_first_window(house: LiveHouse, spoil: Break, key: str, named: str) -> None:
    house.monitor()
    judge_month(house, number=3, told=False)

    window = judge_month(house, spoil=spoil, told=False)

    assert states(window)[key] == "alert"
    assert firing(house)[key] == "alert"
    verdict = window.verdict(key)
    assert verdict is not None and named in verdict.title


def test_six_broken_columns_are_one_alert(house: LiveHouse) -> None:
    def spoil(columns: dict[str, Any]) -> None:
        for name in ("x", "z", "noise"):
            columns[name][::10] = np.nan

    house.monitor()

    window = judge_month(house, spoil=spoil, told=False)

    verdict = window.verdict("fault:null")
    assert verdict is not None
    assert verdict.numbers["columns"] == ["x", "z", "noise"]


def test_drift_is_watched_at_first_and_alerts_when_it_persists_and_the_answers_move(house: LiveHouse) -> None:
    house.monitor()

    first = judge_month(house, number=4, shift=0.6, told=False)
    second = judge_month(house, number=5, shift=0.6, told=False)

    assert (states(first)["drift"], states(second)["drift"]) == ("watch", "alert")
    assert firing(house)["drift"] == "alert"


def test_drift_of_a_column_that_the_model_does_not_mind_is_only_watched(house: LiveHouse) -> None:
    def season(columns: dict[str, Any]) -> None:
        columns["noise"] = columns["noise"] + 3

    house.monitor()

    judged = [judge_month(house, number=number, spoil=season, told=False) for number in (4, 5, 6)]

    assert {states(window)["drift"] for window in judged} == {"watch"}
    line = judged[-1].measurements["drift"]["columns"][0]
    assert line["name"] == "noise"
    assert "the model's answers did not move" in line["reason"]


def test_drift_of_an_important_column_alerts_though_the_answers_did_not_move(house: LiveHouse) -> None:
    def season(columns: dict[str, Any]) -> None:
        columns["noise"] = columns["noise"] + 3

    house.monitor()
    house.release(house.register(metrics={"importance.noise": 0.9, "importance.x": 0.1}))

    judged = [judge_month(house, number=number, spoil=season, told=False) for number in (4, 5)]

    assert states(judged[-1])["drift"] == "alert"


def test_labels_that_show_no_harm_make_a_persistent_drift_something_to_watch(house: LiveHouse) -> None:
    house.monitor()
    judge_month(house, number=4, shift=0.6)

    window = judge_month(house, number=5, shift=0.6)

    assert states(window)["performance"] == "ok"
    assert states(window)["drift"] == "watch"
    assert "performance held" in window.verdict("drift").sentence  # type: ignore[union-attr]


def concept_change(columns: dict[str, Any]) -> None:
    """The inputs stay as they are; what follows from them does not. No profile can see it."""
    random = np.random.default_rng(3)
    columns["_label"] = (random.random(len(columns["x"])) < chance_of(-columns["x"])).astype(float)


def test_a_change_of_the_concept_is_seen_by_labels_only(house: LiveHouse) -> None:
    house.monitor()
    identities = house.predict(month(4), 29.9, 4_000, spoil=concept_change)
    before = house.judge(until=month(5))[0]
    house.tell(identities)

    after = house.judge()[0]

    assert before.state == "ok" and states(before)["estimate"] == "ok"
    assert states(after)["performance"] == "alert"
    assert firing(house)["performance"] == "alert"


@pytest.mark.parametrize(
    ("auc", "half", "state"),
    [(0.79, 0.01, "ok"), (0.77, 0.01, "ok"), (0.765, 0.01, "watch"), (0.74, 0.01, "alert"), (0.74, 0.09, "ok")],
    ids=["as promised", "within the tolerance", "perhaps below", "certainly below", "too few to say so"],
)
def test_an_alert_on_performance_needs_the_whole_interval_below(auc: float, half: float, state: str) -> None:
    def measured(value: float, half: float) -> dict[str, Any]:
        figure = {"value": value, "lo": value - half, "hi": value + half, "n": 500, "reason": None}
        gap = {"value": 0.0, "lo": -0.01, "hi": 0.01, "n": 500, "reason": None}
        return {"kind": "binary", "auc": figure, "calibration_gap": gap, "base_rate": {"value": 0.3}}

    said = performance.judge(measured(auc, half), measured(0.79, 0.01), tolerance=0.02, is_mature=True, so_far="all")

    assert said[0].state == state


def test_promises_that_are_off_on_average_are_an_alert_of_their_own(house: LiveHouse) -> None:
    def bold(columns: dict[str, Any]) -> None:
        columns["_score"] = columns["_score"] * 0.7 + 0.2

    house.monitor()

    window = judge_month(house, spoil=bold)

    assert states(window)["calibration"] == "alert"
    assert states(window)["performance"] == "ok"


def test_a_few_labels_say_nothing_and_half_of_them_only_warn(house: LiveHouse) -> None:
    house.monitor()
    identities = house.predict(month(4), 29.9, 4_000, spoil=concept_change)
    house.tell(identities[:15])
    few = house.judge(until=month(5))[0]
    house.tell(identities[15:2_000])
    half = house.judge()[0]
    house.tell(identities[2_000:])
    all_of_them = house.judge()[0]

    assert states(few)["performance"] == "unknown"
    assert "insufficient data" in few.verdict("performance").sentence  # type: ignore[union-attr]
    assert (states(half)["performance"], half.is_mature) == ("watch", False)
    assert (states(all_of_them)["performance"], all_of_them.is_mature) == ("alert", True)
    assert firing(house)["performance"] == "alert"


def test_too_few_predictions_are_not_called_ok(house: LiveHouse) -> None:
    house.monitor()

    window = judge_month(house, 12, told=False)

    assert window.state == "unknown"


def test_predictions_that_fail_are_counted_with_an_interval(house: LiveHouse) -> None:
    house.monitor()
    house.predict(month(4), 29, 900)
    house.predict(month(4), 29, 100, status="model_error")

    window = house.judge(until=month(5))[0]

    errors = window.measurements["errors"]
    assert (errors["rate"], errors["n"], errors["by_status"]) == (0.1, 1_000, {"model_error": 100})
    assert errors["lo"] < 0.1 < errors["hi"]
    assert states(window)["errors"] == "alert"


def test_a_latency_limit_is_held_against_the_95th_percentile(house: LiveHouse) -> None:
    house.monitor(latency_limit_ms=1.5)

    window = judge_month(house, told=False)

    assert window.measurements["latency"]["p95"] == pytest.approx(2.0)
    assert states(window)["latency"] == "alert"


def test_labels_that_do_not_come_in_their_time_are_missed(house: LiveHouse) -> None:
    house.monitor(label_delay="5d")
    identities = house.predict(month(4), 29, 1_000)
    house.tell(identities[:300])
    house.judge(until=month(5))
    assert "labels" not in firing(house)

    house.now += timedelta(days=9)
    window = house.judge(until=month(5))[0]

    assert states(window)["labels"] == "watch"
    assert window.is_mature


def test_a_window_is_held_against_the_release_that_answered_most_of_it(house: LiveHouse) -> None:
    house.monitor()
    house.predict(month(4), 5, 300)
    house.release(house.register())
    house.predict(month(4) + timedelta(days=5), 20, 900)

    window = house.judge(until=month(5))[0]

    assert (window.release, window.version, window.n) == (2, 2, 1_200)
    assert window.measurements["releases"] == {"1": 300, "2": 900}


def test_a_shadow_is_not_counted(house: LiveHouse) -> None:
    house.monitor()
    house.predict(month(4), 20, 300)
    house.predict(month(4), 20, 900, variant="shadow")

    assert house.judge(until=month(5))[0].n == 300


def test_judging_the_same_rows_in_two_houses_gives_the_same_digest(tmp_path: Any) -> None:
    digests = []
    for name in ("one", "two"):
        house = LiveHouse(tmp_path / name)
        house.monitor()
        digests.append(judge_month(house, 1_000).digest)
        house.store.close()

    assert digests[0] == digests[1]


def test_the_baseline_is_made_once_for_a_version(house: LiveHouse, monkeypatch: pytest.MonkeyPatch) -> None:
    house.monitor()
    judge_month(house, 500)
    made: list[int] = []
    monkeypatch.setattr(baselines, "make", lambda *_: made.append(1))

    judge_month(house, 500, number=5)

    assert made == []


def test_the_baseline_splits_the_evaluation_by_time(house: LiveHouse) -> None:
    with house.store.view() as view:
        found = baselines.of(view, house.first)

    assert found is not None
    assert found.baseline.calibration.windows == 14
    assert found.baseline.profile.n == 12_000
    assert found.baseline.figures["auc"]["n"] == 12_000  # type: ignore[index]


def test_a_column_is_shown_over_the_same_bars_as_its_baseline(house: LiveHouse) -> None:
    house.monitor()
    judge_month(house, shift=0.6, told=False)
    with house.store.view() as view:
        monitor = monitors.get(view, "flights")
        x = distributions.show(view, monitor, "2013-04-01", "x")
        origin = distributions.show(view, monitor, "2013-04-01", "origin")

    assert x["baseline"]["edges"] == x["window"]["edges"]
    assert sum(x["window"]["shares"]) == pytest.approx(1, abs=0.05)
    assert x["window"]["mean"] - x["baseline"]["mean"] == pytest.approx(0.6, abs=0.1)
    shares = dict(zip(origin["window"]["categories"], origin["window"]["shares"], strict=True))
    assert shares["EWR"] == pytest.approx(0.4, abs=0.03)
    assert sum(shares.values()) == pytest.approx(1)


def test_slices_have_their_own_auc(house: LiveHouse) -> None:
    house.monitor(slices=["origin"])

    window = judge_month(house)

    found = {line["value"]: line for line in window.measurements["slices"]}
    assert set(found) == {"EWR", "JFK", "LGA"}
    assert sum(line["n"] for line in found.values()) == 4_000
    assert all(line["auc"]["lo"] < line["auc"]["value"] < line["auc"]["hi"] for line in found.values())


def test_every_judging_that_changed_something_stands_in_the_ledger_by_digest(house: LiveHouse) -> None:
    house.monitor()
    identities = house.predict(month(4), 29, 500)
    house.judge(until=month(5))
    house.tell(identities)
    house.judge()

    with house.store.view() as view:
        told = ledger.search(view, kind="window.judged", subject="monitor:flights", newest_first=False)

    assert [entry.body["revision"] for entry in told] == [1, 2]
    assert told[-1].body["digest"] == house.windows()[0].digest
    assert told[-1].body["labelled"] == 500


def test_a_model_of_numbers_is_judged_by_its_error() -> None:
    random = np.random.default_rng(1)
    truth = random.normal(10, 3, 2_000)
    reference = performance.measure(truth, truth + random.normal(0, 1, 2_000))
    good = performance.measure_window(truth, truth + random.normal(0, 1, 2_000), reference)
    bad = performance.measure_window(truth, truth + random.normal(0, 2, 2_000), reference)

    def state(measured: Any) -> str:
        return performance.judge(measured, reference, tolerance=0.1, is_mature=True, so_far="all")[0].state

    assert reference["kind"] == "number"
    assert (state(good), state(bad)) == ("ok", "alert")


@pytest.mark.parametrize(("share", "state"), [(0.9, OK), (0.82, WATCH), (0.6, ALERT)])
def test_a_model_of_several_classes_is_judged_by_its_accuracy(share: float, state: str) -> None:
    random = np.random.default_rng(4)
    names, n = ("fast", "slow", "usual"), 600

    def of(right: float) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
        truth = random.integers(3, size=n)
        return truth.astype(float), np.where(random.random(n) < right, truth, (truth + 1) % 3).astype(float)

    truth, said = of(0.9)
    rows = {
        "x": random.standard_normal(n),
        "_score": list(np.eye(3)[said.astype(int)]),
        "_label": [names[int(place)] for place in truth],
    }
    output = Output(type="multiclass", classes=names)
    reference = baselines.make(pa.table(rows), ("x",), output)["figures"]

    measured = performance.measure_window(*of(share), reference)
    (verdict,) = performance.judge(measured, reference, tolerance=0.05, is_mature=True, so_far="all")

    assert (reference["kind"], reference["accuracy"]["value"]) == ("multiclass", float((truth == said).mean()))
    assert verdict.state == state, verdict
    assert "accuracy 0." in verdict.sentence and "macro_f1" in measured


def test_numbers_that_happen_to_be_yes_or_no_are_still_numbers() -> None:
    truth = np.arange(100) % 2.0

    assert performance.measure_window(truth, truth, None, performance.KINDS["regression"])["kind"] == "number"
    assert performance.measure_window(truth, truth, None)["kind"] == "binary"


def test_the_important_columns_are_the_fewest_that_carry_four_fifths() -> None:
    assert drift.important({"a": 0.5, "b": 0.35, "c": 0.15}) == {"a", "b"}
    assert drift.important(None) is None


def test_what_is_live_is_watched_without_being_asked(house: LiveHouse) -> None:
    assert watch.look(house.store)

    with house.store.view() as view:
        found = monitors.of_deployment(view, "flights")
    assert found is not None
    assert (found.name, found.owner) == ("flights", "ana")
    assert not watch.look(house.store)


def test_the_loop_rests_twenty_times_as_long_as_it_looked(house: LiveHouse, monkeypatch: pytest.MonkeyPatch) -> None:
    house.monitor()
    ticks = iter([0.0, 1.0, 20.9, 21.0, 22.0])
    monkeypatch.setattr(watch.time, "monotonic", lambda: next(ticks))
    looked: list[int] = []
    monkeypatch.setattr(watch, "look", lambda _store: bool(looked.append(1)))

    for _ in range(3):
        watch.loop(house.store)

    assert len(looked) == 2
