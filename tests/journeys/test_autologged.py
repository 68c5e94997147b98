# SPDX-License-Identifier: Apache-2.0
"""A script that knows only MLflow trains a model; the model passes a policy, is approved by somebody else, and answers.

What it answers is what the model itself says. Nothing in the scripts is ours: they find the server by
``MLFLOW_TRACKING_URI``, as they would find any other.
"""

from __future__ import annotations

import json
from typing import Any

import pytest

from ..protocols.conftest import talk
from .conftest import House

DATA = """
import json, numpy, pandas, mlflow
generator = numpy.random.default_rng(7)
x = pandas.DataFrame({"age": generator.normal(40, 9, 400), "monthly bill": generator.normal(60, 20, 400)})
y = ((x["age"] - 40) / 9 + (60 - x["monthly bill"]) / 20 + generator.normal(0, 0.5, 400) > 0).astype(int)
mlflow.set_experiment("churn")
"""

TOLD = """
print(json.dumps({"run": mlflow.last_active_run().info.run_id, "rows": x[:20].to_dict("records"),
                  "expected": model.predict_proba(x[:20])[:, 1].tolist()}))
"""

SKOPS = f"""{DATA}
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
mlflow.sklearn.autolog(registered_model_name="churn", serialization_format="skops")
model = make_pipeline(StandardScaler(), LogisticRegression()).fit(x, y)
{TOLD}"""

DEFAULT = f"""{DATA}
from sklearn.ensemble import RandomForestClassifier
mlflow.sklearn.autolog(registered_model_name="forest")
model = RandomForestClassifier(n_estimators=20, max_depth=4, random_state=3).fit(x, y)
{TOLD}"""

XGBOOST = f"""{DATA}
import xgboost
mlflow.xgboost.autolog(registered_model_name="boosted", log_input_examples=True)
model = xgboost.XGBClassifier(n_estimators=20, max_depth=3, random_state=3)
model.fit(x, y, eval_set=[(x, y)], verbose=False)
{TOLD}"""


def trained(house: House, script: str, name: str, *gates: str) -> dict[str, Any]:
    """Run a script, and have a deployment for its model."""
    told = talk(house.url, script)
    deployed(house, name, name, *gates)
    return told | {"version": json.loads(house.say("models", "show", f"{name}/1", "--json"))}


def deployed(house: House, deployment: str, model: str, *gates: str) -> None:
    """A deployment whose policy asks for these gates, and for the yes of one more person."""
    house.say("policy", "put", deployment, *[word for gate in gates for word in ("--gate", gate)], "--approvals", "1")
    house.say("deployments", "put", deployment, "--model", model, "--policy", deployment)


def waiting(house: House, name: str) -> dict[str, Any]:
    """Ask for a release; as it is when it is judged."""
    house.say("release", f"{name}@1", "--to", name, "--wait", "-m", "it passed")
    release: dict[str, Any] = json.loads(house.say("releases", "show", f"{name}#1", "--json"))
    return release


@pytest.fixture(scope="module")
def approver(house: House) -> str:
    return house.person("bo", "approver")


def test_what_scikit_learn_trained_answers_as_it_did_there(house: House, approver: str) -> None:
    told = trained(house, SKOPS, "churn", "metrics.training_roc_auc > 0.9")
    version = told["version"]
    assert (version["run_id"], version["format"], version["needs_pickle"]) == (told["run"], "sklearn", False)

    release = waiting(house, "churn")
    house.say("approve", "churn", "-m", "mine", fails=True)  # whoever trained it does not count
    house.say("approve", "churn", "-m", "looks right", MAINSTAY_TOKEN=approver)

    assert release["state"] == "waiting", release["gates"]
    assert [gate["verdict"] for gate in release["gates"]] == ["pass"] * 2
    assert house.predict("churn", told["rows"]) == pytest.approx(told["expected"], rel=1e-12)


def test_a_model_that_misses_its_policy_is_refused_with_the_number(house: House) -> None:
    deployed(house, "strict", "churn", "metrics.training_roc_auc > 0.9999")

    refused = house.say("release", "churn@1", "--to", "strict", "--wait", fails=True)

    assert "metrics.training_roc_auc is 0." in " ".join(refused.split())


def test_what_xgboost_trained_answers_as_it_did_there(house: House, approver: str) -> None:
    told = trained(house, XGBOOST, "boosted", "metrics['validation_0-logloss'] < 0.4", "latency_p95_ms < 1000.0")
    assert (told["version"]["run_id"], told["version"]["format"]) == (told["run"], "xgboost")

    waiting(house, "boosted")
    house.say("approve", "boosted", "-m", "looks right", MAINSTAY_TOKEN=approver)

    assert house.predict("boosted", told["rows"]) == pytest.approx(told["expected"], rel=1e-6)


def test_what_autologging_pickles_by_default_answers_once_an_admin_allowed_it(house: House, approver: str) -> None:
    told = trained(house, DEFAULT, "forest", "metrics.training_roc_auc > 0.9")
    refused = house.say("release", "forest@1", "--to", "forest", "--wait", fails=True)
    assert "mainstay models allow forest" in refused

    house.say("models", "allow", "forest/1", "-m", "trained by our own script")
    waiting(house, "forest")
    house.say("approve", "forest", "-m", "looks right", MAINSTAY_TOKEN=approver)

    assert house.predict("forest", told["rows"]) == pytest.approx(told["expected"], rel=1e-12)


def test_the_ledger_verifies_and_why_leads_back_to_the_run(house: House) -> None:
    house.say("audit", "verify")

    run = json.loads(house.say("models", "show", "churn/1", "--json"))["run_id"]

    assert run in house.say("why", "release:churn#1", "--json")
