# SPDX-License-Identifier: Apache-2.0
"""The documentation held against the code: what it lists is there, and what is there is listed.

In: the pages. Out: nothing, or what is missing on which page. Prose is nobody's to check; tables of facts, commands, names
and links are. ``python tests/docs/test_docs.py`` prints every row that a page lacks, ready to be pasted.
"""

from __future__ import annotations

import importlib
import pkgutil
import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

import mainstay
from mainstay import formats, settings
from mainstay.cli import command as whole_command
from mainstay.domain import errors, events, states
from mainstay.domain.events import Event
from mainstay.domain.governance import PERMISSIONS_BY_ROLE
from mainstay.lifecycle.release import gates, judging
from mainstay.lifecycle.triggers import facts
from mainstay.server import faults, loops
from mainstay.server.app import all_routes
from mainstay.server.protocols import mlflow

ROOT = Path(__file__).resolve().parents[2]
DOCS = ROOT / "docs"
SOURCE = ROOT / "src" / "mainstay"
PAGES = [ROOT / "README.md", ROOT / "ARCHITECTURE.md", ROOT / "CONTRIBUTING.md", *sorted(DOCS.glob("*.md"))]

PAGE_BY_STATES = {
    "RUN": "tracking",
    "VERSION": "registry",
    "RELEASE": "release",
    "ROLLOUT": "release",
    "ALERT": "monitoring",
    "JOB": "store",
}
PAGE_BY_ROOM = {"cli": "command-line", "lifecycle": None}
FURTHER_PAGES = ["settings", "glossary", "why", "security", "operations", "mlflow"]
# What the glossary of the house must explain; the kinds of subjects are added from the events.
TERMS = (
    "experiment", "run", "pipeline", "step", "plan", "dataset", "snapshot", "contract", "artifact", "blob",
    "model", "version", "signature", "format", "alias", "release", "deployment", "variant", "champion", "canary",
    "shadow", "rollout", "rollback", "policy", "gate", "approval", "feedback", "monitor", "detector", "baseline",
    "window", "measurement", "verdict", "alert", "review", "trigger", "decision", "actor", "reason", "because",
    "event", "ledger", "job", "token",
)  # fmt: skip
# The third column of the glossary, as far as a plain search can tell such a word from an innocent one.
NOT_OUR_WORDS = ["flavor", "guardrail", "sign-off", "data asset", "drift job", "payload log"]


def page(name: str) -> str:
    return (DOCS / f"{name}.md").read_text("utf-8")


def tables(text: str) -> Iterator[list[list[str]]]:
    """Each table of a page: its rows without the head, each a list of cells."""
    rows: list[list[str]] = []
    for line in [*text.splitlines(), ""]:
        if line.startswith("|"):
            rows.append([cell.strip().replace("\\|", "|") for cell in re.split(r"(?<!\\)\|", line)[1:-1]])
        elif rows:
            yield rows[2:]
            rows = []


def rows_of(text: str) -> list[list[str]]:
    return [row for rows in tables(text) for row in rows]


def codes(cell: str) -> list[str]:
    """The texts between backticks."""
    return re.findall(r"`([^`]+)`", cell)


def event_kinds() -> dict[str, type[Event]]:
    for found in pkgutil.iter_modules(events.__path__):
        importlib.import_module(f"{events.__name__}.{found.name}")
    return events.kinds()


def listed_events(text: str) -> set[str]:
    known = re.compile(r"[a-z]+\.[a-z]+")
    return {row[0].strip("`") for row in rows_of(text) if len(row) == 2 and known.fullmatch(row[0].strip("`"))}


# Rooms and pages


def rooms() -> list[str]:
    floors = [path.name for path in SOURCE.iterdir() if (path / "__init__.py").is_file()]
    stations = [path.name for path in (SOURCE / "lifecycle").iterdir() if (path / "__init__.py").is_file()]
    pages = [PAGE_BY_ROOM.get(room, room) for room in [*floors, *stations]]
    return [name for name in pages if name] + FURTHER_PAGES


