# SPDX-License-Identifier: Apache-2.0
"""A third project, larger than life: after any edit that changes a result, a run gives what a fresh workspace would.

Each case is run, edited, and run again on the same platform; the answer is held against that of a platform which has
never seen the project. Harmless edits must leave everything a hit.
"""

from __future__ import annotations

import random
import re
import textwrap
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

FLIGHTS = """
    from mainstay.engine.pipelines import pipeline
    from fares import fare
    {extra}

    @pipeline
    def flow(kg: int = 7):
        fare(kg)
"""
FARES = """
    {head}
    from mainstay.engine.steps import step

    @step
    def fare(kg: int):
        {body}
"""

Edit = tuple[str, str, str] | Callable[[Path], None]


def case(edit: Edit, *, head: str = "", body: str, extra: str = "", **files: str) -> tuple[dict[str, str], Edit]:
    """A project whose step in ``fares.py`` has this ``body``; the pipeline's file imports ``extra``."""
    fares = FARES.format(head=_indented(head, 4), body=_indented(body, 8))
    return {"flights": FLIGHTS.format(extra=_indented(extra, 4)), "fares": fares, **files}, edit


def _indented(text: str, by: int) -> str:
    return textwrap.indent(textwrap.dedent(text).strip(), " " * by).lstrip()


def table(path: Path, value: int) -> None:
    pq.write_table(pa.table({"rate": [value]}), path)


def write(name: str, text: str) -> Callable[[Path], None]:
    def act(folder: Path) -> None:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(textwrap.dedent(text))

    return act


REGISTRY = "RATES = {}\n\ndef rate(function):\n    RATES[function.__name__] = function\n    return function\n"

