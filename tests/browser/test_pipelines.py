# SPDX-License-Identifier: Apache-2.0
"""A pipeline's runs: the graph with its rows and reasons, live states and logs, why two differ, and what is due."""

from __future__ import annotations

import re
from typing import Any

from playwright.sync_api import expect

from mainstay.engine import worker
from mainstay.engine.worker import Worker
from tests.browser import night
from tests.browser.conftest import Served, until
from tests.browser.night import HOURS, Night


def test_the_graph_gathers_calls_and_tells_rows_and_reasons(piped: Served, nights: Night, open_page: Any) -> None:
    page = open_page(piped, f"/runs/{nights.dearer}")
    graph = page.get_by_role("group", name="Steps of this run")
    expect(graph.get_by_role("button")).to_have_count(6)
    ran = {node["name"]: node for node in nights.session.get(f"/runs/{nights.dearer}/graph")["nodes"]}

    expect(graph.get_by_text(f"× {HOURS}")).to_be_visible()
    assert ran["night.priced"]["why"] == "code"
    expect(graph.get_by_role("button", name="priced")).to_contain_text("code changed")
    expect(graph.get_by_role("button", name="snapshot readings")).to_contain_text("hit, reused")
    labels = graph.locator(".graph-label").all_text_contents()
    assert labels.count("200 rows") == 5 and f"{HOURS} rows" in labels

    page.get_by_label("A box for each call").check()
    expect(graph.get_by_role("button")).to_have_count(5 + HOURS)


def test_the_graph_is_a_table_too(piped: Served, nights: Night, open_page: Any) -> None:
    page = open_page(piped, f"/runs/{nights.dearer}")
    table = page.get_by_role("table", name="steps")
    expect(table.get_by_role("row")).to_have_count(6 + HOURS)

    snapshot = table.get_by_role("row", name=re.compile("^snapshot readings"))
    expect(snapshot).to_contain_text("hit")
    expect(snapshot).to_contain_text("made before by")
    expect(snapshot).to_contain_text("200")

    table.get_by_text("priced", exact=True).click()
    node = next(each for each in nights.session.get(f"/runs/{nights.dearer}/graph")["nodes"]
                if each["name"] == "night.priced")  # fmt: skip
    page.wait_for_url(f"**/runs/{node['run_id']}")


def test_a_failed_run_says_its_sentence_and_how_it_goes_on(piped: Served, nights: Night, open_page: Any) -> None:
    page = open_page(piped, f"/runs/{nights.broken}")

    expect(page.get_by_role("alert")).to_contain_text("the tariff of meter m7 is unknown")
    expect(page.get_by_role("button", name=f"Copy command: mainstay resume {nights.broken}")).to_be_visible()
    expect(page.get_by_role("progressbar")).to_have_attribute("aria-valuenow", str(HOURS + 4))

    page.get_by_role("group", name="Steps of this run").get_by_role("button", name="report").click()
    expect(page.get_by_role("button", name=f"mainstay debug {nights.broken} 'night.report'")).to_be_visible()


def test_states_and_lines_are_followed_while_the_run_goes_on(piped: Served, nights: Night, open_page: Any) -> None:
    early, gate = nights.folder / "early", nights.folder / "open"
    args = ("--rows", "60", "--early", str(early), "--gate", str(gate))
    running = night.begin(piped.workspace, nights.folder, *args)
    try:
        ask = nights.session

        def newest() -> Any:
            return ask.get("/runs", kind="pipeline", limit=1)["items"][0]

        page = open_page(piped)
        until(page, lambda: newest()["state"] == "running", "the run has begun")
        run = newest()["id"]
        piped.visit(page, f"/runs/{run}")
        graph = page.get_by_role("group", name="Steps of this run")
        priced, report = (graph.get_by_role("button", name=name) for name in ("priced", "report"))
        expect(priced).to_contain_text("running", timeout=60_000)
        assert "waiting" in report.inner_text()
        early.touch()
        expect(report).to_contain_text("running", timeout=60_000)
        page.get_by_role("tab", name="Log").click()
        log = page.get_by_role("log")
        expect(log).to_contain_text("one line <b>not bold</b>", timeout=30_000)
        expect(page.get_by_role("status").filter(has_text="followed live")).to_be_visible()
        assert "another line" not in log.inner_text()

        gate.touch()
        expect(log).to_contain_text("another line", timeout=30_000)
        expect(page.get_by_text("the run has ended")).to_be_visible(timeout=30_000)
        page.get_by_role("tab", name="Steps").click()
        expect(report).to_contain_text("succeeded", timeout=30_000)
    finally:
        early.touch()
        gate.touch()
        running.wait(timeout=60)