@pytest.mark.parametrize("room", rooms())
def test_a_room_has_a_page_of_its_name_that_says_how_it_fails(room: str) -> None:
    text = page(room)

    assert text.startswith("# ")
    if room not in (*FURTHER_PAGES, "command-line", "domain"):
        assert "## How it fails" in text


def test_there_is_no_page_of_a_room_that_is_gone() -> None:
    assert {path.stem for path in DOCS.glob("*.md")} == set(rooms())


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.stem)
def test_a_link_to_a_file_leads_somewhere(path: Path) -> None:
    targets = re.findall(r"\]\(([^)#\s]+)", path.read_text("utf-8"))

    assert [target for target in targets if "://" not in target and not (path.parent / target).exists()] == []


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.stem)
def test_a_source_file_that_is_named_is_there(path: Path) -> None:
    named = re.findall(r"`((?:src|tests|ui|docs)/[\w./-]+|(?:[a-z]+/)+[a-z_]+\.py)`", path.read_text("utf-8"))
    places = [ROOT, SOURCE]

    assert [name for name in named if not any((place / name).exists() for place in places)] == []


# Facts in tables


def test_the_table_of_settings_is_that_of_the_code() -> None:
    documented = {codes(row[0])[0]: row[1:] for row in rows_of(page("settings"))}

    assert documented == {
        setting.variable: [
            setting.kind.__name__ + (f" ({setting.least} to {setting.most})" if setting.most is not None else ""),
            "none" if setting.default == "" else f"`{setting.default}`",
            setting.sentence,
        ]
        for setting in settings.SETTINGS
    }


def test_every_variable_that_a_page_names_is_a_setting() -> None:
    known = {setting.variable for setting in settings.SETTINGS}

    named = {name for path in PAGES for name in re.findall(r"\bMAINSTAY_[A-Z_]+\b", path.read_text("utf-8"))}

    assert named <= known


@pytest.mark.parametrize("tag", sorted({route.tag for route in all_routes()}))
def test_a_room_lists_exactly_its_routes_with_their_permissions(tag: str) -> None:
    documented = {(row[0].strip("`"), row[1]) for row in rows_of(page(tag)) if "/api/" in row[0]}

    assert documented == {
        (f"{route.method} /api{route.path}", route.permission) for route in all_routes() if route.tag == tag
    }


def test_every_call_of_mlflow_that_is_answered_is_listed_with_its_permission() -> None:
    documented = {codes(row[0])[0]: row[1] for row in rows_of(page("mlflow")) if "/" in row[0] and len(row) == 3}

    assert documented == {named: permission for named, permission, _ in mlflow_calls()}


def mlflow_calls() -> Iterator[tuple[str, str, str]]:
    """Method and first path of each call, its permission, and its sentence."""
    for calls in mlflow.all_calls():
        for call in calls.all:
            told = " ".join((call.function.__doc__ or "").split("\n\n")[0].split()).replace("``", "`")
            yield f"{call.method} {call.paths[0]}", call.permission or "nobody", told


@pytest.mark.parametrize("station", sorted({kind.__module__.rpartition(".")[2] for kind in event_kinds().values()}))
def test_a_station_lists_exactly_its_events(station: str) -> None:
    own = {name for name, kind in event_kinds().items() if kind.__module__.endswith(f".{station}")}

    assert listed_events(page(station)) == own


@pytest.mark.parametrize("name", [name for name in vars(states) if name.isupper()])
def test_a_state_table_is_drawn_as_it_is(name: str) -> None:
    drawn = [
        {row[0].strip("`"): frozenset(codes(row[1])) for row in rows if len(row) == 2}
        for rows in tables(page(PAGE_BY_STATES[name]))
    ]

    assert dict(getattr(states, name)) in drawn


