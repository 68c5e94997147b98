# SPDX-License-Identifier: Apache-2.0
"""A dataset: its versions, columns with their rules, contract and users; and two snapshots beside each other."""

from __future__ import annotations

import re
from typing import Any

from playwright.sync_api import expect

from tests.browser.conftest import Served, until
from tests.browser.night import Night


def test_two_snapshots_are_chosen_and_compared_row_by_row(piped: Served, nights: Night, open_page: Any) -> None:
    page = open_page(piped, "/datasets/readings")
    page.get_by_role("combobox", name="From").select_option("readings@1")
    page.get_by_role("combobox", name="to", exact=False).last.select_option("readings@2")
    page.get_by_role("button", name="What is different").click()
    page.wait_for_url("**/snapshots/readings@1/diff/readings@2")
    expect(page.get_by_text("40 rows more, 240 instead of 200")).to_be_visible()
    first = page.get_by_role("table", name="columns").get_by_role("row").nth(1)
    moved = nights.session.get("/snapshots/readings@1/diff/readings@2")["columns"][0]
    expect(first).to_contain_text(moved["column"])
    expect(first).to_contain_text(f"{moved['effect']:.3f}")

    page.get_by_role("group", name="A row is named by").get_by_role("button", name="number").click()

    added = page.get_by_role("table", name="Rows added")
    expect(added.get_by_role("row")).to_have_count(21)
    expect(added).to_contain_text("219")
    expect(page.locator(".tile").filter(has_text="added")).to_contain_text("40")
    expect(page.locator(".tile").filter(has_text="same")).to_contain_text("200")


def test_a_key_that_is_none_says_so(piped: Served, nights: Night, open_page: Any) -> None:
    page = open_page(piped, "/snapshots/readings@1/diff/readings@2?key=nothing", expects=("422",))

    expect(page.get_by_role("alert")).to_contain_text("nothing")


def test_a_column_stands_beside_what_the_contract_asks_of_it(piped: Served, nights: Night, open_page: Any) -> None:
    page = open_page(piped, "/datasets/readings?tab=columns")
    rule = next(each for each in nights.session.get("/datasets/readings/contract")["columns"]
                if each["name"] == "number")  # fmt: skip

    row = page.get_by_role("table", name="columns").get_by_role("row", name="number integer")
    expect(row).to_contain_text("integer")
    expect(row).to_contain_text(f"{rule['minimum']:.0f} to {rule['maximum']:.0f}")
    expect(row.get_by_role("img", name="Histogram of number")).to_be_visible()

    page.get_by_role("tab", name="Contract").click()
    expect(page.get_by_label("Contract as TOML")).to_contain_text("[contract.readings.columns.number]")


def test_the_users_of_a_snapshot_are_runs_that_read_it(piped: Served, nights: Night, open_page: Any) -> None:
    page = open_page(piped, "/snapshots/readings@2?tab=used")
    users = nights.session.get("/snapshots/readings@2/users")["items"]

    expect(page.get_by_role("table", name="users").get_by_role("row")).to_have_count(1 + len(users))
    assert users


def test_a_folder_is_shown_as_its_files_and_no_contract_is_spoken_of(
    piped: Served, nights: Night, open_page: Any
) -> None:
    page = open_page(piped, "/datasets/yard")
    expect(page.locator(".object-meta")).to_contain_text("files 3")
    expect(page.get_by_role("tab")).to_have_text(["Snapshots2", "Used by"])

    piped.visit(page, "/snapshots/yard@2?file=day/two.txt")
    files = page.get_by_role("navigation", name="Files")
    expect(files.get_by_role("button", name="one.txt")).to_be_visible()
    expect(page.get_by_role("region", name="day/two.txt")).to_contain_text("another")

    piped.visit(page, "/snapshots/yard@1/diff/yard@2")
    expect(page.get_by_text("1 changed; 2 files are the same.")).to_be_visible()


def test_what_may_change_where_it_is_read_is_a_warning_in_list_page_and_ribbon(
    piped: Served, nights: Night, open_page: Any
) -> None:
    page = open_page(piped, "/datasets")
    expect(page.get_by_role("row", name=re.compile("^towns"))).to_contain_text("1 warning")

    piped.visit(page, "/snapshots/towns@1")
    expect(page.get_by_text("where nothing keeps them as they were")).to_be_visible()
    expect(
        page.get_by_role("navigation", name="Lifecycle").get_by_role("link", name=re.compile("towns@1"))
    ).to_contain_text("watch")


def test_a_refusal_shows_its_rows_and_a_renamed_column_is_let_in(piped: Served, nights: Night, open_page: Any) -> None:
    page = open_page(piped, "/datasets/meters?tab=refusals")
    expect(page.get_by_text("is missing", exact=False).first).to_be_visible()
    page.get_by_text("The first rows at fault").last.click()
    expect(page.get_by_role("table", name="Rows at fault").get_by_role("row").nth(1)).to_contain_text("-4711.0")

    page.get_by_role("button", name="Accept as alias").click()
    sheet = page.get_by_role("dialog")
    sheet.get_by_label("Reason, for the ledger").fill("they changed the export")
    sheet.get_by_role("button", name="Accept as alias").click()

    def aliases() -> Any:
        columns = nights.session.get("/datasets/meters/contract")["columns"]
        return next(column["aliases"] for column in columns if column["name"] == "load")

    until(page, lambda: aliases() == ["load_kw"], "the alias is in the contract")


def test_a_dataset_goes_back_to_an_earlier_snapshot_with_a_reason(piped: Served, nights: Night, open_page: Any) -> None:
    page = open_page(piped, "/datasets/yard")
    page.get_by_role("button", name="Roll back").click()
    sheet = page.get_by_role("dialog")
    expect(sheet.locator(".difference")).to_contain_text("yard@2 → yard@1")
    expect(sheet.get_by_role("button", name="Roll back")).to_be_disabled()

    sheet.get_by_label("Reason, for the ledger").fill("a file came twice")
    sheet.get_by_role("button", name="Roll back").click()

    until(page, lambda: nights.session.get("/datasets/yard")["refs"]["current"] == 1, "current is the first again")
    moved = nights.session.get("/events", subject="dataset:yard", limit=1)["items"][0]
    assert (moved["kind"], moved["reason"]) == ("ref.moved", "a file came twice")
    nights.session.post("/datasets/yard/refs/current", {"number": 2})


def test_a_snapshot_that_nobody_wants_is_dropped_and_brought_back(piped: Served, nights: Night, open_page: Any) -> None:
    page = open_page(piped, "/snapshots/yard@2")
    expect(page.get_by_role("button", name="Drop")).to_be_disabled()
    expect(page.get_by_title("snapshot yard@2 is yard@current and cannot be dropped")).to_be_visible()
    piped.visit(page, "/snapshots/yard@1")

    def done(word: str) -> None:
        page.get_by_role("button", name=word).click()
        page.get_by_label("Reason, for the ledger").fill("taken by mistake")
        page.get_by_role("dialog").get_by_role("button", name=word).click()

    done("Drop")
    expect(page.get_by_text("Dropped", exact=False).first).to_be_visible()
    assert nights.session.get("/snapshots/yard@1")["dropped_at"]

    done("Restore")
    until(page, lambda: nights.session.get("/snapshots/yard@1")["dropped_at"] is None, "it is wanted again")
