# SPDX-License-Identifier: Apache-2.0
"""What a run stands on besides its own code: Python, installed distributions, environment variables, hardware, seeds.

Two views. The *lock* (all distributions) is recorded with a run. The *part* of a cache key holds only what the step's
closure imports, so that installing a linter does not retrain a model. Values of variables are digested, never stored:
they may be secrets.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import inspect
import json
import os
import platform
import random
import re
import sys
from collections.abc import Iterable, Mapping
from functools import cache
from typing import Any

from mainstay.client import capture
from mainstay.domain.digests import sha256_hex

ABSENT = "absent"
_FIRST_WORD = re.compile(r"^([^/,\n]+)(/|,|$)", re.MULTILINE)


def part(imports: Iterable[str], variables: Iterable[str]) -> dict[str, Any]:
    """The environment's part of a step's key: Python minor, packages, variables; the platform if code is native."""
    packages = versions_of(imports)
    found: dict[str, Any] = {"python": python_minor(), "packages": packages}
    if any(_is_native(name) for name in packages):
        found["platform"] = f"{platform.system().lower()}-{platform.machine()}"
    if names := sorted(set(variables)):
        found["variables"] = {name: _digest_of_variable(name) for name in names}
    return found


def python_minor() -> str:
    """Such as ``3.11``: syntax trees and behaviour may differ between minors."""
    return f"{sys.version_info.major}.{sys.version_info.minor}"


def versions_of(imports: Iterable[str]) -> dict[str, str]:
    """Version by distribution of the top-level names that are imported; a name nobody provides is ``absent``.

    The absence counts as well: a step with `try: import numba` runs again once numba is there.
    """
    found: dict[str, str] = {}
    for name in imports:
        distributions = _distributions().get(name)
        if not distributions:
            found[name] = ABSENT
        for distribution in distributions or ():
            found[distribution] = _version(distribution)
    return dict(sorted(found.items()))


def lock_text(packages: Mapping[str, str]) -> bytes:
    """The lock as ``name==version`` lines, with the Python that it was for in the first."""
    lines = [f"# python {platform.python_version()}", *(f"{name}=={version}" for name, version in packages.items())]
    return ("\n".join(lines) + "\n").encode()


def hardware() -> dict[str, Any]:
    """The machine in a few words; nothing that identifies it."""
    return {
        "system": platform.system(),
        "machine": platform.machine(),
        "cpus": os.cpu_count(),
        "memory_bytes": _memory_bytes(),
    }


def seed_everything(seed: int, step: str) -> None:
    """Fix the global generators of ``random`` and, if it is loaded, NumPy: a step always begins in the same state."""
    value = int.from_bytes(hashlib.sha256(f"{seed}:{step}".encode()).digest()[:4], "big")
    random.seed(value)
    numpy = sys.modules.get("numpy")
    if numpy is not None:
        numpy.random.seed(value)


def _memory_bytes() -> int | None:
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (ValueError, OSError, AttributeError):
        return None


def _digest_of_variable(name: str) -> str:
    value = os.environ.get(name)
    return ABSENT if value is None else sha256_hex(value.encode("utf-8", "surrogateescape"))


@cache
def _distributions() -> Mapping[str, list[str]]:
    """Distributions by the top-level names that they provide."""
    found: dict[str, set[str]] = {}
    for each in importlib.metadata.distributions():
        for name in _top_levels(each):
            found.setdefault(name, set()).add(capture.name_and_version(each)[0])
    return {name: sorted(distributions) for name, distributions in found.items()}


def _top_levels(distribution: importlib.metadata.Distribution) -> Iterable[str]:
    if declared := (distribution.read_text("top_level.txt") or "").split():
        return declared
    record = distribution.read_text("RECORD") or "\n".join(map(str, distribution.files or ()))
    # Each line begins with a path. `importlib.metadata` would make an object of each, of which there are a hundred thousand.
    began = set(_FIRST_WORD.findall(record))
    named = ((word if mark == "/" else inspect.getmodulename(word)) for word, mark in began)
    return {name for name in named if name and "." not in name}


def versions_now(distributions: Iterable[str]) -> dict[str, str]:
    """Version by name of distributions as a key names them; of one that is not here, ``absent``."""
    found: dict[str, str] = {}
    for name in distributions:
        try:
            found[name] = _version(name)
        except importlib.metadata.PackageNotFoundError:
            found[name] = ABSENT
    return found


def is_installed(name: str) -> bool:
    """Whether a distribution provides the top-level module ``name``."""
    return name in _distributions()


@cache
def _version(distribution: str) -> str:
    """The version; of one that was installed from a repository also the commit, which moves while the version stands."""
    found = importlib.metadata.distribution(distribution)
    try:
        commit = json.loads(found.read_text("direct_url.json") or "{}").get("vcs_info", {}).get("commit_id")
    except (ValueError, AttributeError):
        commit = None
    return f"{found.version}@{commit[:12]}" if isinstance(commit, str) else found.version


@cache
def _is_native(distribution: str) -> bool:
    try:
        wheel = importlib.metadata.distribution(distribution).read_text("WHEEL") or ""
    except importlib.metadata.PackageNotFoundError:
        return False
    return "Root-Is-Purelib: false" in wheel
