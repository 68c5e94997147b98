# SPDX-License-Identifier: Apache-2.0
"""A model of several classes: its windows, and what became true; a schedule that fired, and where each of these is found."""

from __future__ import annotations

import re
from typing import Any

import pytest
from playwright.sync_api import expect

from tests.browser import watched
from tests.browser.conftest import Served, until


def test_windows_of_several_classes_are_read_by_accuracy(piped: Served, open_page: Any) -> None:
    page = open_page(piped, "/monitors/lines")
    judged = piped.session.get("/monitors/lines/windows")["items"]
    accuracy = [window["performance"]["accuracy"]["value"] for window in judged]
    assert len(accuracy) == len(watched.MONTHS)

    table = page.get_by_role("table", name="windows")
    expect(table.get_by_role("columnheader", name=re.compile("Accuracy"))).to_be_visible()
    for value in accuracy:
        expect(table).to_contain_text(f"{value:.3f}")

    page.get_by_role("tab", name="Quality").click()
    chart = page.locator(".chart").first
    expect(chart).to_contain_text("Accuracy")
    expect(chart).to_contain_text(f"{accuracy[-1]:.3f}")
    expect(page.get_by_text("Macro F1")).to_be_visible()


def test_what_became_true_is_told_by_the_name_of_its_class(piped: Served, open_page: Any) -> None:
    ask = piped.session
    newest = ask.get("/predictions", deployment="lines", limit=1)["items"][0]
    page = open_page(piped, f"/predictions/{newest['id']}")
    expect(page.get_by_role("heading", level=1)).to_have_text(newest["label"])

    page.get_by_role("button", name="Send the truth").click()
    sheet = page.get_by_role("dialog")
    expect(sheet.get_by_role("button", name="Send the truth")).to_be_disabled()
    sheet.get_by_label("What it was").select_option("slow")
    sheet.get_by_role("button", name="Send the truth").click()

    told = until(page, lambda: ask.get(f"/predictions/{newest['id']}")["feedback"], "the label has come")
    assert told[-1]["label"] == watched.CLASSES.index("slow")
    expect(page.locator(".object-meta")).to_contain_text("truth slow")


def test_a_schedule_tells_what_it_fired_and_leads_to_the_run_that_failed(piped: Served, open_page: Any) -> None:
    page = open_page(piped, "/schedules/office")
    fired = piped.session.get("/schedules/office")["firings"]
    failed = next(each for each in fired if each["state"] == "failed")

    expect(page.get_by_text("Paused: it runs nothing until it is resumed.")).to_be_visible()
    row = page.get_by_role("table", name="times that fired").get_by_role("row").filter(has_text=watched.FAILED)
    row.get_by_role("link", name=re.compile("^run ")).click()
    page.wait_for_url(f"**/runs/{failed['run_id']}")


@pytest.mark.parametrize(("word", "kind"), [("office", "schedule"), ("contract meters", "contract"), ("usage", "view")])
def test_what_stands_beside_the_loop_is_found(piped: Served, nights: Any, open_page: Any, word: str, kind: str) -> None:
    page = open_page(piped)
    page.keyboard.press("Control+k")
    page.get_by_role("combobox", name="Name, id or digest").fill(word)
    found = page.get_by_role("option").filter(has_text=kind).first
    expect(found).to_be_visible()
    found.click()
    name = word.split()[-1]
    expect(page.get_by_role("heading", level=1)).to_have_text(name)
    expect(page.get_by_role("navigation", name="Lifecycle").locator("[aria-current]")).to_have_count(1)
