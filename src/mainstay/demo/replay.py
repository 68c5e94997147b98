# SPDX-License-Identifier: Apache-2.0
"""The replay: 2013 month by month, through the same API as any user's.

January and February are learnt from; March to December arrive as traffic. Each month is asked first (2,000 requests over HTTP,
the rest offline by the same release), watched, told the truth, taken in as data, and left to the trigger. What the numbers
then decide is printed, whatever it is. Every act is done once: a demo that was stopped goes on where it was.
"""

from __future__ import annotations

import contextlib
import functools
import threading
import time
import tomllib
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import date, datetime
from pathlib import Path
from typing import Any, Protocol

import msgspec
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from mainstay.client.session import Session, connect
from mainstay.client.wire import Wire
from mainstay.demo import folders, traffic
from mainstay.demo.answers import Answer, Answers
from mainstay.demo.months import SAMPLE, Months, first_of
from mainstay.demo.summary import show_summary
from mainstay.demo.telling import News, Teller
from mainstay.domain.clock import from_wire, to_wire
from mainstay.domain.errors import Conflict, Invalid, Unavailable
from mainstay.engine import project
from mainstay.gateway.batch import score_file

DEPLOYMENT, MONITOR, TRIGGER, DATASET = "flights", "flights", "flights-retrain", "flights"
LEARNT_FROM = (1, 2)
SERVED = tuple(range(3, 13))
MOST_OVER_HTTP = 8_000  # a canary may need more than the usual sample before its judge is sure
SLICE = 250
FAULTY_MONTH, RENAMED, AS = 9, "wind_speed", "wind_spd"
WAITS_S = 120.0
REPORTS_WITHIN_S = 5.0


class Where(Protocol):
    """Where the processes of the demo listen."""

    @property
    def gateway_url(self) -> str: ...


@dataclass(kw_only=True)
class Cast:
    """Who acts: the owner of the workspace, ana who owns the model, bo who approves."""

    owner: Session
    ana: Session
    bo: Session


@dataclass(kw_only=True)
class Stage:
    """The folder, the people, where to speak; the year, and what was answered in it."""

    folder: Path
    cast: Cast
    gateway_url: str
    teller: Teller
    progress: dict[str, Any]
    answers: Answers
    months: Months = field(default_factory=Months)
    did_anything: bool = False
    keeping: threading.Lock = field(default_factory=threading.Lock)

    def once(self, act: str, do: Callable[[], Any]) -> None:
        """Do ``act`` unless an earlier run of the demo in this folder has done it."""
        if act in self.progress["done"]:
            return
        do()
        self.did_anything = True
        with self.keeping:
            self.progress["done"].append(act)
            folders.write_progress(self.folder, self.progress)


def play(folder: Path, *, tree: Where, teller: Teller) -> None:
    """The whole year, then what became of it."""
    began = time.monotonic()
    cast = _gather(folder)
    stage = Stage(
        folder=folder,
        cast=cast,
        gateway_url=tree.gateway_url,
        teller=teller,
        progress=folders.read_progress(folder),
        answers=Answers(folder / "answers"),
    )
    with News(cast.owner, teller) as news:
        _open_the_year(stage)
        for month in SERVED:
            news.catch_up()
            teller.month = f"{date(2013, month, 1):%b}"
            _live_through(stage, month)
    teller.month = ""
    seconds = time.monotonic() - began if stage.did_anything else None
    show_summary(cast.owner, teller, ask_about=_worth_asking(stage.answers), seconds=seconds)


def _worth_asking(answers: Answers) -> list[str]:
    """Three predictions: the first of the year, one that a canary answered, the last over HTTP."""
    said = [answer for month in SERVED for answer in answers.over_http(month)]
    canary = [answer for answer in said if answer.variant == "canary"]
    return [answer.id for answer in (said[0], *canary[-1:], said[-1])]


def _gather(folder: Path) -> Cast:
    """Make ana and bo, each with a token of their own: who may not approve is decided by the server, not by us."""
    owner = connect(workspace=folder / ".mainstay")
    people = {"ana": ["contributor"], "bo": ["approver"]}
    sessions = {}
    for name, roles in people.items():
        reason = {"reason": "the demo needs two people"}
        owner.post("/people", {"name": name, "roles": roles, **reason})
        token = owner.post(f"/people/{name}/tokens", {"days": 30, **reason})["token"]
        sessions[name] = Session(Wire(owner.wire.url, token), cache=folder / ".mainstay" / "cache")
    return Cast(owner=owner, ana=sessions["ana"], bo=sessions["bo"])


