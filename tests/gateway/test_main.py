# SPDX-License-Identifier: Apache-2.0
"""Gateways as real processes beside a control plane over real HTTP: what must hold whatever happens to either."""

from __future__ import annotations

import hashlib
import json
import random
import resource
import signal
import socket
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import httpx
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mainstay.features import definitions
from mainstay.gateway.follower import Follower

from .conftest import SIGNATURE

ROW = {"carrier": "UA", "distance": 1400.5, "wind_speed": 12.0, "weekday": 3}
OWNER, VIEWER = "mst_1_owner", "mst_2_viewer"


class Load:
    """Clients that ask without pause and remember every id they were given."""

    def __init__(self, port: int, clients: int) -> None:
        self.acknowledged: list[str] = []
        self.releases: set[int] = set()
        self.refused: list[tuple[int, str]] = []
        self._port = port
        self._ended = threading.Event()
        self._threads = [threading.Thread(target=self._ask, args=(n,), daemon=True) for n in range(clients)]
        for thread in self._threads:
            thread.start()

    def end(self) -> None:
        self._ended.set()
        for thread in self._threads:
            thread.join(30)

    def _ask(self, number: int) -> None:
        headers = {"Authorization": f"Bearer {OWNER}"}
        with httpx.Client(base_url=f"http://127.0.0.1:{self._port}", headers=headers, trust_env=False) as http:
            count = 0
            while not self._ended.is_set():
                count += 1
                body = {"rows": [ROW], "key": f"{number}-{count}"}
                try:
                    reply = http.post("/deployments/flights/predict", json=body)
                except httpx.TransportError:
                    return  # the gateway was killed
                if reply.status_code != 200:
                    self.refused.append((reply.status_code, reply.text))
                    continue
                told = reply.json()
                self.releases.add(told["release"])
                self.acknowledged += [prediction["id"] for prediction in told["predictions"]]


def test_a_prediction_is_answered_logged_and_shipped(
    control: Any, start: Callable[..., Any], models: list[Any]
) -> None:
    control.publish(control.variant(models[0], 2))
    gateway = start().ready()

    reply = gateway.predict(ROW, {**ROW, "carrier": "ZZ", "distance": 9000}, key="UA-1", at="2013-03-01T12:00:00Z")
    assert gateway.stop() == 0

    told = reply.json()
    assert reply.status_code == 200
    assert (told["release"], told["version"], told["variant"]) == (2, "flights-late/2", "champion")
    logged = {record["id"]: record for record in control.records()}
    assert set(logged) == {prediction["id"] for prediction in told["predictions"]}
    first, second = (logged[prediction["id"]] for prediction in told["predictions"])
    assert first["row"] == ROW
    assert first["value"] == told["predictions"][0]["value"]
    assert (first["at"], first["key"], first["status"]) == (1362139200000000, "UA-1", "ok")
    assert second["flags"] == ["unseen:carrier", "range:distance"]


def test_swapping_the_table_under_load_fails_no_request(
    control: Any, start: Callable[..., Any], models: list[Any]
) -> None:
    control.publish(control.variant(models[0], 1))
    gateway = start().ready()
    load = Load(gateway.port, clients=6)

    for number in range(2, 42):
        champion = control.variant(models[number % 2], number, share_bp=7000)
        canary = control.variant(models[1 - number % 2], number + 100, "canary", 3000)
        control.publish(champion, canary)
        time.sleep(0.05)  # the load is real time; nothing is asserted about it
    load.end()
    assert gateway.stop() == 0

    assert load.refused == []
    assert len(load.releases) > 20
    logged = [record["id"] for record in control.records()]
    assert sorted(logged) == sorted(load.acknowledged)


