# SPDX-License-Identifier: Apache-2.0
"""Steps and jobs over HTTP, as the engine and its workers ask."""

from __future__ import annotations

import hashlib
from typing import Any

import httpx

from mainstay.domain.digests import digest_of

TABLE = hashlib.sha256(b"table").hexdigest()


def begin(web: httpx.Client, name: str) -> str:
    web.put(f"/blobs/{TABLE}", content=b"table")
    body = {"name": name, "kind": "pipeline", "code": {"entry": f"flights.py:{name}"}}
    return str(web.post("/runs", json=body).json()["id"])


def step(run: str, word: str, **more: Any) -> dict[str, Any]:
    return {
        "pipeline_run": run,
        "name": "features",
        "key": digest_of(word),
        "key_parts": {"step": "features"},
        "why": "new",
        "state": "succeeded",
        "seconds": 0.5,
        "outputs": [{"name": "table", "kind": "arrow", "digest": TABLE, "size": 5, "rows": 2}],
        "cacheable": True,
    } | more


def test_a_step_that_was_committed_is_a_hit_and_shown_with_its_run(web: httpx.Client) -> None:
    run, key = begin(web, "hit"), digest_of("hit")
    assert web.post("/steps/lookup", json={"keys": [key]}).json() == {"hits": {}, "unsure": {}, "whole": []}

    made = web.post("/steps/commit", json=step(run, "hit"))

    assert made.status_code == 201
    found = web.post("/steps/lookup", json={"keys": [key, digest_of("other")]}).json()["hits"]
    assert list(found) == [key] and found[key].pop("at")
    assert found == {key: {"run_id": made.json()["run_id"], "outputs": made.json()["outputs"]}}
    alike = web.post("/steps/lookup", json={"families": [key[:16]]}).json()
    assert (list(alike["hits"]), alike["unsure"], alike["whole"]) == ([key], {}, [key[:16]])
    (shown,) = web.get(f"/runs/{run}").json()["steps"]
    assert (shown["name"], shown["state"], shown["why"], shown["key_parts"]) == (
        "features",
        "succeeded",
        "new",
        {"step": "features"},
    )
    own = web.get(f"/runs/{shown['run_id']}").json()
    assert (own["kind"], own["parent"], own["step"]["key"]) == ("step", run, key)
    (past,) = web.get("/pipelines/hit/history").json()["runs"]
    assert (past["id"], past["state"], past["steps"]) == (run, "running", [shown])
    assert web.get("/pipelines/hit/history", params={"besides": run}).json() == {"runs": []}


def test_a_commit_that_is_sent_again_is_answered_alike(web: httpx.Client) -> None:
    run = begin(web, "again")
    headers = {"Idempotency-Key": "again-1"}

    first = web.post("/steps/commit", json=step(run, "again"), headers=headers)
    repeated = web.post("/steps/commit", json=step(run, "again"), headers=headers)
    anew = web.post("/steps/commit", json=step(run, "again"))

    assert first.json() == repeated.json() == anew.json()
    assert len(web.get(f"/runs/{run}").json()["steps"]) == 1


def test_what_a_step_logged_is_kept_with_it_or_not_at_all(web: httpx.Client) -> None:
    run = begin(web, "said")
    said = {"params": {"depth": 3}, "metrics": [{"key": "rate", "value": 0.5}, {"key": "loss", "value": "NaN"}]}
    file = {"path": "notes.txt", "digest": TABLE, "size": 5}

    refused = web.post("/steps/commit", json=step(run, "said", said=said | {"params": {"": 1}}))
    made = web.post("/steps/commit", json=step(run, "said", said=said | {"artifacts": [file]})).json()
    again = web.post("/steps/commit", json=step(run, "said", said=said | {"artifacts": [file]})).json()

    assert refused.status_code == 422
    assert again == made
    own = web.get(f"/runs/{made['run_id']}").json()
    assert (own["params"], own["metrics"]["rate"]) == ({"depth": 3}, 0.5)
    assert [each["path"] for each in own["artifacts"]] == ["notes.txt"]
    assert len(web.get(f"/runs/{run}").json()["steps"]) == 1