CASES: dict[str, tuple[dict[str, str], Edit]] = {
    "generator that yields from another module's": case(
        ("rates.py", "yield 3", "yield 4"),
        head="from rates import all_rates",
        body="return kg * sum(all_rates())",
        rates="def few():\n    yield 1\n    yield 3\n\ndef all_rates():\n    yield from few()\n",
    ),
    "factory of a dataclass's default": case(
        ("parcel.py", "[1, 2]", "[1, 3]"),
        head="from parcel import Parcel",
        body="return kg * sum(Parcel().layers)",
        parcel="""
            from dataclasses import dataclass, field

            def layers():
                return [1, 2]

            @dataclass
            class Parcel:
                layers: list = field(default_factory=layers)
        """,
    ),
    "plug-in that only the pipeline's file imports": case(
        ("express.py", "kg * 2", "kg * 3"),
        head="from registry import RATES",
        body="return sum(function(kg) for function in RATES.values())",
        extra="import express",
        registry=REGISTRY,
        express="from registry import rate\n\n@rate\ndef express(kg):\n    return kg * 2\n",
    ),
    "helper of a plug-in that only the pipeline's file imports": case(
        ("fuel.py", "5", "6"),
        head="from registry import RATES",
        body="return sum(function(kg) for function in RATES.values())",
        extra="import express",
        registry=REGISTRY,
        fuel="PRICE = 5\n",
        express="import fuel\nfrom registry import rate\n\n@rate\ndef express(kg):\n    return kg * fuel.PRICE\n",
    ),
    "subclass that only the pipeline's file imports": case(
        ("vans.py", "+ 4", "+ 5"),
        head="from carriers import Carrier",
        body="return sum(kind().cost(kg) for kind in Carrier.__subclasses__())",
        extra="import vans",
        carriers="class Carrier:\n    pass\n",
        vans="from carriers import Carrier\n\nclass Van(Carrier):\n    def cost(self, kg):\n        return kg + 4\n",
    ),
    "patch of another module on import": case(
        ("patches.py", "kg * 2", "kg * 4"),
        head="import zones",
        body="return zones.tax(kg)",
        extra="import patches",
        zones="def tax(kg):\n    return kg\n",
        patches="import zones\n\ndef taxed(kg):\n    return kg * 2\n\nzones.tax = taxed\n",
    ),
    "patch by a function that the pipeline's file calls": case(
        ("patches.py", "kg * 2", "kg * 4"),
        head="import zones",
        body="return zones.tax(kg)",
        extra="from patches import install\ninstall()",
        zones="def tax(kg):\n    return kg\n",
        patches="import zones\n\ndef install():\n    setattr(zones, 'tax', lambda kg: kg * 2)\n",
    ),
    "overload of a single dispatch in another module": case(
        ("whole.py", "* 3", "* 4"),
        head="from pricing import price",
        body="return price(kg)",
        extra="import whole",
        pricing="import functools\n\n@functools.singledispatch\ndef price(kg):\n    return 0\n",
        whole="from pricing import price\n\n@price.register\ndef _(kg: int):\n    return kg * 3\n",
    ),
    "hook of a base class": case(
        ("carriers.py", "factor = 2", "factor = 3"),
        head="from carriers import Van",
        body="return kg * Van.factor",
        carriers="""
            class Carrier:
                def __init_subclass__(cls):
                    cls.factor = 2

            class Van(Carrier):
                pass
        """,
    ),
    "metaclass": case(
        ("carriers.py", "wheels=4", "wheels=6"),
        head="from carriers import Van",
        body="return kg * Van.wheels",
        carriers="""
            class Wheeled(type):
                def __new__(cls, name, bases, space):
                    return super().__new__(cls, name, bases, dict(space, wheels=4))

            class Van(metaclass=Wheeled):
                pass
        """,
    ),
    "Parquet file by a path from the source, read natively": case(
        lambda folder: table(folder / "rates.parquet", 9),
        head="from pathlib import Path\nimport pyarrow.parquet as pq\nRATES = Path(__file__).parent / 'rates.parquet'",
        body="return kg * pq.read_table(RATES)['rate'][0].as_py()",
    ),
    "Parquet file by a relative path, read by a query": case(
        lambda folder: table(folder / "rates.parquet", 9),
        head="import os, duckdb\nos.chdir(os.path.dirname(__file__))",
        body="return kg * duckdb.sql(\"select rate from 'rates.parquet'\").fetchall()[0][0]",
    ),
    "folder of Parquet files": case(
        lambda folder: table(folder / "rates" / "b.parquet", 9),
        head="import os\nimport pyarrow.parquet as pq\nFOLDER = os.path.join(os.path.dirname(__file__), 'rates')",
        body="return kg * sum(pq.read_table(FOLDER)['rate'].to_pylist())",
    ),
    "configuration that a module reads when it is imported": case(
        write("settings.json", '{"rate": 4}'),
        head="from settings import RATE",
        body="return kg * RATE",
        settings="""
            import json
            from pathlib import Path
            RATE = json.loads((Path(__file__).with_name("settings.json")).read_text())["rate"]
        """,
    ),
    "data of a package": case(
        write("tariff/rates.txt", "8"),
        head="from tariff import rate",
        body="return kg * rate()",
        **{
            "tariff/__init__": """
                from importlib.resources import files

                def rate():
                    return int(files(__package__).joinpath("rates.txt").read_text())
            """
        },
    ),
    "file opened by a path that is computed": case(
        write("rates-2013.txt", "8"),
        head="from pathlib import Path",
        body="return kg * int((Path(__file__).parent / f'rates-{2000 + 13}.txt').read_text())",
    ),
    "file outside of the project": case(
        lambda folder: (folder.parent / "shared-rates.txt").write_text("8"),
        head="from pathlib import Path",
        body="return kg * int(Path(Path(__file__).parents[1], ''.join(['shared-', 'rates.txt'])).read_text())",
    ),
    "file that was looked for and is there now": case(
        write("override.txt", "8"),
        head="from pathlib import Path",
        body="""
            try:
                return kg * int(open(str(Path(__file__).parent) + "/over" + "ride.txt").read())
            except FileNotFoundError:
                return kg
        """,
    ),
    "file that a list of a folder finds": case(
        write("rates/c.txt", "8"),
        head="from pathlib import Path",
        body="return kg * sum(int(each.read_text()) for each in sorted((Path(__file__).parent / 'rates').glob('*.txt')))",
    ),
    "module that was optional and is there now": case(
        write("speedy.py", "def price(kg):\n    return kg * 9\n"),
        head="try:\n    from speedy import price\nexcept ImportError:\n    from slow import price",
        body="return price(kg)",
        slow="def price(kg):\n    return kg\n",
    ),
    "branch of a conditional import": case(
        ("slow.py", "return kg", "return kg + 1"),
        head="import sys\nif sys.version_info > (3, 0):\n    import slow as chosen\nelse:\n    import speedy as chosen",
        body="return chosen.price(kg)",
        slow="def price(kg):\n    return kg\n",
    ),
    "other branch of TYPE_CHECKING": case(
        ("slow.py", "return kg", "return kg + 1"),
        head="import typing\nif typing.TYPE_CHECKING:\n    from typed import price\nelse:\n    from slow import price",
        body="return price(kg)",
        slow="def price(kg):\n    return kg\n",
        typed="def price(kg: int) -> int: ...\n",
    ),
    "module by a computed name, and what that imports": case(
        ("plugins/depth.py", "D = 1", "D = 2"),
        head="import importlib",
        body="return kg * importlib.import_module('plug' + 'ins.a').value()",
        **{
            "plugins/__init__": "",
            "plugins/a": "from plugins.depth import D\ndef value():\n    return 1 + D\n",
            "plugins/depth": "D = 1\n",
        },
    ),
    "module that a package gives when it is asked for": case(
        ("late/heavy.py", "RATE = 2", "RATE = 3"),
        head="import late",
        body="return kg * late.heavy.RATE",
        **{
            "late/__init__": """
                import importlib

                def __getattr__(name):
                    return importlib.import_module(f"{__name__}.{name}")
            """,
            "late/heavy": "RATE = 2\n",
        },
    ),
    "__all__ of a starred module": case(
        ("second.py", "__all__ = []", "__all__ = ['rate']"),
        head="from first import *\nfrom second import *",
        body="return kg * rate",
        first="rate = 2\n",
        second="__all__ = []\nrate = 3\n",
    ),
    "re-export that comes from elsewhere": case(
        ("tariff/__init__.py", "from .old import rate", "from .new import rate"),
        head="from tariff import rate",
        body="return kg * rate",
        **{"tariff/__init__": "from .old import rate\n", "tariff/old": "rate = 2\n", "tariff/new": "rate = 3\n"},
    ),
    "effect of a package's parent": case(
        ("tariff/__init__.py", "'2'", "'3'"),
        head="import tariff.rates",
        body="return kg * tariff.rates.rate()",
        **{
            "tariff/__init__": "import os\nos.environ['TARIFF'] = '2'\n",
            "tariff/rates": "import os\n\ndef rate():\n    return int(os.environ['TARIFF'])\n",
        },
    ),
    "decorator with an argument": case(
        ("wrap.py", "* times", "+ times"),
        head="from rates import rate",
        body="return rate(kg)",
        rates="from wrap import repeated\n\n@repeated(3)\ndef rate(kg):\n    return kg\n",
        wrap="""
            def repeated(times):
                def mark(function):
                    return lambda kg: function(kg) * times
                return mark
        """,
    ),
    "mixin two modules away": case(
        ("mixins.py", "fee = 2", "fee = 3"),
        head="from parcel import Parcel",
        body="return Parcel().fee * kg",
        parcel="from mixins import Fee\n\nclass Parcel(Fee):\n    pass\n",
        mixins="class Fee:\n    fee = 2\n",
    ),
    "order of an enum's members": case(
        ("levels.py", "LOW = enum.auto()\n    HIGH = enum.auto()", "HIGH = enum.auto()\n    LOW = enum.auto()"),
        head="from levels import Level",
        body="return kg * Level.LOW.value",
        levels="import enum\n\nclass Level(enum.Enum):\n    LOW = enum.auto()\n    HIGH = enum.auto()\n",
    ),
    "default that is another module's constant": case(
        ("rates.py", "RATE = 2", "RATE = 3"),
        head="import rates\n\ndef price(kg, rate=rates.RATE):\n    return kg * rate",
        body="return price(kg)",
        rates="RATE = 2\n",
    ),
    "lambda that captures its loop's variable": case(
        ("rates.py", "(1, 2)", "(1, 3)"),
        head="from rates import RATES",
        body="return sum(rate(kg) for rate in RATES)",
        rates="RATES = [lambda kg, by=by: kg * by for by in (1, 2)]\n",
    ),
    "keyword of a partial of a partial": case(
        ("rates.py", "by=2", "by=3"),
        head="from rates import price",
        body="return price(kg)",
        rates="""
            from functools import partial

            def scaled(kg, by, plus):
                return kg * by + plus

            price = partial(partial(scaled, by=2), plus=1)
        """,
    ),
    "descriptor": case(
        ("parcel.py", "return 2", "return 3"),
        head="from parcel import Parcel",
        body="return kg * Parcel().fee",
        parcel="""
            class Two:
                def __get__(self, instance, owner):
                    return 2

            class Parcel:
                fee = Two()
        """,
    ),
    "operator of a class": case(
        ("weights.py", "self.kg + other", "self.kg - other"),
        head="from weights import Weight",
        body="return Weight(kg) + 2",
        weights="""
            class Weight:
                def __init__(self, kg):
                    self.kg = kg

                def __add__(self, other):
                    return self.kg + other
        """,
    ),
    "coroutine": case(
        ("rates.py", "return 2", "return 3"),
        head="import asyncio\nfrom rates import rate",
        body="return kg * asyncio.run(rate())",
        rates="async def rate():\n    return 2\n",
    ),
    "annotation that is read": case(
        ("parcel.py", "kg: int", "kg: str"),
        head="import typing\nfrom parcel import Parcel",
        body="return str(kg) + typing.get_type_hints(Parcel)['kg'].__name__",
        parcel="class Parcel:\n    kg: int\n",
    ),
    "relative import of the package above": case(
        ("shop/rates.py", "RATE = 2", "RATE = 3"),
        head="from shop.till.price import price",
        body="return price(kg)",
        **{
            "shop/__init__": "",
            "shop/rates": "RATE = 2\n",
            "shop/till/__init__": "",
            "shop/till/price": "from ..rates import RATE\n\ndef price(kg):\n    return kg * RATE\n",
        },
    ),
    "module in a folder that is no package": case(
        ("spaces/deep/rates.py", "RATE = 2", "RATE = 3"),
        head="from spaces.deep import rates",
        body="return kg * rates.RATE",
        **{"spaces/deep/rates": "RATE = 2\n"},
    ),
    "source layout": case(
        ("src/company/rates.py", "RATE = 2", "RATE = 3"),
        head="from company.rates import RATE",
        body="return kg * RATE",
        **{"src/company/__init__": "", "src/company/rates": "RATE = 2\n"},
    ),
    "code in a text that is executed": case(
        write("rules.txt", "price = kg * 8"),
        head="from pathlib import Path",
        body="space = {'kg': kg}\nexec((Path(__file__).parent / 'rules.txt').read_text(), space)\nreturn space['price']",
    ),
    "pattern of a match": case(
        ("rates.py", "case 7", "case 8"),
        head="from rates import rate",
        body="return kg * rate(kg)",
        rates="def rate(kg):\n    match kg:\n        case 7:\n            return 2\n        case _:\n            return 3\n",
    ),
    "format of a text": case(
        ("rates.py", ":.1f", ":.2f"),
        head="from rates import told",
        body="return told(kg)",
        rates="def told(kg):\n    return f'{kg / 3:.1f}'\n",
    ),
}
AT_FIRST: dict[str, Callable[[Path], None]] = {
    "Parquet file by a path from the source, read natively": lambda folder: table(folder / "rates.parquet", 2),
    "Parquet file by a relative path, read by a query": lambda folder: table(folder / "rates.parquet", 2),
    "folder of Parquet files": lambda folder: ((folder / "rates").mkdir(), table(folder / "rates" / "a.parquet", 2))[1],
    "configuration that a module reads when it is imported": write("settings.json", '{"rate": 2}'),
    "data of a package": write("tariff/rates.txt", "2"),
    "file opened by a path that is computed": write("rates-2013.txt", "2"),
    "file outside of the project": lambda folder: (folder.parent / "shared-rates.txt").write_text("2") and None,
    "file that a list of a folder finds": write("rates/a.txt", "2"),
    "code in a text that is executed": write("rules.txt", "price = kg * 2"),
}


