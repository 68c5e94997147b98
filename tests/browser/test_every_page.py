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
MOST_BYTES = 300_000
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
    "/features/usage", "/features/usage?tab=pinned", "/features/usage?tab=replays",
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
    return {"FIRST": nights.first, "MORE": nights.more, "BROKEN": nights.broken, "BACKFILL": backfill}


def shown(page: Any, served: Served, path: str, there: dict[str, str]) -> None:
    for word, meant in there.items():
        path = path.replace(word, meant)
    served.visit(page, path)
    page.locator("h1").first.wait_for()
    page.locator(".skeleton").first.wait_for(state="detached")
    page.wait_for_timeout(100)  # a curve is drawn in the frame after its points have come


@pytest.mark.skipif(not AXE.exists(), reason="axe-core is not installed; `npm ci` in ui/ does so")
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing_serious(few: Served, there: dict[str, str], open_page: Any, scheme: str) -> None:
    # The page's own policy forbids to have it evaluate anything, and axe is evaluated; another test holds the policy up.
    page = open_page(few, bypass_csp=True, color_scheme=scheme)
    assert serious(page, few, PAGES, there) == []


@pytest.mark.skipif(not AXE.exists(), reason="axe-core is not installed; `npm ci` in ui/ does so")
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing_serious_in_pipelines(
    piped: Served, at_night: dict[str, str], open_page: Any, scheme: str
) -> None:
    page = open_page(piped, bypass_csp=True, color_scheme=scheme)
    assert serious(page, piped, NIGHT_PAGES, at_night) == []


def serious(page: Any, served: Served, paths: list[str], there: dict[str, str]) -> list[Any]:
    """What axe complains of, page by page."""
    found = []
    for path in paths:
        shown(page, served, path, there)
        page.evaluate(AXE.read_text("utf-8"))
        report = page.evaluate("axe.run(document, {resultTypes: ['violations']})")
        found += [
            (path, each["id"], node["target"], node.get("failureSummary", "")[:200])
            for each in report["violations"]
            if each["impact"] in ("serious", "critical")
            for node in each["nodes"][:3]
        ]
    return found


@pytest.mark.parametrize("width", [800, 1440])
def test_no_page_is_wider_than_its_window(few: Served, there: dict[str, str], open_page: Any, width: int) -> None:
    page = open_page(few, viewport={"width": width, "height": 900})
    assert too_wide(page, few, PAGES, there) == []


@pytest.mark.parametrize("width", [800, 1440])
def test_no_page_of_pipelines_is_wider_than_its_window(
    piped: Served, at_night: dict[str, str], open_page: Any, width: int
) -> None:
    page = open_page(piped, viewport={"width": width, "height": 900})
    assert too_wide(page, piped, NIGHT_PAGES, at_night) == []


def too_wide(page: Any, served: Served, paths: list[str], there: dict[str, str]) -> list[tuple[str, str]]:
    """What reaches over the edge of the window, page by page."""
    found = []
    for path in paths:
        shown(page, served, path, there)
        main = page.locator("main").bounding_box()
        wide = page.locator("main *:visible").evaluate_all(
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
        found += [(path, each) for each in wide]
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
