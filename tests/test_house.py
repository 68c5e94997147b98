# SPDX-License-Identifier: Apache-2.0
"""The plan of the house, kept true: floors, faces, names, and what may be written down.

The import contracts live in ``pyproject.toml``. Here they are run on the tree, and each is shown to bite: a copy of the
tree gets one wrong import, and the contract that is there for it must name it.
"""

from __future__ import annotations

import ast
import doctest
import importlib
import itertools
import os
import re
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import mainstay

ROOT = Path(__file__).resolve().parents[1]
SOURCE = ROOT / "src" / "mainstay"
PROJECT: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))

CONTRACTS = {contract["id"]: contract for contract in PROJECT["tool"]["importlinter"]["contracts"]}
ROOMS = re.findall(r"\((\w+)\)", " ".join(CONTRACTS["floors"]["layers"]))
STATIONS = re.findall(r"\((\w+)\)", " ".join(CONTRACTS["stations"]["layers"]))
NAMELESS = {"utils", "util", "helpers", "helper", "common", "misc", "manager", "managers", "base", "core"}
# What a face may not load before it knows that it needs it.
HEAVY = {"alembic", "fastapi", "httpx", "numpy", "pandas", "pyarrow", "pydantic", "rich", "sklearn", "sqlalchemy"}
# Libraries of the extras: only inside the functions of the adapter that needs them.
OPTIONAL = {
    "lightgbm",
    "mlflow",
    "obstore",
    "onnx",
    "onnxruntime",
    "optuna",
    "pandas",
    "polars",
    "psycopg",
    "skl2onnx",
    "sklearn",
    "skops",
    "torch",
    "xgboost",
}
# Declared by a package that we declare, and part of its face: an ASGI framework, its models, its transport.
STANDING_BEHIND = {"anyio", "pydantic", "starlette"}
# Half a gigabyte that nobody should get from us; who has a repository of it has it installed.
BROUGHT_BY_ITS_USER = {"feast"}
UNTRACKED = {".git", ".clients", ".venv", "node_modules", "assets", "dist", "build"}
IMPORT_NAME = {
    "common-expression-language": "cel",
    "mlflow-skinny": "mlflow",
    "opentelemetry-proto": "opentelemetry",
    "protobuf": "google",
    "pyyaml": "yaml",
    "scikit-learn": "sklearn",
    "xgboost-cpu": "xgboost",
}


def python_files(*, below: Path = SOURCE) -> list[Path]:
    return sorted(below.rglob("*.py"))


def places(files: list[Path]) -> list[str]:
    return [path.relative_to(ROOT).as_posix() for path in files]