def told(platform: Any, project: Any) -> tuple[str, bytes]:
    """What the run of the project on ``platform`` did, and the step's result."""
    done = project.load().run(platform)
    return done.steps[-1].state, bytes(platform.blobs[done.steps[-1].outputs["value"].digest])


@pytest.mark.parametrize("name", CASES)
def test_after_an_edit_the_result_is_that_of_a_fresh_workspace(make_platform, make_project, name):
    files, edit = CASES[name]
    project, used = make_project(**files), make_platform()
    AT_FIRST.get(name, lambda folder: None)(project.folder)
    _, before = told(used, project)
    assert told(used, project) == ("cached", before), "an unchanged project has to be a hit"

    edit(project.folder) if callable(edit) else project.edit(*edit)
    _, fresh = told(make_platform(), project)
    assert fresh != before, "this edit changes nothing; the case would prove nothing"

    assert told(used, project) == ("succeeded", fresh)


@pytest.mark.parametrize("how", ["literal", "constant", "helper"])
def test_a_variable_of_the_environment_counts_where_the_source_names_it(platform, make_project, monkeypatch, how):
    files, _ = {
        "literal": case(("", "", ""), head="import os", body="return kg * int(os.environ['TARIFF'])"),
        "constant": case(
            ("", "", ""), head="from os import getenv\nNAME = 'TARIFF'", body="return kg * int(getenv(NAME))"
        ),
        "helper": case(
            ("", "", ""),
            head="from rates import rate",
            body="return kg * rate()",
            rates="import os\n\ndef rate():\n    return int(os.environ.get('TARIFF', '1'))\n",
        ),
    }[how]
    project = make_project(**files)
    monkeypatch.setenv("TARIFF", "2")
    first = told(platform, project)
    monkeypatch.setenv("TARIFF", "3")

    assert first == ("succeeded", b"14")
    assert told(platform, project) == ("succeeded", b"21")


