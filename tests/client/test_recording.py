# SPDX-License-Identifier: Apache-2.0
"""Recording: what a script says is all there afterwards, once, whatever the server did meanwhile."""

from __future__ import annotations

import asyncio
import json
import math
import os
import signal
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import mainstay as ms
from mainstay.client import delivery, outbox, recording
from mainstay.client import spool as spools
from mainstay.client.recording import recordings
from mainstay.client.session import Session, connect
from mainstay.domain.errors import Conflict, Forbidden, Invalid, MainstayError, TooLarge

from .conftest import ServerProcess


@pytest.fixture(scope="module")
def embedded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Session]:
    session = connect(workspace=tmp_path_factory.mktemp("recording") / "workspace")
    yield session
    session.close()


@pytest.fixture(autouse=True)
def plain(monkeypatch: pytest.MonkeyPatch) -> None:
    """What this process has loaded is nobody's experiment; tests about capturing say so."""
    monkeypatch.setenv("MAINSTAY_CAPTURE_CODE", "0")
    monkeypatch.setenv("MAINSTAY_SYSTEM_METRICS", "0")


def points(session: Session, run: str, key: str) -> list[tuple[int, Any]]:
    found, after = [], None
    while True:
        page = session.get(f"/runs/{run}/metrics/{key}", after=after, limit=1000)
        found += [(point["step"], point["value"]) for point in page["points"]]
        after = page["next"]
        if after is None:
            return found


