# SPDX-License-Identifier: Apache-2.0
"""MLflow's registry, by its unmodified client: models, versions, aliases, stages, prompts, and what is refused."""

from __future__ import annotations

import pytest

from ..conftest import talk

CLIENTS = ("mlflow", "mlflow-old", "mlflow-skinny")

BEGIN = """
import json, logging, os, uuid, warnings
warnings.simplefilter("ignore"); logging.disable(logging.INFO)
from mlflow import MlflowClient
from mlflow.exceptions import MlflowException
c, stem = MlflowClient(), "M x.é " + uuid.uuid4().hex[:8]
def refused(call, *arguments, **named):
    try:
        call(*arguments, **named)
    except MlflowException as error:
        return error.error_code, str(error)
    raise AssertionError(f"{call.__name__}{arguments} was not refused")
"""


@pytest.mark.parametrize("client", CLIENTS)
def test_a_model_lives_from_creation_to_deletion(served, client: str) -> None:
    found = talk(
        served.url,
        BEGIN
        + """
made = c.create_registered_model(stem, tags={"key": "value", "numeric value": 12345}, description="d")
assert made.tags == {"key": "value", "numeric value": "12345"} and made.latest_versions == []
first = c.create_model_version(stem, "runs:/their-run/model", "their-run", tags={"k": "v"}, description="one")
c.create_model_version(stem, "s3://bucket/two")
c.set_registered_model_alias(stem, "champion", "1")
by_alias = c.get_model_version_by_alias(stem, "champion")
c.transition_model_version_stage(stem, "1", "staging")
c.set_model_version_tag(stem, "1", "empty", "")
one = c.get_model_version(stem, "1")
out = {
    "first": [str(first.version), first.source, first.run_id, first.status, first.description],
    "one": [one.current_stage, one.tags, list(one.aliases), str(by_alias.version)],
    "latest": {v.current_stage: str(v.version) for v in c.get_latest_versions(stem)},
    "uris": [c.get_model_version_download_uri(stem, n) for n in ("1", "2")],
    "again": refused(c.create_registered_model, stem)[0],
}
c.delete_registered_model_alias(stem, "champion"); c.delete_registered_model_alias(stem, "champion")
c.rename_registered_model(stem, stem + "2")
out["gone"] = refused(c.get_registered_model, stem)
c.delete_model_version(stem + "2", "2")
out["deleted"] = refused(c.get_model_version, stem + "2", "2")
out["number"] = str(c.create_model_version(stem + "2", "s3://bucket/three").version)
c.delete_registered_model(stem + "2")
out["left"] = [m.name for m in c.search_registered_models(f"name = '{stem}2'")]
print(json.dumps(out))
""",
        client=client,
    )

    assert found["first"] == ["1", "runs:/their-run/model", "their-run", "READY", "one"]
    assert found["one"] == ["Staging", {"k": "v", "empty": ""}, ["champion"], "1"]
    assert found["latest"] == {"Staging": "1", "None": "2"}
    assert found["uris"] == ["runs:/their-run/model", "s3://bucket/two"]
    assert found["again"] == "RESOURCE_ALREADY_EXISTS"
    assert found["gone"][0] == "RESOURCE_DOES_NOT_EXIST" and "Registered Model with name=" in found["gone"][1]
    assert "Model Version (name=" in found["deleted"][1]
    assert (found["number"], found["left"]) == ("3", [])