def test_a_variable_named_by_a_computed_text_is_remarked_upon_with_its_line(platform, make_project):
    files, _ = case(("", "", ""), head="import os", body="return kg * int(os.environ.get('TAR' + 'IFF', '2'))")

    done = make_project(**files).load().run(platform)

    (warning,) = done.warnings
    assert warning.startswith("fares.py:") and "@step(env=[…])" in warning


def test_a_path_that_no_key_can_hold_is_remarked_upon_with_its_line(platform, make_project):
    files, _ = case(
        ("", "", ""),
        head="import polars as pl\n\ndef far():\n    return pl.read_parquet('s3://rates/a.parquet')",
        body="return kg",
    )

    plan = make_project(**files).load().plan(platform)

    assert [text.split(" is read")[0] for text in plan.remarks] == ["fares.py:5 read_parquet('s3://rates/a.parquet')"]


def test_a_file_given_as_a_text_is_remarked_upon_and_as_a_path_it_counts(platform, make_project, monkeypatch):
    project = make_project(
        flights="""
        from pathlib import Path
        from mainstay.engine.steps import step
        from mainstay.engine.pipelines import pipeline

        @step
        def fare(source: str | Path) -> int:
            return 1

        @pipeline
        def flow(is_path: bool = False):
            fare(Path("rates.parquet") if is_path else "rates.parquet")
        """
    )
    monkeypatch.chdir(project.folder)
    table(project.folder / "rates.parquet", 2)

    as_text, as_path = project.load().plan(platform), project.load().plan(platform, is_path=True)

    assert as_text.remarks == (
        "step flights.fare is given source='rates.parquet', a text; the file's content counts only if it is given as a Path,"
        " or made a snapshot",
    )
    assert as_path.remarks == ()


