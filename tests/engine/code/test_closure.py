# SPDX-License-Identifier: Apache-2.0
"""Which edits change a step's key: every one that changes its result, and none that only changes how the code looks."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from mainstay.domain.errors import Invalid
from mainstay.engine import environment, execution, keys
from mainstay.engine.arguments import Resolved
from mainstay.engine.code import closure, modules

ENTRY = '''
    """A tariff for parcels."""
    import collections
    import functools
    import importlib
    from mainstay.engine.steps import step
    from mainstay.engine.pipelines import pipeline
    import zones
    import tools as kit
    from rates import *
    from couriers import FLEET, Van
    from couriers.pricing import surcharge as extra
    from wrap import rounded, loud
    from settings import BASE, Policy, LEVELS, Level

    MARGIN = 3
    HALF, DOUBLE = 2, 2
    choose = {"light": lambda kg: kg + 1, "heavy": lambda kg: kg + 10}
    add_tax = functools.partial(zones.tax, rate=2)
    POLICY = Policy()
    steps_taken = [each for each in (1, 2, 3) if each > 1]
    if MARGIN > 1:
        BONUS = 5
    else:
        BONUS = 0

    def weigher(offset):
        def weigh(kg):
            return kg + offset
        return weigh

    weigh = weigher(4)

    def numbers(limit):
        for each in range(limit):
            yield each * 2

    class Parcel:
        fee: int = 1

        def __init__(self, kg):
            self.kg = kg

        @property
        def price(self):
            return self.kg * self.fee

    @step
    def target(kg: int = 7) -> int:
        """The price of a parcel."""
        from late.inner import closing
        total = MARGIN + weigh(kg) + choose["heavy"](kg) + choose["light"](kg)
        total += add_tax(kg) + zones.far(kg) + kit.shelf.depth() + starred(kg)
        total += sum(courier.cost(kg) for courier in FLEET.values()) + Van().cost(kg) + extra(kg)
        total += rounded(kg) + loud.__wrapped__(kg) + BASE + POLICY.floor + LEVELS["a"]["b"][0] + Level.TOP.value
        total += sum(numbers(3)) + Parcel(kg).price + closing(kg) + BONUS + sum(steps_taken) + HALF * DOUBLE
        total += importlib.import_module("named").value() + getattr(zones, "ne" + "ar")(kg)
        return total

    @step
    def other(x: int) -> int:
        return x + 1

    @pipeline
    def flow(kg: int = 7):
        other(target(kg))

    if __name__ == "__main__":
        flow(8)
'''
PROJECT = {
    "flights": ENTRY,
    "zones": """
        import tools.shelf

        def tax(kg, rate):
            return kg * rate

        def far(kg):
            return kg + 100

        def near(kg):
            return kg + 50
    """,
    "tools/__init__": "",
    "tools/shelf": """
        from . import box
        from .box import HEIGHT

        def depth():
            return HEIGHT + box.width()
    """,
    "tools/box": """
        HEIGHT = 6

        def width():
            return 7
    """,
    "rates": """
        def starred(kg):
            return kg * 9
    """,
    "couriers/__init__": """
        from .fleet import FLEET
        from .vans import Van
        from . import bikes
    """,
    "couriers/fleet": """
        FLEET = {}

        def courier(kind):
            FLEET[kind.__name__] = kind()
            return kind
    """,
    "couriers/vans": """
        from .fleet import courier

        class Vehicle:
            wheels = 4

            def cost(self, kg):
                return kg + self.wheels

        @courier
        class Van(Vehicle):
            pass
    """,
    "couriers/bikes": """
        from couriers.fleet import courier

        @courier
        class Bike:
            def cost(self, kg):
                return kg + 2
    """,
    "couriers/pricing": """
        def surcharge(kg, per=3):
            return kg * per
    """,
    "wrap": """
        import functools

        def to_ten(function):
            @functools.wraps(function)
            def wrapper(kg):
                return function(kg) // 10 * 10
            return wrapper

        @to_ten
        def rounded(kg):
            return kg + 24

        @to_ten
        def loud(kg):
            return kg + 8
    """,
    "settings": """
        import enum
        from dataclasses import dataclass

        BASE = 11
        LEVELS = {"a": {"b": [1, 2]}}

        class Level(enum.IntEnum):
            LOW = 1
            TOP = 8

        @dataclass
        class Policy:
            floor: int = 12
    """,
    "late/__init__": "",
    "late/inner": """
        def closing(kg):
            from .deepest import last
            return last(kg)
    """,
    "late/deepest": """
        def last(kg):
            return kg - 1
    """,
    "named": """
        def value():
            return 21
    """,
}
CHANGES = {
    "body of the step": ("flights.py", "total = MARGIN +", "total = 1 + MARGIN +"),
    "default of a parameter": ("flights.py", "def target(kg: int = 7)", "def target(kg: int = 8)"),
    "module constant": ("flights.py", "MARGIN = 3", "MARGIN = 4"),
    "one of two constants on a line": ("flights.py", "HALF, DOUBLE = 2, 2", "HALF, DOUBLE = 2, 3"),
    "lambda in a dict": ("flights.py", "kg + 10}", "kg + 11}"),
    "value captured by a closure": ("flights.py", "weigher(4)", "weigher(5)"),
    "body of the closure": ("flights.py", "return kg + offset", "return kg - offset"),
    "argument of a partial": ("flights.py", "rate=2", "rate=3"),
    "function inside a partial": ("zones.py", "kg * rate", "kg * rate + 1"),
    "generator": ("flights.py", "yield each * 2", "yield each * 3"),
    "comprehension at module level": ("flights.py", "if each > 1]", "if each > 0]"),
    "branch at module level": ("flights.py", "BONUS = 5", "BONUS = 6"),
    "class attribute": ("flights.py", "fee: int = 1", "fee: int = 2"),
    "property": ("flights.py", "self.kg * self.fee", "self.kg + self.fee"),
    "constructor": ("flights.py", "self.kg = kg", "self.kg = kg + 1"),
    "function of an imported module": ("zones.py", "kg + 100", "kg + 101"),
    "function reached by a computed name": ("zones.py", "kg + 50", "kg + 51"),
    "submodule that another module imports": ("tools/shelf.py", "return HEIGHT +", "return 1 + HEIGHT +"),
    "constant behind two relative imports": ("tools/box.py", "HEIGHT = 6", "HEIGHT = 66"),
    "function of a sibling module": ("tools/box.py", "return 7", "return 77"),
    "star import": ("rates.py", "kg * 9", "kg * 8"),
    "base class": ("couriers/vans.py", "wheels = 4", "wheels = 6"),
    "method of a base class": ("couriers/vans.py", "kg + self.wheels", "kg - self.wheels"),
    "plug-in that registers itself": ("couriers/bikes.py", "kg + 2", "kg + 3"),
    "registry": (
        "couriers/fleet.py",
        "= kind()",
        "= kind() if kind.__name__ == 'Van' else type(kind())()\n    FLEET.pop('Bike', 0)",
    ),
    "plug-in that is no longer imported": ("couriers/__init__.py", "from . import bikes", ""),
    "import under another name": ("couriers/pricing.py", "kg * per", "kg * per + 1"),
    "default of an imported function": ("couriers/pricing.py", "per=3", "per=4"),
    "decorator": ("wrap.py", "// 10 * 10", "// 10 * 20"),
    "decorated function": ("wrap.py", "kg + 24", "kg + 44"),
    "function under a decorator": ("wrap.py", "kg + 8", "kg + 9"),
    "imported constant": ("settings.py", "BASE = 11", "BASE = 12"),
    "nested setting": ("settings.py", "[1, 2]", "[3, 2]"),
    "member of an enum": ("settings.py", "TOP = 8", "TOP = 9"),
    "default of a dataclass": ("settings.py", "floor: int = 12", "floor: int = 13"),
    "import inside the step": ("late/inner.py", "return last(kg)", "return last(kg) + 1"),
    "import inside a function inside a package": ("late/deepest.py", "kg - 1", "kg - 2"),
    "module named by a literal": ("named.py", "return 21", "return 22"),
    "number that becomes another type": ("named.py", "return 21", "return 21.5"),
}
HARMLESS = {
    "comment": ("flights.py", "    MARGIN = 3"[4:], "# how much we earn\nMARGIN = 3"),
    "docstring of the step": ("flights.py", "The price of a parcel.", "What a parcel costs."),
    "docstring of the module": ("flights.py", "A tariff for parcels.", "A tariff."),
    "layout": ("flights.py", 'choose = {"light"', 'choose = {\n  "light"'),
    "comment far away": ("late/deepest.py", "return kg - 1", "return kg - 1  # the last"),
    "quotes": ("flights.py", '["light"](kg)', "['light'](kg)"),
    "blank lines": ("zones.py", "def near", "\n\n\ndef near"),
    "new docstring in a helper": ("zones.py", "def near(kg):\n", 'def near(kg):\n    "Close by."\n'),
    "module nobody imports": ("unrelated.py", "X = 1", "X = 2"),
    "brackets": ("rates.py", "return kg * 9", "return (kg * 9)"),
}


def key_of(project: Any, name: str = "target") -> str:
    flow = project.load()
    step = getattr(__import__("flights"), name)
    return keys.for_call(step, Resolved(tree={}, inputs={}, params={}), execution.closures_of(flow), seed=0).key


def result_of(project: Any) -> Any:
    project.load()
    return __import__("flights").target()


@pytest.fixture
def tariff(make_project):
    return make_project(**PROJECT, unrelated="X = 1")


@pytest.mark.parametrize("change", CHANGES)
def test_an_edit_that_changes_the_result_changes_the_key(tariff, change):
    before_key, before = key_of(tariff), result_of(tariff)

    tariff.edit(*CHANGES[change])

    assert result_of(tariff) != before, "this edit changes nothing; the test would prove nothing"
    assert key_of(tariff) != before_key


@pytest.mark.parametrize("change", HARMLESS)
def test_an_edit_of_looks_keeps_the_key(tariff, change):
    before_key, before = key_of(tariff), result_of(tariff)

    tariff.edit(*HARMLESS[change])

    assert result_of(tariff) == before
    assert key_of(tariff) == before_key


SIBLINGS = """
    from mainstay.engine.steps import step
    from mainstay.engine.pipelines import pipeline
    RATE = 2

    @step
    def target(x: int = 1) -> int:
        return x * RATE

    @step
    def sibling(x: int) -> int:
        return x + 1

    @pipeline
    def flow(depth: int = 6):
        sibling(target(depth))

    if __name__ == "__main__":
        flow()