def imports(path: Path) -> Iterator[tuple[str, bool]]:
    """Each absolute import of a file: the module's full name, and whether it runs when the file is imported."""
    tree = ast.parse(path.read_text("utf-8"))
    late = {id(child) for node in ast.walk(tree) if is_late(node) for child in ast.walk(node)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((alias.name, id(node) not in late) for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield node.module, id(node) not in late


def is_late(node: ast.AST) -> bool:
    """Whether what stands in this node does not run on import: a function's body, or names for the type checker."""
    if isinstance(node, ast.If):
        return "TYPE_CHECKING" in ast.unparse(node.test)
    return isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)


def foreign(path: Path) -> set[str]:
    """The top-level names of the third-party packages a file imports, early or late."""
    return {name.split(".")[0] for name, _ in imports(path)} - sys.stdlib_module_names - {"mainstay"}


# Floors


def lint_imports(root: Path) -> subprocess.CompletedProcess[str]:
    """Check the contracts of the project at ``root`` in a process of its own, on its own sources."""
    code = "from importlinter.cli import lint_imports_command as command; command(['--no-cache'])"
    env = dict(os.environ, PYTHONPATH=str(root / "src"), NO_COLOR="1", COLUMNS="200")
    return subprocess.run([sys.executable, "-c", code], cwd=root, env=env, capture_output=True, text=True, check=False)


def house_with(root: Path, planted: dict[str, str]) -> Path:
    """A copy of the project in ``root``, with these lines added to these files of the package."""
    shutil.copytree(ROOT / "src", root / "src", ignore=shutil.ignore_patterns("__pycache__", "assets", "*.parquet"))
    shutil.copy(ROOT / "pyproject.toml", root)
    for place, lines in planted.items():
        path = root / "src" / "mainstay" / place
        path.parent.mkdir(parents=True, exist_ok=True)
        for folder in path.relative_to(root / "src").parents[:-1]:
            (root / "src" / folder / "__init__.py").touch()
        with path.open("a", encoding="utf-8") as file:
            file.write(f"\n{lines}\n")
    return root


def test_every_import_contract_holds() -> None:
    checked = lint_imports(ROOT)

    assert checked.returncode == 0, checked.stdout + checked.stderr
    assert f"{len(CONTRACTS)} kept, 0 broken" in checked.stdout


@pytest.mark.parametrize(
    ("contract", "planted", "named"),
    [
        (
            "floors",
            {"store/planted.py": "import mainstay.lifecycle.wanted", "lifecycle/wanted.py": ""},
            "mainstay.store is not allowed to import mainstay.lifecycle",
        ),
        (
            "floors",
            {"domain/planted.py": "def late():\n    from mainstay.cli import wanted", "cli/wanted.py": ""},
            "mainstay.domain is not allowed to import mainstay.cli",
        ),
        (
            "floors",
            {"engine/planted.py": "import mainstay.gateway.wanted", "gateway/wanted.py": ""},
            "mainstay.engine is not allowed to import mainstay.gateway",
        ),
        (
            "floors",  # the SDK's face is no back stairs
            {
                "domain/planted.py": "import mainstay",
                "__init__.py": "import mainstay.client.wanted",
                "client/wanted.py": "",
            },
            "mainstay.domain is not allowed to import mainstay.client",
        ),
        ("floors", {"attic/planted.py": ""}, "attic"),
        (
            "stations",
            {
                "lifecycle/registry/planted.py": "import mainstay.lifecycle.release.wanted",
                "lifecycle/release/wanted.py": "",
            },
            "mainstay.lifecycle.registry is not allowed to import mainstay.lifecycle.release",
        ),
        (
            "stations",
            {
                "lifecycle/data/planted.py": "import mainstay.lifecycle.tracking.wanted",
                "lifecycle/tracking/wanted.py": "",
            },
            "mainstay.lifecycle.data is not allowed to import mainstay.lifecycle.tracking",
        ),
        ("stations", {"lifecycle/attic/planted.py": ""}, "attic"),
        (
            "circles",
            {"store/planted.py": "import mainstay.store.wanted", "store/wanted.py": "import mainstay.store.planted"},
            "No cycles are allowed in mainstay.store",
        ),
        ("sql", {"lifecycle/data/planted.py": "import sqlalchemy"}, "mainstay.lifecycle.data.planted -> sqlalchemy"),
        ("sql", {"engine/planted.py": "from sqlalchemy import select"}, "mainstay.engine.planted -> sqlalchemy"),
        ("sql", {"server/planted.py": "def late():\n    import sqlite3"}, "mainstay.server.planted -> sqlite3"),
        ("sql", {"cli/timetables.py": "import alembic.command"}, "mainstay.cli.timetables -> alembic"),
        (
            "wire",
            {"client/planted.py": "import mainstay.server.wanted", "server/wanted.py": ""},
            "mainstay.client.planted -> mainstay.server.wanted",
        ),
        (
            "planes",
            {"gateway/planted.py": "import mainstay.lifecycle.serving.wanted", "lifecycle/serving/wanted.py": ""},
            "mainstay.gateway.planted -> mainstay.lifecycle.serving.wanted",
        ),
    ],
)
def test_a_wrong_import_is_refused(tmp_path: Path, contract: str, planted: dict[str, str], named: str) -> None:
    checked = lint_imports(house_with(tmp_path, planted))

    assert checked.returncode != 0
    assert f"{CONTRACTS[contract]['name']} BROKEN" in checked.stdout
    assert named in checked.stdout


def test_sql_in_the_store_and_in_a_tables_file_is_allowed(tmp_path: Path) -> None:
    planted = {"store/planted.py": "import sqlalchemy", "lifecycle/release/tables.py": "import sqlalchemy as sa"}

    checked = lint_imports(house_with(tmp_path, planted))

    assert f"{CONTRACTS['sql']['name']} KEPT" in checked.stdout


def test_the_contracts_name_every_room_and_no_other() -> None:
    assert {path.parent.name for path in SOURCE.glob("*/__init__.py")} <= set(ROOMS)
    assert {path.parent.name for path in SOURCE.glob("lifecycle/*/__init__.py")} <= set(STATIONS)


@pytest.mark.parametrize(("room", "allowed"), [("domain", set()), ("measures", {"numpy", "pyarrow"})])
def test_the_ground_floor_stands_on_little(room: str, allowed: set[str]) -> None:
    found = {path.name: foreign(path) - allowed for path in python_files(below=SOURCE / room)}

    assert {name: packages for name, packages in found.items() if packages} == {}


def test_a_library_of_an_extra_is_imported_only_inside_functions() -> None:
    early = {
        f"{path.relative_to(ROOT).as_posix()}: {name}"
        for path in python_files()
        if "project" not in path.parts  # the demo's pipeline is what a user would write
        for name, runs_on_import in imports(path)
        if runs_on_import and name.split(".")[0] in OPTIONAL
    }

    assert early == set()


def test_every_third_party_import_is_declared() -> None:
    project = PROJECT["project"]
    declared = [*project["dependencies"], *itertools.chain(*project["optional-dependencies"].values())]
    names = [re.split(r"[\[<>=;~! ]", line)[0] for line in declared]
    known = {IMPORT_NAME.get(name, name.replace("-", "_")) for name in names} | STANDING_BEHIND | BROUGHT_BY_ITS_USER

    undeclared = {path.relative_to(ROOT).as_posix(): foreign(path) - known for path in python_files()}

    assert {place: names for place, names in undeclared.items() if names} == {}


# Faces


def modules_after(code: str) -> set[str]:
    """The top-level modules loaded in a fresh Python that ran this code."""
    report = "import sys, atexit; atexit.register(lambda: print('\\n' + ' '.join(sys.modules)))\n"
    ran = subprocess.run([sys.executable, "-c", report + code], capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr
    return {name.split(".")[0] for name in ran.stdout.splitlines()[-1].split()}


def test_import_mainstay_loads_nothing_heavy() -> None:
    assert modules_after("import mainstay") & HEAVY == set()


def test_help_loads_nothing_heavy() -> None:
    asked = "sys.argv = ['mainstay', '--help']\nfrom mainstay.cli import main\nmain()"

    assert modules_after(asked) & HEAVY == set()


def test_the_package_and_the_project_agree_on_the_version() -> None:
    assert mainstay.__version__ == PROJECT["project"]["version"]


def test_the_core_install_stays_small() -> None:
    packages = locked("core")

    assert 0 < len(packages) <= 60


# Words and files


def test_every_file_begins_with_its_licence_and_what_it_is_for() -> None:
    files = [path for top in ("src", "tests", "benchmarks") for path in python_files(below=ROOT / top)]

    assert places([path for path in [*files, *ROOT.glob("*.py")] if not is_introduced(path)]) == []


def is_introduced(path: Path) -> bool:
    text = path.read_text("utf-8")
    lines = [line for line in text.splitlines() if not line.startswith("#!")]
    licensed = lines[:1] == ["# SPDX-License-Identifier: Apache-2.0"]
    return licensed and bool(ast.get_docstring(ast.parse(text)))


def test_every_file_has_a_noun_for_a_name() -> None:
    nameless = [path for path in SOURCE.rglob("*") if path.stem in NAMELESS and (path.is_dir() or path.suffix == ".py")]

    assert places(nameless) == []


def test_every_room_is_named_in_the_architecture() -> None:
    page = (ROOT / "ARCHITECTURE.md").read_text("utf-8")
    rooms = [path for path in SOURCE.iterdir() if (path / "__init__.py").is_file()]
    stations = [path for path in (SOURCE / "lifecycle").glob("*") if (path / "__init__.py").is_file()]

    assert [path.name for path in [*rooms, *stations] if not re.search(rf"\b{path.name}/", page)] == []


def tracked_files() -> list[Path]:
    """What git tracks or would track; without git (an unpacked sdist), what the tree holds."""
    listing = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    try:
        asked = subprocess.run(listing, cwd=ROOT, capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        files = [path for path in ROOT.rglob("*") if path.is_file()]
        return [path for path in files if not UNTRACKED & set(path.relative_to(ROOT).parts)]
    return [path for name in asked.stdout.split("\0") if name and (path := ROOT / name).is_file()]


def lines_with(pattern: re.Pattern[str]) -> list[str]:
    """Every line of a tracked text file that has the pattern; a file with a NUL is not text."""
    found = []
    for path in tracked_files():
        content = path.read_bytes()
        if b"\0" in content or path == Path(__file__).resolve():
            continue
        for number, line in enumerate(content.decode("utf-8", "replace").splitlines(), start=1):
            if pattern.search(line):
                found.append(f"{path.relative_to(ROOT).as_posix()}:{number}: {line.strip()[:120]}")
    return found


def test_nothing_tracked_knows_the_machine_it_was_written_on() -> None:
    assert lines_with(re.compile(r"(?<![\w.~])/(?:work|root|home|Users|opt/pypi|opt/wheels|tmp/bash_jobs)/")) == []


def test_nothing_tracked_names_a_package_registry() -> None:
    hosts = r"pypi\.org|pythonhosted\.org|npmjs\.(?:org|com)|deb\.debian\.org|(?<!emit-)index-url|\"resolved\":"

    assert lines_with(re.compile(hosts)) == []


def locked(name: str) -> dict[str, list[str]]:
    """The packages of a lock file, each with its hashes."""
    packages: dict[str, list[str]] = {}
    for line in (ROOT / "requirements" / f"{name}.txt").read_text("utf-8").splitlines():
        if found := re.match(r"([\w.-]+)==", line):
            package = packages.setdefault(found[1], [])
        elif "--hash=" in line:
            package.append(line.strip(" \\"))
    return packages


@pytest.mark.parametrize("name", ["core", "demo", "dev", "build", "node"])
def test_a_lock_file_pins_every_package_by_hash_and_names_no_address(name: str) -> None:
    text = (ROOT / "requirements" / f"{name}.txt").read_text("utf-8")

    assert [package for package, hashes in locked(name).items() if not hashes] == []
    assert "://" not in text
    assert not re.search(r"^(torch|nvidia|xgboost)\b(?!-cpu)", text, re.MULTILINE)


def test_the_lock_files_agree_with_each_other() -> None:
    core, demo, dev = (
        {(package, tuple(hashes)) for package, hashes in locked(name).items()} for name in ("core", "demo", "dev")
    )

    assert core <= demo <= dev


def with_examples() -> list[str]:
    return places([path for path in python_files() if ">>> " in path.read_text("utf-8")])


@pytest.mark.parametrize("place", with_examples())
def test_the_examples_in_the_docstrings_are_true(place: str) -> None:
    name = place.removeprefix("src/").removesuffix(".py").removesuffix("/__init__").replace("/", ".")

    ran = doctest.testmod(importlib.import_module(name), optionflags=doctest.ELLIPSIS)

    assert ran.attempted > 0
    assert ran.failed == 0
