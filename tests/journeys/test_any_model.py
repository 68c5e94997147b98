# SPDX-License-Identifier: Apache-2.0
"""A model of any kind, logged by a client that knows only MLflow, is allowed by an admin, released, and answers.

A class of one's own, statsmodels, PyTorch: none of them has a format of ours. What the gateway answers is what ``mlflow.pyfunc``
says of the same rows in the script that logged the model.
"""

from __future__ import annotations

import importlib.util
import json
import sys
from typing import Any

import pytest

from ..databases import on_sqlite
from ..protocols.conftest import talk
from .conftest import House

pytestmark = on_sqlite  # it is about kinds of models, not about rows

DATA = """
import json, logging, os, tempfile, warnings
os.chdir(tempfile.mkdtemp())
warnings.simplefilter("ignore"); logging.disable(logging.WARNING)
import mlflow, numpy, pandas
from mlflow.models import infer_signature
generator = numpy.random.default_rng(7)
x = pandas.DataFrame({"age": generator.normal(40, 9, 200), "monthly bill": generator.normal(60, 20, 200)})
y = x["age"] / 9 - x["monthly bill"] / 20 + generator.normal(0, 0.5, 200)
"""

TOLD = """
loaded = mlflow.pyfunc.load_model(f"models:/{name}/1")
expected = numpy.asarray(loaded.predict(rows)).ravel().tolist()
asked = rows if isinstance(rows, pandas.DataFrame) else pandas.DataFrame(rows.reshape(len(rows), -1)).add_prefix("x")
print(json.dumps({"rows": json.loads(asked.to_json(orient="records", double_precision=15)), "expected": expected}))
"""

OWN = f"""{DATA}
class Fare(mlflow.pyfunc.PythonModel):
    def load_context(self, context):
        self.prices = json.load(open(context.artifacts["prices"]))
    def predict(self, context, model_input, params=None):
        assert str(model_input["people"].dtype) == "int64", model_input.dtypes
        tip = model_input["tip"].fillna(0) if "tip" in model_input else 0
        return model_input["class"].map(self.prices) * model_input["people"] + tip
json.dump({{"first": 90.5, "second": 40.25}}, open("prices.json", "w"))
rows = pandas.DataFrame({{"class": ["first", "second", "second"], "people": [1, 2, 3], "tip": [0.5, None, 2.0]}})
from mlflow.types.schema import ColSpec, Schema
inputs = Schema([ColSpec("string", "class"), ColSpec("long", "people"), ColSpec("double", "tip", required=False)])
name = "own class"
with mlflow.start_run():
    mlflow.pyfunc.log_model(name="model", python_model=Fare(), registered_model_name=name, input_example=rows,
                            artifacts={{"prices": "prices.json"}},
                            signature=mlflow.models.ModelSignature(inputs, Schema([ColSpec("double")])))
{TOLD}"""

LABELS = f"""{DATA}
class Mood(mlflow.pyfunc.PythonModel):
    def predict(self, context, model_input, params=None):
        return numpy.where(model_input["age"] > 40, "calm", "lively")
rows, name = x[:10], "texts"
with mlflow.start_run():
    mlflow.pyfunc.log_model(name="model", python_model=Mood(), registered_model_name=name, input_example=rows,
                            metadata={{"classes": ["calm", "lively", "odd"]}},
                            signature=infer_signature(rows, numpy.array(["calm"])))
{TOLD}"""

STATSMODELS = f"""{DATA}
import statsmodels.api as sm
rows, name = x[:10], "line"
with mlflow.start_run():
    mlflow.statsmodels.log_model(sm.OLS(y, x).fit(), name="model", registered_model_name=name, input_example=rows)
{TOLD}"""

PYTORCH = f"""{DATA}
import torch
torch.manual_seed(3)
net = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(6, 4), torch.nn.ReLU(), torch.nn.Linear(4, 1))
rows, name = generator.normal(size=(10, 3, 2)).astype("float32"), "net"
with mlflow.start_run():
    mlflow.pytorch.log_model(net, name="model", registered_model_name=name, input_example=rows[:2],
                             signature=infer_signature(rows, net(torch.tensor(rows)).detach().numpy()))
{TOLD}"""


def allowed_and_released(house: House, model: str, deployment: str) -> dict[str, Any]:
    """The version, once it is live; before an admin has allowed it, the release is refused."""
    house.say("policy", "put", deployment, "--gate", "latency_p95_ms < 5000.0", "--approvals", "0")
    house.say("deployments", "put", deployment, "--model", model, "--policy", deployment)
    assert "can only be loaded by unpickling" in house.say("release", f"{model}@1", "--to", deployment, fails=True)
    house.say("models", "allow", f"{model}/1", "-m", "trained by our own script")
    house.say("release", f"{model}@1", "--to", deployment, "--wait", "-m", "first")
    release = json.loads(house.say("releases", "show", f"{deployment}#1", "--json"))
    assert [gate["verdict"] for gate in release["gates"]] == ["pass", "pass"], release["gates"]
    assert "allowed: trained by our own script" in release["gates"][0]["sentence"]
    version: dict[str, Any] = json.loads(house.say("models", "show", f"{model}/1", "--json"))
    return version


def test_a_class_of_ones_own_answers_as_it_did_there(house: House) -> None:
    told = talk(house.url, OWN)

    version = allowed_and_released(house, "own class", "own")

    assert (version["format"], version["needs_pickle"]) == ("pyfunc", True)
    assert [column["type"] for column in version["signature"]["inputs"]] == ["str", "int", "float"]
    assert house.predict("own", told["rows"]) == pytest.approx(told["expected"], rel=1e-12)


def test_texts_are_answered_as_labels_where_the_folder_names_them(house: House) -> None:
    told = talk(house.url, LABELS)

    allowed_and_released(house, "texts", "texts")
    house.predict("texts", told["rows"])

    answers = house.ask("texts", told["rows"]).json()["predictions"]
    assert [answer["label"] for answer in answers] == told["expected"]
    assert len(set(told["expected"])) == 2


@pytest.mark.skipif(not importlib.util.find_spec("statsmodels"), reason="statsmodels is not installed here")
def test_what_statsmodels_fitted_answers_as_it_did_there(house: House) -> None:
    told = talk(house.url, STATSMODELS, client=sys.prefix)

    allowed_and_released(house, "line", "line")

    assert house.predict("line", told["rows"]) == pytest.approx(told["expected"], rel=1e-12)


@pytest.mark.skipif(not importlib.util.find_spec("torch"), reason="PyTorch is not installed here")
def test_what_pytorch_fitted_answers_as_it_did_there(house: House) -> None:
    told = talk(house.url, PYTORCH, client=sys.prefix)

    version = allowed_and_released(house, "net", "net")

    assert [column["name"] for column in version["signature"]["inputs"]] == [f"x{place}" for place in range(6)]
    assert house.predict("net", told["rows"]) == pytest.approx(told["expected"], rel=1e-6)