HARMLESS: dict[str, tuple[str, str, str]] = {
    "comment in a helper": ("rates.py", "RATE = 2", "RATE = 2  # per kilogram"),
    "docstring in a helper": ("rates.py", '"What it costs."', '"""The price."""'),
    "layout in a helper": ("rates.py", "kg * RATE", "(\n        kg * RATE\n    )"),
    "docstring of the step's module": ("fares.py", "from rates", '"""Fares."""\nfrom rates'),
    "the pipeline's own function": ("flights.py", "fare(kg)", "fare(kg=kg)"),
    "another step of another file": ("others.py", "return 1", "return 2"),
    "stub beside a module": ("rates.pyi", "int", "float"),
    "quotes": ("rates.py", "'eur'", '"eur"'),
    "file nobody reads": ("notes.txt", "old", "new"),
}


@pytest.mark.parametrize("name", HARMLESS)
def test_a_harmless_edit_runs_nothing(platform, make_project, name):
    files, _ = case(
        ("", "", ""),
        head="from rates import price",
        body="return price(kg)",
        extra="from others import other",
        rates="CURRENCY = 'eur'\nRATE = 2\n\ndef price(kg):\n    \"What it costs.\"\n    return kg * RATE\n",
        others="from mainstay.engine.steps import step\n\n@step\ndef other():\n    return 1\n",
    )
    project = make_project(**files)
    write("rates.pyi", "def price(kg) -> int: ...\n")(project.folder)
    write("notes.txt", "old")(project.folder)
    told(platform, project)

    project.edit(*HARMLESS[name])

    assert told(platform, project)[0] == "cached"


