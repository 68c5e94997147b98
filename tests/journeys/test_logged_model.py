# SPDX-License-Identifier: Apache-2.0
"""A model folder that a client logged becomes a version, passes a policy by the numbers told of it, and answers.

One that can only be unpickled is refused until an admin allows it, with a reason that everybody then sees.
"""

from __future__ import annotations

import hashlib
import json
import pickle
from typing import Any

import numpy as np
import pytest
import yaml

from mainstay.client.session import Session

from .conftest import House, until

NAMES = ("de lay", "fare")
ROWS = np.random.default_rng(5).normal(size=(60, 2))
LABELS = np.digitize(ROWS[:, 0], [-0.5, 0.5])


@pytest.fixture(scope="module")
def up(house: House) -> Session:
    """``mainstay up``, as its owner sees it."""
    return house.session


def fitted() -> Any:
    from sklearn.linear_model import LogisticRegression

    return LogisticRegression().fit(ROWS, LABELS)


def folder_of(model: Any, *, pickled: bool) -> dict[str, bytes]:
    """What MLflow's client writes, in short."""
    import sklearn
    from skops import io

    kept = {"pickled_model": "model.pkl", "serialization_format": "cloudpickle"}
    if not pickled:
        kept = {"pickled_model": "model.skops", "serialization_format": "skops"}
    inputs = json.dumps([{"type": "double", "name": name, "required": True} for name in NAMES])
    outputs = json.dumps([{"type": "tensor", "tensor-spec": {"dtype": "int64", "shape": [-1]}}])
    described = {
        "flavors": {"sklearn": {**kept, "sklearn_version": sklearn.__version__}},
        "signature": {"inputs": inputs, "outputs": outputs},
        "saved_input_example_info": {"artifact_path": "input_example.json", "type": "dataframe"},
    }
    example = {"columns": list(NAMES), "data": ROWS[:4].tolist()}
    return {
        "MLmodel": yaml.safe_dump(described).encode(),
        "input_example.json": json.dumps(example).encode(),
        kept["pickled_model"]: pickle.dumps(model) if pickled else io.dumps(model),
    }


def registered(up: Session, name: str, files: dict[str, bytes]) -> dict[str, Any]:
    run = up.post("/runs", {"name": "train"})["id"]
    up.post(f"/runs/{run}/log", {"metrics": [{"key": "training score", "value": 0.93}]})
    for path, content in files.items():
        digest = up.put_blob(content)
        assert digest == hashlib.sha256(content).hexdigest()
        up.post(f"/runs/{run}/artifacts", {"path": f"model/{path}", "digest": digest, "size": len(content)})
    up.post("/models", {"name": name})
    made: dict[str, Any] = up.post(f"/models/{name}/folders", {"run_id": run, "path": "model"})
    owner = up.get("/me")["actor"]
    gates = ["metrics['training score'] > 0.9", "latency_p95_ms < 1000.0"]
    up.post(f"/policies/{name}", {"gates": gates, "approvals": {"count": 0}})
    up.post("/deployments", {"name": name, "environment": "test", "model": name, "owner": owner, "policy": name})
    return made


def released(up: Session, name: str, number: int) -> dict[str, Any]:
    asked = up.post(f"/deployments/{name}/releases", {"model": name, "version": number, "reason": "journey"})
    found: dict[str, Any] = until(lambda: _ended(up, f"/releases/{name}/{asked['number']}"))
    return found


def _ended(up: Session, path: str) -> dict[str, Any] | None:
    found: dict[str, Any] = up.get(path)
    return found if found["state"] not in ("judging", "approved", "rolling") else None


def answers(house: House, name: str) -> list[Any]:
    """What the gateway says of the first rows, once it has loaded the model."""
    return house.predict(name, [dict(zip(NAMES, row, strict=True)) for row in ROWS[:5].tolist()])


def test_a_logged_folder_answers_as_the_model_did(up: Session, house: House) -> None:
    made = registered(up, "iris", folder_of(fitted(), pickled=False))
    assert (made["format"], made["needs_pickle"], made["metrics"]) == ("sklearn", False, {"training score": 0.93})

    release = released(up, "iris", 1)

    assert release["state"] == "live", release["gates"]
    assert [gate["verdict"] for gate in release["gates"]] == ["pass"] * 3
    assert "metrics.training score is 0.93" in release["gates"][1]["sentence"]
    assert "permission" not in release["manifest"]
    assert answers(house, "iris") == [labelled(row) for row in fitted().predict_proba(ROWS[:5])]


def labelled(row: Any) -> Any:
    """As a model of more than two classes answers."""
    return int(np.argmax(row))


def test_what_must_be_unpickled_takes_an_admins_word(up: Session, house: House) -> None:
    made = registered(up, "pickled", folder_of(fitted(), pickled=True))
    assert (made["format"], made["needs_pickle"]) == ("pickle", True)
    with pytest.raises(Exception, match="can only be loaded by unpickling"):
        released(up, "pickled", 1)

    up.post("/models/pickled/permissions", {"version": 1, "reason": "our own nightly training"})
    release = released(up, "pickled", 1)

    assert release["state"] == "live", release["gates"]
    assert release["manifest"]["permission"]["reason"] == "our own nightly training"
    assert "our own nightly training" in release["gates"][0]["sentence"]
    facts = [fact for step in up.get("/why/release:pickled%231")["steps"] for fact in step["facts"]]
    assert any(fact["name"] == "allow_pickle" and "our own nightly training" in fact["value"] for fact in facts)
    assert answers(house, "pickled") == [labelled(row) for row in fitted().predict_proba(ROWS[:5])]


def test_a_comparison_without_rows_is_insufficient(up: Session) -> None:
    registered(up, "second", folder_of(fitted(), pickled=False))
    assert released(up, "second", 1)["state"] == "live"
    up.post(
        "/policies/second",
        {"gates": ["better('auc')", "auc > 0.5", "metrics.nothing > 0.0"], "approvals": {"count": 0}},
    )
    run = up.get("/models/second/versions/1")["run_id"]
    up.post("/models/second/references", {"source": "s3://b/m"})
    other = up.put_blob(b"other")
    up.post(f"/runs/{run}/artifacts", {"path": "model/notes.txt", "digest": other, "size": 5})
    up.post("/models/second/folders", {"run_id": run, "path": "model"})

    release = released(up, "second", 3)

    assert release["state"] == "refused"
    verdicts = [gate["verdict"] for gate in release["gates"]]
    assert verdicts == ["pass", "insufficient", "fail", "fail"]
    with pytest.raises(Exception, match=r"second/2 is a reference to 's3://b/m'"):
        released(up, "second", 2)
