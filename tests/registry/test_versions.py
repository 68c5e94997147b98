# SPDX-License-Identifier: Apache-2.0
"""Versions: numbered once, immutable, sound."""

from __future__ import annotations

import inspect
import math
import threading
from collections.abc import Callable

import pytest

from mainstay.domain.errors import Conflict, Corrupt, Forbidden, Invalid, NotFound
from mainstay.domain.registry import Version, manifest_digest, parse_version
from mainstay.lifecycle.data import lineage as data_lineage
from mainstay.lifecycle.registry import aliases, lineage, models, permissions, versions
from mainstay.lifecycle.tracking import runs
from mainstay.store import Store, ledger

Register = Callable[..., Version]


def flip_a_byte(store: Store, digest: str) -> None:
    place = next(iter(store.blobs.folder.rglob(digest)))  # type: ignore[attr-defined]
    data = bytearray(place.read_bytes())
    data[0] ^= 1
    place.chmod(0o600)
    place.write_bytes(data)


def numbers(store: Store) -> list[int]:
    with store.view() as view:
        return [version.number for version in versions.listed(view, model="late")]


def test_a_version_is_read_back_as_it_was_registered(store: Store, register: Register) -> None:
    evaluation, _ = store.blobs.put(b"scores")

    made = register(
        metrics={"auc": 0.71},
        evaluation_blob=evaluation,
        snapshots=[("flights@1", "holdout"), ("flights@1", "train")],
        description="first",
    )

    with store.view() as view:
        assert versions.get(view, "late", 1) == made
    assert (made.id, made.state, made.metrics, made.files["model.skops"].size) == (
        "late/1",
        "candidate",
        {"auc": 0.71},
        5,
    )
    assert [(used.id, used.role) for used in made.snapshots] == [("flights@1", "holdout"), ("flights@1", "train")]


def test_the_digest_covers_whatever_decides_the_answers(store: Store, register: Register) -> None:
    made = register()
    files = {"model.skops": made.files["model.skops"].digest}

    assert made.digest == manifest_digest(
        format="sklearn", files=files, environment={"scikit-learn": "1.9.0"}, signature=made.signature
    )
    others = [
        register(b"other trees"),
        register(format="onnx"),
        register(environment={"scikit-learn": "1.9.1"}),
        register(signature={"inputs": []}),
        register(files={"renamed.skops": files["model.skops"]}),
    ]
    assert len({made.digest, *(other.digest for other in others)}) == 6


def test_the_same_registration_again_is_the_same_version(store: Store, register: Register) -> None:
    first = register(metrics={"auc": 0.7})

    again = register(metrics={"auc": 0.7})

    assert (again.number, again.is_known, first.is_known) == (1, True, False)
    assert numbers(store) == [1]
    with store.view() as view:
        assert ledger.search(view, kind="version.repeated")[0].subject == "version:late/1"


def test_the_same_content_from_another_run_is_another_version(store: Store, register: Register) -> None:
    register()
    with store.change(actor="bo") as change:
        other = runs.start(change, name="train again").id

    assert register(run_id=other).number == 2


def test_a_number_is_never_given_twice(store: Store, register: Register) -> None:
    for n in range(3):
        register(b"%d" % n)

    def spoil() -> None:
        with store.change(actor="bo") as change:
            versions.register(change, model="late", run_id="0" * 32, format="f", files={}, environment={}, signature={})

    with pytest.raises(NotFound):
        spoil()
    assert register(b"4").number == 4
    assert numbers(store) == [4, 3, 2, 1]


def test_many_who_register_at_once_get_numbers_without_gap_or_repetition(store: Store, register: Register) -> None:
    made: list[int] = []
    threads = [threading.Thread(target=lambda n=n: made.append(register(b"model %d" % n).number)) for n in range(16)]

    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert sorted(made) == list(range(1, 17))


def test_there_is_no_verb_that_changes_the_bytes_of_a_version() -> None:
    verbs = {
        name for name, verb in inspect.getmembers(versions, inspect.isfunction) if verb.__module__ == versions.__name__
    }

    assert {name for name in verbs if not name.startswith("_")} == {
        "register", "refer", "describe", "delete", "mark", "get", "listed", "newest_by_tag", "told", "verify",
    }  # fmt: skip
    assert set(inspect.signature(versions.describe).parameters) == {"change", "model", "number", "description", "tags"}


def test_a_file_that_is_not_here_is_named_and_no_number_is_spent(store: Store, register: Register) -> None:
    with pytest.raises(NotFound, match="there is no blob 0000"):
        register(files={"model.skops": "0" * 64})
    with pytest.raises(NotFound, match="there is no blob 1111"):
        register(evaluation_blob="1" * 64)

    assert numbers(store) == []
    assert register().number == 1