def test_a_run_is_asked_to_be_carried_out_again_and_says_what_came_of_it(
    piped: Served, nights: Night, open_page: Any
) -> None:
    ask = nights.session
    page = open_page(piped, f"/runs/{nights.first}")
    page.get_by_role("button", name="Reproduce").click()
    page.get_by_role("dialog").get_by_role("button", name="Reproduce").click()
    about = f"run:{nights.first}"
    asked = until(page, lambda: ask.get("/jobs", subject=about, state="queued")["items"], "a worker was asked")
    assert (asked[0]["kind"], asked[0]["body"]) == ("reproduce", {"subject": nights.first})

    apart = {"name": "night.priced", "verdict": "different", "sentence": "1 of 200 cells differs"}
    body = {"verdict": "different", "sentence": "different at step night.priced", "tolerance": 0.0, "steps": [apart]}
    ask.post(f"/runs/{nights.first}/reproductions", body)

    told = page.locator(".lead").filter(has_text="Carried out again from its record")
    expect(told).to_contain_text("alert")
    expect(told).to_contain_text("night.priced different: 1 of 200 cells differs")


def plan(piped: Served, nights: Night, page: Any, monkeypatch: Any, **params: str) -> Any:
    """Ask for a plan on the page, and be the worker that makes it; the plan's own part of the page."""
    monkeypatch.setattr(worker, "KINDS", ("plan",))  # what else waits here is for nobody
    piped.visit(page, "/pipelines/night")
    page.get_by_role("button", name="Plan", exact=True).click()
    sheet = page.get_by_role("dialog")
    for name, text in params.items():
        sheet.get_by_label(name, exact=True).fill(text)
    sheet.get_by_role("button", name="Plan", exact=True).click()
    expect(
        page.get_by_role("status").filter(has_text=re.compile("Plan with .*waits for a worker; asked"))
    ).to_be_visible()
    here = {"MAINSTAY_WORKSPACE": str(piped.workspace)}
    assert worker.work_once(Worker(platform=nights.session, folder=nights.folder, environment=here))
    return page.get_by_role("tabpanel", name="Plan")


def test_a_plan_is_made_by_a_worker_and_drawn_as_runs_are(
    piped: Served, nights: Night, open_page: Any, monkeypatch: Any
) -> None:
    ask, page = nights.session, open_page(piped)
    runs = len(ask.get("/runs", kind="pipeline")["items"])

    made = plan(piped, nights, page, monkeypatch, early="", gate="", rows="200")

    graph = page.get_by_role("group", name="Steps of this plan")
    expect(graph.get_by_role("button")).to_have_count(6)
    expect(graph.get_by_text(f"× {HOURS}")).to_be_visible()
    for step in ("snapshot readings", "priced", "report"):
        expect(graph.get_by_role("button", name=f"hit {step}")).to_contain_text("nothing to compute")
    row = made.get_by_role("table", name="steps").get_by_role("row", name=re.compile("^readings"))
    expect(row).to_contain_text("made before by")
    assert len(ask.get("/runs", kind="pipeline")["items"]) == runs