def script(folder: Path, text: str, **environment: str) -> subprocess.Popen[str]:
    """A training script of somebody, in a folder of its own."""
    path = folder / "train.py"
    path.write_text(textwrap.dedent(text), "utf-8")
    known = {name: value for name, value in os.environ.items() if not name.startswith("MAINSTAY_")}
    return subprocess.Popen(
        [sys.executable, str(path)],
        cwd=folder,
        env={**known, "MAINSTAY_CAPTURE_ENVIRONMENT": "0", **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def said(process: subprocess.Popen[str]) -> str:
    out, err = process.communicate(timeout=90)
    assert process.returncode == 0, err
    return out.strip()


def wait_until(true: Callable[[], Any]) -> None:
    end = time.monotonic() + 60
    while not true():
        assert time.monotonic() < end
        time.sleep(0.02)


# What is said


def test_all_that_is_said_is_there_when_the_block_is_over(embedded: Session) -> None:
    with ms.run("train", experiment="late", params={"depth": 6}, tags={"team": "ops"}, session=embedded) as run:
        ms.log_params({"rate": 0.1, "loss": len})
        ms.log_param("layers", [3, 2])
        ms.set_tags({"note": 7})
        for step in range(2500):
            ms.log_metric("loss", 1 / (step + 1), step=step)
        ms.log_metrics({"auc": 0.7, "f1": 0.6}, step=3)
        ms.log_text("notes.txt", "three")
        ms.log_dict("deep.json", {"when": [1, 2]})

    found = embedded.get(f"/runs/{run.id}")
    assert (found["state"], found["experiment"], found["tags"]) == ("succeeded", "late", {"team": "ops", "note": "7"})
    assert found["params"] == {"depth": 6, "rate": 0.1, "layers": [3, 2], "loss": "<built-in function len>"}
    assert (found["metrics"]["auc"], found["metrics"]["loss"]) == (0.7, 1 / 2500)
    assert points(embedded, run.id, "loss") == [(step, 1 / (step + 1)) for step in range(2500)]
    by_path = {each["path"]: embedded.get_blob(each["digest"]) for each in found["artifacts"]}
    assert by_path["notes.txt"] == b"three"
    assert json.loads(by_path["deep.json"]) == {"when": [1, 2]}


def test_an_error_in_the_block_ends_the_run_as_failed_with_its_last_line(embedded: Session) -> None:
    with pytest.raises(ZeroDivisionError), ms.run("train", session=embedded) as run:
        ms.log_metric("loss", 0.5)
        _ = 1 / 0

    found = embedded.get(f"/runs/{run.id}")
    assert (found["state"], found["error"]) == ("failed", "ZeroDivisionError: division by zero")
    assert found["metrics"] == {"loss": 0.5}


def test_a_file_is_kept_as_it_was_when_it_was_logged(embedded: Session, tmp_path: Path) -> None:
    weights = tmp_path / "weights.bin"
    weights.write_bytes(b"a" * 3_000_000)

    with ms.run("train", session=embedded) as run:
        run.log_artifact("first.bin", weights)
        weights.write_bytes(b"b" * 10)
        ms.log_artifact(weights)
        with pytest.raises(Invalid, match="not a file"):
            ms.log_artifact(tmp_path / "none.bin")

    found = {each["path"]: each for each in embedded.get(f"/runs/{run.id}")["artifacts"]}
    assert embedded.get_blob(found["first.bin"]["digest"]) == b"a" * 3_000_000
    assert embedded.get_blob(found["weights.bin"]["digest"]) == b"b" * 10


def test_what_cannot_be_kept_is_refused_where_it_is_said(embedded: Session) -> None:
    with ms.run("train", params={"depth": 6}, session=embedded) as run:
        with pytest.raises(Conflict, match="has parameter 'depth' = 6 and cannot have 7 too"):
            ms.log_params({"depth": 7})
        ms.log_params({"depth": 6})
        for key in ("", "../up", "a\nb"):
            with pytest.raises(Invalid):
                ms.log_metric(key, 1.0)
        with pytest.raises(Invalid, match="metric 'loss' is a str"):
            ms.log_metric("loss", "0.5")  # type: ignore[arg-type]
        with pytest.raises(Invalid, match=r"has step 1\.5"):
            ms.log_metric("loss", 0.5, step=1.5)  # type: ignore[arg-type]
        with pytest.raises(Invalid, match="64 bits"):
            ms.log_metric("loss", 0.5, step=1 << 63)
        with pytest.raises(TooLarge):
            ms.log_params({"long": "x" * 6001})
    with pytest.raises(Conflict, match="has ended"):
        run.log_metric("loss", 0.5)
    with pytest.raises(Conflict, match="has ended"):
        run.log_params({"rate": 1})

    assert embedded.get(f"/runs/{run.id}")["params"] == {"depth": 6}


def test_a_number_is_taken_as_it_is_now(embedded: Session) -> None:
    import numpy as np

    loss = np.array(0.5)
    with ms.run("train", session=embedded) as run:
        ms.log_metric("loss", loss, step=np.int64(3))  # type: ignore[arg-type]
        loss[...] = 9.0
        ms.log_metric("count", True)

    assert points(embedded, run.id, "loss") == [(3, 0.5)]
    assert points(embedded, run.id, "count") == [(0, 1.0)]


def test_a_number_that_is_not_finite_is_kept_like_any_other(embedded: Session) -> None:
    with ms.run("train", session=embedded) as run:
        for step, value in enumerate([0.5, math.nan, 0.4, math.inf, -math.inf, 0.3]):
            ms.log_metric("loss", value, step=step)

    found = points(embedded, run.id, "loss")
    assert found == [(0, 0.5), (1, None), (2, 0.4), (3, "Infinity"), (4, "-Infinity"), (5, 0.3)]
    assert embedded.get(f"/runs/{run.id}")["metrics"] == {"loss": 0.3}


def test_a_run_that_the_server_refuses_is_refused_at_once(embedded: Session, tmp_path: Path) -> None:
    with pytest.raises(Invalid, match="run name"):
        ms.run("\n", session=embedded)
    stranger = connect(embedded.wire.url, token="mst_a_b", retry_s=0)
    stranger.wire = type(stranger.wire)(
        embedded.wire.url, "mst_a_b", retry_s=0, transport=embedded.wire._http._transport
    )
    stranger.workspace = tmp_path
    with pytest.raises(MainstayError) as refused:
        ms.run("train", session=stranger)

    outbox.of(stranger, tmp_path / delivery.FOLDER).close()
    assert refused.value.kind in ("unauthenticated", Forbidden.kind)
    assert ms.current_run() is None


# Which run is meant


def test_a_verb_outside_of_a_run_says_how_to_open_one() -> None:
    with pytest.raises(Invalid, match=r"with ms\.run"):
        ms.log_metric("loss", 1.0)


def test_a_thread_logs_to_the_innermost_run_of_the_process(embedded: Session) -> None:
    with ms.run("outer", session=embedded) as outer:
        work = threading.Thread(target=lambda: ms.log_metric("loss", 1.0))
        work.start()
        work.join()
        with ms.run("inner", parent=outer.id, session=embedded) as inner:
            work = threading.Thread(target=lambda: ms.log_metric("loss", 2.0))
            work.start()
            work.join()
            with ms.run("other", session=embedded):
                found: list[str] = []
                work = threading.Thread(target=lambda: found.append(_complaint()))
                work.start()
                work.join()

    assert embedded.get(f"/runs/{outer.id}")["metrics"] == {"loss": 1.0}
    assert embedded.get(f"/runs/{inner.id}")["metrics"] == {"loss": 2.0}
    assert "where 3 runs go on" in found[0]


def _complaint() -> str:
    try:
        ms.log_metric("loss", 3.0)
    except Invalid as error:
        return error.message
    return ""


def test_tasks_of_one_loop_record_side_by_side(embedded: Session) -> None:
    async def train(number: int) -> str:
        with ms.run(f"train-{number}", session=embedded) as run:
            for step in range(5):
                ms.log_metric("loss", number, step=step)
                await asyncio.sleep(0)
            return run.id

    async def both() -> list[str]:
        return list(await asyncio.gather(train(1), train(2)))

    runs = asyncio.run(both())

    assert [embedded.get(f"/runs/{run}")["metrics"] for run in runs] == [{"loss": 1.0}, {"loss": 2.0}]


def test_a_run_without_a_block_goes_on_until_it_is_finished(embedded: Session) -> None:
    run = ms.start_run("cells", session=embedded)
    ms.log_metric("loss", 0.5)
    asyncio.run(_log_in_a_task())
    assert ms.current_run() is run
    run.finish()
    run.finish()

    assert ms.current_run() is None
    assert embedded.get(f"/runs/{run.id}")["metrics"] == {"loss": 0.4}
    assert embedded.get(f"/runs/{run.id}")["state"] == "succeeded"


async def _log_in_a_task() -> None:
    ms.log_metric("loss", 0.4, step=1)


def test_a_step_of_a_pipeline_takes_what_the_verbs_say() -> None:
    told: list[tuple[Any, ...]] = []
    token = recording.step_sink.set(lambda *words: told.append(words))
    try:
        ms.log_param("depth", 6)
        ms.log_metric("loss", 0.5, step=1)
        ms.log_text("notes.txt", "three")
        with pytest.raises(Invalid, match="a step has no tags"):
            ms.set_tags({"a": "b"})
    finally:
        recording.step_sink.reset(token)

    assert told == [("params", {"depth": 6}), ("metric", "loss", 0.5, 1), ("artifact", "notes.txt", "three")]


# Going on


def test_a_run_that_ended_goes_on_under_its_id_and_the_ledger_says_so(embedded: Session) -> None:
    with ms.run("train", params={"depth": 6}, session=embedded) as run:
        ms.log_metric("loss", 0.5, step=0)

    with ms.run(resume=run.id, session=embedded) as again:
        ms.log_metric("loss", 0.4, step=1)
        with pytest.raises(Conflict, match="depth"):
            ms.log_params({"depth": 7})

    events = embedded.get("/events", subject=f"run:{run.id}")["items"]
    assert again.id == run.id
    assert [event["kind"] for event in sorted(events, key=lambda event: event["seq"])] == [
        "run.started",
        "run.finished",
        "run.reopened",
        "run.finished",
    ]
    assert points(embedded, run.id, "loss") == [(0, 0.5), (1, 0.4)]


def test_a_run_that_nobody_knows_cannot_go_on(embedded: Session) -> None:
    with pytest.raises(MainstayError, match="there is no run"):
        ms.run(resume="01890000000070008000000000000000", session=embedded)
    with pytest.raises(Invalid, match="not the id of a run"):
        ms.run(resume="train", session=embedded)


# While the server is away


def test_a_run_begins_and_ends_without_a_server_and_is_delivered_by_the_next(
    server: ServerProcess, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MAINSTAY_WORKSPACE", str(tmp_path / "here"))
    monkeypatch.setattr(outbox, "PATIENCE_AT_START_S", 0.3)
    session = connect(server.url, token=server.token, retry_s=0)
    server.kill()

    with pytest.warns(UserWarning, match="no answer"), ms.run("train", params={"depth": 6}, session=session) as run:
        for step in range(100):
            ms.log_metric("loss", step, step=step)
        ms.log_text("notes.txt", "three")
    session.close()
    monkeypatch.setattr(outbox, "PATIENCE_AT_START_S", 60.0)

    server.start()
    session = connect(server.url, token=server.token)
    with ms.run("next", session=session):
        wait_until(lambda: [each for each in session.get("/runs")["items"] if each["state"] == "succeeded"])
    found = session.get(f"/runs/{run.id}")
    assert (found["state"], found["params"]) == ("succeeded", {"depth": 6})
    assert points(session, run.id, "loss") == [(step, float(step)) for step in range(100)]
    assert [each["path"] for each in found["artifacts"]] == ["notes.txt"]
    assert found["started_at"] < found["ended_at"] < session.get("/runs")["items"][0]["started_at"]
    session.close()
    assert list((tmp_path / "here" / delivery.FOLDER).iterdir()) == []


def test_a_server_that_restarts_in_the_middle_loses_nothing(
    server: ServerProcess, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MAINSTAY_WORKSPACE", str(tmp_path / "here"))
    session = connect(server.url, token=server.token)
    with ms.run("train", session=session) as run:
        for step in range(3000):
            run.log_metric("loss", step, step=step)
            if step in (1000, 2000):
                run._outbox.drain()
                server.kill()
            if step == 2500:
                server.start()

    assert points(session, run.id, "loss") == [(step, float(step)) for step in range(3000)]
    assert session.get(f"/runs/{run.id}")["state"] == "succeeded"
    session.close()


TRAINING = """
    import sys, time
    import mainstay as ms
    run = ms.start_run("train", params={"depth": 6})
    print(run.id, flush=True)
    for step in range(100_000_000):
        ms.log_metric("loss", step, step=step)
        if step % 100 == 0:
            time.sleep(0.001)
"""


def whole_bytes(path: Path) -> int:
    """How much of a segment a kill cannot take any more: the requests that stand in it to their ends."""
    with path.open("rb") as file:
        return sum(len(request.body) for request in iter(lambda: spools._read(file), None))


def test_a_killed_script_loses_only_its_last_moment_and_the_rest_is_delivered_once(tmp_path: Path) -> None:
    process = script(tmp_path, TRAINING, MAINSTAY_OFFLINE="1")
    assert process.stdout is not None
    run = process.stdout.readline().strip()
    root = tmp_path / ".mainstay" / delivery.FOLDER
    wait_until(lambda: sum(whole_bytes(path) for path in root.glob("*/*.spool")) > 100_000)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    session = connect(workspace=tmp_path / ".mainstay")

    first = delivery.sync(session, root)
    second = delivery.sync(session, root)

    found = points(session, run, "loss")
    assert [(each.run, each.refused) for each in first] == [(run, 0)]
    assert second == []
    assert len(found) > 500
    assert found == [(step, float(step)) for step in range(len(found))]
    assert (session.get(f"/runs/{run}")["state"], list(root.iterdir())) == ("running", [])
    session.close()


def test_a_killed_script_goes_on_where_it_was(standing: ServerProcess, tmp_path: Path) -> None:
    where = {"MAINSTAY_URL": standing.url, "MAINSTAY_TOKEN": standing.token}
    process = script(tmp_path, TRAINING, **where)
    assert process.stdout is not None
    run = process.stdout.readline().strip()
    session = connect(standing.url, token=standing.token)
    wait_until(lambda: session.get(f"/runs/{run}")["metrics"].get("loss", 0) > 100)
    process.send_signal(signal.SIGKILL)
    process.communicate()

    again = f"""
        import mainstay as ms
        with ms.run(resume={run!r}) as run:
            print(len(run._params), flush=True)
            ms.log_metric("loss", -1.0, step=1_000_000_000)
    """
    assert said(script(tmp_path, again, **where)) == "1"

    found = points(session, run, "loss")
    assert found[-1] == (1_000_000_000, -1.0)
    assert found[:-1] == [(step, float(step)) for step in range(len(found) - 1)]
    assert session.get(f"/runs/{run}")["state"] == "succeeded"
    session.close()


def test_what_is_sent_twice_stands_once(embedded: Session, monkeypatch: pytest.MonkeyPatch) -> None:
    sends: list[str] = []

    def twice(session: Session, spool: Any, request: Any, send: Any = delivery.send) -> None:
        """As after a crash between the answer and its mark, long after the server has forgotten the key."""
        send(session, spool, request)
        other = type(request)(**{**vars(request), "key": request.key[::-1]})
        sends.append(request.path)
        send(session, spool, other)

    monkeypatch.setattr(delivery, "send", twice)
    with ms.run("train", params={"depth": 6}, session=embedded) as run:
        for step in range(50):
            ms.log_metric("loss", step, step=step)
        run.set_tags({"a": "b"})
        run.log_text("notes.txt", "three")

    found = embedded.get(f"/runs/{run.id}")
    events = embedded.get("/events", subject=f"run:{run.id}")["items"]
    assert [each for each in run._outbox.refused if each.run == run.id] == []
    assert {path.rpartition("/")[2] for path in sends} == {"runs", "points", "log", "artifacts", "finish"}
    assert points(embedded, run.id, "loss") == [(step, float(step)) for step in range(50)]
    assert (found["state"], found["params"], found["tags"]) == ("succeeded", {"depth": 6}, {"a": "b"})
    assert sorted(event["kind"] for event in events) == ["run.finished", "run.started"]


def test_a_file_whose_answer_was_not_marked_before_a_kill_is_named_again(tmp_path: Path) -> None:
    session = connect(workspace=tmp_path / "w")
    with ms.run("train", session=session) as run:
        body = {"path": "notes.txt", "digest": session.put_blob(b"three"), "size": 5, "media_type": "text/plain"}
        kept = delivery.spools.make(tmp_path / "left", "workspace")
        kept.append(
            delivery.Request(
                key="k", run=run.id, path=f"/runs/{run.id}/artifacts", body=json.dumps(body).encode(), blob="gone"
            )
        )
        kept.release()
        (delivered,) = delivery.sync(session, tmp_path / "left")

    assert (delivered.requests, delivered.refused) == (1, 0)
    assert [each["path"] for each in session.get(f"/runs/{run.id}")["artifacts"]] == ["notes.txt"]
    session.close()


def test_an_offline_run_says_nothing_until_it_is_synced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MAINSTAY_WORKSPACE", str(tmp_path / "w"))
    monkeypatch.setenv("MAINSTAY_URL", "http://127.0.0.1:9")  # nobody is asked

    with ms.run("train", offline=True) as outer:
        ms.log_metric("loss", 0.5)
        with ms.run("inside", parent=outer.id, offline=True) as inner:
            ms.log_metric("loss", 0.4)
    for known in outbox.all_known():
        if known.session is None:
            known.close()

    monkeypatch.delenv("MAINSTAY_URL")
    session = connect(workspace=tmp_path / "w")
    delivered = delivery.sync(session, tmp_path / "w" / delivery.FOLDER)
    assert {each.run for each in delivered} == {outer.id, inner.id}
    assert session.get(f"/runs/{inner.id}")["parent"] == outer.id
    assert [run["metrics"] for run in session.get("/runs", parent=outer.id)["items"]] == [{"loss": 0.4}]
    session.close()


def test_what_is_meant_for_another_server_stays_where_it_is(tmp_path: Path) -> None:
    session = connect(workspace=tmp_path / "w")
    root = tmp_path / "w" / delivery.FOLDER
    other = delivery.spools.make(root, "http://127.0.0.1:9")
    body = b'{"name": "train", "id": "01890000000070008000000000000000"}'
    other.append(delivery.Request(key="k", run="r", path="/runs", body=body))
    other.release()

    left = delivery.sync(session, root)
    taken = delivery.sync(session, root, elsewhere=True)

    assert [(each.elsewhere, each.requests) for each in left] == [("http://127.0.0.1:9", 0)]
    assert [(each.elsewhere, each.requests, each.refused) for each in taken] == [(None, 1, 0)]
    session.close()


def test_a_request_that_is_refused_for_good_does_not_hold_up_the_others(embedded: Session) -> None:
    with pytest.warns(UserWarning, match="did not take 1 .*has ended") as warned, ms.run("a", session=embedded) as run:
        run.flush()
        embedded.post(f"/runs/{run.id}/finish", {"state": "failed"})
        ms.log_metric("loss", 0.5)
        with ms.run("b", session=embedded) as other:
            ms.log_metric("loss", 0.4)

    assert len(warned) == 1
    assert embedded.get(f"/runs/{other.id}")["metrics"] == {"loss": 0.4}
    run._outbox.refused.clear()


def test_a_run_that_outlives_its_session_stays_on_disk(tmp_path: Path) -> None:
    session = connect(workspace=tmp_path / "w")
    run = ms.run("train", session=session)
    run.log_metric("loss", 0.5)
    session.close()

    run.log_metric("loss", 0.4, step=1)
    with pytest.warns(UserWarning, match="is kept in"):
        run.finish()
    run._outbox.close()

    again = connect(workspace=tmp_path / "w")
    delivery.sync(again, tmp_path / "w" / delivery.FOLDER)
    assert points(again, run.id, "loss") == [(0, 0.5), (1, 0.4)]
    assert again.get(f"/runs/{run.id}")["state"] == "succeeded"
    again.close()


def test_whoever_logs_faster_than_is_written_helps_to_write(embedded: Session, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recordings, "MOST_WAITING", 100)
    monkeypatch.setattr(outbox, "DRAINS_EVERY_S", 3600.0)
    with ms.run("train", session=embedded) as run:
        for step in range(1050):
            run.log_metric("loss", step, step=step)
            assert len(run._outbox.points) <= 100

    assert points(embedded, run.id, "loss") == [(step, float(step)) for step in range(1050)]


def test_what_is_on_disk_is_its_owners_to_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MAINSTAY_WORKSPACE", str(tmp_path / "new" / ".mainstay"))
    before = os.umask(0)
    try:
        with ms.run("train", offline=True) as run:
            run.log_text("notes.txt", "three")
    finally:
        os.umask(before)

    for place in (run._outbox.folder, *run._outbox.folder.parents[:2]):
        assert place.stat().st_mode & 0o077 == 0
    run._outbox.close()


def test_what_an_offline_run_said_is_on_the_disk_itself_when_its_block_has_ended(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MAINSTAY_WORKSPACE", str(tmp_path / "w"))
    on_disk: dict[int, int] = {}
    wait = os.fsync

    def fsync(handle: int) -> None:
        found = os.fstat(handle)
        wait(handle)
        on_disk[found.st_ino] = found.st_size

    monkeypatch.setattr(outbox.spools.os, "fsync", fsync)

    with ms.run("train", offline=True) as run:
        ms.log_metric("loss", 0.5)
        run.log_text("notes.txt", "three")

    segments = list(run._outbox.folder.glob("*.spool"))
    blobs = list((run._outbox.folder / "blobs").iterdir())
    assert segments and blobs
    assert [on_disk.get(each.stat().st_ino) for each in segments + blobs] == [
        each.stat().st_size for each in segments + blobs
    ]
    run._outbox.close()


# How a script ends


def test_a_run_that_nobody_ended_ends_with_the_script(standing: ServerProcess, tmp_path: Path) -> None:
    where = {"MAINSTAY_URL": standing.url, "MAINSTAY_TOKEN": standing.token}
    text = """
        import mainstay as ms
        run = ms.start_run("train")
        print(run.id, flush=True)
        ms.log_metric("loss", 0.5)
        {end}
    """
    good = said(script(tmp_path, text.format(end=""), **where))
    failing = script(tmp_path, text.format(end="1 / 0"), **where)
    bad = failing.communicate(timeout=90)[0].strip()

    session = connect(standing.url, token=standing.token)
    assert session.get(f"/runs/{good}")["state"] == "succeeded"
    assert session.get(f"/runs/{good}")["metrics"] == {"loss": 0.5}
    found = session.get(f"/runs/{bad}")
    assert (found["state"], found["error"]) == ("failed", "ZeroDivisionError: division by zero")
    session.close()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system cannot fork")
def test_a_forked_child_logs_to_the_run_of_its_parent(standing: ServerProcess, tmp_path: Path) -> None:
    text = """
        import multiprocessing
        import mainstay as ms

        def work(number):
            for step in range(100):
                ms.log_metric(f"loss-{number}", step, step=step)

        with ms.run("train") as run:
            ms.log_metric("loss", 0.5)
            children = [multiprocessing.get_context("fork").Process(target=work, args=(n,)) for n in range(2)]
            for child in children: child.start()
            for child in children: child.join()
        print(run.id)
    """
    run = said(script(tmp_path, text, MAINSTAY_URL=standing.url, MAINSTAY_TOKEN=standing.token))

    session = connect(standing.url, token=standing.token)
    assert [len(points(session, run, key)) for key in ("loss", "loss-0", "loss-1")] == [1, 100, 100]
    session.close()
