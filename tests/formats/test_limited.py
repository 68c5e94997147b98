# SPDX-License-Identifier: Apache-2.0
"""The child: whatever a model does in it, the parent gets one sentence."""

from __future__ import annotations

import os
import pickle
import socket
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.neighbors import KNeighborsRegressor

from mainstay import formats
from mainstay.engine.jobs import judge_release
from mainstay.engine.jobs.nursery import CAN_SERVE, Nursery, Offspring
from mainstay.formats import limited

ROWS = np.arange(20.0).reshape(10, 2)


@pytest.fixture(scope="module")
def saved() -> formats.Saved:
    return formats.save(LogisticRegression().fit(ROWS, [0, 1] * 5))


@pytest.fixture(scope="module")
def nursery(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Nursery]:
    ready = judge_release.nursery(tmp_path_factory.mktemp("nursery"))
    ready.prepare()
    yield ready
    ready.stop()


@pytest.fixture(params=["fresh", "forked"])
def run_in_the_child(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, nursery: Nursery) -> Any:
    """What the parent answers if the child, with its limits on, runs ``code`` in place of loading a model."""
    if request.param == "forked" and not CAN_SERVE:
        pytest.skip("this system has no nursery")

    def begin(*args: Any, **kwargs: Any) -> Offspring | None:
        child = nursery.begin(*args, **kwargs)
        assert child is not None  # else this would be a fresh one too
        return child

    def run(code: str, **limits: Any) -> dict[str, Any]:
        monkeypatch.setattr(limited, "_BOOT", limited._BOOT.replace("limited.answer(request)", code))
        how = {"begin": begin} if request.param == "forked" else {}
        return limited.check_in_child("sklearn", {"model.skops": b""}, **limits, **how)

    return run


def is_one_sentence(answer: dict[str, Any]) -> bool:
    error = answer["error"]
    return (
        not answer["ok"] and error.endswith(".") and "\n" not in error and "Traceback" not in error and "/" not in error
    )


def test_a_probe_of_columns_is_scored_with_its_missing_values() -> None:
    import pandas as pd
    from sklearn.ensemble import HistGradientBoostingRegressor

    frame = pd.DataFrame({"carrier": pd.Categorical(["a", "b", None] * 10), "delay": [1.0, np.nan, 3.0] * 10})
    model = HistGradientBoostingRegressor(max_iter=5, min_samples_leaf=2).fit(frame, np.arange(30.0))
    probe = {"delay": np.array([1.0, np.nan]), "carrier": np.array(["a", None], dtype=object)}

    answer = limited.check_in_child("sklearn", formats.save(model).files, probe=probe)

    expected = model.predict(pd.DataFrame({"carrier": pd.Categorical(["a", None]), "delay": probe["delay"]}))
    assert (answer["ok"], answer["columns"], answer["classes"]) == (True, ["carrier", "delay"], None)
    assert answer["scores"] == expected.tolist()


def test_a_pickle_is_not_opened_in_the_child_either(tmp_path: Path) -> None:
    proof = tmp_path / "opened"

    class Payload:
        def __reduce__(self) -> Any:
            return (Path.touch, (proof,))

    answer = limited.check_in_child("sklearn", {"model.skops": pickle.dumps(Payload())})

    assert is_one_sentence(answer)
    assert "not a whole skops archive" in answer["error"]
    assert not proof.exists()


def test_an_unknown_format_and_another_version_are_told_in_the_house_s_words(saved: formats.Saved) -> None:
    unknown = limited.check_in_child("h5", saved.files)
    older = limited.check_in_child("sklearn", saved.files, environment={"scikit-learn": "1.2.0"})

    assert "no model format 'h5'" in unknown["error"]
    assert "saved with scikit-learn 1.2.0" in older["error"]
    assert is_one_sentence(unknown) and is_one_sentence(older)


def test_a_forked_child_answers_as_a_fresh_one(saved: formats.Saved, nursery: Nursery) -> None:
    fresh = limited.check_in_child("sklearn", saved.files, probe=ROWS)
    forked = limited.check_in_child("sklearn", saved.files, probe=ROWS, begin=nursery.begin)

    assert fresh == forked
    assert fresh["ok"]


