# SPDX-License-Identifier: Apache-2.0
"""A run's page: curves of any length, curves that grow, and files that are looked at and never run."""

from __future__ import annotations

import re
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from playwright.sync_api import expect

from tests.browser import kept_files, many_runs
from tests.browser.conftest import Served, until

LONG = many_runs.run_id(many_runs.RUNS - 1)


@pytest.fixture
def kept(few: Served) -> str:
    found: str = few.session.get("/runs", filter="name = 'with-files'")["items"][0]["id"]
    return found


def drawn(page: Any, metric: str) -> Any:
    return page.locator("figure.curve", has=page.get_by_text(metric, exact=True)).locator(".chart-box")


def drag(page: Any, box: Any, start: float, end: float) -> None:
    """Drag over a stretch of a chart, given in shares of its width."""
    area = box.locator(".u-over").bounding_box()
    page.mouse.move(area["x"] + area["width"] * start, area["y"] + 50)
    page.mouse.down()
    page.mouse.move(area["x"] + area["width"] * end, area["y"] + 60, steps=8)
    page.mouse.up()


def test_a_curve_of_100_000_points_shows_its_spike_and_more_of_it_on_zoom(many: Served, open_page: Any) -> None:
    page = open_page(many)
    asked: list[dict[str, list[str]]] = []
    page.on(
        "request",
        lambda request: "/metrics/loss" in request.url and asked.append(parse_qs(urlsplit(request.url).query)),
    )
    many.visit(page, f"/runs/{LONG}?tab=curves")

    box = drawn(page, "loss")
    box.wait_for()
    assert 400 < int(box.get_attribute("data-points")) <= 1200
    label = box.get_attribute("aria-label")
    top = float(re.search(r"to ([\d.]+), last", label)[1])
    assert top > 9, f"the spike is lost: {label}"
    assert "since" not in asked[-1]

    drag(page, box, 0.7, 0.8)
    until(page, lambda: "since" in asked[-1], "the points of the stretch are asked for")
    drag(page, box, 0.45, 0.53)
    until(page, lambda: int(asked[-1]["since"][0]) > 74_000, "the points of a stretch of the stretch are asked for")
    since, end = int(asked[-1]["since"][0]), int(asked[-1]["until"][0])
    assert end < 76_000
    until(page, lambda: int(box.get_attribute("data-points")) == end - since + 1, "every point of the stretch is drawn")
    page.get_by_role("button", name="All of it").click()
    until(page, lambda: "since" not in asked[-1], "the whole curve is asked for again")


def test_how_a_curve_is_drawn_stands_in_the_address(few: Served, kept: str, open_page: Any) -> None:
    page = open_page(few, f"/runs/{kept}?tab=curves")
    drawn(page, "auc").wait_for()

    page.get_by_role("button", name="Relative").click()
    page.get_by_label("Logarithmic").check()
    page.get_by_label("Smoothing").fill("0.6")

    assert parse_qs(urlsplit(page.url).query) == {"tab": ["curves"], "x": ["relative"], "log": ["y"], "smooth": ["0.6"]}
    expect(drawn(page, "auc")).to_have_attribute("aria-label", re.compile("by time since the start"))


def test_a_curve_grows_while_its_run_goes_on(few: Served, open_page: Any) -> None:
    run = few.session.post("/runs", {"name": "growing"})["id"]

    def log(*values: float, start: int = 0) -> None:
        points = [{"key": "loss", "value": value, "step": start + step} for step, value in enumerate(values)]
        few.session.post(f"/runs/{run}/log", {"metrics": points})

    log(3.0, 2.0)
    page = open_page(few, f"/runs/{run}?tab=curves")
    expect(drawn(page, "loss")).to_have_attribute("aria-label", re.compile("last 2"))

    log(0.125, start=2)

    expect(drawn(page, "loss")).to_have_attribute("aria-label", re.compile(r"last 0\.125"), timeout=15_000)
    few.session.post(f"/runs/{run}/finish", {"state": "succeeded"})


