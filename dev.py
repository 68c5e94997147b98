#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""From a fresh clone to a running demo or a tested change, with nothing but a Python.

In: this repository. Out: ``.venv`` with the hash-pinned packages of ``requirements/`` and the project itself, then the
command asked for. The surprising thing: it must start on a Python too old for the project, only to find a newer one or
say which is needed; hence the standard library alone, and nothing newer than Python 3.7 in its syntax.
"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent
VENV = ROOT / ".venv"
CLIENT_VENVS = ROOT / ".clients"
LOG = VENV / "install.log"
PAGE = ROOT / "src" / "mainstay" / "server" / "ui" / "assets" / "index.html"
OLDEST, NEWEST = (3, 11), (3, 13)
LOCKS = ("core", "demo", "dev", "build", "node")
# Clients of other tools that the tests speak to the server with; each in an environment of its own, since their needs differ.
CLIENTS = {
    "mlflow": "mlflow==3.17.2\nscikit-learn\nskops\nxgboost-cpu\nlightgbm\n",
    "mlflow-old": "mlflow==3.6.0\n",
    "mlflow-skinny": "mlflow-skinny==3.17.2\n",
}
# What has to do with rows, and is therefore tested on SQLite and on PostgreSQL.
ROOMS = ("governance", "data", "tracking", "pipelines", "registry", "release", "monitoring", "triggers")
ON_BOTH = ("store", *ROOMS, "protocols", "journeys", "cli/test_up.py")
BROWSERS = ("chromium", "chromium-browser", "google-chrome")
FAILED, INTERRUPTED = 1, 130


class Stop(Exception):
    """Nothing more can be done; the message says what was found, and what to do next."""


def main() -> int:
    args, rest = parser().parse_known_args()
    verbs = {"demo": demo, "test": test, "check": check, "bench": bench, "clean": clean, "lock": lock}
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(128 + number))
    try:
        if args.verb not in ("clean", "lock"):
            ensure_python()
        return verbs[args.verb](rest)
    except Stop as reason:
        say(f"stopped: {reason}")
        return FAILED
    except KeyboardInterrupt:
        say("interrupted")
        return INTERRUPTED