def test_a_probe_that_does_not_fit_is_a_sentence(saved: formats.Saved) -> None:
    answer = limited.check_in_child("sklearn", saved.files, probe=np.ones((1, 7)))

    assert is_one_sentence(answer)
    assert "expects rows of 2 columns; the table has 7" in answer["error"]


def test_a_model_that_needs_more_memory_than_it_may_have_is_told_so() -> None:
    rows = np.zeros((100_000, 40))
    files = formats.save(KNeighborsRegressor(algorithm="brute").fit(rows, rows[:, 0])).files

    answer = limited.check_in_child("sklearn", files, memory_mb=600)

    assert is_one_sentence(answer)
    assert "needs more than the 600 MB" in answer["error"]
    assert limited.check_in_child("sklearn", files, memory_mb=4096)["ok"]


def test_an_allocation_without_end_stops_at_the_limit(run_in_the_child: Any) -> None:
    code = "kept = []\nwhile True: kept.append(bytearray(2**26))"

    answer = run_in_the_child(code, memory_mb=800)

    assert is_one_sentence(answer)


def test_a_model_that_computes_without_end_is_ended(run_in_the_child: Any) -> None:
    answer = run_in_the_child("while True: pass", seconds=1)

    assert answer == {"ok": False, "error": "the model cannot be used: it needed more than 1 s of processor time."}


def test_a_model_that_waits_without_end_is_ended(run_in_the_child: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limited, "START_S", 1)

    answer = run_in_the_child("import time; time.sleep(1000)", seconds=1)

    assert answer == {"ok": False, "error": "the model hung: it gave no answer within 2 s."}


@pytest.mark.parametrize(
    ("code", "words"),
    [
        ("import ctypes; ctypes.string_at(0)", "segmentation fault"),
        ("import os; os.abort()", "aborted"),
        ("import os, signal; os.kill(os.getpid(), signal.SIGKILL)", "killed"),
        ("raise SystemExit(3)", "ended with code 3"),
        ("print('all is well')", "ended with code 0 before it answered"),
        ("print('[]')", "ended with code 0 before it answered"),
        ("1 / 0", "ended with code 1"),
        ("import sys\nwhile True: sys.stdout.write('x' * 2**20)", "ended with code"),
    ],
)
def test_a_crash_is_a_sentence(code: str, words: str, run_in_the_child: Any) -> None:
    answer = run_in_the_child(code)

    assert is_one_sentence(answer)
    assert words in answer["error"]


def test_the_child_inherits_no_secrets(run_in_the_child: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "hunter2")
    monkeypatch.setenv("PYTHONSTARTUP", "elsewhere.py")

    answer = run_in_the_child("import os; print(json.dumps({'ok': True, 'all': dict(os.environ)}))")

    allowed = {*limited._ENVIRONMENT, "HOME", "TMPDIR", "LD_LIBRARY_PATH", "LC_CTYPE"}
    assert set(answer["all"]) <= allowed
    assert "hunter2" not in str(answer)


def test_the_child_has_no_network_where_it_says_so(run_in_the_child: Any) -> None:
    code = """
import socket
found = {"ok": True, "network": limited._leave_network()}
try:
    socket.create_connection(("127.0.0.1", PORT), timeout=5).close()
    found["reached"] = True
except OSError:
    found["reached"] = False
print(json.dumps(found))
"""
    with socket.create_server(("127.0.0.1", 0)) as server:
        answer = run_in_the_child(code.replace("PORT", str(server.getsockname()[1])))

    assert answer["reached"] == (answer["network"] == "shared")


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="reads the state of a process from /proc")
def test_what_the_child_starts_ends_with_it(run_in_the_child: Any) -> None:
    code = """
import os, time
pid = os.fork()
if not pid:
    time.sleep(1000)
print(json.dumps({"ok": True, "pid": pid}))
"""
    answer = run_in_the_child(code)

    deadline = time.monotonic() + 30  # the signal is sent; the kernel delivers it when it gets to it
    while (state := state_of(answer["pid"])) not in ENDED and time.monotonic() < deadline:
        time.sleep(0.01)
    assert state in ENDED


ENDED = ("gone", "Z", "X")  # a container without an init leaves the dead as zombies


def state_of(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]
    except OSError:
        return "gone"


def test_nothing_is_left_on_the_disk(saved: formats.Saved, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))

    limited.check_in_child("sklearn", saved.files)

    assert os.listdir(tmp_path) == []
