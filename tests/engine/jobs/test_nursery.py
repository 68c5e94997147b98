# SPDX-License-Identifier: Apache-2.0
"""A nursery: its children are what fresh interpreters would be, and none outlives who asked for it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from mainstay.engine.jobs import nursery as nurseries
from mainstay.engine.jobs.nursery import CAN_SERVE, Nursery, Offspring

pytestmark = pytest.mark.skipif(not CAN_SERVE, reason="this system has no nursery")

TOLD = """
import json, os, sys, numpy
print(json.dumps({"environment": dict(os.environ), "folder": os.getcwd(), "arguments": sys.argv, "path": sys.path[0],
    "drawn": numpy.random.random(), "loaded": "colorsys" in sys.modules, "leads": os.getsid(0) == os.getpid()}))
"""
LIMIT_S = 60


@pytest.fixture
def make(tmp_path: Path) -> Iterator[Any]:
    made = []

    def make(**how: Any) -> Nursery:
        own = {name: os.environ[name] for name in ("PATH", "PYTHONPATH") if name in os.environ}
        made.append(Nursery(modules=("numpy", "colorsys", "none.such"), environment=own, folder=tmp_path, **how))
        made[-1].prepare()
        return made[-1]

    yield make
    for each in made:
        each.stop()


def begin(nursery: Nursery, code: str, folder: Path, **environment: str) -> tuple[Offspring, int]:
    """A child, and where to read what it prints."""
    heard, said = os.pipe()
    nothing = os.open(os.devnull, os.O_RDWR)
    child = nursery.begin(code, environment=environment, folder=folder, descriptors=(nothing, said, nothing))
    for each in (said, nothing):
        os.close(each)
    assert child is not None
    return child, heard


def all_of(heard: int) -> str:
    with open(heard) as stream:
        return stream.read()


def is_alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] not in "ZX"
    except OSError:
        return False


def wait_for_end(pid: int) -> None:
    deadline = time.monotonic() + LIMIT_S  # the kernel delivers a signal when it gets to it
    while is_alive(pid) and time.monotonic() < deadline:
        time.sleep(0.01)
    assert not is_alive(pid)


def test_a_child_has_what_it_was_given_and_nothing_else(make: Any, tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()

    child, heard = begin(make(), TOLD, elsewhere, GIVEN="yes")
    told = json.loads(all_of(heard))

    assert child.wait(LIMIT_S) == 0
    assert told["environment"] == {"GIVEN": "yes"}
    assert (told["folder"], told["path"], told["arguments"]) == (str(elsewhere), str(tmp_path), ["-c"])
    assert told["loaded"] and told["leads"]


def test_two_children_do_not_draw_the_same_numbers(make: Any, tmp_path: Path) -> None:
    nursery = make()

    drawn = {json.loads(all_of(begin(nursery, TOLD, tmp_path)[1]))["drawn"] for _ in range(2)}

    assert len(drawn) == 2


@pytest.mark.parametrize(
    ("code", "ends"),
    [("raise SystemExit(3)", 3), ("1 / 0", 1), ("import os, signal; os.kill(os.getpid(), signal.SIGKILL)", -9)],
)
def test_how_a_child_ended_is_told(code: str, ends: int, make: Any, tmp_path: Path) -> None:
    child, _ = begin(make(), code, tmp_path)

    assert child.wait(LIMIT_S) == ends == child.poll()


def test_a_child_can_be_waited_for_and_ended(make: Any, tmp_path: Path) -> None:
    child, _ = begin(make(), "import time; time.sleep(1000)", tmp_path)

    with pytest.raises(subprocess.TimeoutExpired):
        child.wait(0.01)
    child.terminate()

    assert child.wait(LIMIT_S) == -signal.SIGTERM


def test_the_number_of_a_dead_child_is_kept_until_its_user_lets_go(make: Any, tmp_path: Path) -> None:
    child, _ = begin(make(), "", tmp_path)
    child.wait(LIMIT_S)

    os.kill(child.pid, 0)  # raises if it were gone
    child.close()
    deadline = time.monotonic() + LIMIT_S
    while Path(f"/proc/{child.pid}").exists() and time.monotonic() < deadline:
        time.sleep(0.01)

    assert not Path(f"/proc/{child.pid}").exists()


@pytest.mark.parametrize("alone", [False, True])
def test_what_a_child_left_behind_ends_with_it_where_that_is_wanted(alone: bool, make: Any, tmp_path: Path) -> None:
    code = "import os, time\npid = os.fork()\nif not pid: time.sleep(1000)\nprint(pid, flush=True)\nos._exit(0)"
    child, heard = begin(make(alone=alone), code, tmp_path)
    left = int(os.read(heard, 100))
    child.wait(LIMIT_S)

    child.close()

    if alone:
        wait_for_end(left)
    else:
        assert is_alive(left)
        os.kill(left, signal.SIGKILL)


def test_children_end_with_their_nursery(make: Any, tmp_path: Path) -> None:
    nursery = make()
    child, _ = begin(nursery, "import time; time.sleep(1000)", tmp_path)

    nursery.stop()

    assert child.wait(LIMIT_S) == -signal.SIGKILL
    wait_for_end(child.pid)


def test_a_nursery_whose_libraries_are_older_than_the_packages_serves_no_more(
    make: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    packages = tmp_path / "site-packages"
    packages.mkdir()
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(packages), os.environ.get("PYTHONPATH", "")]))
    nursery = make()
    assert begin(nursery, "", tmp_path)[0].wait(LIMIT_S) == 0

    (packages / "fresh.py").touch()

    assert nursery.begin("", environment={}, folder=tmp_path, descriptors=(0, 1, 2)) is None
    nursery.prepare()
    assert begin(nursery, "", tmp_path)[0].wait(LIMIT_S) == 0


def test_an_order_that_is_too_large_is_for_a_fresh_interpreter(make: Any, tmp_path: Path) -> None:
    nursery = make()

    assert nursery.begin("#" * 2**18, environment={}, folder=tmp_path, descriptors=(0, 1, 2)) is None
    assert begin(nursery, "", tmp_path)[0].wait(LIMIT_S) == 0


def test_a_nursery_ends_with_its_user(tmp_path: Path) -> None:
    code = (
        "import os, pathlib\nfrom mainstay.engine.jobs.nursery import Nursery\n"
        "n = Nursery(modules=(), environment=dict(os.environ), folder=pathlib.Path.cwd())\n"
        "n.prepare(); print(n._process.pid, flush=True); os._exit(0)"
    )

    told = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, stdout=subprocess.PIPE, check=True)

    wait_for_end(int(told.stdout))


def test_where_there_is_no_nursery_a_fresh_interpreter_is_asked_for(
    make: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(nurseries, "CAN_SERVE", False)

    assert make().begin("", environment={}, folder=tmp_path, descriptors=(0, 1, 2)) is None