def _open_the_year(stage: Stage) -> None:
    for month in LEARNT_FROM:
        stage.teller.month = f"{date(2013, month, 1):%b}"
        stage.once(f"ingest {month}", functools.partial(_ingest, stage, month))
    stage.once("train", lambda: _train(stage))
    stage.once("declare", lambda: _declare(stage))
    stage.once("first release", lambda: _release_first(stage))


def _ingest(stage: Stage, month: int, *, renamed: bool = False) -> None:
    """Hand the month's file in as a snapshot of the dataset."""
    file = _month_file(stage, month, renamed=renamed)
    ana = stage.cast.ana
    if month == LEARNT_FROM[0]:
        ana.post("/datasets", {"name": DATASET, "owner": "ana", "description": "Departures from New York, 2013."})
    body = {
        "blob": ana.put_blob(file),
        "format": "parquet",
        "source": file.name,
        "period": {"since": to_wire(first_of(month)), "until": to_wire(first_of(month + 1))},
        "reason": f"the departures of {first_of(month):%B} have landed",
    }
    ana.post(f"/datasets/{DATASET}/snapshots", body)


def _month_file(stage: Stage, month: int, *, renamed: bool) -> Path:
    file = stage.folder / "incoming" / f"2013-{month:02}{'-renamed' if renamed else ''}.parquet"
    table = stage.months.of(month).table
    if renamed:
        table = table.rename_columns([AS if name == RENAMED else name for name in table.column_names])
    pq.write_table(table, file, compression="zstd")
    return file


def _train(stage: Stage) -> None:
    """Run the pipeline twice: the second time every step is known."""
    pipeline = project.load("flights.py:flights_late", folder=stage.folder)
    with stage.teller.doing("training"):
        first = pipeline.run(stage.cast.ana, until="2013-03-01")
    stage.teller.say(f"pipeline flights_late: {first.summary()}")
    again = pipeline.run(stage.cast.ana, until="2013-03-01")
    stage.teller.say(f"the same again: {again.summary()}")


def _declare(stage: Stage) -> None:
    """Make what mainstay.toml says so."""
    wanted = tomllib.loads((stage.folder / "mainstay.toml").read_text())
    owner, ana, why = stage.cast.owner, stage.cast.ana, {"reason": "as declared in mainstay.toml"}
    for kind, who, path in (("policy", owner, "/policies/{}"), ("deployment", ana, "/deployments"),
                            ("monitor", ana, "/monitors"), ("trigger", ana, "/triggers"),
                            ("schedule", ana, "/schedules")):  # fmt: skip
        for name, body in wanted.get(kind, {}).items():
            named = {} if "{}" in path else {"name": name}
            who.post(path.format(name), named | body | why)


def _release_first(stage: Stage) -> None:
    body = {"model": "flights-late", "version": 1, "reason": "the first model: better than none"}
    release = stage.cast.ana.post(f"/deployments/{DEPLOYMENT}/releases", body)
    stage.months.prepare(SERVED[0])
    judged = _see_through(stage, release["number"])
    if judged["state"] == "refused":
        lines = [gate["sentence"] for gate in judged["gates"] if gate["verdict"] != "pass"]
        raise Conflict(f"the first model was refused, so there is no year to live through: {'; '.join(lines)}.")
    _until(lambda: stage.cast.owner.get(f"/deployments/{DEPLOYMENT}")["agrees"], "the gateway to load release 1")


def _live_through(stage: Stage, month: int) -> None:
    """One month: asked, watched, told, taken in, decided."""
    stage.once(f"traffic {month}", lambda: _ask_over_http(stage, month))
    until = {"until": to_wire(first_of(month + 1))}
    # The file lands while the month is judged, first by its predictions alone: neither waits for the other.
    with ThreadPoolExecutor(1) as landing:
        landed = landing.submit(_take_in, stage, month)
        stage.once(f"offline {month}", lambda: _ask_offline(stage, month))
        stage.once(f"logged {month}", lambda: _wait_until_logged(stage, month))
        stage.once(f"watch {month}", lambda: stage.cast.ana.post(f"/monitors/{MONITOR}/judge", until))
        stage.once(f"labels {month}", lambda: _tell_truth(stage, month))
        landed.result()
    stage.once(f"judge {month}", lambda: stage.cast.ana.post(f"/monitors/{MONITOR}/judge", until))
    stage.once(f"decide {month}", lambda: _let_decide(stage, month))


