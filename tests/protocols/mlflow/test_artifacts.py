# SPDX-License-Identifier: Apache-2.0
"""Files through the unmodified client: sent, listed, fetched, replaced; and what is not let through."""

from __future__ import annotations

import hashlib
import http.client
import json
import os
from pathlib import Path

import httpx
import pytest

from ..conftest import Served, talk

FILES = """
import hashlib, json, os, tempfile, mlflow
client = mlflow.MlflowClient()
folder = tempfile.mkdtemp()
os.makedirs(folder + "/tree/deep")
open(folder + "/tree/deep/ü b.bin", "wb").write(b"\\x00\\xff" * 10)
open(folder + "/a.txt", "w").write("hello")
with mlflow.start_run() as run:
    mlflow.log_artifact(folder + "/a.txt")
    mlflow.log_artifacts(folder + "/tree", "tree")
    mlflow.log_text("first", "notes/n.txt")
    mlflow.log_text("second", "notes/n.txt")
    mlflow.log_table({"q": ["a"]}, "t.json")
    mlflow.log_table({"q": ["b"]}, "t.json")
identity = run.info.run_id
dot = mlflow.artifacts.download_artifacts(run_id=identity, artifact_path=".", dst_path=tempfile.mkdtemp())
got = mlflow.artifacts.download_artifacts(run_id=identity, artifact_path="", dst_path=tempfile.mkdtemp())
print(json.dumps({
    "id": identity,
    "experiment": run.info.experiment_id,
    "root": [(f.path, f.is_dir, f.file_size) for f in client.list_artifacts(identity)],
    "deep": [(f.path, f.is_dir, f.file_size) for f in client.list_artifacts(identity, "tree/deep")],
    "of a file": [f.path for f in client.list_artifacts(identity, "a.txt")],
    "text": mlflow.artifacts.load_text(run.info.artifact_uri + "/notes/n.txt"),
    "bytes": open(got + "/tree/deep/ü b.bin", "rb").read().hex(),
    "dot": sorted(os.listdir(dot)),
    "rows": len(mlflow.load_table("t.json", run_ids=[identity])),
}))
"""

# What was let through elsewhere, in every spelling; see the advisories on MLflow's artifact handlers.
CLIMBING = [
    "../secret", "a/../../secret", "..", "%2e%2e/secret", "%252e%252e/secret", "%25252e%25252e/secret", "..%2fsecret",
    "..%252fsecret", "a\\..\\secret", "a%5c..%5csecret", "/etc/passwd", "//proc/self/cwd/etc/passwd", "%2fetc%2fpasswd",
    "file:///etc/passwd", "a\x00b", "a%00b", "a#/../../secret", "#/../..//etc/passwd", "C:/secret", "a//b", "\u202ea",
    "%" + "25" * 20 + "2e",
]  # fmt: skip


@pytest.fixture(scope="module")
def files(served):
    return talk(served.url, FILES)


def place(files, path: str) -> str:
    return f"/api/2.0/mlflow-artifacts/artifacts/{files['experiment']}/{files['id']}/artifacts/{path}"


def test_what_a_script_keeps_is_listed_and_fetched(files) -> None:
    names = [(path, is_dir) for path, is_dir, _ in files["root"]]

    assert names == [("a.txt", False), ("notes", True), ("t.json", False), ("tree", True)]
    assert files["root"][0][2] == 5
    assert files["deep"] == [["tree/deep/ü b.bin", False, 20]]
    assert files["of a file"] == []
    assert files["bytes"] == "00ff" * 10
    assert files["dot"] == ["a.txt", "notes", "t.json", "tree"]


def test_the_same_path_again_means_the_newer_bytes(files) -> None:
    assert files["text"] == "second"
    assert files["rows"] == 2


def test_a_file_of_the_client_is_an_artifact_of_the_run(served, files) -> None:
    artifacts = served.ask("GET", f"/api/runs/{files['id']}").json()["artifacts"]

    found = {artifact["path"]: artifact for artifact in artifacts}
    assert found["a.txt"] == {
        "path": "a.txt",
        "digest": hashlib.sha256(b"hello").hexdigest(),
        "size": 5,
        "media_type": "text/plain",
    }


def test_a_part_of_a_file_can_be_asked_for(served, files) -> None:
    reply = served.ask("GET", place(files, "a.txt"), headers={"Range": "bytes=1-3"})

    assert (reply.status_code, reply.content) == (206, b"ell")
    assert reply.headers["content-range"] == "bytes 1-3/5"
    assert reply.headers["etag"] == f'"{hashlib.sha256(b"hello").hexdigest()}"'


def test_a_page_among_the_files_is_never_shown_as_one(served, files) -> None:
    served.ask("PUT", place(files, "page.html"), content=b"<script>alert(1)</script>")

    for path in (place(files, "page.html"), f"/get-artifact?run_id={files['id']}&path=page.html"):
        reply = served.ask("GET", path)
        assert reply.content == b"<script>alert(1)</script>"
        assert reply.headers["content-disposition"].startswith("attachment")
        assert reply.headers["x-content-type-options"] == "nosniff"
        assert reply.headers["content-security-policy"].startswith("sandbox")