def test_a_damaged_file_gets_no_number(store: Store, register: Register) -> None:
    digest, _ = store.blobs.put(b"good bytes")
    flip_a_byte(store, digest)

    with pytest.raises(Corrupt, match="no longer matches"):
        register(files={"model.skops": digest})

    assert numbers(store) == []


def test_a_version_whose_file_is_damaged_later_does_not_verify(store: Store, register: Register) -> None:
    made = register()
    with store.view() as view:
        versions.verify(view, made)

    flip_a_byte(store, made.files["model.skops"].digest)

    with pytest.raises(Corrupt), store.view() as view:
        versions.verify(view, made)


@pytest.mark.parametrize(
    ("facts", "says"),
    [
        ({"files": {}}, "1 to 1000 files"),
        ({"files": {"../etc/passwd": "0" * 64}}, "not usable"),
        ({"files": {"/abs": "0" * 64}}, "not usable"),
        ({"format": " "}, "needs the name of its format"),
        ({"metrics": {"auc": math.nan}}, "'auc'"),
        ({"signature": {"low": math.inf}}, "not finite"),
        ({"snapshots": [("flights@1", "test")]}, "cannot be used as 'test'"),
        ({"environment": {"lock": "x" * (2 << 20)}}, "at most"),
    ],
)
def test_what_cannot_be_kept_is_named(register: Register, facts: dict[str, object], says: str) -> None:
    with pytest.raises(Invalid, match=says):
        register(**facts)


@pytest.mark.parametrize("facts", [{"model": "early"}, {"run_id": "f" * 32}, {"snapshots": [("flights@9", "train")]}])
def test_what_a_version_comes_from_must_exist(store: Store, register: Register, facts: dict[str, object]) -> None:
    with pytest.raises(NotFound):
        register(**facts)

    assert numbers(store) == []


def test_states_move_by_the_table_only(store: Store, register: Register) -> None:
    register()

    def mark(state: str) -> None:
        with store.change(actor="bo", reason="because") as change:
            versions.mark(change, model="late", number=1, state=state)

    mark("released")
    mark("retired")
    mark("released")
    for state in ("candidate", "released"):
        with pytest.raises(Conflict, match="late/1 is released and cannot become"):
            mark(state)
    with pytest.raises(Invalid, match="the states are"):
        mark("archived")


def test_folding_the_events_gives_the_states(store: Store, register: Register) -> None:
    for n in range(4):
        register(b"%d" % n)
    for number, state in ((1, "released"), (2, "retired"), (1, "retired"), (3, "released"), (1, "released")):
        with store.change(actor="bo") as change:
            versions.mark(change, model="late", number=number, state=state)

    folded: dict[int, str] = {}
    with store.view() as view:
        for event in ledger.search(view, kind="version.*", newest_first=False):
            number = event.body["number"]
            if event.kind == "version.registered":
                folded[number] = "candidate"
            else:
                assert folded[number] == event.body["before"]
                folded[number] = event.body["after"]
        assert folded == {version.number: version.state for version in versions.listed(view, model="late")}


def test_lineage_leads_both_ways(store: Store, run: str, register: Register) -> None:
    register(snapshots=[("flights@1", "train")])
    with store.change(actor="bo") as change:
        for _ in range(2):
            lineage.use(change, model="late", number=1, subject="release:flights#1")
        lineage.use(change, model="late", number=1, subject="deployment:flights")
        aliases.move(change, model="late", alias="champion", to=1)

    with store.view() as view:
        assert [version.id for version in lineage.versions_of_run(view, run)] == ["late/1"]
        assert [(version.id, role) for version, role in lineage.versions_using_snapshot(view, "flights@1")] == [
            ("late/1", "train")
        ]
        assert [use.subject for use in data_lineage.used_by(view, dataset="flights")] == ["version:late/1"]
        assert lineage.users(view, model="late", kind="release") == [(1, "flights#1")]
        assert set(lineage.users(view, model="late", number=1)) == {(1, "release:flights#1"), (1, "deployment:flights")}


def test_a_version_that_is_not_there_is_named_with_those_that_are(store: Store, register: Register) -> None:
    with pytest.raises(NotFound, match="has no version 1; it has none yet"), store.view() as view:
        versions.get(view, "late", 1)
    register()
    with pytest.raises(NotFound, match="go up to 1"), store.view() as view:
        versions.get(view, "late", 2)


def test_versions_page_newest_first(store: Store, register: Register) -> None:
    for n in range(5):
        register(b"%d" % n)

    with store.view() as view:
        page = versions.listed(view, model="late", limit=2)
        rest = versions.listed(view, model="late", before=page[-1].number)
    assert [version.number for version in page + rest] == [5, 4, 3, 2, 1]


@pytest.mark.parametrize(
    ("facts", "error"), [({"tier": "huge"}, Invalid), ({"name": "a/b"}, Invalid), ({"name": "late"}, Conflict)]
)
def test_a_model_needs_a_free_name_and_a_known_tier(
    store: Store, facts: dict[str, str], error: type[Exception]
) -> None:
    with pytest.raises(error), store.change(actor="bo") as change:
        models.create(change, **({"name": "early", "owner": "bo"} | facts))