def test_a_plan_says_which_lines_have_changed_and_what_depends_on_them(
    piped: Served, nights: Night, open_page: Any, monkeypatch: Any
) -> None:
    rates = nights.folder / "rates.py"
    before = rates.read_text()
    rates.write_text(night.RATES.format(rate=3.0))
    try:
        made = plan(piped, nights, open_page(piped), monkeypatch, early="", gate="", rows="200")
    finally:
        rates.write_text(before)
    newest = nights.session.get("/jobs", kind="plan", limit=1)["items"][0]["id"]
    document = nights.session.get(f"/jobs/{newest}")["result"]
    told = {item["label"]: item["sentence"] for item in document["items"]}

    expect(made.get_by_text(document["summary"])).to_be_visible()
    graph = made.get_by_role("group", name="Steps of this plan")
    expect(graph.get_by_role("button", name="not known yet priced")).to_be_visible()
    readings = graph.get_by_role("button", name="would run readings")
    expect(readings).to_contain_text(told["night.readings"])
    readings.click()
    panel = made.get_by_role("region", name="night.readings")
    expect(panel.get_by_role("table", name=re.compile("Changes of rates"))).to_contain_text("RATE = 3.0")


def test_what_cannot_be_planned_says_why_where_it_was_asked(
    piped: Served, nights: Night, open_page: Any, monkeypatch: Any
) -> None:
    page = open_page(piped)

    plan(piped, nights, page, monkeypatch, rows="many")

    expect(page.get_by_role("alert")).to_contain_text("parameter rows is 'many'; a whole number is expected.")


def test_work_that_waits_says_for_what_and_is_called_off_where_it_was_asked(
    piped: Served, nights: Night, open_page: Any
) -> None:
    ask = nights.session
    page = open_page(piped, "/pipelines/night")
    page.get_by_role("button", name="Run", exact=True).click()
    page.get_by_role("dialog").get_by_role("button", name="Run", exact=True).click()
    asked = until(page, lambda: ask.get("/jobs", subject="pipeline:night", limit=1)["items"], "it was asked for")[0]
    mine = page.locator(".job").last
    expect(mine).to_contain_text(re.compile(r"Run with .* waits for a worker; asked .* by root, \d+ jobs? before it"))

    mine.get_by_role("button", name="Call it off").click()
    page.get_by_role("dialog").get_by_role("button", name="Call it off").click()

    until(page, lambda: ask.get(f"/jobs/{asked['id']}")["state"] == "failed", "it is called off")
    expect(page.get_by_role("alert").filter(has_text="called off by")).to_be_visible()
    piped.visit(page, "/jobs")
    expect(page.get_by_text("No worker has taken it.").first).to_be_visible()
    expect(page.get_by_role("table", name="jobs")).to_contain_text("called off by")


def test_how_far_a_job_is_stands_where_it_was_asked(piped: Served, nights: Night, open_page: Any) -> None:
    ask = nights.session
    body = {"kind": "reproduce", "body": {"subject": nights.dearer}}
    job = ask.post("/jobs", body)["id"]
    page = open_page(piped, f"/runs/{nights.dearer}")
    expect(page.locator(".job")).to_contain_text("Reproduction waits for a worker")

    until(
        page, lambda: ask.post("/jobs/lease", {"worker": "w", "kinds": ["reproduce"]})["job"]["id"] == job, "it is ours"
    )
    ask.post(
        f"/jobs/{job}/heartbeat", {"worker": "w", "progress": {"done": 3, "total": 18, "now": ["night.hourly [2]"]}}
    )
    expect(page.locator(".job")).to_contain_text("is under way, taken")
    expect(page.locator(".job")).to_contain_text("3 of 18 steps done · night.hourly [2]")

    ask.post(f"/jobs/{job}/finish", {"worker": "w", "ok": True, "result": {"sentence": "identical: 18 steps"}})
    expect(page.locator(".job")).to_contain_text(re.compile("ended .*: identical: 18 steps"))


