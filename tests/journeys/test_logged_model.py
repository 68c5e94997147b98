# SPDX-License-Identifier: Apache-2.0
"""A model folder that a client logged becomes a version, passes a policy by the numbers told of it, and answers.

One that can only be unpickled is refused until an admin allows it, with a reason that everybody then sees.
"""

from __future__ import annotations

import hashlib
import json
import os
import pickle
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from mainstay.client.session import Session

from ..databases import on_sqlite
from .conftest import House, until

NAMES = ("de lay", "fare")
ROWS = np.random.default_rng(5).normal(size=(60, 2))
FIRST = [dict(zip(NAMES, row, strict=True)) for row in ROWS[:5].tolist()]
LABELS = np.digitize(ROWS[:, 0], [-0.5, 0.5])


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


def released(up: Session, name: str, number: int, *, model: str = "") -> dict[str, Any]:
    asked = up.post(f"/deployments/{name}/releases", {"model": model or name, "version": number, "reason": "journey"})
    found: dict[str, Any] = until(lambda: _ended(up, f"/releases/{name}/{asked['number']}"))
    return found


def _ended(up: Session, path: str) -> dict[str, Any] | None:
    found: dict[str, Any] = up.get(path)
    return found if found["state"] not in ("judging", "approved", "rolling") else None


def test_a_logged_folder_answers_as_the_model_did(house: House, up: Session) -> None:
    made = registered(up, "iris", folder_of(fitted(), pickled=False))
    assert (made["format"], made["needs_pickle"], made["metrics"]) == ("sklearn", False, {"training score": 0.93})

    release = released(up, "iris", 1)

    assert release["state"] == "live", release["gates"]
    assert [gate["verdict"] for gate in release["gates"]] == ["pass"] * 3
    assert "metrics.training score is 0.93" in release["gates"][1]["sentence"]
    assert "permission" not in release["manifest"]
    assert house.predict("iris", FIRST) == [labelled(row) for row in fitted().predict_proba(ROWS[:5])]


def labelled(row: Any) -> Any:
    """As a model of more than two classes answers."""
    return int(np.argmax(row))


def test_what_must_be_unpickled_takes_an_admins_word(house: House, up: Session) -> None:
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
    assert house.predict("pickled", FIRST) == [labelled(row) for row in fitted().predict_proba(ROWS[:5])]


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


SCRIPT = """
import json, logging, sys, warnings
warnings.simplefilter("ignore"); logging.disable(logging.WARNING)
import mlflow
from sklearn.datasets import load_iris
X, y = load_iris(return_X_y=True, as_frame=True)
kind, name = sys.argv[1:]
if kind == "sklearn":
    from sklearn.linear_model import LogisticRegression
    mlflow.sklearn.autolog(registered_model_name=name)
    model = LogisticRegression(max_iter=500).fit(X, y)
elif kind == "xgboost":
    import xgboost
    mlflow.xgboost.autolog(registered_model_name=name)
    model = xgboost.XGBClassifier(n_estimators=5).fit(X, y)
else:
    import lightgbm
    mlflow.lightgbm.autolog(registered_model_name=name)
    model = lightgbm.LGBMClassifier(n_estimators=5, verbose=-1).fit(X, y)
loaded = mlflow.pyfunc.load_model(f"models:/{name}/1")
assert list(loaded.predict(X[:5])) == list(model.predict(X[:5]))
print(json.dumps({"columns": list(X.columns), "rows": X[:150:30].values.tolist(), "labels": model.predict(X[:150:30]).tolist()}))
"""


@pytest.mark.parametrize(
    ("kind", "client"),
    [
        ("sklearn", "mlflow"),
        pytest.param("xgboost", "mlflow", marks=on_sqlite),
        pytest.param("lightgbm", "mlflow", marks=on_sqlite),
    ],
)
def test_an_unmodified_script_is_trained_registered_released_and_answers(
    house: House, up: Session, kind: str, client: str
) -> None:
    name = f"auto {kind}"
    told = script(house, client, kind, name)
    version = up.get(f"/models/{name}/versions/1")
    owner = up.get("/me")["actor"]
    gates = ["metrics.training_score > 0.9"] if kind == "sklearn" else []
    up.post(f"/policies/{kind}", {"gates": gates, "approvals": {"count": 0}})
    up.post("/deployments", {"name": kind, "environment": "test", "model": name, "owner": owner, "policy": kind})
    # MLflow's autologging pickles scikit-learn's estimators; of the boosters it keeps what they write themselves.
    assert (version["format"], version["needs_pickle"]) == (("pickle", True) if kind == "sklearn" else (kind, False))
    if version["needs_pickle"]:
        up.post(f"/models/{name}/permissions", {"version": 1, "reason": "our own script"})

    release = released(up, kind, 1, model=name)

    assert release["state"] == "live", release["gates"]
    rows = [dict(zip(told["columns"], row, strict=True)) for row in told["rows"]]
    assert house.predict(kind, rows) == told["labels"]
    assert [step["kind"] for step in up.get(f"/why/release:{kind}%231")["steps"]][:3] == ["release", "version", "run"]


def script(house: House, client: str, *arguments: str) -> dict[str, Any]:
    """What the script says at the end, run by an unmodified client that knows nothing but the address."""
    python = Path(__file__).parents[2] / ".clients" / client / "bin" / "python"
    assert python.exists(), f"{python} is missing; `make test` makes the environments of the clients"
    told = {"PATH": os.environ["PATH"], "HOME": os.environ.get("HOME", "/"), "MLFLOW_TRACKING_URI": house.url}
    told |= {
        "MLFLOW_DISABLE_TELEMETRY": "true",
        "GIT_PYTHON_REFRESH": "quiet",
        "MLFLOW_ALLOW_PICKLE_DESERIALIZATION": "true",
    }
    done = subprocess.run(
        [str(python), "-c", SCRIPT, *arguments], capture_output=True, text=True, timeout=300, env=told, check=False
    )
    assert done.returncode == 0, done.stderr[-3000:]
    found: dict[str, Any] = json.loads(done.stdout.strip().splitlines()[-1])
    return found