def test_searches_page_order_and_hide_prompts(served) -> None:
    found = talk(
        served.url,
        BEGIN
        + """
for i in range(4):
    c.create_registered_model(f"{stem}-{i}", tags={"grp": stem})
    c.create_model_version(f"{stem}-{i}", f"s3://b/{i}", tags={"i": str(i)})
names, token, pages = [], None, 0
while pages == 0 or token:
    asked = f"name ILIKE '{stem.upper().replace('É', 'é')}%'"
    page = c.search_registered_models(asked, max_results=3, order_by=["name DESC"], page_token=token)
    names, token, pages = names + [m.name for m in page], page.token, pages + 1
import mlflow
mlflow.genai.register_prompt(name=stem[:1] + stem[-8:], template="Hi {{who}}", tags={"a": "1"})
prompt = mlflow.genai.register_prompt(name=stem[:1] + stem[-8:], template="Hello {{who}}!")
mlflow.genai.set_prompt_alias(prompt.name, alias="prod", version=2)
loaded = mlflow.genai.load_prompt(f"prompts:/{prompt.name}@prod")
print(json.dumps({
    "names": [n.removeprefix(stem) for n in names], "pages": pages,
    "tagged": len(c.search_registered_models(f"tags.grp = '{stem}'")),
    "sources": [v.source for v in c.search_model_versions(f"name = '{stem}-2'")],
    "numbered": [v.name.removeprefix(stem) for v in c.search_model_versions(f"tags.`i` = '3' and name LIKE '{stem}%'")],
    "prompt": [int(prompt.version), loaded.template, prompt.name in [p.name for p in mlflow.genai.search_prompts()]],
    "hidden": prompt.name not in [m.name for m in c.search_registered_models(max_results=1000)],
    "named": prompt.name,
    "as_model": refused(c.create_registered_model, prompt.name)[0],
    "bad": [refused(c.search_registered_models, text)[0] for text in ("nam = 'x'", "name > 'x'", "name = 'x' OR name = 'y'")],
    "token": refused(c.search_registered_models, page_token="x")[0],
    "order": refused(c.search_registered_models, order_by=["size"])[0],
    "most": refused(c.search_registered_models, max_results=100000)[0],
    "version": refused(c.get_model_version, f"{stem}-1", "one"),
    "stage": refused(c.transition_model_version_stage, f"{stem}-1", "1", "Live")[0],
    "name": refused(c.create_registered_model, "a/b")[0],
    "alias": refused(c.get_model_version_by_alias, f"{stem}-1", "nobody"),
}))
""",
    )

    assert (found["names"], found["pages"]) == (["-3", "-2", "-1", "-0"], 2)
    assert (found["tagged"], found["sources"], found["numbered"]) == (4, ["s3://b/2"], ["-3"])
    assert found["prompt"] == [2, "Hello {{who}}!", True]
    assert found["hidden"] is True
    assert found["as_model"] == "RESOURCE_ALREADY_EXISTS"
    for name in ("token", "order", "most", "stage", "name"):
        assert found[name] == "INVALID_PARAMETER_VALUE", name
    assert found["bad"] == ["INVALID_PARAMETER_VALUE"] * 3
    assert "Parameter 'version' must be an integer, got 'one'." in found["version"][1]
    assert "Registered model alias nobody not found." in found["alias"][1]
    other = {"name": found["named"], "version": "1", "key": "mlflow.prompt.text", "value": "other"}
    reply = served.ask("POST", "/api/2.0/mlflow/model-versions/set-tag", json=other)
    assert (reply.status_code, "is fixed by its number" in reply.text) == (400, True)


def test_a_source_that_leads_to_a_disk_or_to_anothers_run_is_refused(served) -> None:
    sources = [
        "file:///etc/passwd", "/etc/passwd", "./x", "model", "mlflow-artifacts:/0/../../etc", "s3://b/%2e%2e/x", "C:\\x", "~/x",
        "s3://b/%252e%252e/x", "http://h/a/..%2f..%2fx", "models:/nobody/1", "models:/nobody@champion",
    ]  # fmt: skip

    found = talk(
        served.url,
        BEGIN
        + f"""
c.create_registered_model(stem)
print(json.dumps([refused(c.create_model_version, stem, source) for source in {sources!r}]))
""",
    )

    assert [code for code, _ in found] == ["INVALID_PARAMETER_VALUE"] * len(sources)


