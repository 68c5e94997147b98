# SPDX-License-Identifier: Apache-2.0
"""A dataset: its versions, columns with their rules, contract and users; and two snapshots beside each other."""

from __future__ import annotations

from typing import Any

from playwright.sync_api import expect

from tests.browser.conftest import Served
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