def test_kill_minus_nine_loses_no_acknowledged_prediction(
    control: Any, start: Callable[..., Any], models: list[Any]
) -> None:
    control.publish(control.variant(models[0], 1))
    dice = random.Random(7)
    acknowledged: list[str] = []

    for _ in range(4):
        gateway = start(log={"segment_age_s": 0.3}).ready()
        load = Load(gateway.port, clients=4)
        time.sleep(0.3 + dice.random())
        gateway.stop(signal.SIGKILL)
        load.end()
        acknowledged += load.acknowledged
    last = start().ready()
    last.until(lambda: "mainstay_gateway_segments_unshipped 0" in last.http.get("/metrics").text)
    assert last.stop() == 0

    logged = [record["id"] for record in control.records()]
    assert len(acknowledged) > 100
    assert set(acknowledged) <= set(logged)
    assert len(logged) == len(set(logged))


def test_a_dead_gateways_segments_are_shipped_under_its_own_name(
    control: Any, start: Callable[..., Any], models: list[Any]
) -> None:
    control.publish(control.variant(models[0], 1))
    first, second = start().ready(), start().ready()
    ids = [one.predict().json()["predictions"][0]["id"] for one in (first, second)]
    first.stop(signal.SIGKILL)
    second.stop(signal.SIGKILL)

    third = start().ready()
    third.until(lambda: len(control.segments) == 2)

    assert {record["id"] for record in control.records()} == set(ids)
    assert len({gateway for gateway, _ in control.segments}) == 2


def test_a_gateway_restarts_and_answers_while_the_control_plane_is_away(
    tmp_path: Path, start: Callable[..., Any], models: list[Any], control: Any
) -> None:
    control.publish(control.variant(models[0], 5))
    first = start().ready()
    before = first.predict().json()["predictions"][0]["value"]
    first.stop()
    (tmp_path / "token").write_text(OWNER)
    control.port, away = 1, control.port  # nobody listens on port 1

    again = start().ready()
    reply = again.predict()
    control.port = away

    assert reply.json()["predictions"][0]["value"] == before
    assert reply.json()["release"] == 5
    stranger = again.predict(headers={"Authorization": "Bearer mst_9_other"})
    assert stranger.status_code == 503


def wind(control: Any, folder: Path, speed: float, rows: int = 6_000) -> dict[str, Any]:
    """A view of the wind as the routing table tells it; its table is larger than these gateways hold in memory."""
    at = pa.array([datetime(2013, 1, 1, tzinfo=UTC)] * rows, pa.timestamp("us", "UTC"))
    station = pa.array([f"K{n}" for n in range(rows)])
    pq.write_table(pa.table({"station": station, "at": at, "wind_speed": np.full(rows, speed)}), folder / "wind")
    data = (folder / "wind").read_bytes()
    digest = hashlib.sha256(data).hexdigest()
    control.blobs[digest] = data
    known = definitions.make("wind", entity="station", time="at").to_json()
    pin = {"view": "wind", "version": 1, "digest": "w", "definition": known, "columns": ["wind_speed"]}
    online = {"blob": digest, "rows": rows, "watermark": f"2013-01-0{int(speed)}T00:00:00Z", "sequence": int(speed)}
    online |= {"by_key": True, "columns": [{"name": "wind_speed", "type": "float"}]}
    return pin | {"entity": [{"name": "station", "type": "str"}], "online": online, "fault": None}