def _take_in(stage: Stage, month: int) -> None:
    if month == FAULTY_MONTH:
        stage.once(f"fault {month}", lambda: _inject_fault(stage, month))
    stage.once(f"ingest {month}", lambda: _ingest(stage, month))


def _wait_until_logged(stage: Stage, month: int) -> None:
    # A gateway hands its log over when it finds the time; a month is not judged before all of it is there.
    Wire(stage.gateway_url, stage.cast.ana.wire.token).ask("POST", "/flush")
    expected = sum(len(stage.answers.of(each)) for each in SERVED if each <= month)
    _until(lambda: _logged(stage) >= expected, "the predictions to reach the log")


def _ask_over_http(stage: Stage, month: int) -> None:
    """A sample of the month's departures, one request each; as many more as a canary under way needs."""
    departures = stage.months.of(month)
    done = {answer.key for answer in stage.answers.of(month)}
    before = sum(len(stage.answers.over_http(each)) for each in SERVED if each < month)
    rollout = _rollout_under_way(stage)
    first = 0
    with stage.teller.doing("traffic over HTTP"):
        while first < MOST_OVER_HTTP and (first < SAMPLE or rollout is not None):
            # Without a canary nobody looks between the requests, so the rest of the sample goes in one piece.
            size = SLICE if rollout is not None else SAMPLE - first
            asked = [row for row in departures.requests(first, size) if row.key not in done]
            first += size
            answers = traffic.send(stage.gateway_url, stage.cast.ana.wire.token or "", DEPLOYMENT, asked)
            stage.answers.keep(month, [Answer(a.key, a.id, a.release, a.variant) for a in answers])
            if rollout is not None:
                _let_judge(stage, rollout, sent=before + first)
                rollout = _rollout_under_way(stage)
    said = stage.answers.over_http(month)
    variants = sorted({(answer.release, answer.variant) for answer in said})
    shown = ", ".join(f"{DEPLOYMENT}#{release} ({variant})" for release, variant in variants)
    stage.teller.say(f"{len(said)} predictions over HTTP, answered by {shown}")


def _ask_offline(stage: Stage, month: int) -> None:
    """The rest of the month, by the same release's offline path, into the same log."""
    rows = stage.months.of(month).rows
    asked = pa.array([answer.key for answer in stage.answers.over_http(month)], pa.string())
    source, scored = (stage.folder / name / f"2013-{month:02}.parquet" for name in ("incoming/rest", "answers"))
    source.parent.mkdir(exist_ok=True)
    pq.write_table(rows.filter(pc.invert(pc.is_in(rows["key"], asked))), source)
    with stage.teller.doing("scoring the rest offline"):
        batch = score_file(stage.cast.ana, DEPLOYMENT, source, scored, key="key", at="due")
    answered = pq.read_table(scored, columns=["_key", "_id"])
    keys, ids = (answered[name].to_pylist() for name in ("_key", "_id"))
    stage.answers.keep(month, [Answer(key, identity) for key, identity in zip(keys, ids, strict=True)])
    stage.teller.say(f"{batch.scored.rows} more predictions offline, by {batch.release}")


def _tell_truth(stage: Stage, month: int) -> None:
    """The labels of the month's flights that landed, by prediction id."""
    departures = stage.months.of(month)
    told = [
        {"id": answer.id, "label": fate.label, "at": fate.at}
        for answer in stage.answers.of(month)
        if (fate := departures.fate_by_key.get(answer.key))
    ]
    stage.months.prepare(month + 1)
    with stage.teller.doing("telling the truth"):
        content = msgspec.json.Encoder().encode_lines(told)
        joined = stage.cast.ana.post_bytes("/feedback", content, content_type="application/x-ndjson")
    stage.teller.say(
        f"{joined['accepted']} labels joined by prediction id, {departures.rows.num_rows - len(told)} flights never landed"
    )


