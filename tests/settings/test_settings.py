# SPDX-License-Identifier: Apache-2.0
"""Settings: each read once, from one place, with a sentence when it cannot be read."""

from __future__ import annotations

from pathlib import Path

import pytest

from mainstay import settings
from mainstay.domain.errors import Invalid
from mainstay.settings import SETTINGS, Setting


def test_every_setting_has_a_default_of_its_kind_and_a_sentence() -> None:
    for setting in SETTINGS:
        assert isinstance(setting.default, setting.kind)
        assert setting.sentence.endswith(".")
        assert settings.get(setting.name, {}) == setting.default
    assert len({setting.variable for setting in SETTINGS}) == len(SETTINGS)


@pytest.mark.parametrize(
    ("text", "value"), [("8000", 8000), (" 8000 ", 8000), ("0", 0), ("65535", 65535), ("", 7777), ("  ", 7777)]
)
def test_a_number_is_read_from_the_environment(text: str, value: int) -> None:
    assert settings.get("port", {"MAINSTAY_PORT": text}) == value


@pytest.mark.parametrize("text", ["eighty", "-1", "65536", "1.5", "0x10", "٨٠", "8" * 5000, "1_000"])
def test_a_number_that_is_none_or_out_of_range_is_refused(text: str) -> None:
    with pytest.raises(Invalid, match=r"^setting MAINSTAY_PORT is ") as refusal:
        settings.get("port", {"MAINSTAY_PORT": text})

    assert refusal.value.message.endswith("a whole number from 0 to 65535 is expected (default 7777).")


@pytest.mark.parametrize(("text", "value"), [("1", True), ("Yes", True), ("off", False), ("", False)])
def test_a_yes_or_no_is_read(text: str, value: bool) -> None:
    setting = Setting(name="x", kind=bool, default=False, sentence="")

    assert setting.read({"MAINSTAY_X": text}) is value
    with pytest.raises(Invalid, match="one of 1, 0, true, false, yes, no"):
        setting.read({"MAINSTAY_X": "maybe"})


def test_the_workspace_is_the_one_that_was_set_else_the_nearest_above_else_here(tmp_path: Path) -> None:
    below = tmp_path / "project" / "deep"
    below.mkdir(parents=True)

    assert settings.workspace(below, {}) == below / ".mainstay"
    (tmp_path / "project" / ".mainstay").mkdir()
    assert settings.workspace(below, {}) == tmp_path / "project" / ".mainstay"
    assert settings.workspace(below, {"MAINSTAY_WORKSPACE": str(tmp_path / "set")}) == tmp_path / "set"


def test_a_file_of_that_name_is_no_workspace(tmp_path: Path) -> None:
    (tmp_path / ".mainstay").touch()
    (tmp_path / "below").mkdir()

    assert settings.workspace(tmp_path / "below", {}) == tmp_path / "below" / ".mainstay"