def test_an_editable_install_counts_by_its_source(platform, make_project, tmp_path, monkeypatch):
    """As a modern build back end makes one: a finder, and no entry on the path."""
    import importlib.util
    import sys

    file = tmp_path / "elsewhere" / "company_rates.py"
    file.parent.mkdir()
    file.write_text("RATE = 2\n")

    class Finder:
        def find_spec(self, name: str, path: Any = None, target: Any = None) -> Any:
            return importlib.util.spec_from_file_location(name, file) if name == "company_rates" else None

    monkeypatch.setattr(sys, "meta_path", [*sys.meta_path, Finder()])
    files, _ = case(("", "", ""), head="from company_rates import RATE", body="return kg * RATE")
    project = make_project(**files)
    assert told(platform, project) == ("succeeded", b"14")

    file.write_text("RATE = 3\n")
    sys.modules.pop("company_rates")

    assert told(platform, project) == ("succeeded", b"21")


def test_a_step_from_a_text_is_never_cached(platform, make_project):
    project = make_project(
        flights="""
            from mainstay.engine.steps import step
            from mainstay.engine.pipelines import pipeline
            space = {}
            exec("def fare(kg: int): return kg * 2", space)
            fare = step(space["fare"])

            @pipeline
            def flow():
                fare(7)
        """
    )
    project.load().run(platform)

    (item,) = project.load().plan(platform).items

    assert item.sentence == "not cached: its source is not in a file"


def test_a_random_edit_of_any_reachable_function_changes_the_key(make_project):
    """A chain of modules of random shape; whichever constant is edited, the key of the step moves, and back again."""
    from mainstay.engine import execution, keys
    from mainstay.engine.arguments import Resolved

    dice = random.Random(20131)
    files = {}
    for place in range(12):
        below = dice.sample(range(place), k=min(place, dice.randint(1, 3)))
        style = dice.choice(["import {0}", "from {0} import f{1} as g{1}", "late"])
        head = "\n".join(style.format(f"m{each}", each) for each in below if style != "late")
        calls = " + ".join(
            {"import {0}": f"m{each}.f{each}(x)", "late": f"__import__('m{each}').f{each}(x)"}.get(style, f"g{each}(x)")
            for each in below
        )
        files[f"m{place}"] = f"{head}\n\ndef f{place}(x):\n    return {calls or 'x'} + {dice.randint(10, 99)}\n"
    project = make_project(**case(("", "", ""), head="import m11", body="return m11.f11(kg)")[0], **files)

    def key() -> str:
        flow = project.load()
        fare = __import__("fares").fare
        resolved = Resolved(tree={}, inputs={}, params={})
        return keys.for_call(fare, resolved, execution.closures_of(flow), seed=0).key

    reachable = {"m11"}
    for place in reversed(range(12)):
        if f"m{place}" in reachable:
            reachable |= set(re.findall(r"\bm\d+\b", files[f"m{place}"]))
    before = key()
    for name in sorted(reachable):
        text = (project.folder / f"{name}.py").read_text()
        (project.folder / f"{name}.py").write_text(
            re.sub(r"\+ (\d+)$", lambda found: f"+ {int(found[1]) + 1}", text, flags=re.M)
        )
        assert key() != before, f"an edit of {name} was not seen"
        (project.folder / f"{name}.py").write_text(text)
        assert key() == before
    for name in sorted(set(files) - reachable):
        (project.folder / f"{name}.py").write_text("X = 0\n")
    assert key() == before


def test_the_third_project_is_as_large_as_it_claims():
    assert len(CASES) >= 40
