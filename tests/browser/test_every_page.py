# SPDX-License-Identifier: Apache-2.0
"""What holds for every page of data, pipelines, tracking and registry: anybody can use it, it fits a narrow window, and it is
light to load."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.browser.conftest import Served
from tests.browser.night import Night

AXE = Path(__file__).resolve().parents[2] / "ui" / "node_modules" / "axe-core" / "axe.min.js"
MOST_BYTES = 120_000
SCHEMES = {"light": {}, "dark": {"runOnly": ["color-contrast"]}}  # by night nothing else is otherwise
WIDTHS = (400, 800, 1440)
PAGES = [
    "/", "/runs", "/experiments", "/traces", "/traces/TRACE", "/runs/RUN", "/runs/RUN?tab=curves", "/runs/RUN?tab=code",
    "/runs/RUN?tab=files&file=tables/late.parquet", "/runs/RUN?tab=files&file=model/MLmodel", "/compare?runs=RUN,OTHER",
    "/compare?runs=RUN,OTHER&tab=curves", "/compare?runs=RUN,OTHER&tab=parallel&axes=params.depth,metrics.auc",
    "/compare?runs=RUN,OTHER&tab=scatter", "/models", "/models/kept", "/models/kept/1", "/models/kept/1?tab=card", "/ledger",
]  # fmt: skip
NIGHT_PAGES = [
    "/runs/MORE", "/runs/MORE?step=night.priced", "/runs/MORE?tab=log", "/runs/BROKEN?step=night.report", "/datasets",
    "/compare?runs=FIRST,MORE", "/datasets/readings", "/datasets/readings?tab=columns", "/datasets/readings?tab=contract",
    "/datasets/readings?tab=used", "/snapshots/readings@2", "/snapshots/readings@1/diff/readings@2?key=number",
    "/pipelines", "/pipelines/night", "/schedules", "/schedules/nightly", "/backfills", "/backfills/BACKFILL", "/features",
    "/pipelines/night?tab=plan&step=night.priced", "/jobs",
    "/features/usage", "/features/usage?tab=pinned", "/features/usage?tab=replays",
    "/snapshots/yard@2?file=labels.csv",
    "/snapshots/yard@1/diff/yard@2", "/snapshots/towns@1", "/datasets/meters?tab=refusals", "/monitors/lines?tab=quality",
    "/predictions/PREDICTION", "/schedules/office",
]  # fmt: skip


@pytest.fixture(scope="module")
def there(few: Served) -> dict[str, str]:
    """What the capital words of an address stand for; the run's model is registered."""
    ask = few.session
    run = ask.get("/runs", filter="name = 'with-files'")["items"][0]["id"]
    other = ask.post("/runs", {"name": "other", "params": {"depth": 8}})["id"]
    ask.post(f"/runs/{other}/log", {"metrics": [{"key": "auc", "value": 0.6, "step": n} for n in range(3)]})
    ask.post(f"/runs/{other}/finish", {"state": "succeeded"})
    ask.post("/models", {"name": "kept"})
    ask.post("/models/kept/folders", {"run_id": run, "path": "model"})
    return {"RUN": run, "OTHER": other, "TRACE": ask.get("/traces")["items"][0]["id"]}


@pytest.fixture(scope="module")
def at_night(nights: Night) -> dict[str, str]:
    """The same for the addresses of a pipeline's runs."""
    backfill = nights.session.get("/backfills")["items"][0]["backfill"]["id"]
    return {"FIRST": nights.first, "MORE": nights.more, "BROKEN": nights.broken, "BACKFILL": backfill,
            "PREDICTION": nights.session.get("/predictions", limit=1)["items"][0]["id"]}  # fmt: skip


def shown(page: Any, served: Served, path: str, there: dict[str, str]) -> None:
    for word, meant in there.items():
        path = path.replace(word, meant)
    served.visit(page, path)
    page.locator("h1").first.wait_for()
    page.locator(".skeleton").first.wait_for(state="detached")
    page.wait_for_timeout(100)  # a curve is drawn in the frame after its points have come


def test_every_page_fits_its_window_and_axe_finds_nothing_serious(
    few: Served, there: dict[str, str], open_page: Any
) -> None:
    assert wrong(open_page(few, bypass_csp=True), few, PAGES, there) == []


def test_the_same_holds_for_data_pipelines_and_what_is_watched(
    piped: Served, at_night: dict[str, str], open_page: Any
) -> None:
    assert wrong(open_page(piped, bypass_csp=True), piped, NIGHT_PAGES, at_night) == []


def wrong(page: Any, served: Served, paths: list[str], there: dict[str, str]) -> list[Any]:
    """What reaches over the edge of windows of several widths, and what axe complains of by day and by night, page by page.

    The page's own policy forbids to have it evaluate anything, and axe is evaluated; another test holds the policy up.
    """
    found: list[Any] = []
    for path in paths:
        shown(page, served, path, there)
        for scheme, asked in SCHEMES.items() if AXE.exists() else ():
            page.emulate_media(color_scheme=scheme)
            found += [(path, scheme, *each) for each in serious(page, asked)]
        for width in WIDTHS:
            page.set_viewport_size({"width": width, "height": 900})
            page.wait_for_timeout(50)  # charts are drawn anew
            found += [(path, width, each) for each in too_wide(page)]
    return found


def serious(page: Any, asked: dict[str, Any]) -> list[Any]:
    page.evaluate(AXE.read_text("utf-8"))
    report = page.evaluate("asked => axe.run(document, {resultTypes: ['violations'], ...asked})", asked)
    return [
        (each["id"], node["target"], node.get("failureSummary", "")[:200])
        for each in report["violations"]
        if each["impact"] in ("serious", "critical")
        for node in each["nodes"][:3]
    ]


def too_wide(page: Any) -> list[str]:
    main = page.locator("main").bounding_box()
    if page.evaluate("document.documentElement.scrollWidth > document.documentElement.clientWidth"):
        return ["the whole page scrolls sideways"]
    found: list[str] = page.locator("main *:visible").evaluate_all(
        """(elements, edge) => elements.filter((one) => {
             for (let at = one; at; at = at.parentElement) {
               const kind = getComputedStyle(at);
               if (at !== one && /auto|scroll|hidden|clip/.test(kind.overflowX) && at.tagName !== "HTML") return false;
               if (kind.position === "absolute") return false;
             }
             return one.getBoundingClientRect().right > edge + 1;
           }).slice(0, 3).map((one) => one.outerHTML.slice(0, 120))""",
        main["x"] + main["width"],
    )
    return found


def test_the_first_page_is_light_and_nothing_comes_from_elsewhere(few: Served, open_page: Any) -> None:
    page = open_page(few)
    sizes: dict[str, int] = {}

    def weigh(response: Any) -> None:
        if "/api/" not in response.url and response.ok:
            sizes[response.url] = len(response.body())

    page.on("requestfinished", lambda request: weigh(request.response()))
    few.visit(page, "/")
    page.locator("h1").first.wait_for()
    page.wait_for_timeout(300)

    assert sizes and all(url.startswith(few.url) for url in sizes)
    assert 0 < sum(sizes.values()) <= MOST_BYTES, sizes


def test_the_page_may_run_nothing_but_its_own_files(few: Served, open_page: Any) -> None:
    page = open_page(few)
    response = page.goto(few.url)

    policy = response.headers["content-security-policy"]
    assert "default-src 'self'" in policy and "unsafe" not in policy