@pytest.mark.parametrize("client", ["mlflow", "mlflow-old"])
def test_a_logged_model_is_pinned_however_it_is_called(served, client: str) -> None:
    found = talk(
        served.url,
        BEGIN
        + """
import mlflow
from sklearn.linear_model import LogisticRegression
x = [[0.0], [1.0], [2.0], [3.0]]
with mlflow.start_run() as run:
    mlflow.log_metric("auc", 0.9)
    info = mlflow.sklearn.log_model(LogisticRegression().fit(x, [0, 0, 1, 1]), name="clf", input_example=x[:1])
    other = mlflow.initialize_logged_model(name="other")
identity, stem = run.info.run_id, "pinned" + stem[-8:]
mlflow.register_model(info.model_uri, stem)
mlflow.register_model(f"runs:/{identity}/clf", stem)
c.create_model_version(stem, f"runs:/{identity}/clf", identity)
c.create_model_version(stem, c.get_logged_model(info.model_id).artifact_location, model_id=info.model_id)
c.delete_logged_model(info.model_id)
mlflow.set_tracking_uri(c.tracking_uri)
print(json.dumps({
    "run": identity, "name": stem,
    "predicted": [[int(v) for v in mlflow.sklearn.load_model(f"models:/{stem}/{n}").predict(x)] for n in (1, 2, 3, 4)],
    "other": refused(c.create_model_version, stem, info.model_uri, model_id=other.model_id),
}))
""",
        client=client,
        MLFLOW_ALLOW_PICKLE_DESERIALIZATION="true",
    )

    assert found["predicted"] == [[0, 0, 1, 1]] * 4
    versions = [served.ask("GET", f"/api/models/{found['name']}/versions/{n}").json() for n in (1, 2, 3, 4)]
    assert {version["digest"] for version in versions} == {versions[0]["digest"]}
    assert [(version["run_id"], version["metrics"]["auc"]) for version in versions] == [(found["run"], 0.9)] * 4
    assert (found["other"][0], "model_id" in found["other"][1]) == ("INVALID_PARAMETER_VALUE", True)


def test_what_was_released_is_neither_renamed_nor_deleted(served) -> None:
    found = talk(
        served.url,
        BEGIN
        + """
c.create_registered_model("held"); c.create_model_version("held", "s3://b/x")
print(json.dumps({}))
""",
    )
    assert found == {}
    owner = served.ask("GET", "/api/me").json()["actor"]
    served.ask("POST", "/api/policies/open", json={"gates": [], "approvals": {"count": 0}})
    declared = {"name": "held", "environment": "test", "model": "held", "owner": owner, "policy": "open"}
    assert served.ask("POST", "/api/deployments", json=declared).status_code < 300

    found = talk(
        served.url,
        BEGIN
        + """
print(json.dumps([refused(c.rename_registered_model, "held", "other"), refused(c.delete_registered_model, "held")]))
""",
    )

    assert [code for code, _ in found] == ["RESOURCE_CONFLICT"] * 2
    assert all("deployment:held" in text for _, text in found)


def test_what_a_version_pinned_is_read_as_it_was_then(served) -> None:
    found = talk(
        served.url,
        BEGIN
        + """
import mlflow
with mlflow.start_run() as run:
    mlflow.log_text("first", "model/weights 1.txt")
c.create_registered_model(stem)
c.create_model_version(stem, f"runs:/{run.info.run_id}/model", run.info.run_id)
c.log_text(run.info.run_id, "second", "model/weights 1.txt")
uri = c.get_model_version_download_uri(stem, "1")
folder = mlflow.artifacts.download_artifacts(artifact_uri=uri)
read = {name: open(os.path.join(folder, name)).read() for name in os.listdir(folder)}
print(json.dumps({"name": stem, "read": read}))
""",
    )

    assert found["read"] == {"weights 1.txt": "first"}
    asked = {"name": found["name"], "version": "1", "path": "weights 1.txt"}
    reply = served.ask("GET", "/model-versions/get-artifact", params=asked)
    assert (reply.status_code, reply.text) == (200, "first")
    assert reply.headers["content-disposition"].startswith("attachment")
    for path, status in (("nothing.txt", 404), ("../x", 400), ("", 400)):
        assert served.ask("GET", "/model-versions/get-artifact", params=asked | {"path": path}).status_code == status