def _inject_fault(stage: Stage, month: int) -> None:
    """A labelled fault: the month's file arrives with a renamed column, is refused, and the name is accepted."""
    stage.teller.say(f"injected fault: {RENAMED!r} is called {AS!r} in this month's file", "bold")
    try:
        _ingest(stage, month, renamed=True)
    except Invalid as refusal:
        likely = [p["likely_alias"] for p in refusal.facts["problems"] if p["column"] == RENAMED]
        if not likely or likely[0] is None or likely[0]["column"] != AS:
            raise Conflict(f"the renamed column was not recognised: {refusal.message}") from refusal
        stage.teller.say(
            f"the likely alias is {likely[0]['column']!r} (overlap {likely[0]['overlap']:.2f}); accepted by:"
        )
        stage.teller.say(f"  mainstay datasets alias {DATASET} {RENAMED} {AS} -m 'renamed upstream'")
        body = {"column": RENAMED, "alias": AS, "reason": "renamed upstream"}
        stage.cast.ana.post(f"/datasets/{DATASET}/aliases", body)
        _ingest(stage, month, renamed=True)
        stage.progress["done"].append(f"ingest {month}")
        return
    raise Conflict("a file with a renamed column was taken in without a word; it should have been refused.")


def _let_decide(stage: Stage, month: int) -> None:
    """Wait for the trigger's decision about the month, and see what it started through to its end."""
    decision = _until(lambda: _decision_about(stage, first_of(month + 1)), "the trigger to decide")
    while decision["result"] == "pending":
        if decision["release"]:
            release = _see_through(stage, int(str(decision["release"]).rpartition("#")[2]))
            if release["state"] in ("rolling", "live"):
                return  # next month's traffic will show whether the canary stays
        time.sleep(0.1)
        decision = stage.cast.owner.get(f"/decisions/{decision['id']}")


def _decision_about(stage: Stage, as_of: datetime) -> dict[str, Any] | None:
    decisions = stage.cast.owner.get("/decisions")["items"]
    return next((one for one in decisions if from_wire(one["as_of"]) == as_of and one["trigger"] == TRIGGER), None)


def _see_through(stage: Stage, number: int) -> dict[str, Any]:
    """Wait until a release is judged; where it waits for somebody, bo looks at it and agrees. The release as it is then."""
    path = f"/releases/{DEPLOYMENT}/{number}"
    release = _until(lambda: _unless_judging(stage.cast.owner.get(path)), f"release {number} to be judged")
    if release["state"] != "waiting":
        return dict(release)
    seen = next((gate["sentence"] for gate in release["gates"] if gate["gate"].startswith("better")), "all gates")
    body = {"decision": "approve", "digest": release["digest"], "reason": f"gates looked at: {seen}"}
    return dict(stage.cast.bo.post(path + "/approvals", body))


def _unless_judging(release: dict[str, Any]) -> dict[str, Any] | None:
    return None if release["state"] == "judging" else release


def _rollout_under_way(stage: Stage) -> dict[str, Any] | None:
    rollout: dict[str, Any] | None = stage.cast.owner.get(f"/deployments/{DEPLOYMENT}")["rollout_now"]
    return rollout if rollout is not None and rollout["state"] == "running" else None


def _let_judge(stage: Stage, rollout: dict[str, Any], *, sent: int) -> None:
    """During a canary: let the counts of what was just asked reach the judge, and its word reach the gateway.

    A real stream of callers would not wait. The demo does, so that the canary moves on after the same requests each time.
    """
    path = f"/deployments/{DEPLOYMENT}"
    end = time.monotonic() + REPORTS_WITHIN_S  # what a killed gateway had counted is never reported
    while sum(stage.cast.owner.get(path)["answered"].values()) < sent and time.monotonic() < end:
        time.sleep(0.05)
    with contextlib.suppress(Conflict):  # not enough seen yet, or the server's own look was quicker
        stage.cast.owner.post(f"/rollouts/{rollout['id']}/advance")
    _until(lambda: stage.cast.owner.get(path)["agrees"], "the gateway to load what should answer")


def _logged(stage: Stage) -> int:
    return int(stage.cast.owner.get(f"/deployments/{DEPLOYMENT}")["predictions"])


def _until(look: Callable[[], Any], what: str) -> Any:
    """Look until there is something to see.

    Raises:
        Unavailable: two minutes went by.
    """
    end = time.monotonic() + WAITS_S
    while time.monotonic() < end:
        try:
            if found := look():
                return found
        except Unavailable:
            pass  # the server is being restarted
        time.sleep(0.1)
    raise Unavailable(f"waited {WAITS_S:.0f} s for {what}; look at the log above, or at `mainstay audit list`.")
