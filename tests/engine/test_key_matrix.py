# SPDX-License-Identifier: Apache-2.0
"""The two projects in which cache keys of other tools were looked at: of 28 edits that change a result, none may be missed.

The step there is a plain function; here it is made a step from outside.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from mainstay.engine import keys, project
from mainstay.engine.arguments import Resolved
from mainstay.engine.steps import Options, Step

STEP = '''
import os
import operator
import shared
from shared import scale, Scaler
from deco import traced

RATE = 0.1
TABLE = {"double": lambda v: v * 2}


def local_helper(v):
    return v + 1


def make(k):
    def inner(v):
        return v * k
    return inner


closed = make(3)


def step(rows: list, shift: int = 1) -> list:
    """Build features."""
    import late
    out = []
    for v in rows:
        v = local_helper(v) * RATE + shift
        v = scale(v) + shared.offset(v) + closed(v)
        v = TABLE["double"](v) + Scaler().apply(v) + late.tail(v)
        v = traced(v) + getattr(shared, "dyn" + "amic")(v)
        out.append(operator.add(v, float(os.environ.get("BIAS", "0"))))
    return out
'''
SHARED = """
from deep import bottom


def scale(v):
    return bottom(v) / 2


def offset(v):
    return v - 5


def dynamic(v):
    return v


class Base:
    def base(self, v):
        return v


class Scaler(Base):
    factor = 4

    def apply(self, v):
        return self.base(v) * self.factor
"""
FILES = {
    "project.py": STEP,
    "shared.py": SHARED,
    "deep.py": "def bottom(v):\n    return v ** 2\n",
    "late.py": "def tail(v):\n    return v - 1\n",
    "deco.py": (
        "import functools\n\n\ndef trace(fn):\n    @functools.wraps(fn)\n    def wrapper(*a):\n"
        "        return fn(*a) + 0\n    return wrapper\n\n\n@trace\ndef traced(v):\n    return v\n"
    ),
}
EDITS = {  # name: (must re-run, file, old, new)
    "comment added": (False, "project.py", "    out = []\n", "    # collect\n    out = []\n"),
    "docstring edited": (False, "project.py", "Build features.", "Build the features."),
    "reformatted": (False, "project.py", "    out = []\n", "    out = [\n    ]\n"),
    "function added above": (False, "project.py", "def make(k):", "def unrelated():\n    return 0\n\n\ndef make(k):"),
    "comment in helper": (False, "shared.py", "    return v - 5\n", "    # five\n    return v - 5\n"),
    "unused helper edited": (False, "project.py", "def make(k):", "def unrelated2():\n    return 1\n\n\ndef make(k):"),
    "step body": (True, "project.py", "rows:\n        v = ", "rows:\n        v = 2 * "),
    "default argument": (True, "project.py", "shift: int = 1", "shift: int = 2"),
    "module constant": (True, "project.py", "RATE = 0.1", "RATE = 0.2"),
    "helper, same file": (True, "project.py", "return v + 1", "return v + 2"),
    "lambda in a dict": (True, "project.py", "v * 2}", "v * 3}"),
    "closure value": (True, "project.py", "make(3)", "make(4)"),
    "helper, from import": (True, "shared.py", "bottom(v) / 2", "bottom(v) / 3"),
    "helper, module.attr": (True, "shared.py", "v - 5", "v - 6"),
    "helper, two deep": (True, "deep.py", "** 2", "** 3"),
    "class method": (True, "shared.py", "* self.factor", "+ self.factor"),
    "class attribute": (True, "shared.py", "factor = 4", "factor = 5"),
    "base class method": (True, "shared.py", "base(self, v):\n        return v", "base(self, v):\n        return -v"),
    "import inside step": (True, "late.py", "v - 1", "v - 2"),
    "decorator of helper": (True, "deco.py", "fn(*a) + 0", "fn(*a) + 1"),
    "decorated helper": (True, "deco.py", "def traced(v):\n    return v", "def traced(v):\n    return -v"),
    "getattr dispatch": (True, "shared.py", "def dynamic(v):\n    return v", "def dynamic(v):\n    return -v"),
}

HELD_STEP = """
import functools
import enum
from dataclasses import dataclass
from star import *
import pk
from pk import reexported
import registry as reg


class Mode(enum.Enum):
    FAST = 1


@dataclass
class Conf:
    rate: float = 0.5