def test_a_gateway_looks_up_whom_nobody_asked_for_while_the_control_plane_is_away_also_after_a_kill(
    tmp_path: Path, start: Callable[..., Any], models: list[Any], control: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MAINSTAY_ONLINE_ROWS", "5000")

    def publish(speed: float) -> dict[str, Any]:
        routed = wind(control, tmp_path, speed)
        signature = {**SIGNATURE, "views": [{key: routed[key] for key in routed if key not in ("online", "fault")}]}
        control.publish(control.variant(models[0], 5, signature=signature, views=[routed]), signature=signature)
        return routed

    def row(station: str) -> dict[str, Any]:
        return {name: ROW[name] for name in ROW if name != "wind_speed"} | {"station": station}

    publish(3)
    first = start().ready()
    near = first.predict(row("K1"))
    first.stop(signal.SIGKILL)
    (tmp_path / "token").write_text(OWNER)
    control.port, away = 1, control.port
    again = start().ready()
    far = again.predict(row("K5999"), row("nobody"))
    control.port = away

    assert near.headers["known-up-to"] == far.headers["known-up-to"] == "wind=2013-01-03T00:00:00Z"
    assert again.http.get("/deployments/flights").json()["variants"][0]["features"][0]["held"] == "on disk"
    known, unknown = far.json()["predictions"]
    assert known["value"] == near.json()["predictions"][0]["value"] != unknown["value"]
    assert "as_of:wind@2013-01-03T00:00:00Z" in known["flags"] and "unknown:wind" in unknown["flags"]
    assert near.json()["predictions"][0].get("flags", []) == []


def test_the_files_of_online_tables_that_nothing_names_any_more_go_after_a_while(tmp_path: Path) -> None:
    forgotten: list[str] = []
    gone = SimpleNamespace(blob=lambda digest: tmp_path / digest, forget=forgotten.append)

    def naming(*blobs: str) -> dict[str, Any]:
        views = [{"online": {"blob": blob}} for blob in blobs] + [{"online": None}]
        return {"generation": 1, "deployments": [{"variants": [{"views": views}, {}]}]}

    follower = Follower(None, gone, kept=tmp_path / "table.json", left_for_s=-1.0)  # type: ignore[arg-type]
    for blobs in (["a", "b"], ["a", "c"], ["c"]):
        follower._keep(naming(*blobs))
    patient = Follower(None, gone, kept=tmp_path / "table.json")  # type: ignore[arg-type]
    patient._keep(naming("d"))

    assert forgotten == ["b", "a"]


def test_a_version_that_fails_its_self_check_is_refused_and_the_old_one_serves_on(
    control: Any, start: Callable[..., Any], models: list[Any]
) -> None:
    control.publish(control.variant(models[0], 1))
    gateway = start().ready()
    scores = [score + 1e-6 for score in models[1].golden["scores"]]
    wrong = control.variant(models[1], 2, golden={**models[1].golden, "scores": scores})

    control.publish(wrong)
    told = gateway.until(lambda: next((report for report in control.reports if report.get("faults")), None))

    assert gateway.predict().json()["release"] == 1
    assert [item["release"] for item in told["loaded"]] == ["flights#1"]
    assert "come out differently" in told["faults"][0]["sentence"]


def test_damaged_model_bytes_are_never_loaded(control: Any, start: Callable[..., Any], models: list[Any]) -> None:
    variant = control.variant(models[0], 1)
    name = next(iter(variant["files"].values()))
    control.blobs[name] = control.blobs[name][:-1] + b"?"
    control.publish(variant)
    gateway = start().ready()

    gateway.until(lambda: any(report.get("faults") for report in control.reports))

    assert gateway.predict().status_code == 503
    assert "no version that can answer" in gateway.predict().json()["error"]["message"]


def test_a_full_disk_fails_closed_and_what_was_answered_is_still_whole(
    control: Any, start: Callable[..., Any], models: list[Any]
) -> None:
    control.publish(control.variant(models[0], 1))
    gateway = start().ready()
    limits = resource.prlimit(gateway.process.pid, resource.RLIMIT_FSIZE)

    # No file may grow beyond this: the next write of a record is cut short, as it is on a full disk.
    resource.prlimit(gateway.process.pid, resource.RLIMIT_FSIZE, (3000, limits[1]))
    replies = [gateway.predict() for _ in range(20)]
    resource.prlimit(gateway.process.pid, resource.RLIMIT_FSIZE, limits)
    after = gateway.predict()
    gateway.stop()

    statuses = [reply.status_code for reply in replies]
    assert 200 in statuses
    assert set(statuses) == {200, 503}
    assert "prediction log cannot be written" in replies[-1].json()["error"]["message"]
    assert after.status_code == 200
    given = {reply.json()["predictions"][0]["id"] for reply in [*replies, after] if reply.status_code == 200}
    assert {record["id"] for record in control.records()} == given


def test_feedback_reaches_the_control_plane_after_the_prediction_it_is_about(
    control: Any, start: Callable[..., Any], models: list[Any]
) -> None:
    control.publish(control.variant(models[0], 1))
    gateway = start().ready()
    name = gateway.predict().json()["predictions"][0]["id"]

    reply = gateway.http.post("/feedback", json={"id": name, "label": 1})
    unknown = gateway.http.post("/feedback", json={"id": "0" * 12 + "7" + "0" * 3 + "8" + "0" * 15, "label": 1})

    assert (reply.status_code, unknown.status_code) == (200, 404)
    assert control.feedback == [{"id": name, "label": 1}]


def test_a_flush_hands_over_what_was_predicted_without_waiting_for_a_lull(
    control: Any, start: Callable[..., Any], models: list[Any]
) -> None:
    control.publish(control.variant(models[0], 1))
    gateway = start().ready()
    names = [gateway.predict().json()["predictions"][0]["id"] for _ in range(3)]

    reply = gateway.http.post("/flush")

    assert (reply.status_code, reply.json()) == (200, {"ok": True})
    assert {record["id"] for record in control.records()} >= set(names)


def test_a_rollback_needs_no_file_of_the_release_it_returns_to(
    control: Any, start: Callable[..., Any], models: list[Any]
) -> None:
    old, new = control.variant(models[0], 1), control.variant(models[1], 2)
    control.publish(old)
    gateway = start().ready()
    control.publish(new)
    gateway.until(lambda: gateway.predict().json()["release"] == 2)
    control.blobs.clear()

    control.publish(old)
    gateway.until(lambda: gateway.predict().json()["release"] == 1)

    assert not any(report.get("faults") for report in control.reports)
    assert gateway.predict(release=2).json()["variant"] == "previous"


def test_a_shadow_never_answers_but_is_logged(control: Any, start: Callable[..., Any], models: list[Any]) -> None:
    control.publish(control.variant(models[0], 1), control.variant(models[1], 2, "shadow", 0))
    gateway = start().ready()

    replies = [gateway.predict().json() for _ in range(20)]
    gateway.stop()

    assert {reply["release"] for reply in replies} == {1}
    shadows = [record for record in control.records() if record["variant"] == "shadow"]
    asked = {flag.removeprefix("shadow_of:") for record in shadows for flag in record["flags"]}
    assert asked == {reply["predictions"][0]["id"] for reply in replies}


def test_the_report_counts_what_was_answered_by_each_release(
    control: Any, start: Callable[..., Any], models: list[Any]
) -> None:
    control.publish(control.variant(models[0], 1, share_bp=5000), control.variant(models[1], 2, "canary", 5000))
    gateway = start().ready()

    given = [gateway.predict(key=f"k{n}").json()["release"] for n in range(60)]
    gateway.predict({**ROW, "distance": "far"})
    gateway.predict(release=2)
    gateway.stop()

    counts = {item["release"]: item for item in control.reports[-1]["counts"]}
    assert set(given) == {1, 2}
    for number in (1, 2):
        assert counts[f"flights#{number}"]["predictions"] == given.count(number)
        assert counts[f"flights#{number}"]["requests"] == given.count(number)
    assert counts["flights#1"]["rejected"] == 1
    assert control.reports[-1]["loaded"][1]["role"] == "canary"


def test_only_a_known_token_with_the_right_to_predict_gets_an_answer(
    control: Any, start: Callable[..., Any], models: list[Any]
) -> None:
    control.publish(control.variant(models[0], 1))
    gateway = start().ready()
    asked_before = control.asked_who

    statuses = [
        httpx.post(f"http://127.0.0.1:{gateway.port}/deployments/flights/predict", json={"rows": [ROW]}).status_code,
        gateway.predict(headers={"Authorization": "Bearer mst_9_other"}).status_code,
        gateway.predict(headers={"Authorization": f"Bearer {VIEWER}"}).status_code,
        gateway.predict(headers={"Host": "evil.example"}).status_code,
    ]
    allowed = [gateway.predict().status_code for _ in range(5)]

    assert statuses == [401, 401, 403, 403]
    assert allowed == [200] * 5
    assert control.asked_who - asked_before == 3  # the other, the viewer and the owner, once each


def test_a_busy_port_is_one_sentence_and_status_one(control: Any, start: Callable[..., Any], tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        gateway = start(port=taken.getsockname()[1])

        status = gateway.process.wait(30)

    told = (tmp_path / "gateway-0.log").read_text().strip()
    assert status == 1
    assert "is in use by another program" in told
    assert len(told.splitlines()) == 1


@pytest.mark.parametrize(
    ("body", "status", "words"),
    [
        (b"", 400, "not acceptable JSON"),
        (b"{", 400, "not acceptable JSON"),
        (b'{"rows":[{"carrier":"UA","distance":NaN,"wind_speed":1,"weekday":3}]}', 400, "NaN"),
        (b'{"rows":[],"rows":[]}', 422, "at least one row"),
        (b"[" * 100_000, 400, "nested deeper"),
        (b"\xff", 400, "not UTF-8"),
        (b"x" * (5 << 20), 413, "larger than"),
        (json.dumps({"rows": [ROW] * 5001}).encode(), 413, "at most 5000"),
        (json.dumps({"rows": [ROW], "release": 9}).encode(), 404, "not loaded here"),
        (json.dumps({"rows": [ROW], "more": 1}).encode(), 422, "more is unknown"),
    ],
)
def test_what_is_no_request_gets_a_status_and_a_sentence(shared: Any, body: bytes, status: int, words: str) -> None:
    reply = shared.http.post("/deployments/flights/predict", content=body)

    assert reply.status_code == status
    assert words in reply.json()["error"]["message"]


def test_other_paths_and_methods_get_a_sentence(shared: Any) -> None:
    assert shared.http.get("/deployments/flights/predict").status_code == 405
    assert shared.http.get("/deployments/trains").status_code == 404
    assert shared.http.get("/nothing").status_code == 404
    assert shared.http.get("/health", headers={"Authorization": ""}).json()["status"] == "ok"
    assert shared.http.get("/metrics", headers={"Authorization": ""}).status_code == 401
    assert shared.http.get("/deployments/flights").json()["variants"][0]["share"] == 1.0


def test_a_request_whose_deadline_has_no_room_is_answered_504_and_logged(
    control: Any, start: Callable[..., Any], models: list[Any]
) -> None:
    control.publish(control.variant(models[0], 1))
    gateway = start().ready()

    # One request occupies the model with thousands of rows; a second one behind it has a millisecond.
    statuses: list[int] = []
    for _ in range(30):
        heavy = threading.Thread(target=lambda: gateway.predict(*[ROW] * 5000))
        heavy.start()
        statuses += [gateway.predict(headers={"X-Deadline-Ms": "1"}).status_code for _ in range(5)]
        heavy.join()
        if 504 in statuses:
            break
    gateway.stop()

    assert 504 in statuses
    assert set(statuses) <= {200, 504}
    late = [record for record in control.records() if record["status"] == "timeout"]
    assert len(late) == statuses.count(504)
    assert all(record["value"] is None for record in late)


texts = st.text(alphabet='{}[]":,0129.eE-+ntfusrowky\\\x00é ', max_size=60).map(str.encode)
values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["carrier", "distance", "x"]), inner),
    max_leaves=6,
)
rows = st.fixed_dictionaries(
    {}, optional={name: st.just(value) | values for name, value in ROW.items()} | {"x": values}
)
bodies = st.fixed_dictionaries(
    {},
    optional={"rows": st.lists(rows, max_size=3) | values, "key": values, "at": values, "release": values, "z": values},
)


@settings(max_examples=300, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(body=st.binary(max_size=80) | texts | bodies.map(lambda body: json.dumps(body).encode()))
def test_no_body_makes_a_server_error(shared: Any, body: bytes) -> None:
    reply = shared.http.post("/deployments/flights/predict", content=body)

    assert reply.status_code in {200, 400, 404, 413, 422}
    if reply.status_code != 200:
        assert set(reply.json()["error"]) == {"kind", "message", "facts", "request_id"}
