# SPDX-License-Identifier: Apache-2.0
"""The page's files: what is below the assets folder, and nothing above it."""

from __future__ import annotations

from pathlib import Path

import httpx
import pytest

from mainstay.server import ui

from .conftest import House

SECRET = "a secret of this machine"


@pytest.fixture(autouse=True)
def assets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "assets-root"
    (folder / "assets").mkdir(parents=True)
    (folder / "index.html").write_text("<title>the page</title>")
    (folder / "assets" / "app-1a2b.js").write_text("run()")
    (folder / "robots.txt").write_text("none")
    (tmp_path / "secret").write_text(SECRET)
    (folder / "link").symlink_to(tmp_path / "secret")
    monkeypatch.setattr(ui, "ASSETS", folder)
    return folder


def get(house: House, path: str) -> httpx.Response:
    return house.http.get(httpx.URL("http://127.0.0.1").copy_with(raw_path=path.encode()))


def test_files_are_served_with_their_type_and_only_hashed_ones_for_ever(house: House) -> None:
    script, robots, index = get(house, "/assets/app-1a2b.js"), get(house, "/robots.txt"), get(house, "/")

    assert (script.text, script.headers["content-type"].partition(";")[0]) == ("run()", "text/javascript")
    assert "immutable" in script.headers["cache-control"]
    assert (robots.text, robots.headers["cache-control"]) == ("none", "no-cache")
    assert ("the page" in index.text, index.headers["cache-control"]) == (True, "no-cache")


@pytest.mark.parametrize(
    "path", ["/models/flights-late/3", "/snapshots/flights@3", "/assets/", "/x" * 3000, "/" + "x" * 300]
)
def test_any_other_path_is_the_page(house: House, path: str) -> None:
    reply = get(house, path)

    assert (reply.status_code, "the page" in reply.text) == (200, True)


UP = ["..", "%2e%2e", "%2E.", "..%00", "....//..", "%252e%252e", "..%c0%af..", "..\\..", "%5c..%5c.."]


@pytest.mark.parametrize(
    "path", [f"/{up}/secret" for up in UP] + [f"/assets/{up}/{up}/secret" for up in UP] + ["/link", "//secret"]
)
def test_nothing_outside_the_folder_is_ever_served(house: House, path: str, tmp_path: Path) -> None:
    for asked in (path, path.replace("/secret", f"/{tmp_path}/secret"), f"/{tmp_path}/secret", f"//{tmp_path}/secret"):
        reply = get(house, asked)
        assert SECRET not in reply.text
        assert reply.status_code < 500


def test_without_a_built_page_a_sentence_stands_instead(house: House, assets: Path) -> None:
    (assets / "index.html").unlink()

    assert "not built" in get(house, "/").text
