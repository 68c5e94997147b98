# SPDX-License-Identifier: Apache-2.0
"""Finding and importing a user's pipelines, and turning texts into their parameters."""

from __future__ import annotations

from datetime import date
from pathlib import Path
from typing import Literal, Optional

import pytest

from mainstay.domain.errors import Invalid, NotFound
from mainstay.engine import project
from mainstay.engine.code import roots

FLOW = """
    from datetime import date
    from typing import Literal
    import helper
    from mainstay.engine.pipelines import pipeline

    VALUE = helper.VALUE

    def plain():
        pass

    @pipeline
    def flow(until: date, depth: int = 6, mode: Literal["fast", "slow"] = "fast", names: list[str] = (), verbose=False):
        pass
"""


def test_the_root_is_the_nearest_folder_with_a_mainstay_toml(tmp_path):
    (tmp_path / "a" / "b").mkdir(parents=True)
    (tmp_path / "a" / "mainstay.toml").touch()

    assert roots.find_root(tmp_path / "a" / "b") == (tmp_path / "a").resolve()
    assert roots.root_of(tmp_path / "lonely.py") == tmp_path.resolve()


@pytest.mark.parametrize("entry", ["flights.py:flow", "flights:flow"])
def test_an_entry_is_a_file_and_a_function(make_project, entry):
    assert make_project(flights=FLOW, helper="VALUE = 1").load(entry).name == "flow"


def test_a_module_in_a_package_is_imported_as_one(make_project):
    folder = make_project(
        **{
            "pk/__init__": "",
            "pk/flights": FLOW.replace("import helper", "from . import helper"),
            "pk/helper": "VALUE = 1",
        }
    )

    assert folder.load("pk.flights:flow").entry == "pk/flights.py:flow"
    assert folder.load("pk/flights.py:flow").function.__module__ == "pk.flights"


@pytest.mark.parametrize(
    ("entry", "kind", "words"),
    [
        ("flights.py", Invalid, "not of the form file.py:function"),
        ("nowhere.py:flow", NotFound, "there is no file 'nowhere.py'"),
        ("flights.py:flew", NotFound, "no function 'flew'; its pipelines are flow"),
        ("flights.py:plain", Invalid, "'plain' of flights.py is not a pipeline; its pipelines are flow"),
        ("helper.py:flow", NotFound, "it has no pipeline"),
        (
            "broken.py:flow",
            Invalid,
            r"broken.py cannot be imported: ZeroDivisionError: division by zero \(broken.py:1\)",
        ),
        ("syntax.py:flow", Invalid, "syntax.py cannot be imported: SyntaxError"),
        ("leaving.py:flow", Invalid, "leaving.py cannot be imported: SystemExit"),
    ],
)
def test_an_entry_that_is_none_says_why(make_project, entry, kind, words):
    folder = make_project(
        flights=FLOW, helper="VALUE = 1", broken="1 / 0", syntax="def (", leaving="raise SystemExit(3)"
    )

    with pytest.raises(kind, match=words):
        folder.load(entry)


def test_an_edited_file_and_another_project_are_read_afresh(make_project):
    one = make_project("one", flights=FLOW, helper="VALUE = 1")
    two = make_project("two", flights=FLOW, helper="VALUE = 2")

    def value(folder):
        return folder.load().function.__globals__["VALUE"]

    assert (value(one), value(two), value(one)) == (1, 2, 1)
    one.edit("helper.py", "1", "3")
    assert value(one) == 3


def test_texts_become_what_the_annotations_say(make_project):
    flow = make_project(flights=FLOW, helper="VALUE = 1").load()

    found = project.parameters(
        flow, {"until": "2013-02-01", "depth": "8", "mode": "slow", "names": "a, b", "verbose": "yes"}
    )

    assert found == {"until": date(2013, 2, 1), "depth": 8, "mode": "slow", "names": ["a", "b"], "verbose": True}


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({}, "needs until; give --until"),
        (
            {"until": "2013-02-01", "dept": "1"},
            "has no parameter 'dept'; its parameters are until, depth, mode, names, verbose",
        ),
        ({"until": "yesterday"}, "until is 'yesterday'; a date such as 2013-02-01 is expected"),
        ({"until": "2013-02-01", "depth": "six"}, "depth is 'six'; a whole number is expected"),
        ({"until": "2013-02-01", "mode": "slower"}, "mode is 'slower'; one of fast, slow is expected"),
        ({"until": "2013-02-01", "verbose": "maybe"}, "verbose is 'maybe'; true or false is expected"),
    ],
)
def test_a_parameter_that_does_not_fit_says_what_would(make_project, given, words):
    flow = make_project(flights=FLOW, helper="VALUE = 1").load()

    with pytest.raises(Invalid, match=words):
        project.parameters(flow, given)


@pytest.mark.parametrize(
    ("text", "kind", "value"),
    [
        ("none", Optional[int], None),  # noqa: UP045
        ("3", int | None, 3),
        ("3", int | str, 3),
        ("x", int | str, "x"),
        ("1.5", float, 1.5),
        ("[1, 2]", list[int], [1, 2]),
        ("4,6", tuple[int, ...], (4, 6)),
        ("", list[int], []),
        ("2", Literal[1, 2], 2),
        ("a/b", Path, Path("a/b")),
        ("{'a': 1}", dict[str, int], {"a": 1}),
        ("007", str, "007"),
    ],
)
def test_a_text_is_converted_by_its_kind(text, kind, value):
    assert project.convert("x", text, kind) == value


def test_a_mainstay_toml_that_is_not_toml_says_where(tmp_path):
    (tmp_path / "mainstay.toml").write_text("[model\n")

    with pytest.raises(Invalid, match=r"mainstay\.toml cannot be read: .*line 1"):
        roots.read(tmp_path)


def test_a_section_is_read_again_after_an_edit(tmp_path):
    (tmp_path / "mainstay.toml").write_text('[model.a]\nowner = "ana"\n')
    assert roots.section(tmp_path, "model", "a") == {"owner": "ana"}

    (tmp_path / "mainstay.toml").write_text('[model.a]\nowner = "bertram"\n')

    assert roots.section(tmp_path, "model", "a") == {"owner": "bertram"}
    assert roots.section(tmp_path, "model", "b") is None
