# SPDX-License-Identifier: Apache-2.0
"""The loop closes: from a judged window through a run and a release to the end of the decision, whatever dies."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from live_house import LiveHouse
from seasons import end_release, follow, made, pass_month, retrain_when, run_pipeline, take_job

from mainstay.lifecycle.release import releases
from mainstay.lifecycle.serving import deployments
from mainstay.lifecycle.triggers import decisions, following, tables
from mainstay.store import jobs, ledger


def test_a_retraining_that_passes_is_released_and_the_chain_can_be_walked_back(house: LiveHouse) -> None:
    retrain_when(house)
    pass_month(house, 4, is_bad=True)
    follow(house)
    version = run_pipeline(house)
    follow(house)
    [pending] = made(house)
    assert version is not None
    assert (pending.version, pending.release, pending.result) == (version.id, 2, "pending")

    end_release(house, pending)
    follow(house)

    [decision] = made(house)
    assert (decision.result, decision.run_id) == ("passed", version.run_id)
    with house.store.view() as view:
        live = releases.live(view, "flights")
        assert live is not None
        kinds = []
        seq: int | None = live.because
        while seq is not None:
            entry = view.event(seq)
            assert entry is not None
            kinds.append(entry.kind)
            seq = entry.because
    assert (live.number, live.requested_by) == (2, "trigger:flights-retrain")
    assert kinds == ["decision.made", "alert.opened", "window.judged"]


def test_a_candidate_that_the_gate_refuses_ends_the_decision_with_the_gates_words(house: LiveHouse) -> None:
    retrain_when(house)
    pass_month(house, 4, is_bad=True)
    follow(house)
    run_pipeline(house)
    follow(house)
    end_release(house, made(house)[0], load_error="it does not load")
    follow(house)

    [decision] = made(house)

    assert decision.result == "refused"
    assert "it does not load" in decision.result_sentence
    with house.store.view() as view:
        last = ledger.search(view, subject=decision.subject, limit=1)[0]
        assert releases.live(view, "flights").number == 1  # type: ignore[union-attr]
    assert (last.kind, last.body["result"], last.body["release"]) == ("decision.ended", "refused", 2)


def test_a_run_that_fails_ends_the_decision_with_its_error(house: LiveHouse) -> None:
    retrain_when(house)
    pass_month(house, 4, is_bad=True)
    follow(house)
    run_pipeline(house, error="step train failed: no rows")
    follow(house)

    [decision] = made(house)

    assert (decision.result, decision.release) == ("failed", None)
    assert "no rows" in decision.result_sentence


def test_a_run_that_gives_the_live_version_again_has_nothing_to_release(house: LiveHouse) -> None:
    retrain_when(house)
    pass_month(house, 4, is_bad=True)
    follow(house)
    run_pipeline(house, gives=house.first)
    follow(house)

    [decision] = made(house)

    assert (decision.result, decision.release) == ("none", None)
    assert "late/1 again" in decision.result_sentence


def test_a_release_waits_while_another_is_on_its_way(house: LiveHouse) -> None:
    retrain_when(house)
    pass_month(house, 4, is_bad=True)
    follow(house)
    run_pipeline(house)
    by_hand = house.register().number
    with house.store.change(actor="bo", reason="by hand") as change:
        other = deployments.release(change, name="flights", model="late", version=by_hand)
    follow(house)
    assert made(house)[0].release is None

    house.judge_release(other)
    follow(house)

    assert made(house)[0].release == other.number + 1


def test_a_trigger_is_asked_once_a_window_however_often_it_is_judged(house: LiveHouse) -> None:
    retrain_when(house)
    pass_month(house, 4, told=0.5)
    follow(house)
    assert made(house) == []  # half of the labels may be no fair sample

    house.tell(list(house.truth))
    house.judge()
    follow(house)
    house.tell(list(house.truth), [1 - label for label in house.truth.values()])
    house.judge()
    follow(house)

    assert len(made(house)) == 1


def test_a_condition_that_needs_no_label_is_asked_at_once(house: LiveHouse) -> None:
    retrain_when(house, "score_drift && drifted_columns > 0")
    pass_month(house, 4, told=0, shift=0.7)
    follow(house)

    assert [decision.outcome for decision in made(house)] == ["start"]


def test_another_monitor_of_the_deployment_asks_nobody(house: LiveHouse) -> None:
    retrain_when(house)
    house.monitor(name="second", window="7d")
    pass_month(house, 4, is_bad=True)
    from mainstay.lifecycle.monitoring import judging

    judging.judge_stale(house.store, "second", actor="ana")
    follow(house)

    assert len(made(house)) == 1


class Killed(BaseException):
    """What a kill is to the code it hits: nothing that it could catch."""


def whole_loop(house: LiveHouse, kill: Callable[[], None]) -> None:
    """From the bad month to the live release, with ``kill`` armed again before each look."""

    def look() -> None:
        for _ in range(40):
            kill()
            try:
                if not following.loop(house.store):
                    return
            except Killed:
                continue
        raise AssertionError("the follower finds work for ever")

    look()
    run_pipeline(house)
    look()
    end_release(house, made(house)[0])
    look()


@pytest.mark.parametrize("step", range(1, 9))
def test_a_kill_at_any_write_neither_loses_nor_repeats_a_step(
    house: LiveHouse, monkeypatch: pytest.MonkeyPatch, step: int
) -> None:
    """The n-th write of the follower dies once, wherever that is; the end is the same as without."""
    retrain_when(house)
    pass_month(house, 4, is_bad=True)
    writes, is_killed = 0, False

    def dying(original: Callable[..., Any], *, after: bool) -> Callable[..., Any]:
        def write(*args: Any, **named: Any) -> Any:
            nonlocal writes, is_killed
            writes += 1
            if writes == step and not is_killed and not after:
                is_killed = True
                raise Killed
            result = original(*args, **named)
            if writes == step and not is_killed:
                is_killed = True
                raise Killed
            return result

        return write

    for module, name in ((tables, "put_decision"), (tables, "set_decision"), (tables, "set_seen"), (jobs, "enqueue")):
        monkeypatch.setattr(module, name, dying(getattr(module, name), after=step % 2 == 0))

    whole_loop(house, lambda: None)

    [decision] = made(house)
    assert is_killed
    assert (decision.outcome, decision.result, decision.release) == ("start", "passed", 2)
    assert take_job(house) is None
    with house.store.view() as view:
        counted = {
            kind: len(ledger.search(view, kind=kind))
            for kind in ("decision.made", "decision.ended", "release.requested")
        }
        assert ledger.verify(view).ok
    assert counted == {"decision.made": 1, "decision.ended": 1, "release.requested": 2}


def test_a_kill_between_the_answer_and_the_bookmark_does_not_ask_twice(
    house: LiveHouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    retrain_when(house)
    pass_month(house, 4, is_bad=True)
    whole = tables.set_seen

    def die(*_: object) -> None:
        raise Killed

    monkeypatch.setattr(tables, "set_seen", die)
    with pytest.raises(Killed):
        following.loop(house.store)
    monkeypatch.setattr(tables, "set_seen", whole)
    follow(house)

    assert len(made(house)) == 1


def test_asking_twice_about_one_window_gives_the_first_answer(house: LiveHouse) -> None:
    retrain_when(house)
    window = pass_month(house, 4, is_bad=True)
    follow(house)
    with house.store.view() as view:
        first = decisions.listed(view)[0]

    with house.store.ingest() as ingest:
        again = decisions.ask(ingest, trigger="flights-retrain", as_of=window.until, window=window.key)  # type: ignore[arg-type]

    assert again.id == first.id