def test_the_table_of_roles_is_that_of_the_code() -> None:
    documented = {
        codes(row[0])[0]: frozenset(row[1].split(", ")) for row in rows_of(page("governance")) if codes(row[0])
    }

    assert {role: documented.get(role) for role in PERMISSIONS_BY_ROLE} == PERMISSIONS_BY_ROLE


def test_every_kind_of_error_is_listed_with_its_status() -> None:
    documented = {codes(row[0])[0]: row[1] for row in rows_of(page("server")) if codes(row[0])}

    assert {kind: documented.get(kind) for kind in errors.BY_KIND} == {
        kind: str(faults.STATUS_BY_KIND[kind]) for kind in errors.BY_KIND
    }


def test_every_loop_of_the_server_is_listed() -> None:
    listed = {name.rpartition(".")[2] for row in rows_of(page("server")) for name in codes(row[0])}

    assert {loop.__name__ for loop in loops.every_loop()} <= listed
    assert page("server").count(".loop` |") == sum(loop.__name__ == "loop" for loop in loops.every_loop())


def test_every_fact_of_a_condition_is_listed() -> None:
    assert {name for row in rows_of(page("triggers")) for name in codes(row[0])} >= facts.NAMES


def test_every_word_of_a_gate_and_every_guard_is_explained() -> None:
    words = {re.split(r"\(", name)[0] for row in rows_of(page("release")) for name in codes(row[0])}
    judged = gates.__doc__ or ""

    assert {"better", "not_worse", "slices", "is_first", "latency_p95_ms", "rows", "base_rate"} <= words
    assert {name for name in re.findall(r"``(\w+)``", judged) if name not in ("margin", "drop")} <= words
    assert all(f"`{guard}`" in page("release") for guard in judging.GUARDS)


def test_every_format_and_every_detector_is_listed() -> None:
    detectors = {path.stem for path in (SOURCE / "measures" / "detectors").glob("*.py")} - {"__init__"}

    assert set(formats.names()) <= {name for row in rows_of(page("formats")) for name in codes(row[0])}
    assert detectors <= {name for row in rows_of(page("measures")) for name in codes(row[0])}


@pytest.mark.parametrize("room", [room for room in rooms() if "| verbs |" in page(room)])
def test_a_verb_that_is_documented_exists(room: str) -> None:
    rows = [
        row
        for row in rows_of(page(room))
        if len(row) == 3 and (SOURCE / "lifecycle" / room / f"{row[0][1:-1]}.py").is_file()
    ]
    gone = [
        f"{file}.{verb}"
        for file, verb in ((codes(row[0])[0], verb) for row in rows for verb in codes(row[2]))
        if not hasattr(importlib.import_module(f"mainstay.lifecycle.{room}.{file}".replace("/", ".")), verb)
    ]

    assert rows
    assert gone == []


@pytest.mark.parametrize("room", [room for room in rooms() if "| file | what it is for |" in page(room)])
def test_a_room_lists_exactly_its_files(room: str) -> None:
    heads = re.split(r"\| file \| what it is for \|\n\|---\|---\|\n", page(room))[1:]
    listed = {line.split("`")[1] for head in heads for line in head.split("\n\n")[0].splitlines()}
    inner = {
        "client": ["recording"],
        "measures": ["detectors"],
        "engine": ["code", "calls", "features", "repeating"],
        "features": ["sources"],
    }
    folders = [SOURCE / room, *(SOURCE / room / folder for folder in inner.get(room, []))]

    assert listed == {path.stem for folder in folders for path in folder.glob("*.py")} - {"__init__"}


# Words


def test_the_glossary_explains_every_term_and_every_kind_of_subject() -> None:
    explained = set(re.findall(r"\*\*([a-z ]+)\*\*", page("glossary")))
    subjects = {name.partition(".")[0] for name in event_kinds()}

    assert set(TERMS) <= explained
    assert subjects - {"access", "batch", "ref"} <= explained


