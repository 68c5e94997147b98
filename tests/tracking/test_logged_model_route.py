# SPDX-License-Identifier: Apache-2.0
"""A logged model over HTTP: what it is, and its files."""

from __future__ import annotations

import httpx

from mainstay.domain.digests import sha256_hex


def test_a_logged_model_is_shown_with_its_files_also_when_it_is_put_away(web: httpx.Client) -> None:
    run = web.post("/runs", json={"name": "train"}).json()["id"]
    body = {"experiment_id": "0", "name": "forest", "source_run_id": run, "params": [{"key": "depth", "value": "6"}]}
    model = web.post("/2.0/mlflow/logged-models", json=body).json()["model"]["info"]["model_id"]
    place = f"/2.0/mlflow-artifacts/artifacts/0/models/{model}/artifacts/MLmodel"
    assert web.put(place, content=b"flavors: {}").status_code == 200

    shown = web.get(f"/logged-models/{model}").json()

    assert (shown["name"], shown["run"], shown["params"]) == ("forest", run, {"depth": "6"})
    assert [(file["path"], file["digest"]) for file in shown["artifacts"]] == [("MLmodel", sha256_hex(b"flavors: {}"))]
    web.delete(f"/2.0/mlflow/logged-models/{model}")
    assert web.get(f"/logged-models/{model}").json()["deleted_at"] is not None
    assert web.get("/logged-models/m-nothing").status_code == 404