"""


@pytest.mark.parametrize("edit", [("return x + 1", "return x + 2"), ("depth: int = 6", "depth: int = 7")])
def test_a_sibling_step_or_the_pipeline_does_not_count(make_project, edit):
    project = make_project(flights=SIBLINGS)
    before = key_of(project)

    project.edit("flights.py", *edit)

    assert key_of(project) == before


@pytest.mark.parametrize(
    "reach",
    [
        "sibling(x) * RATE",
        "globals()['sib' + 'ling'](x) * RATE",
        "__import__('flights').sibling(x) * RATE",
        "getattr(__import__('flights'), 'sibling')(x) * RATE",
        "eval('sib' + 'ling(x)') * RATE",
        "vars(__import__('sys').modules['flights'])['sib' + 'ling'](x)",
        "__import__('operator').attrgetter('sib' + 'ling')(__import__('flights'))(x)",
    ],
)
def test_a_sibling_step_counts_as_soon_as_it_can_be_reached(make_project, reach):
    project = make_project(flights=SIBLINGS)
    project.edit("flights.py", "x * RATE", reach)
    before_key, before = key_of(project), result_of(project)

    project.edit("flights.py", "return x + 1", "return x + 2")

    assert result_of(project) != before
    assert key_of(project) != before_key


def test_a_sibling_reached_through_a_helper_in_another_file_counts(make_project):
    project = make_project(
        flights=SIBLINGS.replace("x * RATE", "help(x)").replace("RATE = 2", "from helper import help"),
        helper="""
            def help(x):
                import flights
                return flights.sibling(x)
        """,
    )
    before = key_of(project)

    project.edit("flights.py", "return x + 1", "return x + 2")

    assert key_of(project) != before


def test_a_docstring_counts_where_something_reads_docstrings(make_project):
    project = make_project(flights=SIBLINGS.replace("return x * RATE", '"Double it."; return len(target.__doc__)'))
    before = key_of(project)

    project.edit("flights.py", "Double it.", "Double it, dear model.")

    assert key_of(project) != before


def test_two_edits_within_one_tick_of_the_clock_are_both_seen(tmp_path, monkeypatch):
    """Same size, same inode, same time stamps: all that a coarse file system tells."""
    file = tmp_path / "rates.py"
    file.write_text("RATE = 1")
    frozen = file.stat()
    monkeypatch.setattr(modules, "os", SimpleNamespace(stat=lambda path: frozen))
    before = modules.read(file)

    file.write_text("RATE = 2")

    assert modules.read(file) != before


def test_a_file_that_has_been_at_rest_is_parsed_once(tmp_path, monkeypatch):
    file = tmp_path / "rates.py"
    file.write_text("RATE = 1")
    old = SimpleNamespace(st_ino=1, st_size=8, st_mtime_ns=1, st_ctime_ns=1)
    monkeypatch.setattr(modules, "os", SimpleNamespace(stat=lambda path: old))

    assert modules.read(file) is modules.read(file)


def test_a_star_import_of_a_package_that_lists_files_counts_them(make_project):
    project = make_project(
        flights=SIBLINGS.replace("RATE = 2", "from pk import *").replace(
            "x * RATE", "x * globals()['ra' + 'tes'].RATE"
        ),
        **{
            "pk/__init__": "import pathlib\n__all__ = [p.stem for p in pathlib.Path(__file__).parent.glob('r*.py')]",
            "pk/rates": "RATE = 2",
        },
    )
    before_key, before = key_of(project), result_of(project)

    project.edit("pk/rates.py", "2", "3")

    assert result_of(project) != before
    assert key_of(project) != before_key


def test_keys_do_not_depend_on_where_the_project_is(make_project):
    here, there = make_project("here", **PROJECT), make_project("there", **PROJECT)

    assert key_of(here) == key_of(there)


def test_the_closure_names_the_third_party_packages_that_it_imports_and_no_others(make_project):
    project = make_project(
        flights=SIBLINGS.replace("return x * RATE", "import numpy.linalg, json; return x").replace(
            "return x + 1", "import pyarrow; return x"
        )
    )
    flow = project.load()

    found = execution.closures_of(flow).of(__import__("flights").target)

    assert found.imports == ("numpy",)


def test_a_distribution_is_known_by_the_modules_that_its_record_names(tmp_path, monkeypatch):
    info = tmp_path / "fast_maths-1.2.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: Fast.Maths\nVersion: 1.2\n\nName: none\n")
    (info / "RECORD").write_text(
        "fast/__init__.py,,1\nfaster.py,,1\n_fastest.so,,1\nfast_maths-1.2.dist-info/RECORD,,\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    environment._distributions.cache_clear()

    try:
        assert (
            environment.versions_of(["fast", "faster"])
            == environment.versions_of(["_fastest"])
            == {"Fast.Maths": "1.2"}
        )
        assert environment.versions_of(["fast_maths", "RECORD"]) == {"fast_maths": "absent", "RECORD": "absent"}
    finally:
        environment._distributions.cache_clear()


def test_an_optional_package_that_appears_changes_the_key(make_project, monkeypatch):
    project = make_project(
        flights=SIBLINGS.replace(
            "RATE = 2",
            "RATE = 2\ntry:\n    import speedy_maths\nexcept ImportError:\n    pass\n".replace("\n", "\n    "),
        )
    )
    before = key_of(project)
    monkeypatch.setattr(keys.environment, "_distributions", lambda: {"speedy_maths": ["speedy-maths"]})
    monkeypatch.setattr(keys.environment, "_version", lambda name: "1.0")

    assert key_of(project) != before


def test_a_declared_variable_is_part_of_the_key_and_its_value_is_not_stored(make_project, monkeypatch):
    project = make_project(
        flights=SIBLINGS.replace("@step\n    def target", '@step(env=["TARIFF_KEY"])\n    def target')
    )
    monkeypatch.setenv("TARIFF_KEY", "hunter2")
    one = key_of(project)
    monkeypatch.setenv("TARIFF_KEY", "hunter3")

    assert key_of(project) != one
    flow = project.load()
    parts = keys.for_call(
        __import__("flights").target, Resolved(tree={}, inputs={}, params={}), execution.closures_of(flow), seed=0
    )
    assert "hunter" not in str(parts.to_json())


def test_code_in_another_folder_that_is_not_installed_counts_by_its_source(make_project, tmp_path, monkeypatch):
    elsewhere = tmp_path / "monorepo"
    elsewhere.mkdir()
    (elsewhere / "company_lib.py").write_text("def twice(x):\n    return 2 * x\n")
    monkeypatch.syspath_prepend(str(elsewhere))
    project = make_project(flights=SIBLINGS.replace("RATE = 2", "RATE = 2\n    from company_lib import twice"))
    before = key_of(project)

    (elsewhere / "company_lib.py").write_text("def twice(x):\n    return 3 * x\n")

    assert key_of(project) != before


def test_a_file_that_does_not_parse_is_named(make_project):
    project = make_project(flights="def (", helper="")

    with pytest.raises(Invalid, match=r"flights\.py cannot be parsed as Python"):
        closure.of([project.folder / "flights.py"], root=project.folder)


def test_two_functions_made_by_one_function_are_two_steps(make_project):
    project = make_project(
        flights="""
        from mainstay.engine.steps import step
        from mainstay.engine.pipelines import pipeline

        def make(k):
            @step
            def times(x: int = 1) -> int:
                return x * k
            return times

        def odd(k=object()):
            @step
            def times(x: int = 1) -> int:
                return x if k else 0
            return times

        @pipeline
        def flow():
            make(2)(1), make(3)(1)
        """
    )
    closures = execution.closures_of(project.load())
    make, odd = __import__("flights").make, __import__("flights").odd
    blank = Resolved(tree={}, inputs={}, params={})

    assert keys.for_call(make(2), blank, closures, seed=0).key != keys.for_call(make(3), blank, closures, seed=0).key
    unkeyed = keys.for_call(odd(), blank, closures, seed=0)
    assert (unkeyed.is_cacheable, unkeyed.doubt) == (False, "it captures 'k', which cannot be keyed")


PLUGINS = {
    "flights": """
        import importlib
        from mainstay.engine.steps import step
        from mainstay.engine.pipelines import pipeline

        @step
        def target(name: str) -> int:
            return importlib.import_module("plug" + "ins." + name).value()

        @pipeline
        def flow(name: str = "a"):
            target(name)
    """,
    "plugins/__init__": "",
    "plugins/a": "from plugins.depth import D\ndef value():\n    return 1 + D\n",
    "plugins/depth": "D = 1\n",
    "plugins/b": "def value():\n    return 7\n",
}


def value_of(platform: Any, done: Any) -> bytes:
    return bytes(platform.blobs[done.steps[-1].outputs["value"].digest])


def test_a_module_found_by_a_computed_name_counts_once_it_has_been_seen(platform, make_project):
    project = make_project(**PLUGINS)

    first = project.load().run(platform)
    second = project.load().run(platform)
    project.edit("plugins/depth.py", "D = 1", "D = 2")
    third = project.load().run(platform)

    assert first.warnings == (
        "step flights.target used plugins/__init__.py, plugins/a.py, plugins/depth.py beyond its imports;"
        " counted in its key from now on",
    )
    assert (second.summary(), second.warnings) == ("1 step: 1 hit", ())
    assert (third.steps[0].why, value_of(platform, third)) == ("code", b"3")


def test_plug_ins_taken_in_turns_are_never_stale(platform, make_project):
    project = make_project(**PLUGINS)
    project.load().run(platform, name="a")
    project.load().run(platform, name="b")
    project.edit("plugins/b.py", "7", "8")

    again = project.load().run(platform, name="b")
    back = project.load().run(platform, name="a")

    assert (value_of(platform, again), value_of(platform, back)) == (b"8", b"2")


def test_a_project_file_that_a_step_opens_counts_once_it_has_been_seen(platform, make_project):
    project = make_project(
        flights="""
        from pathlib import Path
        from mainstay.engine.steps import step
        from mainstay.engine.pipelines import pipeline

        @step
        def target() -> str:
            (Path(__file__).parent / "out.txt").write_text("x")
            return (Path(__file__).parent / "".join(["rates", ".csv"])).read_text()

        @pipeline
        def flow():
            target()
        """
    )
    (project.folder / "rates.csv").write_text("1")

    first = project.load().run(platform)
    second = project.load().run(platform)
    (project.folder / "rates.csv").write_text("2")
    plan = project.load().plan(platform)
    third = project.load().run(platform)

    assert first.warnings == ("step flights.target used rates.csv beyond its imports; counted in its key from now on",)
    assert second.summary() == "1 step: 1 hit"
    assert plan.items[0].sentence == "code: rates.csv"
    assert value_of(platform, third) == b'"2"'


def test_the_plan_names_the_function_that_changed(platform, make_project):
    project = make_project(**PROJECT)
    project.load().run(platform)
    project.edit("late/deepest.py", "kg - 1", "kg - 2")

    assert project.load().plan(platform).items[0].sentence == "code: late.deepest.last (1 line)"


def test_the_matrix_is_as_large_as_it_claims():
    assert len(CHANGES) >= 25