def test_a_bad_commit_changes_nothing(web: httpx.Client) -> None:
    run = begin(web, "bad")
    missing = [{"name": "table", "kind": "arrow", "digest": "0" * 64, "size": 5}]

    for more, status in (
        ({"outputs": missing}, 404),
        ({"state": "done"}, 422),
        ({"pipeline_run": "0" * 32}, 404),
        ({"key": "x"}, 422),
        ({"unheard": 1}, 422),
        ({"seconds": "1"}, 422),
    ):
        assert web.post("/steps/commit", json=step(run, "bad", **more)).status_code == status
    assert web.post("/steps/lookup", json={"keys": ["a"] * 1_001}).status_code == 413
    assert web.post("/steps/lookup", json={"families": ["a" * 16] * 1_001}).status_code == 413
    assert web.post("/steps/lookup", json={"families": ["a%"]}).status_code == 422
    assert web.get(f"/runs/{run}").json()["steps"] == []


def test_pipelines_are_listed_with_their_newest_run(web: httpx.Client) -> None:
    begin(web, "listed")
    newest = begin(web, "listed")

    shown = web.get("/pipelines/listed").json()
    assert (shown["runs"], shown["last_run"]["id"], shown["entry"]) == (2, newest, "flights.py:listed")
    assert shown in web.get("/pipelines").json()["items"]
    assert web.get("/pipelines/unseen").status_code == web.get("/pipelines/unseen/history").status_code == 404


def test_a_job_goes_from_hand_to_hand(web: httpx.Client) -> None:
    asked = web.post("/jobs", json={"kind": "count", "body": {"to": 3}, "reason": "why not"}).json()
    lease = {"worker": "w1", "kinds": ["count"], "seconds": 30}

    leased = web.post("/jobs/lease", json=lease).json()["job"]
    nothing = web.post("/jobs/lease", json=lease | {"worker": "w2"}).json()["job"]
    beat = web.post(f"/jobs/{asked['id']}/heartbeat", json={"worker": "w1", "seconds": 60})
    strange = web.post(f"/jobs/{asked['id']}/heartbeat", json={"worker": "w2", "seconds": 60})
    done = web.post(f"/jobs/{asked['id']}/finish", json={"worker": "w1", "ok": True, "result": {"counted": 3}})

    assert (leased["id"], leased["body"], leased["attempt"], nothing) == (asked["id"], {"to": 3}, 1, None)
    assert beat.json()["leased_until"] > leased["leased_until"]
    assert strange.status_code == 409
    assert (done.json()["state"], web.get(f"/jobs/{asked['id']}").json()["result"]) == ("done", {"counted": 3})
    assert web.post(f"/jobs/{asked['id']}/finish", json={"worker": "w1", "ok": True}).status_code == 409


def test_a_job_can_fail_with_one_sentence(web: httpx.Client) -> None:
    asked = web.post("/jobs", json={"kind": "fail", "body": {}}).json()
    web.post("/jobs/lease", json={"worker": "w", "kinds": ["fail"]})
    end = {"worker": "w", "ok": False}

    assert web.post(f"/jobs/{asked['id']}/finish", json=end).status_code == 422
    failed = web.post(f"/jobs/{asked['id']}/finish", json=end | {"error": "no such column"}).json()
    assert (failed["state"], failed["error"]) == ("failed", "no such column")
    assert failed | {"ahead": None, "busy": []} in web.get("/jobs", params={"state": "failed"}).json()["items"]


def test_a_pipeline_is_asked_for_by_its_name_and_a_plan_of_it_is_no_event(web: httpx.Client) -> None:
    begin(web, "asked")
    params = {"params": {"depth": "8"}}

    planned = web.post("/pipelines/asked/plan", json=params)
    ran = web.post("/pipelines/asked/run", json=params | {"reason": "new data"}).json()

    assert (planned.status_code, planned.json()["kind"], planned.json()["body"]) == (
        201,
        "plan",
        {"entry": "flights.py:asked", "params": {"depth": "8"}},
    )
    assert (ran["kind"], ran["body"]) == ("run_pipeline", planned.json()["body"] | {"reason": "new data"})
    about = web.get("/jobs", params={"subject": "pipeline:asked"}).json()["items"]
    assert [each["id"] for each in about] == [ran["id"], planned.json()["id"]]
    of_kind = web.get("/jobs", params={"subject": "pipeline:asked", "kind": "plan"}).json()["items"]
    assert [each["id"] for each in of_kind] == [planned.json()["id"]]
    events = web.get("/events", params={"kind": "job.asked"}).json()["items"]
    assert [each["subject"] for each in events if planned.json()["id"] in each["subject"]] == []
    for word in ("plan", "run"):
        assert web.post(f"/pipelines/nobody/{word}", json={}).status_code == 404
        assert web.post(f"/pipelines/asked/{word}", json={"parameters": {}}).status_code == 422
        web.post(f"/jobs/{(planned.json() if word == 'plan' else ran)['id']}/cancel")


