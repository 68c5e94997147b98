# SPDX-License-Identifier: Apache-2.0
"""Steps in the cells of a notebook: keyed by what their names stand for, in a real IPython."""

from __future__ import annotations

import sys
import textwrap
import types
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from mainstay.engine.pipelines import Pipeline

Run = Callable[[str], Any]

SETUP = """
    import functools
    from dataclasses import dataclass
    import polars as pl
    from mainstay.engine.steps import step
    from mainstay.engine.pipelines import pipeline
"""
CELLS = {
    "rate": "RATE = 2",
    "table": "TABLE = pl.DataFrame({'x': [1, 2]})",
    "helper": "def helper(x):\n    'Doubled.'\n    return x * RATE",
    "plan": "@dataclass\nclass Plan:\n    floor: int = 1\n    def lift(self, x):\n        return x + self.floor\nPLAN = Plan()",
    "partial": "half = functools.partial(max, 3)",
    "step": "@step\ndef fare(kg: int) -> int:\n    return PLAN.lift(helper(kg)) + TABLE['x'].sum() + half(0)",
    "flow": "@pipeline\ndef flow(kg: int = 7):\n    fare(kg)",
}


@pytest.fixture(scope="module")
def shell() -> Iterator[Any]:
    """IPython without a terminal, whose names are those of its ``__main__`` as in a notebook."""
    from IPython.core.interactiveshell import InteractiveShell

    main = types.ModuleType("__main__")
    yield InteractiveShell(user_module=main, user_ns=vars(main))
    InteractiveShell.clear_instance()


@pytest.fixture
def notebook(shell: Any, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Runs a cell."""
    monkeypatch.setitem(sys.modules, "__main__", shell.user_module)

    def run(cell: str) -> Any:
        shell.run_cell(textwrap.dedent(cell)).raise_error()
        return vars(shell.user_module)

    return run


def open_notebook(notebook: Run) -> Pipeline[..., Any]:
    notebook(SETUP)
    for cell in CELLS.values():
        names = notebook(cell)
    return names["flow"]


def told(flow: Pipeline[..., Any], platform: Any) -> tuple[str, bytes]:
    done = flow.run(platform)
    return done.steps[-1].state, bytes(platform.blobs[done.steps[-1].outputs["value"].digest])


def test_a_notebook_that_is_run_again_is_a_hit(platform, notebook):
    flow = open_notebook(notebook)

    assert told(flow, platform) == ("succeeded", b"21")
    assert told(flow, platform) == ("cached", b"21")
    assert told(open_notebook(notebook), platform) == ("cached", b"21")


@pytest.mark.parametrize(
    "cell",
    [
        "RATE = 3",
        "TABLE = pl.DataFrame({'x': [1, 3]})",
        "def helper(x):\n    return x * RATE + 1",
        "PLAN.floor = 5",
        CELLS["plan"].replace("x + self.floor", "x - self.floor"),
        "half = functools.partial(max, 4)",
        CELLS["step"].replace("half(0)", "half(9)") + "\n" + CELLS["flow"],
    ],
)
def test_whatever_a_cell_changes_is_seen(platform, notebook, cell):
    before = told(open_notebook(notebook), platform)

    flow = notebook(cell)["flow"]

    state, after = told(flow, platform)
    assert state == "succeeded"
    assert after != before[1]


def test_a_docstring_or_comment_in_a_cell_runs_nothing(platform, notebook):
    told(open_notebook(notebook), platform)

    flow = notebook("def helper(x):\n    'Twice.'  # or more\n    return x * RATE")["flow"]

    assert told(flow, platform)[0] == "cached"


def test_what_cannot_be_keyed_is_named_and_the_step_is_not_cached(platform, notebook):
    notebook(SETUP)
    notebook("import threading\nlock = threading.Lock()")
    flow = notebook("@step\ndef fare(kg: int) -> int:\n    with lock:\n        return kg\n\n" + CELLS["flow"])["flow"]
    told(flow, platform)

    (item,) = flow.plan(platform).items

    assert item.sentence == "not cached: it uses 'lock', a lock, which cannot be keyed"
    assert told(flow, platform)[0] == "succeeded"
