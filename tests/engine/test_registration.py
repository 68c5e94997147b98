# SPDX-License-Identifier: Apache-2.0
"""Registering: files, signature, the loaded model's scores on the holdout, lineage; and never the same thing twice."""

from __future__ import annotations

import io
import json

import numpy as np
import pyarrow.parquet as pq
import pytest

from mainstay.domain.errors import Invalid, Unavailable
from mainstay.engine.materialise import model as models

FLOW = """
    import numpy as np
    import pandas as pd
    from mainstay.engine.steps import step
    from mainstay.engine.pipelines import pipeline
    import mainstay as ms
    from sklearn.linear_model import LogisticRegression

    @step
    def load(seed: int) -> pd.DataFrame:
        rng = np.random.default_rng(seed)
        x = rng.normal(size=(300, 2))
        late = (x[:, 0] + rng.normal(size=300) > 0).astype(float)
        late[::50] = np.nan
        return pd.DataFrame({"x": x[:, 0], "y": x[:, 1], "carrier": np.where(x[:, 1] > 0, "UA", "AA"), "late": late})

    @step
    def train(table: pd.DataFrame, c: float = 1.0) -> LogisticRegression:
        known = table.dropna()
        return LogisticRegression(C=c).fit(known[["x", "y"]], known["late"].astype(int))

    @step
    def evaluate(model: LogisticRegression, table: pd.DataFrame) -> dict[str, float]:
        known = table.dropna()
        if known.empty:
            return {}
        return {"accuracy": float(model.score(known[["x", "y"]].to_numpy(), known["late"])), "nothing": float("nan")}

    @pipeline
    def flow(c: float = 1.0):
        fit_on = ms.snapshot("flights", load(1))
        held_out = ms.snapshot("later", load(2))
        model = train(fit_on, c)
        ms.register("late", model, metrics=evaluate(model, held_out), holdout=held_out, target="late")
"""


@pytest.fixture
def flow(make_project):
    project = make_project(flights=FLOW)
    (project.folder / "mainstay.toml").write_text('[model.late]\nowner = "bertram"\ntier = "high"\n')
    return project.load()


def test_a_version_has_files_signature_metrics_lineage_and_owner(platform, flow):
    done = flow.run(platform)

    model = platform.models["late"]
    (version,) = model["versions"]
    assert (model["owner"], model["tier"]) == ("bertram", "high")
    assert done.versions == {"late/1": False}
    assert done.summary() == "7 steps: 7 ran; registered late/1"
    assert (version["format"], version["run_id"], list(version["metrics"])) == ("sklearn", done.run_id, ["accuracy"])
    assert [column["name"] for column in version["signature"]["inputs"]] == ["x", "y"]
    assert version["snapshots"] == [{"id": "flights@1", "role": "train"}, {"id": "later@1", "role": "holdout"}]


def test_the_evaluation_is_the_loaded_model_s_scores_on_the_labelled_holdout(platform, flow):
    flow.run(platform)

    (version,) = platform.models["late"]["versions"]
    table = pq.read_table(io.BytesIO(platform.blobs[version["evaluation_blob"]]))
    stored = models.StoredModel(
        format=version["format"],
        version=1,
        files={name: each["digest"] for name, each in version["files"].items()},
        sizes={},
        environment=version["environment"],
    )
    again = models.load(stored, platform).predict({name: table[name].to_numpy() for name in ("x", "y")})

    assert table.column_names == ["x", "y", "carrier", "_score", "_label"]
    assert table.num_rows == 294
    assert set(table["_label"].to_pylist()) == {0, 1}
    np.testing.assert_array_equal(table["_score"].to_numpy(), again)


def test_the_same_pipeline_again_registers_nothing_and_says_so(platform, flow):
    flow.run(platform)

    again = flow.run(platform)

    assert again.summary() == "7 steps: 7 hits; late/1 is this model already"
    assert len(platform.models["late"]["versions"]) == 1


def test_a_run_that_died_after_the_registry_answered_finds_its_version(platform, flow):
    platform.post = _die_at_commit(platform, "register late")
    with pytest.raises(Unavailable):
        flow.run(platform)
    assert len(platform.models["late"]["versions"]) == 1

    again = flow.run(platform)

    assert again.versions == {"late/1": True}
    assert again.summary() == "7 steps: 6 hits, 1 ran; late/1 is this model already"
    assert len(platform.models["late"]["versions"]) == 1


def _die_at_commit(platform, name):
    post = platform.post

    def dying(path, body=None):
        if path == "/steps/commit-all" and any(step["name"] == name for step in body["steps"]):
            platform.post = post
            raise Unavailable("gone")
        return post(path, body)

    return dying


def test_another_model_is_another_version(platform, flow):
    flow.run(platform)

    assert flow.run(platform, c=0.01).versions == {"late/2": False}


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ('target="late")', 'target="delay")', "the holdout has no column 'delay'; its columns are x, y, carrier, late"),
        (', target="late")', ")", "has a holdout but no target"),
        (
            'register("late", model',
            'register("late", evaluate(model, held_out)',
            "was given a plain value|was given a json",
        ),
        ("metrics=evaluate(model, held_out)", 'metrics={"auc": "good"}', "metric 'auc' is a str"),
        ("late[::50] = np.nan", "late[:] = np.nan if seed == 2 else late", "not one with a value of 'late'"),
        (
            'known[["x", "y"]], known',
            'known[["x", "y"]].to_numpy(), known',
            r"takes 2 columns and knows no names.*features=\[…\]",
        ),
    ],
)
def test_what_does_not_fit_together_fails_the_run_in_a_sentence(platform, make_project, old, new, words):
    project = make_project(flights=FLOW)
    project.edit("flights.py", old, new)

    with pytest.raises(Invalid, match=words):
        project.load().run(platform)

    run = next(each for each in platform.runs.values() if each["kind"] == "pipeline")
    assert run["state"] == "failed"
    assert not platform.models.get("late", {"versions": []})["versions"]


def test_features_name_the_columns_of_a_model_that_knows_none(platform, make_project):
    project = make_project(flights=FLOW)
    project.edit("flights.py", 'known[["x", "y"]], known', 'known[["y", "x"]].to_numpy(), known')
    project.edit("flights.py", 'target="late")', 'target="late", features=["y", "x"])')

    project.load().run(platform)

    (version,) = platform.models["late"]["versions"]
    assert [column["name"] for column in version["signature"]["inputs"]] == ["y", "x"]


def test_fresh_workspaces_give_the_same_model_and_evaluation(make_platform, make_project):
    found = []
    for name in ("one", "two"):
        platform = make_platform()
        make_project(name, flights=FLOW).load().run(platform)
        (version,) = platform.models["late"]["versions"]
        found.append(
            json.dumps([version["files"], version["evaluation_blob"], platform.datasets["flights"][0]["digest"]])
        )

    assert found[0] == found[1]