CONF = Conf()
instance = pk.Cleaner()
half = functools.partial(pk.divide, k=2)
SETTINGS = {"cols": ["a", "b"]}


def step(rows: list) -> list:
    def nested(v):
        return reexported(v) + CONF.rate
    out = [nested(v) for v in rows]
    out = [half(v) + instance.clean(v) + starred(v) for v in out]
    out = [f(v) for v in out for f in reg.ALL.values()]
    out = [v + Mode.FAST.value + len(SETTINGS["cols"]) for v in out]
    return [pk.inner.relative_user(v) for v in out]
"""
HELD_FILES = {
    "project.py": HELD_STEP,
    "star.py": "def starred(v):\n    return v * 7\n",
    "registry.py": (
        "ALL = {}\n\n\ndef register(f):\n    ALL[f.__name__] = f\n    return f\n\n\n"
        "@register\ndef plug(v):\n    return v\n"
    ),
    "pk/__init__.py": (
        "from .inner import reexported\nfrom . import inner\n\n\ndef divide(v, k):\n    return v / k\n\n\n"
        "class Cleaner:\n    def clean(self, v):\n        return v\n"
    ),
    "pk/inner.py": (
        "from .leaf import leaf\nSCALE = 3\n\n\ndef reexported(v):\n    return leaf(v)\n\n\n"
        "def relative_user(v):\n    from .late2 import tail2\n    return tail2(v) * SCALE\n"
    ),
    "pk/leaf.py": "def leaf(v):\n    return v\n",
    "pk/late2.py": "def tail2(v):\n    return v\n",
}
HELD_EDITS = {
    "star import": (True, "star.py", "v * 7", "v * 8"),
    "re-exported helper": (True, "pk/leaf.py", "return v", "return -v"),
    "method of global instance": (True, "pk/__init__.py", "        return v\n", "        return -v\n"),
    "partial's function": (True, "pk/__init__.py", "v / k", "v // k"),
    "partial's argument": (True, "project.py", "k=2", "k=3"),
    "nested function": (True, "project.py", "+ CONF.rate", "- CONF.rate"),
    "dataclass default": (True, "project.py", "rate: float = 0.5", "rate: float = 0.6"),
    "enum value": (True, "project.py", "FAST = 1", "FAST = 2"),
    "nested settings": (True, "project.py", '["a", "b"]', '["a", "b", "c"]'),
    "registered plug-in": (True, "registry.py", "def plug(v):\n    return v", "def plug(v):\n    return -v"),
    "relative import inside": (True, "pk/late2.py", "return v", "return -v"),
    "constant of sub-module": (True, "pk/inner.py", "SCALE = 3", "SCALE = 4"),
    "comment, three deep": (False, "pk/leaf.py", "    return v", "    # same\n    return v"),
    "unrelated class in package": (False, "pk/__init__.py", "def divide", "class Other:\n    pass\n\n\ndef divide"),
}
# What a key over whole files cannot tell from an edit that matters: it says so, and somebody may accept the result.
BESIDE = {"function added above", "unused helper edited", "unrelated class in package"}


def key_of(folder: Path, files: dict[str, str]) -> str:
    folder.mkdir()
    (folder / "mainstay.toml").touch()
    for name, text in files.items():
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text(text)
    file = folder / "project.py"
    step = Step(project.import_file(file).step, Options(), (file,))
    closures = keys.Closures(root=folder, entry=file)
    return keys.for_call(step, Resolved(tree={}, inputs={}, params={}), closures, seed=0).key


@pytest.mark.parametrize(
    ("files", "edit"),
    [
        *(pytest.param(FILES, edit, id=name) for name, edit in EDITS.items()),
        *(pytest.param(HELD_FILES, edit, id=name) for name, edit in HELD_EDITS.items()),
    ],
)
def test_an_edit_changes_the_key_if_and_only_if_it_can_change_the_result(tmp_path, make_project, request, files, edit):
    must, file, old, new = edit
    assert old in files[file]

    before = key_of(tmp_path / "before", files)
    after = key_of(tmp_path / "after", files | {file: files[file].replace(old, new, 1)})

    is_beside = any(f"[{name}]" in request.node.name for name in BESIDE)
    assert (before != after) == (must or is_beside)


def test_the_matrix_has_28_edits_that_matter():
    assert sum(must for must, *_ in [*EDITS.values(), *HELD_EDITS.values()]) == 28
