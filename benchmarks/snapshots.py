# SPDX-License-Identifier: Apache-2.0
"""What taking files in costs: 10,000 small ones and one of 2 GB, beside ``cp`` and ``dvc add``; and what a small change takes.

Out: ``results/snapshots.json`` and a table. Everything in one run and in turn, several rounds, medians; whatever waits for the
disk is written out before each. A snapshot is acknowledged when it is on the disk; ``cp`` and ``dvc add`` do not wait for it. So
``cp`` is also measured with ``sync`` after it, and a snapshot also without its waits: like stands beside like, and the rest shows
what the promise costs. ``dvc`` is looked for on the path, or where ``--dvc`` says, and left out where there is none; it has fewer
rounds, for it is what takes the time. Ratios are those of pairs within a round.

    python benchmarks/snapshots.py [--files 10000] [--bytes 2000000000] [--rounds 3] [--dvc PATH] [--dvc-rounds 1] [--folder DIR]
"""

from __future__ import annotations

import argparse
import contextlib
import importlib.metadata
import json
import os
import platform
import secrets
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from mainstay.client import datasets, folders
from mainstay.client.session import Session, connect

RESULT = Path(__file__).parent / "results" / "snapshots.json"
SMALL = 10_240
MOST_LOAD = 2.5


def timed(work: Callable[[], Any]) -> float:
    """Seconds of ``work``, after whatever waits for the disk is written."""
    os.sync()
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def small_files(folder: Path, count: int) -> Path:
    made = folder / "many"
    made.mkdir()
    for n in range(count):
        (made / f"{n:05}.bin").write_bytes(secrets.token_bytes(SMALL))
    return made