def test_a_file_can_be_forgotten(served, files) -> None:
    served.ask("PUT", place(files, "gone/one.txt"), content=b"1")
    served.ask("PUT", place(files, "gone/two.txt"), content=b"2")
    served.ask("PUT", place(files, "gone.txt"), content=b"3")

    assert served.ask("DELETE", place(files, "gone")).status_code == 200

    assert served.ask("GET", place(files, "gone/one.txt")).status_code == 404
    assert served.ask("GET", place(files, "gone.txt")).content == b"3"


@pytest.mark.parametrize("path", CLIMBING)
def test_a_path_that_climbs_or_hides_is_refused_wherever_it_is_sent(served, files, path: str) -> None:
    run, model = files["id"], "m-" + "0" * 32
    asked = [
        served.ask("GET", "/api/2.0/mlflow/artifacts/list", params={"run_id": run, "path": path}),
        served.ask("GET", "/get-artifact", params={"run_id": run, "path": path}),
        served.ask("GET", "/api/2.0/mlflow-artifacts/artifacts", params={"path": path}),
        served.ask(
            "POST", "/ajax-api/2.0/mlflow/upload-artifact", params={"run_uuid": run, "path": path}, content=b"x"
        ),
        served.ask(
            "GET", f"/ajax-api/2.0/mlflow/logged-models/{model}/artifacts/files", params={"artifact_file_path": path}
        ),
    ]

    for reply in asked:
        assert (reply.status_code, reply.json()) == (
            400,
            {"error_code": "INVALID_PARAMETER_VALUE", "message": "Invalid path"},
        )


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE"])
@pytest.mark.parametrize(
    "raw",
    [
        "..%2f..%2f..%2fetc%2fpasswd", "%2e%2e/%2e%2e/secret", "%252e%252e%252fsecret", "a%5c..%5c..%5csecret", "%2fetc/passwd",
        "a%00b", "a%23/../secret", "x/%2e%2e/%2e%2e/%2e%2e/other",
    ],
)  # fmt: skip
def test_an_address_that_climbs_reaches_no_file(served, files, method: str, raw: str) -> None:
    # Written by hand: a client library would tidy the address up before it is sent.
    url = httpx.URL(served.url)
    connection = http.client.HTTPConnection(url.host, url.port, timeout=60)
    headers = {"Authorization": f"Bearer {served.token}"}
    connection.request(method, place(files, raw), body=b"x" if method == "PUT" else None, headers=headers)
    reply = connection.getresponse()
    told = json.loads(reply.read())
    connection.close()

    assert reply.status in (400, 404)
    assert told["error_code"] in ("INVALID_PARAMETER_VALUE", "ENDPOINT_NOT_FOUND")
    assert not [path for path in Path(served.folder).rglob("*") if path.name in ("secret", "other")]


@pytest.mark.parametrize(
    "path", ["", "x", "0", "0/x", "etc/passwd", "0/models", "0/traces/t/x", "other/run/artifacts/x"]
)
def test_nothing_is_kept_at_a_place_of_the_clients_choice(served, path: str) -> None:
    reply = served.ask("PUT", f"/api/2.0/mlflow-artifacts/artifacts/{path}", content=b"x")

    assert reply.status_code in (400, 404)
    assert reply.json()["error_code"] in ("INVALID_PARAMETER_VALUE", "ENDPOINT_NOT_FOUND")


def test_a_file_belongs_to_the_experiment_of_its_run(served, files) -> None:
    path = f"/api/2.0/mlflow-artifacts/artifacts/99/{files['id']}/artifacts/a.txt"

    replies = [served.ask("GET", path), served.ask("PUT", path, content=b"x"), served.ask("DELETE", path)]

    assert [reply.status_code for reply in replies] == [404] * 3


def test_a_damaged_file_is_not_shown(served: Served, files) -> None:
    digest = hashlib.sha256(b"to be damaged").hexdigest()
    served.ask("PUT", place(files, "damaged.bin"), content=b"to be damaged")
    blob = served.folder / "blobs" / digest[:2] / digest
    os.chmod(blob, 0o600)
    blob.write_bytes(b"to be damagee")

    reply = served.ask("GET", place(files, "damaged.bin"))

    assert (reply.status_code, reply.json()["error_code"]) == (422, "DATA_LOSS")


def test_what_is_not_answered_says_why(served, files) -> None:
    reply = served.ask(
        "GET", f"/api/2.0/mlflow-artifacts/presigned/{files['experiment']}/{files['id']}/artifacts/a.txt"
    )

    assert (reply.status_code, reply.json()["error_code"]) == (501, "NOT_IMPLEMENTED")


def test_a_large_file_goes_through_a_small_memory(served: Served, files) -> None:
    size, block = 96 << 20, os.urandom(1 << 20)

    def sent():
        for _ in range(size // len(block)):
            yield block

    before = peak(served)
    served.ask("PUT", place(files, "large.bin"), content=sent())
    with httpx.stream(
        "GET",
        served.url + place(files, "large.bin"),
        headers={"Authorization": f"Bearer {served.token}"},
        trust_env=False,
    ) as reply:
        received = sum(len(chunk) for chunk in reply.iter_bytes())

    assert received == size
    assert peak(served) - before < 48 << 20


def peak(served: Served) -> int:
    """The most memory that the server ever held, in bytes."""
    status = Path(f"/proc/{served.process.pid}/status").read_text()
    return next(int(line.split()[1]) * 1024 for line in status.splitlines() if line.startswith("VmHWM"))
