# SPDX-License-Identifier: Apache-2.0
"""What a run stands on: read from a real repository, a real notebook shell, and this very machine."""

from __future__ import annotations

import importlib.metadata
import json
import os
import random
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mainstay.client import capture
from mainstay.client.session import connect

GIT = ("git", "-c", "user.name=Ana", "-c", "user.email=ana@example.org")


def run(folder: Path, text: str, **environment: str) -> Any:
    """What a script in ``folder`` prints as JSON."""
    known = {name: value for name, value in os.environ.items() if not name.startswith("MAINSTAY_")}
    path = folder / "train.py"
    path.write_text(textwrap.dedent(text), "utf-8")
    done = subprocess.run(
        [sys.executable, str(path)],
        cwd=folder,
        env={**known, **environment},
        capture_output=True,
        text=True,
        timeout=90,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


def test_packages_are_what_their_descriptions_say() -> None:
    told = {each.metadata["Name"]: each.version for each in importlib.metadata.distributions()}

    assert dict(capture.packages()) == told


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """A project with one commit, one change since, and one file that git does not know."""
    folder = tmp_path / "project"
    (folder / "features").mkdir(parents=True)
    (folder / "features" / "__init__.py").write_text("SCALE = 1\n")
    (folder / "train.py").touch()
    subprocess.run([*GIT, "init", "-q"], cwd=folder, check=True)
    subprocess.run([*GIT, "add", "."], cwd=folder, check=True)
    subprocess.run([*GIT, "commit", "-qm", "first"], cwd=folder, check=True)
    (folder / "features" / "__init__.py").write_text("SCALE = 2\n")
    (folder / "late.py").write_text("DEPTH = 6\n")
    return folder


TRAINING = """
    import json, sys
    import mainstay as ms
    import features
    with ms.run() as run:
        import late
    found = ms.connect().get(f"/runs/{run.id}")
    print(json.dumps(found))
"""


def test_a_run_keeps_commit_difference_and_the_projects_own_files(repository: Path) -> None:
    found = run(repository, TRAINING)

    head = subprocess.run(["git", "rev-parse", "HEAD"], cwd=repository, capture_output=True, text=True).stdout.strip()
    session = connect(workspace=repository / ".mainstay")
    files = {each["path"]: session.get_blob(each["digest"]).decode() for each in found["artifacts"]}
    session.close()
    assert found["name"] == "train"
    assert found["code"] == {"entry": "train.py", "commit": head, "dirty": True}
    assert "-SCALE = 1\n+SCALE = 2\n" in files["code/diff.patch"]
    assert files["code/features/__init__.py"] == "SCALE = 2\n"
    assert files["code/late.py"] == "DEPTH = 6\n"  # was imported while the run went on
    assert files["code/train.py"] == textwrap.dedent(TRAINING)
    assert set(files) == {"code/diff.patch", "code/features/__init__.py", "code/late.py", "code/train.py"}


def test_what_is_turned_off_is_not_kept(repository: Path) -> None:
    found = run(repository, TRAINING, MAINSTAY_CAPTURE_CODE="0", MAINSTAY_CAPTURE_ENVIRONMENT="no")

    assert [found[what] for what in ("code", "environment", "hardware", "seeds", "artifacts")] == [None] * 4 + [[]]


def test_without_a_repository_the_folder_of_the_script_is_the_project(tmp_path: Path) -> None:
    (tmp_path / "features.py").touch()
    (tmp_path / "late.py").write_text("x = 1\n" * 200_000)  # too large to be read by anybody

    found = run(tmp_path, TRAINING)

    assert found["code"] == {"entry": "train.py"}
    assert {each["path"] for each in found["artifacts"]} == {"code/features.py", "code/train.py"}


def test_the_cells_of_a_notebook_are_its_source(tmp_path: Path) -> None:
    found = run(
        tmp_path,
        """
        import json, sys
        from IPython.core.interactiveshell import InteractiveShell
        shell = InteractiveShell.instance()
        for cell in (
            "import mainstay as ms\\nrun = ms.start_run()",
            "ms.log_metric('loss', 0.5)",
            "run.finish(); run.id",
        ):
            result = shell.run_cell(cell, store_history=True)
            result.raise_error()
        session = shell.user_ns["ms"].connect()
        found = session.get(f"/runs/{result.result}")
        newest = [each for each in found["artifacts"] if each["path"] == "code/notebook.py"][-1]
        print(json.dumps([found, session.get_blob(newest["digest"]).decode()]))
        """,
    )

    record, cells = found
    assert (record["name"], record["code"]["entry"], record["metrics"]) == ("notebook", "notebook", {"loss": 0.5})
    assert cells.split("# %%\n")[1:] == [
        "import mainstay as ms\nrun = ms.start_run()\n\n",
        "ms.log_metric('loss', 0.5)\n\n",
        "run.finish(); run.id\n",
    ]


def test_the_environment_is_what_is_installed_and_the_machine_what_it_is() -> None:
    environment, hardware = capture.environment(), capture.hardware()

    assert environment["packages"]["numpy"] == np.__version__
    assert environment["python"].split(".")[:2] == [str(part) for part in sys.version_info[:2]]
    assert hardware["cpus"] == os.cpu_count()
    assert hardware["memory_bytes"] > 1 << 28


def test_equal_states_of_random_numbers_have_equal_digests(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONHASHSEED", "7")
    found = []
    for seed in (3, 3, 4):
        random.seed(seed)
        np.random.seed(seed)
        found.append(capture.seeds())

    assert found[0] == found[1]
    assert found[0]["PYTHONHASHSEED"] == "7"
    assert not {found[0][name] for name in ("random_state", "numpy_state")} & set(found[2].values())