def test_a_version_is_named_by_model_and_number() -> None:
    assert parse_version("flights-late/3") == ("flights-late", 3)
    for text in ("flights-late", "flights-late/0", "/3", "a:b/3"):
        with pytest.raises(Invalid):
            parse_version(text)


def test_what_is_said_of_a_version_can_be_said_otherwise_and_its_digest_stays(store: Store, register: Register) -> None:
    made = register(tags={"a": "1"}, description="first")

    with store.change(actor="bo") as change:
        versions.describe(change, model="late", number=1, description="second", tags={"a": None, "b": "2"})

    with store.view() as view:
        found = versions.get(view, "late", 1)
    assert (found.description, found.tags, found.digest) == ("second", {"b": "2"}, made.digest)


def test_a_deleted_version_is_gone_and_its_number_stays_taken(store: Store, register: Register) -> None:
    register()
    register(b"other")

    with store.change(actor="bo", reason="a mistake") as change:
        versions.delete(change, model="late", number=2)

    assert numbers(store) == [1]
    assert register(b"third").number == 3
    with store.view() as view, pytest.raises(NotFound, match=r"late/2 was deleted"):
        versions.get(view, "late", 2)
    with pytest.raises(NotFound), store.change(actor="bo") as change:
        versions.delete(change, model="late", number=2)


def test_a_version_that_something_names_is_not_deleted(store: Store, register: Register) -> None:
    register()
    register(b"other")
    with store.change(actor="bo") as change:
        aliases.move(change, model="late", alias="best", to=1)
        lineage.use(change, model="late", number=2, subject="release:flights#1")

    for number, holder in ((1, "alias:best"), (2, "release:flights#1")):
        with pytest.raises(Conflict, match=holder), store.change(actor="bo") as change:
            versions.delete(change, model="late", number=number)
    assert numbers(store) == [2, 1]


def test_a_reference_has_a_number_and_says_that_its_bytes_are_elsewhere(store: Store) -> None:
    with store.change(actor="bo") as change:
        made = versions.refer(change, model="late", source="s3://bucket/model", claims={"run_id": "unknown"})
        again = versions.refer(change, model="late", source="s3://bucket/model")

    assert (made.number, again.number, made.is_reference, made.files, made.run_id) == (1, 2, True, {}, None)
    words = r"late/1 is a reference to 's3://bucket/model'.*cannot be released"
    with store.view() as view, pytest.raises(Invalid, match=words):
        permissions.check_releasable(view, made)


@pytest.mark.parametrize(
    "source",
    [
        "file:///etc/passwd",
        "/etc/passwd",
        "./model",
        "../model",
        "~/model",
        "C:\\model",
        "model",
        "s3://b/../x",
        "FILE:/x",
    ],
)
def test_a_reference_to_a_place_on_a_disk_is_refused(store: Store, source: str) -> None:
    with pytest.raises(Invalid), store.change(actor="bo") as change:
        versions.refer(change, model="late", source=source)
    assert numbers(store) == []


def test_a_permission_is_an_admins_word_with_a_reason_and_covers_a_version_or_the_model(
    store: Store, register: Register
) -> None:
    made = register(format="pickle")
    with store.view() as view, pytest.raises(Forbidden, match="can only be loaded by unpickling"):
        permissions.check_releasable(view, made)
    with pytest.raises(Invalid, match="with a reason only"), store.change(actor="ana") as change:
        permissions.give(change, model="late", number=1)

    with store.change(actor="ana", reason="our own training code") as change:
        given = permissions.give(change, model="late", number=1)

    with store.view() as view:
        assert permissions.check_releasable(view, made) == given
        other = register(b"other", format="pickle")
        with pytest.raises(Forbidden):
            permissions.check_releasable(view, other)
    with store.change(actor="ana", reason="all of ours") as change:
        permissions.give(change, model="late")
        permissions.take(change, model="late", number=1)
    with store.view() as view:
        found = permissions.check_releasable(view, made)
        assert found is not None and (found.number, found.reason) == (None, "all of ours")
        kinds = [(event.kind, event.subject) for event in ledger.search(view, kind="permission.*", newest_first=False)]
    assert kinds == [
        ("permission.given", "version:late/1"),
        ("permission.given", "model:late"),
        ("permission.taken", "version:late/1"),
    ]


def test_a_format_that_nobody_can_load_and_a_missing_signature_are_told_before_a_release(
    store: Store, register: Register
) -> None:
    for facts, words in (
        ({"format": "keras"}, "kept as 'keras', which no format can load"),
        ({"signature": {}}, "no signature to check requests by"),
    ):
        with store.view() as view, pytest.raises(Invalid, match=words):
            permissions.check_releasable(view, register(words.encode(), **facts))