@pytest.mark.parametrize("word", NOT_OUR_WORDS)
def test_no_page_uses_a_word_that_we_do_not_say(word: str) -> None:
    users = [
        path.name
        for path in PAGES
        if path.stem != "glossary" and re.search(rf"\b{word}s?\b", path.read_text("utf-8"), re.I)
    ]

    assert users == []


def test_every_name_of_the_sdk_is_documented_and_every_documented_name_is_there() -> None:
    named = {name for path in PAGES for name in re.findall(r"\bms\.([A-Za-z_]+)", path.read_text("utf-8"))}
    face = set(mainstay.__all__) - {"__version__"}

    assert named == face
    assert face == {
        name.removeprefix("ms.") for row in rows_of(page("client")) for name in codes(row[0]) if name[:3] == "ms."
    }


# Commands


def said_commands() -> list[tuple[str, str]]:
    """Every command that a page names, in prose or in a block: (page, the words behind ``mainstay``)."""
    found = []
    for path in PAGES:
        text = path.read_text("utf-8")
        named = re.findall(r"`mainstay ([a-z][^`]*)`", text.replace("\n", " "))
        named += [line for line in re.findall(r"^(?:\$ )?(?:\w+=\$\()?mainstay ([a-z].*)$", text, re.M)]
        found += [(path.name, words.split("  #")[0].split(" | ")[0].strip()) for words in named]
    return found


def complaint(words: str) -> str | None:
    """What is wrong with a command as written: a word that is no command, an option that it does not have."""
    try:
        parts = shlex.split(words)
    except ValueError:
        return "it cannot be read"
    command: click.Command = whole_command
    while isinstance(command, click.Group) and parts:
        found = command.get_command(click.Context(command), parts[0])
        if found is None:
            return f"there is no command {parts[0]!r}"
        command, parts = found, parts[1:]
    known = {option for each in command.params for option in [*each.opts, *each.secondary_opts]} | {"--help"}
    takes_any = command.context_settings.get("ignore_unknown_options", False)
    strange = [part for part in parts if re.match(r"-", part) and part.split("=")[0] not in known]
    return f"{command.name} has no option {strange[0]}" if strange and not takes_any else None


def test_a_command_that_a_page_names_exists_with_its_options() -> None:
    wrong = [f"{name}: mainstay {words}: {what}" for name, words in said_commands() if (what := complaint(words))]

    assert len(said_commands()) > 40
    assert wrong == []


def test_a_command_that_does_not_exist_would_be_noticed() -> None:
    assert complaint("live --json") is None
    assert complaint("undo everything") == "there is no command 'undo'"
    assert complaint("alerts list --loudly") == "list has no option --loudly"


def missing_rows() -> Iterator[str]:
    """Rows that a page lacks, as they would stand there."""
    for name, kind in event_kinds().items():
        station = kind.__module__.rpartition(".")[2]
        if name not in listed_events(page(station)):
            yield f"docs/{station}.md  | `{name}` | {' '.join((kind.__doc__ or '').split())} |"
    for route in all_routes():
        if f"`{route.method} /api{route.path}` | {route.permission} |" not in page(route.tag):
            told = " ".join((route.function.__doc__ or "").split("\n\n")[0].split()).replace("``", "`")
            yield f"docs/{route.tag}.md  | `{route.method} /api{route.path}` | {route.permission} | {told} |"
    for named, permission, told in mlflow_calls():
        if f"`{named}` | {permission} |" not in page("mlflow"):
            yield f"docs/mlflow.md  | `{named}` | {permission} | {told} |"
    for setting in settings.SETTINGS:
        if setting.sentence not in page("settings"):
            told = f"{setting.kind.__name__} | `{setting.default}` | {setting.sentence}"
            yield f"docs/settings.md  | `{setting.variable}` | {told} |"


if __name__ == "__main__":
    print("\n".join(missing_rows()) or "nothing is missing")