def test_how_far_a_job_is_comes_from_its_worker_and_of_a_run_from_the_record(web: httpx.Client) -> None:
    run = begin(web, "told")
    outline = [{"name": name, "kind": "step", "upstream": []} for name in ("features", "train")]
    web.post(f"/runs/{run}/alive", json={"worker": "w", "outline": outline})
    asked = web.post("/jobs", json={"kind": "far", "body": {"entry": "flights.py:told"}}).json()
    web.post("/jobs/lease", json={"worker": "w1", "kinds": ["far"]})

    def told(progress: dict[str, Any]) -> Any:
        body = {"worker": "w1", "progress": progress}
        assert web.post(f"/jobs/{asked['id']}/heartbeat", json=body).status_code == 200
        return web.get(f"/jobs/{asked['id']}").json()["progress"]

    assert told({"done": 2, "total": 7, "now": ["b"]}) == {"run_id": None, "done": 2, "total": 7, "now": ["b"]}
    web.post("/steps/commit", json=step(run, "told"))
    on_record = told({"run_id": run})
    assert (on_record["run_id"], on_record["done"]) == (run, 1)
    assert web.post(f"/jobs/{asked['id']}/heartbeat", json={"worker": "w1"}).json()["progress"]["run_id"] == run
    web.post(f"/jobs/{asked['id']}/cancel")


def test_a_job_that_waits_says_what_it_waits_for(web: httpx.Client) -> None:
    first, second = (web.post("/jobs", json={"kind": "wait", "body": {"n": n}}).json() for n in (1, 2))

    def standing(job: dict[str, Any]) -> tuple[Any, ...]:
        told = web.get(f"/jobs/{job['id']}").json()
        return told["state"], told["ahead"], told["busy"]

    assert (standing(first), standing(second)) == (("queued", 0, []), ("queued", 1, []))
    leased = web.post("/jobs/lease", json={"worker": "w1", "kinds": ["wait"]}).json()["job"]
    assert leased["leased_at"]
    assert (standing(first), standing(second)) == (("leased", None, []), ("queued", 0, ["w1"]))
    for job in (first, second):
        web.post(f"/jobs/{job['id']}/cancel")


def test_a_job_is_called_off_once_and_its_worker_loses_it(web: httpx.Client) -> None:
    asked = web.post("/jobs", json={"kind": "off", "body": {}}).json()
    web.post("/jobs/lease", json={"worker": "w1", "kinds": ["off"]})

    called = web.post(f"/jobs/{asked['id']}/cancel", json={"reason": "a typing error"})

    assert called.status_code == 200
    assert (called.json()["state"], called.json()["error"]) == ("failed", f"called off by {asked['created_by']}")
    assert web.post(f"/jobs/{asked['id']}/heartbeat", json={"worker": "w1"}).status_code == 409
    assert web.post(f"/jobs/{asked['id']}/finish", json={"worker": "w1", "ok": True}).status_code == 409
    again = web.post(f"/jobs/{asked['id']}/cancel")
    assert (again.status_code, "is failed and cannot be called off" in again.text) == (409, True)
    (event,) = web.get("/events", params={"kind": "job.cancelled"}).json()["items"][:1]
    assert (event["subject"], event["reason"]) == (f"job:{asked['id']}", "a typing error")
    assert web.post(f"/jobs/{'0' * 32}/cancel").status_code == 404


def test_a_lease_has_a_sensible_length(web: httpx.Client) -> None:
    for seconds in (0, -1, 10**9):
        body = {"worker": "w", "kinds": ["none"], "seconds": seconds}
        assert web.post("/jobs/lease", json=body).status_code == 422
