# SPDX-License-Identifier: Apache-2.0
"""A trace as its waterfall."""

from __future__ import annotations

from typing import Any

import pytest
from playwright.sync_api import expect

from tests.browser.conftest import Served


@pytest.fixture
def trace(few: Served) -> str:
    found: str = few.session.get("/traces")["items"][0]["id"]
    return found


def test_spans_lie_below_their_parents_where_they_happened(few: Served, trace: str, open_page: Any) -> None:
    page = open_page(few, "/traces")
    page.get_by_role("link", name="answer").click()
    page.wait_for_url(f"**/traces/{trace}")

    spans = page.locator("button.span-row")
    expect(spans).to_contain_text(["answer", "retrieve", "chat", "look up gate"])
    indents = [spans.nth(n).locator(".span-name").evaluate("element => element.style.paddingLeft") for n in range(4)]
    assert indents == ["0px", "14px", "14px", "28px"]
    track = spans.nth(2).locator(".span-track").bounding_box()
    bar = spans.nth(2).locator(".span-bar").bounding_box()
    assert abs((bar["x"] - track["x"]) / track["width"] - 700 / 2400) < 0.01
    assert abs(bar["width"] / track["width"] - 1500 / 2400) < 0.01


def test_a_span_tells_what_went_in_and_what_went_wrong(few: Served, trace: str, open_page: Any) -> None:
    page = open_page(few, f"/traces/{trace}")
    page.locator("button.span-row").first.focus()
    for _ in range(3):
        page.keyboard.press("ArrowDown")

    panel = page.get_by_label("look up gate", exact=True)
    expect(panel).to_contain_text("no such gate")
    expect(panel).to_contain_text("1545")


def test_a_filter_of_traces_is_the_servers(few: Served, open_page: Any) -> None:
    page = open_page(few, "/traces", expects=("422",))
    page.get_by_role("link", name="answer").wait_for()
    box = page.get_by_label("Filter traces")

    box.fill("span.kind = 'TOOL'")
    page.get_by_role("link", name="answer").wait_for()
    box.fill("duration_ms > 5000")
    expect(page.get_by_role("link", name="answer")).to_have_count(0)
    box.fill("nonsense ==")
    page.get_by_role("alert").first.wait_for()
