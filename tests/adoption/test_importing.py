# SPDX-License-Identifier: Apache-2.0
"""A real MLflow store, written by MLflow itself, is brought here from its database, its folder and its server."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from mainstay.adoption import importing
from mainstay.adoption.history import Source
from mainstay.adoption.mlflow import open_source, whence
from mainstay.client.session import Session, connect
from mainstay.domain.errors import Invalid, NotFound, Unavailable
from tests.protocols.conftest import python_of

WRITTEN = """
import mlflow
from mlflow import MlflowClient
client = MlflowClient()
alpha = mlflow.create_experiment("alpha", tags={"team": "growth"})
client.delete_experiment(mlflow.create_experiment("gone"))
for number in range(3):
    with mlflow.start_run(experiment_id=alpha, run_name=f"run {number}") as run:
        mlflow.log_params({"depth": number, "rate": 0.1})
        for step in range(20):
            mlflow.log_metric("loss", float("nan") if step == 3 else 1 / (step + 1), step=step)
        mlflow.log_metric("eval/auc", 0.7 + number / 100)
        mlflow.log_text("hello", "notes/a b.txt")
        with mlflow.start_run(experiment_id=alpha, nested=True, run_name="child"):
            mlflow.log_metric("x", 1)
try:
    with mlflow.start_run(experiment_id=alpha, run_name="fails"):
        raise ValueError
except ValueError:
    pass
client.delete_run(client.create_run(alpha).info.run_id)
client.create_registered_model("toy", tags={"t": "1"}, description="a toy")
for path in ("model", "notes", "nothing"):
    client.create_model_version("toy", f"runs:/{run.info.run_id}/{path}", run.info.run_id)
