# SPDX-License-Identifier: Apache-2.0
"""Search: what a filter asks for is what comes, in one order, page by page; what it cannot mean is an error."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from mainstay.domain.errors import Invalid
from mainstay.domain.registry import Version
from mainstay.lifecycle.registry import models, search, versions
from mainstay.store import Store

Register = Callable[..., Version]


@pytest.fixture
def many(store: Store, register: Register) -> Store:
    """Five models ``Delay-0`` …, each with one version, even ones of team ops; and a prompt."""
    with store.change(actor="ana") as change:
        for place in range(5):
            team = "ops" if place % 2 == 0 else "data"
            models.create(change, name=f"Delay-{place}", owner="ana", tags={"team": team, "a b": "x"})
        models.create(change, name="greeting", owner="ana", kind="prompt")
        versions.refer(change, model="greeting", source="none", text="Hi")
    for place in range(5):
        register(b"%d" % place, model=f"Delay-{place}", tags={"place": str(place)})
    return store


def found(store: Store, filter: str = "", **more: object) -> list[str]:
    with store.view() as view:
        return [model.name for model in search.models(view, filter=filter, **more).items]  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("filter", "names"),
    [
        ("", ["Delay-0", "Delay-1", "Delay-2", "Delay-3", "Delay-4", "late"]),
        ("name = 'Delay-3'", ["Delay-3"]),
        (
            "name != 'late' and name like 'Delay-%' AND name not in ('Delay-0', \"Delay-1\")",
            ["Delay-2", "Delay-3", "Delay-4"],
        ),
        ("name LIKE 'delay%'", []),
        ("name ILIKE 'delay%4'", ["Delay-4"]),
        ("name like 'Delay_0'", ["Delay-0"]),
        ("name like '%*%'", []),
        ("name in ('late')", ["late"]),
        ("tags.team = 'ops'", ["Delay-0", "Delay-2", "Delay-4"]),
        ("tags.team != 'ops'", ["Delay-1", "Delay-3"]),
        ("tags.`a b` = 'x' and tags.\"team\" = 'data'", ["Delay-1", "Delay-3"]),
        ("attribute.name = 'late'", ["late"]),
        ("kind = 'prompt'", ["greeting"]),
        ("owner = 'nobody'", []),
    ],
)
def test_a_filter_finds_what_it_says(many: Store, filter: str, names: list[str]) -> None:
    assert found(many, filter) == names


@pytest.mark.parametrize(
    "filter",
    [
        "nam = 'x'", "name", "name =", "name = x", "name = 'x' or name = 'y'", "name = 'x' and", "name > 'x'", "name = 3",
        "metrics.auc = '1'", "(name = 'x')", "name in ()", "name in 'x'", "name = ('x')", "tags. = 'x'", "name = 'x';",
        "'x' = name",
        "name = 'x' AND name = 'x' " + "and name = 'x' " * 100, "x" * 9000,
    ],
)  # fmt: skip
def test_a_filter_that_cannot_be_understood_is_an_error_not_everything(many: Store, filter: str) -> None:
    with pytest.raises(Invalid):
        found(many, filter)


def test_pages_show_each_model_once_in_the_order_asked_for(many: Store) -> None:
    seen, place = [], 0
    with many.view() as view:
        while place is not None:
            page = search.models(view, order=["name DESC"], after=place, limit=2)
            seen += [model.name for model in page.items]
            place = page.next

    assert seen == ["late", "Delay-4", "Delay-3", "Delay-2", "Delay-1", "Delay-0"]
    with pytest.raises(Invalid, match="cannot be read"):
        found(many, order=["size"])
    with pytest.raises(Invalid, match="twice"):
        found(many, order=["name", "name desc"])


def test_versions_are_found_by_what_they_are_and_those_changed_last_come_first(many: Store) -> None:
    def asked(filter: str = "", **more: object) -> list[str]:
        with many.view() as view:
            return [version.id for version in search.versions(view, filter=filter, **more).items]  # type: ignore[arg-type]

    with many.change(actor="bo") as change:
        versions.describe(change, model="Delay-1", number=1, description="looked at")
        made = versions.refer(change, model="late", source="s3://b/m", claims={"run_id": "their-run"})
        versions.delete(change, model="Delay-4", number=1)

    assert asked()[:2] == ["Delay-1/1", made.id] or asked()[:2] == [made.id, "Delay-1/1"]
    assert "greeting/1" not in asked() and "Delay-4/1" not in asked()
    assert asked("source = 's3://b/m'") == asked("run_id = 'their-run'") == asked("format = 'reference'") == [made.id]
    assert asked("number >= 1 and tags.place in ('2', '3')", order=["name"]) == ["Delay-2/1", "Delay-3/1"]
    assert asked("number > 1") == []
    with pytest.raises(Invalid, match="whole number"):
        asked("number = 'one'")
