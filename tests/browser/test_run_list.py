# SPDX-License-Identifier: Apache-2.0
"""A hundred thousand runs on one page: it stays small, and the server's answers are what is read."""

from __future__ import annotations

from typing import Any

from playwright.sync_api import expect

from tests.browser import many_runs
from tests.browser.conftest import Served, until

LAST = many_runs.RUNS - 1


def names(page: Any) -> list[str]:
    found: list[str] = page.locator(".run-table .row-name").all_inner_texts()
    return found


def first_name(page: Any, expected: str) -> None:
    expect(page.locator(".run-table .row-name").first).to_have_text(expected)


def test_only_the_rows_in_view_are_in_the_document_however_far_one_scrolls(many: Served, open_page: Any) -> None:
    page = open_page(many, "/runs")
    first_name(page, f"trial-{LAST:06d}")
    frame = page.locator(".run-frame")
    frame.hover()

    def scrolled_to() -> int:
        page.mouse.wheel(0, 6000)
        rows = page.locator(".run-table tr[aria-rowindex]")
        assert rows.count() < 80
        return int(rows.first.get_attribute("aria-rowindex"))

    until(page, lambda: scrolled_to() > 3000, "the list goes on beyond 3,000 runs")

    # Read at one moment: the wheel may still turn.
    row = page.locator(".run-table tr[aria-rowindex]").nth(20)
    index, text = row.evaluate("row => [row.getAttribute('aria-rowindex'), row.innerText]")
    number = LAST - (int(index) - 1)
    assert f"trial-{number:06d}" in text and f"{many_runs.auc(number):.3f}" in text


def test_the_server_filters_and_says_what_it_cannot_read(many: Served, open_page: Any) -> None:
    page = open_page(many, "/runs", expects=("422",))
    first_name(page, f"trial-{LAST:06d}")
    box = page.get_by_label("Filter runs")

    box.fill("metrics.auc > 0.9999 and params.depth = 6")
    wanted = [n for n in range(LAST, -1, -1) if many_runs.auc(n) > 0.9999 and many_runs.depth(n) == 6]
    until(page, lambda: names(page) == [f"trial-{n:06d}" for n in wanted], "just the runs that match are listed")

    box.fill("metrics.auc >")
    page.get_by_role("alert").get_by_text("the filter cannot be read from 'metrics.auc >'").wait_for()
    assert names(page) == [f"trial-{n:06d}" for n in wanted]

    page.reload()
    assert page.get_by_label("Filter runs").input_value() == "metrics.auc >"


def test_columns_and_views_are_words_of_the_address(many: Served, open_page: Any) -> None:
    page = open_page(many, "/runs?filter=tags.team+%3D+%27risk%27")
    page.locator(".run-table .row-name").first.wait_for()
    page.get_by_text("Columns", exact=True).click()
    page.get_by_label("Find a column").fill("rate")
    page.get_by_role("checkbox", name="rate").check()
    expect(page.get_by_role("columnheader", name="rate")).to_be_visible()
    assert "params.rate" in page.url

    page.get_by_text("Views", exact=True).click()
    page.get_by_label("Name of the view").fill("risk by rate")
    page.get_by_role("button", name="Save").click()
    page.get_by_role("link", name="risk by rate").wait_for()

    many.visit(page, "/runs")
    first_name(page, f"trial-{LAST:06d}")
    assert page.get_by_role("columnheader", name="rate").count() == 0
    page.get_by_text("Views", exact=True).click()
    page.get_by_role("link", name="risk by rate").click()
    expect(page.get_by_role("columnheader", name="rate")).to_be_visible()
    assert page.get_by_label("Filter runs").input_value() == "tags.team = 'risk'"


def test_runs_are_chosen_and_compared_without_a_mouse(many: Served, open_page: Any) -> None:
    page = open_page(many, "/runs")
    first_name(page, f"trial-{LAST:06d}")

    for key in "jxjjxc":
        page.keyboard.press(key)

    page.wait_for_url("**/compare?runs=*")
    page.get_by_role("link", name=f"trial-{LAST:06d}", exact=True).wait_for()
    heads = page.locator(".compare-head a").all_inner_texts()
    assert heads == [f"trial-{LAST:06d}", f"trial-{LAST - 2:06d}"]
    row = page.get_by_role("row", name="auc")
    assert f"{many_runs.auc(LAST):.3f}" in row.inner_text() and f"{many_runs.auc(LAST - 2):.3f}" in row.inner_text()


def test_the_server_sorts_by_any_column_and_the_best_of_all_runs_comes_first(many: Served, open_page: Any) -> None:
    page = open_page(many, "/runs")
    first_name(page, f"trial-{LAST:06d}")
    best = sorted(range(many_runs.RUNS), key=many_runs.auc, reverse=True)

    page.get_by_role("columnheader", name="auc").get_by_role("button").click()
    until(page, lambda: names(page)[:5] == [f"trial-{n:06d}" for n in best[:5]], "the best of all runs come first")
    expect(page.get_by_role("columnheader", name="auc")).to_have_attribute("aria-sort", "descending")

    page.get_by_role("columnheader", name="auc").get_by_role("button").click()
    until(page, lambda: names(page)[0] == f"trial-{best[-1]:06d}", "the worst of all runs comes first")
    page.reload()
    first_name(page, f"trial-{best[-1]:06d}")