def test_a_log_is_that_of_the_step_that_is_chosen(piped: Served, nights: Night, open_page: Any) -> None:
    page = open_page(piped, f"/runs/{nights.first}?tab=log")
    expect(page.get_by_role("log")).to_contain_text("WARNING night: prices are those of last year")

    page.get_by_role("combobox", name="Step").select_option("night.priced")
    expect(page.get_by_text("Nothing was written")).to_be_visible()


def test_why_two_runs_differ_comes_first_with_its_lines_and_its_effect(
    piped: Served, nights: Night, open_page: Any
) -> None:
    page = open_page(piped, f"/compare?runs={nights.first},{nights.dearer}")
    told = nights.session.get(f"/runs/{nights.first}/explain/{nights.dearer}")

    expect(page.get_by_text(told["sentence"][1:])).to_be_visible()
    lines = page.get_by_role("table", name="Changes of rates")
    expect(lines).to_contain_text("RATE = 2.0")
    expect(lines).to_contain_text("RATE = 2.5")
    price = page.get_by_role("table", name="Columns of night.priced").get_by_role("row", name="price")
    mean = sum(n % 17 for n in range(200)) / 200
    expect(price).to_contain_text(f"{mean * 2:.4g} → {mean * 2.5:.4g}")
    expect(page.get_by_role("table", name="steps of both").get_by_role("row", name="night.hours")).to_contain_text(
        "same"
    )


def test_rows_that_differ_lead_to_the_two_snapshots(piped: Served, nights: Night, open_page: Any) -> None:
    page = open_page(piped, f"/compare?runs={nights.dearer},{nights.more}")

    page.get_by_role("link", name="readings@1 → readings@2").click()

    page.wait_for_url("**/snapshots/readings@1/diff/readings@2")
    expect(page.get_by_text("40 rows more, 240 instead of 200")).to_be_visible()


def test_a_pipeline_shows_how_it_went_and_when_it_is_due(piped: Served, nights: Night, open_page: Any) -> None:
    page = open_page(piped, "/pipelines")
    row = page.get_by_role("table", name="pipelines").get_by_role("row", name="night.py:night")
    expect(row.get_by_role("img", name=re.compile("of which 1 failed"))).to_be_visible()
    expect(row.get_by_role("link", name=re.compile(r"03:00"))).to_be_visible()

    piped.visit(page, "/schedules/nightly")
    expect(page.get_by_text(re.compile(r"Next on .* 03:00"))).to_be_visible()
    page.get_by_role("button", name="Pause").click()
    page.get_by_role("dialog").get_by_role("button", name="Pause").click()
    until(page, lambda: nights.session.get("/schedules/nightly")["schedule"]["state"] == "paused", "it is paused")
    expect(page.get_by_text("Paused: it runs nothing until it is resumed.")).to_be_visible()
    page.get_by_role("button", name="Resume").click()
    page.get_by_role("dialog").get_by_role("button", name="Resume").click()
    expect(page.get_by_text(re.compile(r"Next on .* 03:00"))).to_be_visible()


def test_a_backfill_tells_how_far_it_is(piped: Served, nights: Night, open_page: Any) -> None:
    found = nights.session.get("/backfills")["items"][0]
    page = open_page(piped, f"/backfills/{found['backfill']['id']}")

    expect(page.get_by_role("progressbar")).to_have_attribute("aria-valuemax", "7")
    expect(page.get_by_role("table", name="partitions").get_by_role("row")).to_have_count(8)


def test_a_feature_view_says_what_it_cannot_answer_from_yet(piped: Served, nights: Night, open_page: Any) -> None:
    page = open_page(piped, "/features")
    page.get_by_role("table", name="feature views").get_by_text("usage", exact=True).click()

    page.wait_for_url("**/features/usage")
    expect(page.get_by_text("meter (str)")).to_be_visible()
    expect(page.get_by_role("button", name="mainstay features materialise night.py:usage")).to_be_visible()