def parser() -> argparse.ArgumentParser:
    lines = [
        "demo     the whole loop on a year of real flights, then the web page until Ctrl-C (--exit: stop at once)",
        "test     lint, types, import contracts, and all tests; further words go to pytest (-k words)",
        "check    lint, types and import contracts only",
        "bench    run benchmarks/ (further words: names of files there)",
        "clean    remove .venv, builds and caches",
        "lock     write requirements/*.txt anew from pyproject.toml (needs uv)",
    ]
    made = argparse.ArgumentParser(
        prog="dev.py",
        usage="python3 dev.py VERB [...]   (or: make VERB)",
        epilog="verbs:\n  " + "\n  ".join(lines),
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    made.add_argument("verb", choices=[line.split()[0] for line in lines], metavar="VERB", help="what to do; see below")
    return made


# The verbs


def demo(rest: list[str]) -> int:
    prepare("demo")
    return hand_over([str(in_venv("mainstay")), "demo", *rest])


def test(rest: list[str]) -> int:
    failed = [] if prepare("dev") else ["page"]
    for name in CLIENTS:
        prepare_client(name)
    skipped = [] if ensure_browser() else ["--ignore=tests/browser"]
    failed += failed_checks()
    if failed:
        say(f"FAILED so far: {', '.join(failed)}; the tests run all the same")
    workers = str(max(1, min(4, os.cpu_count() or 1)))
    # loadfile: the tests of one file share servers and workspaces, and stay together; tests/conftest.py says which come first.
    spread = ["-n", workers, "--dist", "loadfile", "--no-loadscope-reorder"]
    pytest = [python(), "-m", "pytest", *spread, "--timeout", "600", *skipped, *rest]
    if run(pytest):
        failed.append("tests")
    # Who asks for some tests says where with TEST_DATABASE; all of them means both databases.
    on_postgres = dict(os.environ, TEST_DATABASE="postgres")
    if not rest and run([*pytest, *(f"tests/{part}" for part in ON_BOTH)], on_postgres):
        failed.append("tests on PostgreSQL")
    # Where all is well, the test runner's own summary is the last thing printed.
    return conclude(failed) if failed else 0


def check(rest: list[str]) -> int:
    prepare("dev")
    return conclude(failed_checks())


def bench(rest: list[str]) -> int:
    prepare("dev")
    files = sorted(p for p in (ROOT / "benchmarks").glob("*.py") if not p.name.startswith("_"))
    wanted = [p for p in files if not rest or p.stem in rest or p.name in rest]
    if not wanted:
        there = ", ".join(path.stem for path in files) or "none"
        raise Stop(f"there is no benchmark to run; asked for: {' '.join(rest) or 'all'}, there are: {there}.")
    return conclude([path.stem for path in wanted if run([python(), str(path)])])


def clean(rest: list[str]) -> int:
    """Remove what this file and the tools made; nothing that git tracks, and no workspace."""
    caches = [".hypothesis", ".import_linter_cache", ".mypy_cache", ".pytest_cache", ".ruff_cache"]
    folders = [ROOT / name for name in [".venv", ".clients", "build", "dist", *caches]]
    folders += [PAGE.parent, ROOT / "ui" / "node_modules"]
    folders += [p for top in ("src", "tests", "benchmarks") for p in (ROOT / top).rglob("__pycache__")]
    for folder in folders:
        shutil.rmtree(str(folder), ignore_errors=True)
    say("clean")
    return 0


def lock(rest: list[str]) -> int:
    """Write the lock files: versions and hashes for Python 3.11 to 3.13 on every platform; no address of an index."""
    uv = shutil.which("uv")
    if uv is None:
        raise Stop("`uv` is not on the PATH, and only it resolves for all Pythons at once. `pip install uv`.")
    # The widest set first; the others may only repeat its versions, so that demo and tests run the same code.
    compile_lock(uv, "dev", ["--extra", "dev"])
    for name in ("demo", "core"):
        extra = ["--extra", name] if name != "core" else []
        compile_lock(uv, name, [*extra, "-c", str(lock_file("dev"))])
    compile_lock(uv, "build", ["-c", str(lock_file("dev"))], "hatchling\neditables\n")
    compile_lock(uv, "node", [], node_requirement() + "\n")
    for name, wanted in CLIENTS.items():
        compile_lock(uv, f"clients/{name}", [], wanted)
    return 0


def compile_lock(uv: str, name: str, options: list[str], requirements: str | None = None) -> None:
    source = "-" if requirements else "pyproject.toml"
    flags = ["--generate-hashes", "--universal", "--python-version", "3.11", "--upgrade"]
    flags += ["--no-header", "--no-annotate", "--no-emit-index-url", "--quiet"]
    env = dict(os.environ, UV_PYTHON_DOWNLOADS="never")
    command = [uv, "pip", "compile", source, *flags, *options]
    done = subprocess.run(
        command, cwd=str(ROOT), env=env, input=requirements, stdout=subprocess.PIPE, universal_newlines=True
    )
    if done.returncode:
        raise Stop(f"uv could not resolve requirements/{name}.txt.")
    lock_file(name).write_text(f"# Written by `python3 dev.py lock`, never by hand.\n{done.stdout}", encoding="utf-8")
    packages = [line for line in done.stdout.splitlines() if line[:1].isalnum()]
    say(f"requirements/{name}.txt: {len(packages)} packages")


def node_requirement() -> str:
    """The Node that hatch_build.py asks for, so that it is written down once."""
    found = re.search(r'^NODE_PACKAGE = "(.+)"$', (ROOT / "hatch_build.py").read_text("utf-8"), re.MULTILINE)
    if found is None:
        raise Stop("hatch_build.py has no line NODE_PACKAGE.")
    return found.group(1)


def failed_checks() -> list[str]:
    """Lint, format, types and import contracts; the names of those that failed. All run, whatever fails."""
    checks = [
        ("lint", ["ruff", "check", "."]),
        ("format", ["ruff", "format", "--check", "."]),
        ("types", ["mypy"]),
        ("contracts", ["lint-imports"]),
    ]
    return [name for name, command in checks if not passes(name, [str(in_venv(command[0])), *command[1:]])]


def passes(name: str, command: list[str]) -> bool:
    """Run one check; one line if it passes, all it printed if it does not."""
    begun = time.monotonic()
    done = subprocess.run(command, cwd=str(ROOT), stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    if done.returncode:
        sys.stdout.flush()
        sys.stdout.buffer.write(done.stdout)
    say(f"{name}: {'FAILED' if done.returncode else 'ok'}", begun)
    return done.returncode == 0


def conclude(failed: list[str]) -> int:
    say(f"FAILED: {', '.join(failed)}" if failed else "all ok")
    return FAILED if failed else 0


# The environment


def ensure_python() -> None:
    """Go on in a Python that fits; start again in one that does, if this one does not."""
    if OLDEST <= sys.version_info[:2] <= NEWEST or venv_fits():
        return
    found = f"this is Python {sys.version_info[0]}.{sys.version_info[1]}, and Mainstay needs 3.11, 3.12 or 3.13"
    for name in ("python3.13", "python3.12", "python3.11"):
        path = shutil.which(name)
        if path and fits(path):
            say(f"{found}; going on with {name}")
            raise SystemExit(hand_over([path, str(Path(__file__).resolve()), *sys.argv[1:]]))
    raise Stop(f"{found}; none of python3.13, python3.12, python3.11 is on the PATH. Install one and come again.")


def fits(path: str) -> bool:
    """Whether this is a working Python of a version we support; a name on the PATH may have nothing behind it."""
    code = f"import sys; sys.exit(not {OLDEST} <= sys.version_info[:2] <= {NEWEST})"
    with contextlib.suppress(OSError):
        return subprocess.run([path, "-c", code], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL).returncode == 0
    return False


def venv_fits() -> bool:
    return Path(python()).exists() and fits(python())


def prepare(wanted: str) -> bool:
    """Have ``.venv`` with the packages of one lock file (``demo`` or ``dev``) and the project; do nothing twice.

    Returns whether the web page is built, and from the sources that are there.
    """
    begun = time.monotonic()
    if not venv_fits():
        make_venv()
    # Once there are development tools in it, it keeps them: `make demo` after `make test` installs nothing.
    name = "dev" if stamp("dev").exists() else wanted
    packages = fingerprint([lock_file(name), lock_file("build")])
    if not matches(stamp(name), packages):
        install_packages(name)
        stamp(name).write_text(packages, encoding="ascii")
    project = fingerprint([*project_files(), lock_file(name)])
    has_page = matches(stamp("project"), project) and in_venv("mainstay").exists() and PAGE.is_file()
    if not has_page:
        has_page = install_project()
        # Without a page the work is not done: the next call tries again.
        stamp("project").write_text(project if has_page else "", encoding="ascii")
    say("environment: ready", begun)
    return has_page


def prepare_client(name: str) -> None:
    """Have the environment of one client; do nothing twice."""
    begun = time.monotonic()
    folder, lock = CLIENT_VENVS / name, lock_file(f"clients/{name}")
    if matches(folder / "installed.sha256", fingerprint([lock])):
        return
    shutil.rmtree(str(folder), ignore_errors=True)
    subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True, stdout=subprocess.DEVNULL)
    pip("install", "--require-hashes", "-r", str(lock), of=folder / "bin" / "python")
    (folder / "installed.sha256").write_text(fingerprint([lock]), encoding="ascii")
    say(f"environment: the client {name}", begun)


def make_venv() -> None:
    begun = time.monotonic()
    shutil.rmtree(str(VENV), ignore_errors=True)
    done = subprocess.run([sys.executable, "-m", "venv", str(VENV)], stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    if done.returncode or not venv_fits():
        shutil.rmtree(str(VENV), ignore_errors=True)
        detail = done.stdout.decode(errors="replace").strip().splitlines()[-1:] or ["no reason given"]
        raise Stop(
            f"{sys.executable} cannot make a virtual environment ({detail[0]}); "
            "its venv and ensurepip modules are needed (on Debian and Ubuntu: the package python3-venv)."
        )
    say("environment: .venv made", begun)


def install_packages(name: str) -> None:
    begun = time.monotonic()
    locks = [option for each in (name, "build") for option in ("-r", str(lock_file(each)))]
    pip("install", "--require-hashes", *locks)
    say(f"environment: packages of requirements/{name}.txt", begun)


def install_project() -> bool:
    """Install the project in place, which also builds its web page (see hatch_build.py); whether there is one now."""
    begun = time.monotonic()
    question = "import pathlib, sys, hatch_build; sys.exit(0 if hatch_build.needs_node(pathlib.Path()) else 1)"
    if subprocess.run([python(), "-c", question], cwd=str(ROOT)).returncode == 0:
        pip("install", "--require-hashes", "-r", str(lock_file("node")))
        say("environment: Node from the package index, to build the web page", begun)
        begun = time.monotonic()
    # -v, or pip would swallow the one line with which the build says that there is no page.
    printed = pip("install", "-v", "--no-deps", "--no-build-isolation", "-e", str(ROOT))
    page = [line.strip() for line in printed.splitlines() if line.strip().startswith("page: ")]
    say(f"environment: the project{'' if page else ', with its web page'}", begun)
    if page:
        say(page[0])
    return not page


def pip(*arguments: str, of: Path | None = None) -> str:
    """Run pip in an environment; what it printed. It goes to a file too, and its end is shown when pip fails."""
    env = dict(os.environ, PIP_DISABLE_PIP_VERSION_CHECK="1", PIP_NO_INPUT="1")
    done = subprocess.run(
        [str(of or python()), "-m", "pip", *arguments],
        cwd=str(ROOT),
        env=env,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    printed = done.stdout.decode(errors="replace")
    LOG.write_text(printed, encoding="utf-8")
    if done.returncode:
        print("\n".join(printed.splitlines()[-15:]))
        raise Stop(f"pip could not install; all it printed is in {LOG.relative_to(ROOT)}.")
    return printed


def project_files() -> list[Path]:
    """What decides how the project is installed: its description, the build hook, and the sources of the page."""
    ui = ROOT / "ui"
    files = [ROOT / "pyproject.toml", ROOT / "hatch_build.py"] + [p for p in ui.glob("*") if p.is_file()]
    return files + [p for folder in ("src", "public", "scripts") for p in (ui / folder).rglob("*") if p.is_file()]


def fingerprint(files: list[Path]) -> str:
    """SHA-256 over the names and contents of these files."""
    digest = hashlib.sha256()
    for path in sorted(files):
        content = path.read_bytes()
        digest.update(f"{path.relative_to(ROOT)}\0{len(content)}\0".encode())
        digest.update(content)
    return digest.hexdigest()


def matches(path: Path, value: str) -> bool:
    return path.exists() and path.read_text(encoding="ascii") == value


def stamp(name: str) -> Path:
    return VENV / f"installed-{name}.sha256"


def lock_file(name: str) -> Path:
    return ROOT / "requirements" / f"{name}.txt"


def python() -> str:
    return str(in_venv("python"))


def in_venv(name: str) -> Path:
    """A command of the environment; POSIX and Windows keep them apart."""
    return VENV / "Scripts" / f"{name}.exe" if os.name == "nt" else VENV / "bin" / name


def ensure_browser() -> bool:
    """Have a Chromium for tests/browser; where it cannot be had, say loudly that those tests are not run."""
    if any(shutil.which(name) for name in BROWSERS):
        return True
    begun = time.monotonic()
    apt, is_root = shutil.which("apt-get"), hasattr(os, "geteuid") and os.geteuid() == 0
    if not (apt and is_root):
        why = "there is no apt-get" if not apt else "only root may install one"
        say(f"browser: NOT TESTED. No Chromium is on the PATH and {why}; tests/browser is left out. Install chromium.")
        return False
    env = dict(os.environ, DEBIAN_FRONTEND="noninteractive")
    steps = [[apt, "update", "-q"], [apt, "install", "-q", "-y", "--no-install-recommends", "chromium"]]
    for step in steps:
        subprocess.run(step, env=env, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    if any(shutil.which(name) for name in BROWSERS):
        say("browser: chromium installed", begun)
        return True
    say("browser: NOT TESTED. `apt-get install chromium` failed (run it to see why); tests/browser is left out.")
    return False


# Processes and words


def run(command: list[str], env: dict[str, str] | None = None) -> int:
    """Run a command in the repository and wait for it; an interrupt reaches it too, and it may clean up first."""
    with subprocess.Popen(command, cwd=str(ROOT), env=env) as process:
        try:
            return process.wait()
        except KeyboardInterrupt:
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(timeout=20)
            raise
        finally:
            end(process)


def end(process: subprocess.Popen[bytes]) -> None:
    """Have a process end that may still run: asked as by Ctrl-C, so that it ends its own children first, then told."""
    if process.poll() is None:
        with contextlib.suppress(subprocess.TimeoutExpired, ValueError):  # ValueError: Windows has no such signal
            process.send_signal(signal.SIGINT)
            process.wait(timeout=20)
    if process.poll() is None:
        process.terminate()


def hand_over(command: list[str]) -> int:
    """Become the command, so that signals and the exit code are its own; where that cannot be done, run it."""
    sys.stdout.flush()
    if os.name == "nt":
        return run(command)
    os.chdir(str(ROOT))
    os.execv(command[0], command)


def say(words: str, begun: float | None = None) -> None:
    """One line, with the seconds since ``begun``."""
    print(words if begun is None else f"{words} ({time.monotonic() - begun:.1f} s)", flush=True)


if __name__ == "__main__":
    sys.exit(main())