@pytest.mark.parametrize(
    ("path", "seen"),
    [
        ("notes.txt", "naïve – déjà vu"),
        ("tables/scores.csv", "B6, Inc"),
        ("tables/asked.json", "because"),
        ("tables/late.parquet", "The first 200 rows of 300."),
        ("model/MLmodel", "double"),
        ("code/diff.patch", "rate = 0.1"),
        ("model/model.pkl", "There is no preview of this kind of file."),
        ("plots/fake.png", "Its bytes are no picture that a browser draws."),
    ],
)
def test_a_file_is_looked_at_as_what_it_is(few: Served, kept: str, open_page: Any, path: str, seen: str) -> None:
    page = open_page(few, f"/runs/{kept}?tab=files")

    page.get_by_role("navigation", name="Files").get_by_role("button", name=path.rpartition("/")[2]).click()

    page.get_by_label(path, exact=True).get_by_text(seen).first.wait_for()
    download = page.get_by_role("link", name="Download").get_attribute("href")
    digest = download.rpartition("/")[2]
    assert few.session.get_blob(digest) == kept_files.files()[path]


def test_a_picture_is_drawn_and_markup_in_a_file_never_runs(few: Served, kept: str, open_page: Any) -> None:
    page = open_page(few, f"/runs/{kept}?tab=files&file=plots/roc.png")
    page.get_by_text("64 × 48").wait_for()

    few.visit(page, f"/runs/{kept}?tab=files&file=plots/logo.svg")
    page.get_by_text("40 × 20").wait_for()
    few.visit(page, f"/runs/{kept}?tab=files&file=report.html")
    page.get_by_text("<h1>drawn</h1>").wait_for()

    assert page.get_by_role("heading", name="drawn").count() == 0
    assert "taken over" not in page.title()


def test_what_the_code_had_that_its_commit_has_not_is_a_diff(few: Served, kept: str, open_page: Any) -> None:
    page = open_page(few, f"/runs/{kept}?tab=code")

    changes = page.get_by_role("table", name="Changes of train.py")
    changes.wait_for()
    assert changes.locator(".diff-added").all_inner_texts()[0].split("\t")[-1].strip() == "depth = 6"
    assert changes.locator(".diff-removed").count() == 1
    assert "3.11.9" in page.locator("main").inner_text()


def test_an_address_that_another_client_prints_leads_to_the_run(few: Served, kept: str, open_page: Any) -> None:
    page = open_page(few)

    few.visit(page, f"/#/experiments/0/runs/{kept}")
    page.wait_for_url(f"**/runs/{kept}")
    page.get_by_role("heading", name="with-files").wait_for()
    few.visit(page, "/#/experiments/0")
    page.wait_for_url("**/runs?experiment=Default")


def test_the_files_of_a_model_that_a_run_left_stand_beside_its_own(few: Served, open_page: Any) -> None:
    ask = few.session.wire.ask
    run = few.session.post("/runs", {"name": "leaves-a-model"})["id"]
    body = {"experiment_id": "0", "name": "forest", "source_run_id": run}
    model = ask("POST", "/api/2.0/mlflow/logged-models", json=body).json()["model"]["info"]["model_id"]
    place = f"/api/2.0/mlflow-artifacts/artifacts/0/models/{model}/artifacts/MLmodel"
    ask("PUT", place, content=kept_files.MLMODEL.encode())
    ask("POST", "/api/2.0/mlflow/runs/outputs", json={"run_id": run, "models": [{"model_id": model, "step": 0}]})

    page = open_page(few, f"/runs/{run}?tab=files")
    page.get_by_role("navigation", name="Files").get_by_role("button", name="MLmodel").click()

    page.get_by_label("forest/MLmodel", exact=True).get_by_text("dep_delay", exact=True).wait_for()


def test_a_loss_that_is_no_number_is_told_and_breaks_the_curve(few: Served, open_page: Any) -> None:
    run = few.session.post("/runs", {"name": "diverges"})["id"]
    points = [{"key": "loss", "value": value, "step": step} for step, value in enumerate([3.0, 2.0, None, None])]
    few.session.post(f"/runs/{run}/log", {"metrics": points})
    few.session.post(f"/runs/{run}/finish", {"state": "succeeded"})

    page = open_page(few, f"/runs/{run}")
    page.get_by_role("button", name="loss").get_by_text("not a number").wait_for()

    few.visit(page, f"/runs/{run}?tab=curves")
    expect(drawn(page, "loss")).to_have_attribute("aria-label", re.compile("from 2 to 3"))
