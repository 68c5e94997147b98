# SPDX-License-Identifier: Apache-2.0
"""A version gets into memory only if its bytes and its answers are the ones that were released."""

from __future__ import annotations

import hashlib
import json
import os
import pickle
from pathlib import Path
from typing import Any

import pytest

from mainstay.domain.errors import Corrupt, Invalid
from mainstay.formats.signature import Signature
from mainstay.gateway import versions
from mainstay.gateway.fields import read_fields
from mainstay.gateway.validation import Schema

INPUTS = [
    {"name": "carrier", "type": "str", "categories": ["AA", "UA"]},
    {"name": "distance", "type": "float"},
    {"name": "wind_speed", "type": "float", "nullable": True},
    {"name": "weekday", "type": "int"},
]


def schema(inputs: list[dict[str, Any]] = INPUTS) -> Schema:
    return Schema(read_fields(Signature.from_json({"inputs": inputs, "output": {"type": "regression"}})))


@pytest.fixture
def variant(models: list[Any], tmp_path: Path) -> dict[str, Any]:
    model = models[0]
    for name, digest in model.digests.items():
        (tmp_path / digest).write_bytes(model.files[name])
    return {
        "version": 1,
        "digest": "d",
        "format": model.format,
        "files": model.digests,
        "environment": model.environment,
        "golden": model.golden,
    }


def test_a_sound_version_gives_its_golden_scores(variant: dict[str, Any], tmp_path: Path) -> None:
    loaded = versions.load(variant, schema(), lambda digest: tmp_path / digest)
    rows = loaded.schema.rows_decoder.decode(json.dumps(variant["golden"]["rows"]))

    assert loaded.batcher.predict(rows).tolist() == variant["golden"]["scores"]
    assert loaded.one_row_s > 0


def test_bytes_that_changed_on_the_disk_are_not_loaded(variant: dict[str, Any], tmp_path: Path) -> None:
    file = tmp_path / next(iter(variant["files"].values()))
    file.write_bytes(file.read_bytes() + b" ")

    with pytest.raises(Corrupt, match="it is not loaded"):
        versions.load(variant, schema(), lambda digest: tmp_path / digest)


@pytest.mark.parametrize("apart", [2e-9, -1e-3, float("nan")])
def test_scores_that_come_out_differently_are_refused(variant: dict[str, Any], tmp_path: Path, apart: float) -> None:
    scores = [variant["golden"]["scores"][0] + apart, *variant["golden"]["scores"][1:]]
    wrong = {**variant, "golden": {**variant["golden"], "scores": scores}}

    with pytest.raises(Invalid, match="come out differently"):
        versions.load(wrong, schema(), lambda digest: tmp_path / digest)


def test_a_model_that_wants_more_columns_than_the_signature_has_is_refused(
    variant: dict[str, Any], tmp_path: Path
) -> None:
    with pytest.raises(Invalid):
        versions.load({**variant, "golden": None}, schema(INPUTS[:3]), lambda digest: tmp_path / digest)


def test_a_version_without_golden_rows_is_still_tried_before_it_serves(variant: dict[str, Any], tmp_path: Path) -> None:
    loaded = versions.load({**variant, "golden": None}, schema(), lambda digest: tmp_path / digest)

    assert 0 < loaded.one_row_s < 10


def test_another_library_version_is_refused_with_the_way_out(variant: dict[str, Any], tmp_path: Path) -> None:
    old = {**variant, "environment": {**variant["environment"], "scikit-learn": "0.9.0"}}

    with pytest.raises(Invalid, match="install scikit-learn"):
        versions.load(old, schema(), lambda digest: tmp_path / digest)


def pickled(tmp_path: Path, content: bytes) -> dict[str, Any]:
    digest = hashlib.sha256(content).hexdigest()
    (tmp_path / digest).write_bytes(content)
    return {"version": 1, "digest": "d", "format": "pickle", "files": {"model.pkl": digest}, "environment": {}}


class Crashes:
    """Ends the process that unpickles it."""

    def __reduce__(self) -> Any:
        return os._exit, (3,)


def test_a_pickle_is_read_only_where_the_release_allows_it_and_in_a_child_first(tmp_path: Path) -> None:
    from sklearn.linear_model import LinearRegression

    inputs = [{"name": "a", "type": "float"}]
    model = LinearRegression().fit([[0.0], [1.0]], [0.0, 2.0])
    sound, crashing = pickled(tmp_path, pickle.dumps(model)), pickled(tmp_path, pickle.dumps(Crashes()))

    with pytest.raises(Invalid, match="nobody has allowed that"):
        versions.load(sound, schema(inputs), lambda digest: tmp_path / digest)
    with pytest.raises(Invalid, match="does not load in a limited process"):
        versions.load({**crashing, "allow_pickle": True}, schema(inputs), lambda digest: tmp_path / digest)
    loaded = versions.load({**sound, "allow_pickle": True}, schema(inputs), lambda digest: tmp_path / digest)

    rows = loaded.schema.rows_decoder.decode(b'[{"a": 3.0}]')
    assert loaded.batcher.predict(rows).round(6).tolist() == [6.0]