def large_file(folder: Path, size: int) -> Path:
    made = folder / "large.bin"
    with made.open("wb") as file:
        for _ in range(size // 1_000_000):
            file.write(secrets.token_bytes(1_000_000))
    return made


def changed(path: Path) -> None:
    """One file in a hundred anew; or a hundredth of one file, in the middle."""
    if path.is_dir():
        for file in sorted(path.iterdir())[::100]:
            file.write_bytes(secrets.token_bytes(SMALL))
        return
    size = path.stat().st_size
    with path.open("r+b") as large:
        large.seek(size // 2)
        large.write(secrets.token_bytes(size // 100))


def copied(path: Path, to: Path) -> None:
    subprocess.run(["cp", "-r", str(path), str(to)], check=True)


@contextlib.contextmanager
def without_waits() -> Iterator[None]:
    """Nothing waits for the disk, as ``cp`` does not: only to show what waiting costs."""
    fsync = os.fsync
    os.fsync = lambda handle: None  # type: ignore[assignment]
    try:
        yield
    finally:
        os.fsync = fsync  # type: ignore[assignment]


def taken(session: Session, path: Path) -> None:
    name = f"d-{path.name.partition('.')[0]}"
    datasets.ensure(session, name)
    datasets.add(session, name, path, {})


def stored(workspace: Path) -> int:
    return sum(file.stat().st_size for file in (workspace / "blobs").rglob("*") if file.is_file())


def ours(path: Path, scratch: Path) -> dict[str, float]:
    """Seconds of a snapshot in a new workspace: first, nothing changed, one percent changed; and what that took."""
    workspace = scratch / f"workspace-{secrets.token_hex(4)}"
    session = connect(workspace=workspace)
    try:
        session.get("/datasets")
        time.sleep(2.1)  # what was written just now is read again by intent
        first = timed(lambda: taken(session, path))
        before = stored(workspace)
        unchanged = timed(lambda: taken(session, path))
        changed(path)
        again = timed(lambda: taken(session, path))
        growth = (stored(workspace) - before) / before
        folders.forget(session, path)
    finally:
        session.close()
        shutil.rmtree(workspace)
    return {"add": first, "unchanged": unchanged, "changed": again, "growth": growth}


def ours_without_waits(path: Path, scratch: Path) -> float:
    workspace = scratch / f"workspace-{secrets.token_hex(4)}"
    session = connect(workspace=workspace)
    try:
        session.get("/datasets")
        with without_waits():
            return timed(lambda: taken(session, path))
    finally:
        session.close()
        shutil.rmtree(workspace)


def by_dvc(path: Path, scratch: Path, dvc: str) -> dict[str, float]:
    home = scratch / f"dvc-{secrets.token_hex(4)}"
    home.mkdir()
    here = {**os.environ, "DVC_NO_ANALYTICS": "1"}

    def say(*words: str) -> None:
        subprocess.run([dvc, *words], cwd=home, env=here, check=True, capture_output=True)

    say("init", "--no-scm", "-q")
    copied(path, home / path.name)
    found = {"add": timed(lambda: say("add", path.name, "-q"))}
    found["unchanged"] = timed(lambda: say("add", path.name, "-q"))
    shutil.rmtree(home)
    return found


def synced(work: Callable[[], None]) -> Callable[[], None]:
    def both() -> None:
        work()
        os.sync()

    return both


def one_round(path: Path, scratch: Path, dvc: str | None) -> dict[str, float]:
    copy = scratch / "copy"
    found = {"cp": timed(lambda: copied(path, copy))}
    shutil.rmtree(copy) if copy.is_dir() else copy.unlink()
    found["cp and sync"] = timed(synced(lambda: copied(path, copy)))
    shutil.rmtree(copy) if copy.is_dir() else copy.unlink()
    found["mainstay, without waits"] = ours_without_waits(path, scratch)
    found |= {f"mainstay {what}": value for what, value in ours(path, scratch).items()}
    if dvc:
        found |= {f"dvc {what}": value for what, value in by_dvc(path, scratch, dvc).items()}
    return found | {
        name: found[one] / found[other] for name, (one, other) in _RATIOS.items() if {one, other} <= found.keys()
    }


_RATIOS = {
    "times cp, without waits": ("mainstay, without waits", "cp"),
    "times cp, with sync": ("mainstay add", "cp and sync"),
    "faster than dvc add": ("dvc add", "mainstay add"),
    "and without waits": ("dvc add", "mainstay, without waits"),
}


def measure(what: argparse.Namespace, scratch: Path, dvc: str | None) -> dict[str, dict[str, Any]]:
    results: dict[str, dict[str, Any]] = {}
    for name, make in (
        (f"{what.files:,} files of {SMALL:,} bytes", lambda: small_files(scratch, what.files)),
        (f"one file of {what.bytes:,} bytes", lambda: large_file(scratch, what.bytes)),
    ):
        path = make()
        rounds = [one_round(path, scratch, dvc if n < what.dvc_rounds else None) for n in range(what.rounds)]
        results[name] = {
            key: round(statistics.median(each[key] for each in rounds if key in each), 4) for key in rounds[0]
        }
        results[name]["rounds"] = [{key: round(value, 4) for key, value in each.items()} for each in rounds]
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    return results


def told(results: dict[str, dict[str, Any]]) -> str:
    lines = []
    for name, found in results.items():
        lines.append(name)
        lines += [f"  {key:<28} {value:8.3f}" for key, value in found.items() if key != "rounds"]
    return "\n".join(lines)


def main() -> None:
    options = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    options.add_argument("--files", type=int, default=10_000)
    options.add_argument("--bytes", type=int, default=2_000_000_000)
    options.add_argument("--rounds", type=int, default=3)
    options.add_argument("--dvc-rounds", type=int, default=1)
    options.add_argument("--dvc", default=shutil.which("dvc"))
    options.add_argument("--folder", type=Path, help="where to work; a disk, not memory")
    options.add_argument(
        "--even-if-busy", action="store_true", help="do not ask for a quiet machine; the load is noted"
    )
    what = options.parse_args()
    load = os.getloadavg()[0]
    if load > MOST_LOAD and not what.even_if_busy:
        sys.exit(
            f"the machine is busy (load {load:.1f}); times would say little. --even-if-busy measures all the same."
        )
    with tempfile.TemporaryDirectory(prefix="snapshots-", dir=what.folder) as scratch:
        results = measure(what, Path(scratch), what.dvc)
    print(told(results))
    facts = {
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
        "machine": {"cores": os.cpu_count(), "python": platform.python_version(), "system": platform.system()},
        "load": [round(load, 1), round(os.getloadavg()[0], 1)],
        "versions": {"mainstay": importlib.metadata.version("mainstay"), "dvc": _version(what.dvc)},
        "results": results,
    }
    RESULT.parent.mkdir(exist_ok=True)
    RESULT.write_text(json.dumps(facts, indent=1) + "\n")


def _version(dvc: str | None) -> str | None:
    if dvc is None:
        return None
    return subprocess.run([dvc, "--version"], capture_output=True, text=True, check=True).stdout.strip()


if __name__ == "__main__":
    main()
