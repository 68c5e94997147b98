# SPDX-License-Identifier: Apache-2.0
"""Folders: what was uploaded later changes nothing; what nobody can load has a number all the same."""

from __future__ import annotations

import json

import pytest
import yaml

from mainstay.domain.errors import Invalid, NotFound
from mainstay.domain.registry import Version
from mainstay.domain.tracking import Artifact
from mainstay.lifecycle.registry import cards, folders, permissions, versions
from mainstay.lifecycle.tracking import logs
from mainstay.store import Store

DESCRIBED = yaml.safe_dump(
    {
        "flavors": {
            "sklearn": {"pickled_model": "model.skops", "serialization_format": "skops", "sklearn_version": "1.9.1"}
        },
        "signature": {"inputs": json.dumps([{"type": "double", "name": "a"}]), "outputs": None},
    }
).encode()


def log(store: Store, run: str, path: str, content: bytes) -> None:
    digest, size = store.blobs.put(content)
    with store.ingest() as ingest:
        logs.add_artifact(ingest, run, Artifact(path=path, digest=digest, size=size, media_type="text/plain"))


def register(store: Store, run: str, path: str = "model", **more: object) -> Version:
    with store.change(actor="ana") as change:
        files = folders.of_run(change, run, path)
        return folders.register(change, model="late", files=files, run_id=run, source=f"runs:/{run}/{path}", **more)  # type: ignore[arg-type]


def test_a_version_is_what_the_folder_was_at_that_moment(store: Store, run: str) -> None:
    log(store, run, "model/MLmodel", DESCRIBED)
    log(store, run, "model/model.skops", b"first")
    log(store, run, "plots/roc.png", b"other")

    made = register(store, run, metrics={"auc": 0.7})
    log(store, run, "model/model.skops", b"second")
    log(store, run, "model/more.txt", b"more")

    with store.view() as view:
        found = versions.get(view, "late", made.number)
        versions.verify(view, found)
        assert {name: store.blobs.read(file.digest) for name, file in found.files.items()} == {
            "MLmodel": DESCRIBED,
            "model.skops": b"first",
        }
    assert (found.format, found.run_id, found.metrics) == ("sklearn", run, {"auc": 0.7})
    assert [column["name"] for column in found.signature["inputs"]] == ["a"]
    assert found.environment == {"scikit-learn": "1.9.1"}
    again = register(store, run)
    assert (again.number, again.digest != found.digest) == (2, True)


def test_the_same_folder_once_more_is_a_version_of_its_own_or_the_one_there_is(store: Store, run: str) -> None:
    log(store, run, "model/MLmodel", DESCRIBED)

    assert [register(store, run).number, register(store, run).number, register(store, run, once=True).number] == [
        1,
        2,
        1,
    ]


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [("weights.bin", b"x", "no format can load"), ("MLmodel", b"[", "no format can load")],
)
def test_a_folder_that_says_nothing_we_can_read_is_plain_files(
    store: Store, run: str, name: str, content: bytes, words: str
) -> None:
    log(store, run, f"model/{name}", content)

    made = register(store, run)

    assert made.format == folders.PLAIN
    with store.view() as view, pytest.raises(Invalid, match=words):
        permissions.check_releasable(view, made)


def test_a_folder_without_a_signature_says_so_when_it_is_to_be_released(store: Store, run: str) -> None:
    log(store, run, "model/MLmodel", yaml.safe_dump({"flavors": {"xgboost": {"data": "m.ubj"}}}).encode())

    made = register(store, run)

    assert made.format == "xgboost"
    with store.view() as view, pytest.raises(Invalid, match="it was logged without a signature"):
        permissions.check_releasable(view, made)


def test_where_a_run_logged_nothing_there_is_no_folder(store: Store, run: str) -> None:
    log(store, run, "model/MLmodel", DESCRIBED)

    with store.view() as view:
        assert set(folders.of_run(view, run, "")) == {"model/MLmodel"}
        for identity, path in ((run, "mode"), (run, "model/MLmodel"), ("0" * 32, "model")):
            with pytest.raises(NotFound):
                folders.of_run(view, identity, path)


def test_a_card_says_what_is_known_and_asks_for_the_rest(store: Store, run: str) -> None:
    log(store, run, "model/MLmodel", DESCRIBED)
    with store.ingest() as ingest:
        logs.log(ingest, run, params={"depth": 6})
    register(store, run, metrics={"auc": 0.7123}, description="tuned | twice")
    with store.change(actor="ana") as change:
        versions.refer(change, model="late", source="s3://b/m")

    with store.view() as view:
        card = cards.draft(view, model="late", number=1)
        other = cards.draft(view, model="late", number=2)

    for words in (
        "# late/1",
        f"`{run}`",
        "depth = 6",
        "| auc | 0.7123 |",
        "tuned \\| twice",
        "| a | float",
        "| owner | ana |",
    ):
        assert words in card
    for heading in ("Intended use", "Training", "Evaluation", "Limits", "Fairness"):
        assert f"## {heading}\n" in card and f"## {heading}\n" in other
    assert "no run of this workspace made it" in other and "s3://b/m" in other
