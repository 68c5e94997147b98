# SPDX-License-Identifier: Apache-2.0
"""A source leads to the bytes that it names, pinned, or is a reference; never to another's run, model or disk."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from mainstay.domain.errors import Invalid
from mainstay.domain.tracking import Artifact
from mainstay.lifecycle.registry import models, versions
from mainstay.lifecycle.tracking import experiments, logs, runs
from mainstay.lifecycle.tracking.logged_models import models as logged_models
from mainstay.server.protocols.mlflow import sources
from mainstay.store import Store, open_store


class House(NamedTuple):
    store: Store
    run: str
    other: str
    model: str


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    store = open_store(tmp_path / "workspace")
    digest, size = store.blobs.put(b"bytes")
    with store.change(actor="ana") as change:
        experiments.ensure_default(change)
        run, other = (runs.start(change, name=name).id for name in ("train", "other"))
        logs.log(change, run, metrics=[])
        model = logged_models.create(change, actor="ana", experiment=0, name="clf", run=run).id
        for path in ("model/MLmodel", "model/a/b.bin", "plots/x.png"):
            logs.add_artifact(change, run, Artifact(path=path, digest=digest, size=size, media_type="text/plain"))
        kept = Artifact(path="MLmodel", digest=digest, size=size, media_type="text/plain")
        logged_models.add_artifact(change, model, kept)
        models.create(change, name="late", owner="ana")
        versions.refer(change, model="late", source="s3://b/m", claims={"run_id": "theirs"})
        models.create(change, name="hello", owner="ana", kind="prompt")
        versions.refer(change, model="hello", source="none", text="Hi")
    yield House(store, run, other, model)
    store.close()


def find(house: House, source: str, *, run_id: str = "", model_id: str = "") -> sources.Source:
    with house.store.view() as view:
        return sources.find(view, source, run_id=run_id, model_id=model_id, run_link="")


def test_a_runs_folder_is_found_by_both_of_its_addresses(house: House) -> None:
    for source in (f"runs:/{house.run}/model", f"mlflow-artifacts:/0/{house.run}/artifacts/model"):
        found = find(house, source, run_id=house.run)

        assert set(found.files or {}) == {"MLmodel", "a/b.bin"}
        assert found.run_id == house.run


def test_a_logged_model_is_found_by_both_of_its_addresses(house: House) -> None:
    for source in (f"models:/{house.model}", f"mlflow-artifacts:/0/models/{house.model}/artifacts"):
        found = find(house, source, model_id=house.model)

        assert set(found.files or {}) == {"MLmodel"}
        assert (found.run_id, found.claims["model_id"]) == (house.run, house.model)


@pytest.mark.parametrize(
    "source", ["runs:/{run}/nothing", "runs:/unknown-run/model", "s3://b/m", "https://h/m", "models:/late/1"]
)
def test_what_is_not_here_is_a_reference(house: House, source: str) -> None:
    assert find(house, source.format(run=house.run)).files is None


def test_a_copied_version_keeps_what_was_said_of_its_origin(house: House) -> None:
    assert find(house, "models:/late/1").claims == {"run_id": "theirs"}


@pytest.mark.parametrize(
    ("source", "run_id", "model_id"),
    [
        ("runs:/{run}/model", "{other}", ""),
        ("runs:/unknown/model", "{other}", ""),
        ("mlflow-artifacts:/0/{run}/artifacts/model", "{other}", ""),
        ("models:/{model}", "", "m-" + "0" * 32),
        ("models:/m-" + "0" * 32, "", ""),
        ("models:/late/1", "{run}", ""),
        ("models:/late/1", "", "{model}"),
        ("models:/hello/1", "", ""),
        ("models:/late/9", "", ""),
        ("models:/late/x", "", ""),
        ("models:/late@nobody", "", ""),
        ("runs:/{run}/../{other}/model", "", ""),
        ("mlflow-artifacts:/0/{run}/artifacts/%2e%2e/x", "", ""),
        ("file:///tmp", "", ""),
        ("s3://b/m%00", "", ""),
        ("s3://b/" + "%25" * 1000, "", ""),
    ],
)
def test_a_source_of_something_else_is_refused(house: House, source: str, run_id: str, model_id: str) -> None:
    words = {"run": house.run, "other": house.other, "model": house.model}

    with pytest.raises(Invalid, match="Invalid model version source"):
        find(house, source.format(**words), run_id=run_id.format(**words), model_id=model_id)


@pytest.mark.parametrize(
    ("source", "words"),
    [
        ("/tmp", "To use a local path as a model version"),
        ("file:///tmp", "To use a local path as a model version"),
        ("http://host:9000/models/../../../", "If supplying a source as an http, https,"),
        ("mlflow-artifacts://host:9000/models/..%2f..%2fartifacts", "If supplying a source as an http, https,"),
        ("mlflow-artifacts://host:9000/models/artifact%00", "If supplying a source as an http, https,"),
    ],
)
def test_a_refusal_has_the_words_by_which_clients_know_it(house: House, source: str, words: str) -> None:
    with pytest.raises(Invalid, match=words):
        find(house, source)


@pytest.mark.parametrize(
    "source", ["mlflow-artifacts:/models///", "mlflow-artifacts:/models/foo///bar", "s3://b/..../m"]
)
def test_many_slashes_and_many_dots_climb_nowhere(house: House, source: str) -> None:
    assert find(house, source).text == source
