# SPDX-License-Identifier: Apache-2.0
"""Runs beside each other, and the act that ends the comparison."""

from __future__ import annotations

from typing import Any

from playwright.sync_api import expect

from tests.browser import kept_files, many_runs
from tests.browser.conftest import Served, until

SOME = [many_runs.run_id(number) for number in range(20)]


def test_only_what_differs_is_shown_with_the_difference_to_the_first(many: Served, open_page: Any) -> None:
    page = open_page(many, f"/compare?runs={SOME[0]},{SOME[9]}")
    table = page.get_by_role("table", name="Differences")
    table.wait_for()

    rows = {row.split("\t")[0].strip(): row for row in table.get_by_role("row").all_inner_texts()}
    assert "depth" not in rows, "runs 0 and 9 have the same depth"
    difference = many_runs.auc(9) - many_runs.auc(0)
    assert f"{many_runs.auc(9):.3f}" in rows["auc"] and f"+{difference:.3g}" in rows["auc"]

    page.get_by_label("Only what differs").uncheck()
    expect(table.get_by_role("rowheader", name="depth")).to_be_visible()


def test_a_stretch_of_an_axis_keeps_the_runs_that_pass_there(many: Served, open_page: Any) -> None:
    page = open_page(many, f"/compare?runs={','.join(SOME)}&tab=parallel&axes=params.depth,metrics.auc")
    lines = page.locator(".parallel-line")
    expect(lines).to_have_count(len(SOME))

    axis = page.locator(".parallel-hit").first.bounding_box()
    middle = axis["x"] + axis["width"] / 2
    page.mouse.move(middle, axis["y"] + 1)
    page.mouse.down()
    page.mouse.move(middle, axis["y"] + axis["height"] * 0.3, steps=5)
    page.mouse.up()

    least = 10 - 8 * 0.3  # the axis goes from 2, at its foot, to 10
    passing = sum(many_runs.depth(number) >= least for number in range(20))
    page.get_by_text(f"{passing} of 20 runs pass").wait_for()
    assert page.locator(".parallel-out").count() == 20 - passing


def test_a_dot_of_the_scatter_is_its_run(many: Served, open_page: Any) -> None:
    page = open_page(many, f"/compare?runs={','.join(SOME)}&tab=scatter&across=params.depth&up=metrics.auc")
    dots = page.locator(".scatter a")
    dots.first.wait_for()
    assert dots.count() == len(SOME)

    page.get_by_label("trial-000007: depth 9", exact=False).press("Enter")

    page.wait_for_url(f"**/runs/{SOME[7]}")


def test_who_is_not_signed_in_is_told_so_once_and_sees_no_table(many: Served, chromium: Any) -> None:
    context = chromium.new_context()
    page = context.new_page()
    page.goto(f"{many.url}/compare?runs={SOME[0]},{SOME[9]}")

    expect(page.get_by_text("This browser is not signed in")).to_have_count(1)
    expect(page.get_by_role("tab")).to_have_count(0)
    context.close()


def test_the_model_of_a_run_becomes_the_candidate_in_one_act(few: Served, open_page: Any) -> None:
    few.session.post("/models", {"name": "late"})
    first = few.session.get("/runs", filter="name = 'with-files'")["items"][0]["id"]
    second = kept_files.keep(few.session, name="again")
    page = open_page(few, f"/compare?runs={first},{second}")

    page.get_by_role("row", name="version").get_by_role("button", name="Make this the candidate").nth(1).click()
    page.get_by_role("textbox", name="Model").fill("late")
    page.get_by_label("Reason").fill("it has the better curve")
    page.get_by_role("dialog").get_by_role("button", name="Make this the candidate").click()

    until(page, lambda: few.session.get("/models/late")["aliases"].get("candidate"), "the alias is there")
    version = few.session.get("/models/late/versions/1")
    assert version["run_id"] == second and version["aliases"] == ["candidate"]
    assert few.session.get("/events", subject="model:late")["items"][0]["reason"] == "it has the better curve"
