# SPDX-License-Identifier: Apache-2.0
"""Models: described, renamed, deleted, as long as nobody counts on their names."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from mainstay.domain.errors import Conflict, Invalid, NotFound
from mainstay.domain.registry import Version
from mainstay.lifecycle.data import lineage as data_lineage
from mainstay.lifecycle.registry import aliases, lineage, models, versions
from mainstay.store import Store, ledger

Register = Callable[..., Version]


def test_what_is_said_of_a_model_can_be_said_otherwise(store: Store) -> None:
    with store.change(actor="bo", reason="clearer") as change:
        models.describe(change, name="late", description="late flights", tier="high", tags={"team": "ops", "old": "1"})
        changed = models.describe(change, name="late", tags={"old": None})

    with store.view() as view:
        assert models.get(view, "late") == changed
        events = ledger.search(view, kind="model.changed", newest_first=False)
    assert (changed.description, changed.tier, changed.tags) == ("late flights", "high", {"team": "ops"})
    assert [event.body["changes"] for event in events] == [
        {"description": "late flights", "tier": "high", "tags": {"team": "ops", "old": "1"}},
        {"tags": {"old": None}},
    ]


@pytest.mark.parametrize("name", ["flights late", "späte Flüge", "a.b", "航班", "x" * 250, "50% off?"])
def test_a_name_in_any_script_with_spaces_is_welcome(store: Store, name: str) -> None:
    with store.change(actor="bo") as change:
        assert models.create(change, name=name, owner="bo").name == name


@pytest.mark.parametrize("name", ["", " ", "a/b", "a:b", "a\\b", "..", ".", "a\nb", "x" * 251, "e\u0301"])
def test_a_name_that_could_not_stand_in_an_address_is_refused(store: Store, name: str) -> None:
    with pytest.raises(Invalid), store.change(actor="bo") as change:
        models.create(change, name=name, owner="bo")


def test_numbers_aliases_and_lineage_follow_a_new_name(store: Store, register: Register) -> None:
    register(snapshots=[("flights@1", "train")])
    register(b"other")
    with store.change(actor="bo") as change:
        aliases.move(change, model="late", alias="best", to=2)
        versions.describe(change, model="late", number=1, tags={"k": "v"})
        models.describe(change, name="late", tags={"team": "ops"})

    with store.change(actor="bo", reason="a better word") as change:
        models.rename(change, name="late", to="delays")

    with store.view() as view:
        assert models.get(view, "delays").tags == {"team": "ops"}
        assert [version.number for version in versions.listed(view, model="delays")] == [2, 1]
        first = versions.get(view, "delays", 1)
        versions.verify(view, first)
        assert (first.tags, first.snapshots[0].id) == ({"k": "v"}, "flights@1")
        assert aliases.get(view, "delays", "best").version == 2
        assert [use.subject for use in data_lineage.used_by(view, dataset="flights")] == ["version:delays/1"]
        with pytest.raises(NotFound, match="renamed to 'delays'"):
            models.get(view, "late")
    assert register(b"third", model="delays").number == 3


def test_a_name_that_was_given_up_goes_on_counting(store: Store, register: Register) -> None:
    register()
    register(b"other")
    with store.change(actor="bo") as change:
        models.rename(change, name="late", to="delays")
        models.create(change, name="late", owner="bo")
    assert register(b"new").number == 3

    with store.change(actor="bo") as change:
        models.delete(change, name="late")
        models.create(change, name="late", owner="bo")

    assert register(b"newer").number == 4
    with store.view() as view:
        assert [version.number for version in versions.listed(view, model="late")] == [4]


def test_a_name_that_is_taken_or_was_deleted_with_versions_is_not_given_again(store: Store, register: Register) -> None:
    register()
    with store.change(actor="bo") as change:
        models.create(change, name="early", owner="bo")
        models.create(change, name="gone", owner="bo")
    register(model="gone")
    with store.change(actor="bo") as change:
        models.delete(change, name="gone")

    for name in ("early", "gone"):
        with pytest.raises(Conflict), store.change(actor="bo") as change:
            models.rename(change, name="late", to=name)


@pytest.mark.parametrize("verb", ["rename", "delete"])
@pytest.mark.parametrize("holder", ["release:flights#2", "deployment:flights"])
def test_a_name_somebody_counts_on_stands(store: Store, register: Register, verb: str, holder: str) -> None:
    register()
    with store.change(actor="bo") as change:
        if holder.startswith("release"):
            lineage.use(change, model="late", number=1, subject=holder)
        else:
            models.use(change, model="late", subject=holder)
        models.describe(change, name="late", description="x")

    with pytest.raises(Conflict, match=holder) as caught, store.change(actor="bo") as change:
        if verb == "rename":
            models.rename(change, name="late", to="delays")
        else:
            models.delete(change, name="late")

    assert caught.value.facts["held_by"] == [holder]


def test_deleting_a_model_takes_its_versions_and_aliases_and_leaves_the_events(
    store: Store, register: Register
) -> None:
    register()
    with store.change(actor="bo") as change:
        aliases.move(change, model="late", alias="best", to=1)

    with store.change(actor="bo", reason="a trial") as change:
        models.delete(change, name="late")

    with store.view() as view:
        with pytest.raises(NotFound, match="it was deleted"):
            models.get(view, "late")
        assert models.listed(view) == []
        kinds = [event.kind for event in ledger.search(view, actor="bo", newest_first=False)]
    assert kinds == ["alias.moved", "alias.moved", "version.marked", "model.deleted"]


@pytest.mark.parametrize(
    "changes",
    [
        {"tier": "huge"},
        {"owner": "a b"},
        {"description": "x" * 5001},
        {"tags": {"": "v"}},
        {"tags": {"k": "x" * 100_001}},
    ],
)
def test_what_cannot_be_kept_is_refused(store: Store, changes: dict[str, object]) -> None:
    with pytest.raises(Invalid), store.change(actor="bo") as change:
        models.describe(change, name="late", **changes)  # type: ignore[arg-type]
