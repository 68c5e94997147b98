# SPDX-License-Identifier: Apache-2.0
"""What a run stands on, as far as it can be known without asking anybody: code, environment, hardware, seeds.

Code is the git commit, the difference to it, and the project's own files among the modules that are loaded; in a
notebook, the cells as they were executed. What lies outside of the project, or is installed, is known by its version.
"""

from __future__ import annotations

import contextlib
import importlib.metadata
import os
import platform
import re
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any

from mainstay.domain.digests import sha256_hex
from mainstay.domain.tracking import LONGEST_PATH

LARGEST_FILE = 1 << 20
LARGEST_DIFF = 5 << 20
MOST_FILES = 100
NOTEBOOK = "notebook.py"
_GIT_S = 10  # a repository on a slow disk must not keep a run from starting
_NAME_AND_VERSION = re.compile(r"^(Name|Version):[ \t]*(.*?)[ \t\r]*$", re.MULTILINE)
_INSTALLED = frozenset({"site-packages", "dist-packages", "node_modules"})


def code() -> dict[str, Any]:
    """Where the code stands: the script, and the git commit with whether anything is uncommitted."""
    found: dict[str, Any] = {"entry": entry()}
    if commit := _git("rev-parse", "HEAD"):
        found |= {"commit": commit.decode().strip(), "dirty": bool((_git("status", "--porcelain") or b"").strip())}
    return found


def entry() -> str:
    """The name of the script, ``notebook``, or ``interactive``."""
    if _cells():
        return "notebook"
    return Path(sys.argv[0]).name if sys.argv and sys.argv[0] not in ("", "-c") else "interactive"


def difference() -> bytes | None:
    """What was changed since the commit; None if nothing was, or too much to keep."""
    found = _git("diff", "HEAD", "--binary")
    return found if found and len(found) <= LARGEST_DIFF else None


def sources() -> dict[str, bytes]:
    """The project's files among the loaded modules, by their path in it, the script first.

    At most `MOST_FILES`, and none that is larger than `LARGEST_FILE`: code is kept to be read.
    """
    root = project()
    found: dict[str, bytes] = {}
    for path in _loaded():
        if len(found) < MOST_FILES and _is_own(path, root):
            with contextlib.suppress(OSError):
                if path.stat().st_size <= LARGEST_FILE:
                    found[path.relative_to(root).as_posix()] = path.read_bytes()
    if cells := _cells():
        found[NOTEBOOK] = "\n\n".join(f"# %%\n{cell.rstrip()}" for cell in cells if cell.strip()).encode() + b"\n"
    return {path: data for path, data in found.items() if len(path) < LONGEST_PATH - 10 and path.isprintable()}


def project() -> Path:
    """The folder whose code is ours: the git repository, else where the script lies, else here."""
    if top := _git("rev-parse", "--show-toplevel"):
        return Path(top.decode().strip())
    script = getattr(sys.modules.get("__main__"), "__file__", None)
    return Path(script).resolve().parent if script else Path.cwd()


@cache
def environment() -> Mapping[str, Any]:
    """Interpreter, system and the packages that were installed when this process first asked."""
    return {"python": platform.python_version(), "system": platform.system().lower(), "packages": dict(packages())}


@cache
def packages() -> Mapping[str, str]:
    """Version by name of every distribution that was installed when this process first asked."""
    found = dict(name_and_version(each) for each in importlib.metadata.distributions())
    return dict(sorted(((name, version) for name, version in found.items() if name), key=lambda pair: pair[0].lower()))


def name_and_version(distribution: importlib.metadata.Distribution) -> tuple[str, str]:
    """What a distribution says it is; empty where it says nothing."""
    # Two lines of a few hundred files: to parse each of them as a mail, as is the usual way, takes fifteen times as long.
    text = distribution.read_text("METADATA") or distribution.read_text("PKG-INFO") or ""
    told = dict(_NAME_AND_VERSION.findall(text.partition("\n\n")[0]))
    return told.get("Name", ""), told.get("Version", "")


@cache
def hardware() -> Mapping[str, Any]:
    """The machine in a few words; nothing that identifies it."""
    found: dict[str, Any] = {
        "system": platform.system(),
        "machine": platform.machine(),
        "cpus": os.cpu_count(),
        "memory_bytes": _memory_bytes(),
    }
    if names := gpus("name"):
        found["gpus"] = [name for (name,) in names]
    return found


def seeds() -> dict[str, Any]:
    """What is known of the state in which random numbers began: seeds where a library tells them, else digests.

    Equal digests mean that the same numbers followed; which seed led there cannot be read back from a generator.
    """
    import random

    found: dict[str, Any] = {"random_state": sha256_hex(repr(random.getstate()).encode())}
    if said := os.environ.get("PYTHONHASHSEED"):
        found["PYTHONHASHSEED"] = said
    with contextlib.suppress(Exception):  # a library that is half loaded has no state to tell
        if (numpy := sys.modules.get("numpy")) is not None:
            _, keys, place, *_ = numpy.random.get_state()
            found["numpy_state"] = sha256_hex(keys.tobytes() + str(place).encode())
    with contextlib.suppress(Exception):
        if (torch := sys.modules.get("torch")) is not None:
            found["torch"] = str(torch.initial_seed())
    return found


def gpus(*fields: str) -> list[tuple[str, ...]]:
    """What ``nvidia-smi`` says of each GPU; nothing where there is none."""
    program = shutil.which("nvidia-smi")
    if program is None:
        return []
    asked = [program, f"--query-gpu={','.join(fields)}", "--format=csv,noheader,nounits"]
    said = _output(asked) or b""
    rows = [tuple(cell.strip() for cell in line.split(",")) for line in said.decode("utf-8", "replace").splitlines()]
    return [row for row in rows if len(row) == len(fields)]


def _loaded() -> Iterator[Path]:
    script, stdlib = sys.modules.get("__main__"), sysconfig.get_path("stdlib") + os.sep
    for module in (script, *sys.modules.copy().values()):
        place = getattr(module, "__file__", None)
        # Thousands of modules are nobody's own: looking at their names is cheap, following links to their files is not.
        if (
            isinstance(place, str)
            and place.endswith(".py")
            and not place.startswith(stdlib)
            and not _is_installed(place)
        ):
            yield Path(place).resolve()


def _is_installed(place: str) -> bool:
    return any(f"{os.sep}{folder}{os.sep}" in place for folder in _INSTALLED)


def _is_own(path: Path, root: Path) -> bool:
    installed = (Path(sys.prefix).resolve(), Path(__file__).resolve().parents[1])
    if not path.is_relative_to(root) or any(path.is_relative_to(folder) for folder in installed):
        return False
    return not any(part.startswith(".") for part in path.relative_to(root).parts)


def _cells() -> list[str]:
    shell = getattr(sys.modules.get("IPython"), "get_ipython", lambda: None)()
    return [str(cell) for cell in shell.user_ns.get("In", ())] if shell is not None else []


def _git(*arguments: str) -> bytes | None:
    """What git answers, or None: no git, no repository, no commit yet."""
    return _output(["git", *arguments])


def _output(command: list[str]) -> bytes | None:
    try:
        done = subprocess.run(
            command,
            capture_output=True,
            timeout=_GIT_S,
            env={**os.environ, "GIT_OPTIONAL_LOCKS": "0", "LC_ALL": "C"},
            stdin=subprocess.DEVNULL,
            check=False,
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout if done.returncode == 0 else None


def _memory_bytes() -> int | None:
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (ValueError, OSError, AttributeError):
        return None