client.delete_model_version("toy", "1")
client.set_registered_model_alias("toy", "champion", 2)
print(run.info.run_id)
"""

THERE = importing.Count(experiments=3, runs=8, points=66, files=3, logged_models=0, models=1, versions=2, aliases=1)


def write(uri: str, folder: Path, client: str = "mlflow") -> str:
    """Have MLflow write its store; the id of its last run with files."""
    told = {**os.environ, "MLFLOW_TRACKING_URI": uri, "MLFLOW_DISABLE_TELEMETRY": "true", "GIT_PYTHON_REFRESH": "quiet"}
    command = [python_of(client), "-c", WRITTEN]
    done = subprocess.run(command, cwd=folder, env=told, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout.split()[-1]


@pytest.fixture(scope="module")
def database(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, str]:
    """The address of a database, and a run in it."""
    folder = tmp_path_factory.mktemp("mlflow")
    return f"sqlite:///{folder}/mlflow.db", write(f"sqlite:///{folder}/mlflow.db", folder)


@pytest.fixture
def session(tmp_path: Path) -> Iterator[Session]:
    made = connect(workspace=tmp_path / ".mainstay")
    yield made
    made.close()


def test_everything_of_a_database_is_here_and_counted(database: tuple[str, str], session: Session) -> None:
    url, run = database

    report = importing.bring(open_source(url), session)

    assert report.is_whole, report.left_out
    assert report.there == THERE
    found = session.get(f"/runs/{run}")
    assert found["params"] == {"depth": "2", "rate": "0.1"}
    assert found["metrics"]["eval/auc"] == 0.72
    assert found["state"] == "succeeded"
    assert found["tags"]["mainstay.imported_from"] == "mlflow database mlflow.db"
    points = session.get(f"/runs/{run}/metrics/loss")["points"]
    assert [point["step"] for point in points] == list(range(20))
    assert points[3]["value"] is None
    (file,) = found["artifacts"]
    assert file["path"] == "notes/a b.txt"
    assert session.get_blob(file["digest"]) == b"hello"
    model = session.get("/models/toy")
    assert (model["aliases"], [version["number"] for version in model["versions"]]) == ({"champion": 2}, [3, 2])
    assert [version["is_reference"] for version in model["versions"]] == [True, False]
    children = [each for each in session.get("/runs", parent=run)["items"]]
    assert [child["name"] for child in children] == ["child"]
    assert session.get("/audit/verify")["ok"]


def test_an_import_that_is_repeated_brings_what_is_new_and_changes_nothing_else(
    database: tuple[str, str], session: Session
) -> None:
    importing.bring(open_source(database[0]), session)
    before = session.get(f"/runs/{database[1]}")
    events = session.get("/events", limit=1)["items"][0]["seq"]

    report = importing.bring(open_source(database[0]), session)

    assert report.is_whole
    assert session.get(f"/runs/{database[1]}") == before
    # What an import says of itself, once an experiment; no run, model or version is told of twice.
    assert session.get("/events", limit=1)["items"][0]["seq"] == events + THERE.experiments


def test_an_import_that_was_cut_off_goes_on(database: tuple[str, str], session: Session) -> None:
    class Killed(Exception):
        pass

    def die(kind: str, name: str) -> None:
        if name == "run 1":
            raise Killed

    source = open_source(database[0])

    with pytest.raises(Killed):
        importing.bring(source, session, tell=die)

    assert session.get("/imports/count", source=source.name)["runs"] < THERE.runs

    assert importing.bring(source, session).is_whole


def test_a_folder_of_an_older_mlflow_is_read_file_by_file(tmp_path: Path, session: Session) -> None:
    write(str(tmp_path / "mlruns"), tmp_path, "mlflow-old")

    report = importing.bring(open_source(str(tmp_path / "mlruns")), session)

    assert report.is_whole, report.left_out
    assert report.there == THERE


def test_a_server_is_read_page_by_page(tmp_path: Path, session: Session, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mainstay.adoption.mlflow.server._PAGE", 3)
    monkeypatch.setattr("mainstay.adoption.mlflow.server._PAGE_OF_POINTS", 7)
    with mlflow_server(tmp_path) as url:
        write(url, tmp_path)

        report = importing.bring(open_source(url), session)

    assert report.is_whole, report.left_out
    assert report.there == THERE


def test_files_that_cannot_be_reached_are_named_and_the_rest_is_brought(
    database: tuple[str, str], session: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = open_source(database[0])

    def away(owner: object, path: str, into: Path) -> None:
        raise Unavailable("file 'x' cannot be read: gone.")

    monkeypatch.setattr(source, "fetch", away)
    report = importing.bring(source, session)

    assert not report.is_whole
    assert "gone" in report.left_out[0]
    assert report.here.runs == THERE.runs


def test_what_is_on_record_here_is_not_overwritten(database: tuple[str, str], session: Session) -> None:
    session.post("/models", {"name": "toy"})
    session.post("/models/toy/references", {"source": "s3://elsewhere/1"})
    session.post("/models/toy/references", {"source": "s3://elsewhere/2"})

    report = importing.bring(open_source(database[0]), session)

    assert any("toy/2" in sentence and "left as it is" in sentence for sentence in report.left_out)
    assert session.get("/models/toy/versions/2")["source"] == "s3://elsewhere/2"


@pytest.mark.parametrize(
    ("where", "error", "words"),
    [
        ("nowhere.db", NotFound, "there is nothing at"),
        ("s3://bucket/mlflow", Invalid, "cannot be imported"),
        ("sqlite:///nowhere/at/all.db", Unavailable, "cannot be read"),
    ],
)
def test_what_is_no_source_is_refused_with_a_sentence(where: str, error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=words):
        open_source(where)


def test_a_folder_or_database_of_something_else_is_refused(tmp_path: Path) -> None:
    with pytest.raises(Invalid, match="holds no experiment"):
        open_source(str(tmp_path))
    (tmp_path / "empty.db").write_bytes(b"")
    with pytest.raises(Invalid, match="has no table"):
        open_source(str(tmp_path / "empty.db"))


@pytest.mark.parametrize(
    ("origin", "found"),
    [
        (f"models:/m-{'a' * 32}", (None, None, f"m-{'a' * 32}")),
        (f"runs:/{'b' * 32}/some/model", ("b" * 32, "some/model", None)),
        (f"mlflow-artifacts:/1/{'b' * 32}/artifacts/model", ("b" * 32, "model", None)),
        (f"/srv/mlruns/1/{'b' * 32}/artifacts", ("b" * 32, "", None)),
        ("s3://bucket/model", ("run", None, None)),
    ],
)
def test_where_a_version_comes_from_is_read_from_its_source(origin: str, found: tuple[str | None, ...]) -> None:
    assert tuple(whence(origin, "run" if origin.startswith("s3") else None)) == found


@contextlib.contextmanager
def mlflow_server(folder: Path) -> Iterator[str]:
    """MLflow's own server, one worker, until the block ends."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [Path(python_of("mlflow")).with_name("mlflow"), "server", "--port", str(port), "--workers", "1"]
    told = {**os.environ, "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false", "MLFLOW_DISABLE_TELEMETRY": "true"}
    with (folder / "server.log").open("wb") as said:
        process = subprocess.Popen(command, cwd=folder, env=told, stdout=said, stderr=said, start_new_session=True)
    try:
        end = time.monotonic() + 120
        while True:
            with contextlib.suppress(httpx.TransportError):
                httpx.get(f"http://127.0.0.1:{port}/health", trust_env=False).raise_for_status()
                break
            assert process.poll() is None and time.monotonic() < end, (folder / "server.log").read_text()[-2000:]
            time.sleep(0.2)
        yield f"http://127.0.0.1:{port}"
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait(timeout=20)


def test_every_source_offers_what_an_import_asks_for(database: tuple[str, str]) -> None:
    source: Source = open_source(database[0])

    assert [each.name for each in source.experiments()] == ["Default", "alpha", "gone"]
    source.close()
