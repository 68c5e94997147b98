# SPDX-License-Identifier: Apache-2.0
"""Opening a workspace: made once, by whoever comes first; what cannot be opened says why in one sentence."""

from __future__ import annotations

import importlib
import os
import pkgutil
import shutil
import sqlite3
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext

from mainstay import lifecycle
from mainstay.domain.errors import Conflict, Corrupt, MainstayError, StorageFull, Unavailable
from mainstay.domain.events.governance import PersonAdded
from mainstay.store import Store, ledger, metadata, open_store
from mainstay.store.migrate import LATEST
from mainstay.store.schema import Instant, Json

from .. import databases
from ..databases import on_sqlite

for room in pkgutil.walk_packages(lifecycle.__path__, f"{lifecycle.__name__}."):
    if room.name.endswith(".tables"):
        importlib.import_module(room.name)


def test_the_migrations_make_exactly_the_tables_that_the_rooms_declare(store: Store) -> None:
    def same_type(_context: Any, _column: Any, _declared: Any, found: Any, wanted: Any) -> bool | None:
        if isinstance(wanted, Instant | Json):
            return not isinstance(found, type(wanted.impl_instance))
        return None

    with store.engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": same_type})
        assert compare_metadata(context, metadata) == []


def test_the_newest_migration_is_the_one_that_the_program_asks_for() -> None:
    import mainstay.store.migrations as migrations

    folder = Path(migrations.__path__[0]) / "versions"
    assert max(file.name[1:5] for file in folder.glob("v*.py")) == LATEST


@on_sqlite
def test_opening_again_changes_nothing(tmp_path: Path) -> None:
    open_store(tmp_path).close()
    before = dump(tmp_path)

    open_store(tmp_path).close()

    assert dump(tmp_path) == before


def dump(folder: Path) -> list[str]:
    with sqlite3.connect(folder / "mainstay.db") as database:
        return list(database.iterdump())


@on_sqlite
def test_every_write_is_synced_before_it_is_acknowledged(tmp_path: Path) -> None:
    with databases.engine_that_waits(tmp_path / "mainstay.db").connect() as connection:
        told = {
            name: connection.exec_driver_sql(f"pragma {name}").scalar()
            for name in ("journal_mode", "synchronous", "foreign_keys")
        }

    assert told == {"journal_mode": "wal", "synchronous": 2, "foreign_keys": 1}


@on_sqlite
@pytest.mark.parametrize("name", ["with space", "100%", "what?", "a#b", "ünï", "a%2Fb", "q?mode=memory"])
def test_a_workspace_may_have_any_name(tmp_path: Path, name: str) -> None:
    open_store(tmp_path / name).close()

    assert sorted(file.name for file in tmp_path.iterdir()) == [name]
    assert (tmp_path / name / "mainstay.db").stat().st_size > 0


@on_sqlite
def test_nobody_else_can_read_the_database_even_in_a_folder_open_to_all(tmp_path: Path) -> None:
    (tmp_path / "open").mkdir(mode=0o755)
    store = open_store(tmp_path / "open")
    with store.change(actor="ana") as change:
        change.record(PersonAdded(name="bo", person_kind="user", roles=[]))

    modes = {file.name: stat.S_IMODE(file.stat().st_mode) for file in (tmp_path / "open").glob("*")}
    assert modes.pop("blobs") == 0o700
    assert set(modes.values()) == {0o600}
    store.close()


# What cannot be opened


@on_sqlite
@pytest.mark.parametrize(
    "content", [b"not a database, but long enough to be looked at" * 100, b"SQLite format 3\x00" + b"\xff" * 4096]
)
def test_a_file_that_is_no_database_is_corrupt(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "mainstay.db").write_bytes(content)

    with pytest.raises(Corrupt, match="restore it from a backup"):
        open_store(tmp_path)


@on_sqlite
def test_a_database_whose_pages_were_damaged_is_corrupt_when_they_are_read(tmp_path: Path) -> None:
    store = open_store(tmp_path)
    for n in range(200):
        with store.ingest() as ingest:
            ingest.execute(ledger.ledger_texts.insert().values(seq=n, salt="ab" * 32, text="x" * 2000))
    store.close()
    file = tmp_path / "mainstay.db"
    pages = file.stat().st_size // 4096
    with file.open("r+b") as stream:
        stream.seek(4096 * (pages // 2))
        stream.write(os.urandom(4096 * (pages - pages // 2)))

    with pytest.raises(Corrupt, match="restore it from a backup"):
        again = open_store(tmp_path)
        with again.view() as view:
            view.rows(ledger.select(ledger.ledger_texts))


@on_sqlite
def test_a_database_of_a_newer_program_is_left_alone(tmp_path: Path) -> None:
    open_store(tmp_path).close()
    with sqlite3.connect(tmp_path / "mainstay.db") as database:
        database.execute("update alembic_version set version_num = '9999'")
    before = dump(tmp_path)

    with pytest.raises(Conflict, match=r"newer Mainstay \(tables 9999, this program knows"):
        open_store(tmp_path)

    assert dump(tmp_path) == before


def test_a_workspace_that_is_a_file_is_refused_in_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").touch()

    for folder in (tmp_path / "file", tmp_path / "file" / "below"):
        with pytest.raises(Unavailable, match="Choose another folder"):
            open_store(folder)


@on_sqlite
def test_a_writer_that_waits_too_long_for_another_program_is_told_to_come_back(tmp_path: Path) -> None:
    store = open_store(tmp_path)
    with sqlite3.connect(tmp_path / "mainstay.db", isolation_level=None) as other:
        other.execute("begin immediate")
        with store.engine.connect() as connection:
            connection.exec_driver_sql("pragma busy_timeout=0")

        with pytest.raises(Unavailable, match="busy with another writer"), store.ingest() as ingest:
            ingest.execute(ledger.ledger_texts.delete())
        other.execute("rollback")
    store.close()


MIGRATED = """
import os, signal, sys
from pathlib import Path
from alembic import op
from mainstay.store import open_store

made = []
create = op.create_table
def die(*arguments, **options):
    made.append(arguments[0])
    if len(made) > int(sys.argv[2]):
        os.kill(os.getpid(), signal.SIGKILL)
    return create(*arguments, **options)
op.create_table = die
open_store(Path(sys.argv[1]))
"""


@pytest.mark.parametrize("tables", [0, 5])
def test_a_kill_in_the_middle_of_a_migration_costs_nothing(tmp_path: Path, tables: int) -> None:
    killed = subprocess.run([sys.executable, "-c", MIGRATED, str(tmp_path), str(tables)], timeout=60)
    assert killed.returncode == -9

    store = open_store(tmp_path)

    with store.view() as view:
        assert ledger.verify(view).ok
    store.close()


# A full disk


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    folder = tmp_path / "small"
    folder.mkdir()
    mount = shutil.which("mount")
    if (
        mount is None
        or subprocess.run([mount, "-t", "tmpfs", "-o", "size=2m", "tmpfs", folder], capture_output=True).returncode
    ):
        pytest.skip("this user may not mount a small disk")
    yield folder
    subprocess.run(["umount", "--lazy", folder], check=True)


@on_sqlite
def test_a_full_disk_refuses_writes_keeps_reads_and_recovers_without_a_restart(small_disk: Path) -> None:
    store = open_store(small_disk / "workspace")

    def grow() -> int:
        done = 0
        try:
            for n in range(200):
                with store.change(actor="ana", reason="x" * 4000) as change:
                    change.record(PersonAdded(name=f"p{n}", person_kind="user", roles=["viewer"] * 5000))
                done += 1
        except MainstayError as error:
            refused.append(error)
        return done

    refused: list[MainstayError] = []
    (small_disk / "ballast").write_bytes(bytes(900_000))
    written = grow()

    assert 0 < written < 200
    assert [type(error) for error in refused] == [StorageFull]
    with pytest.raises(StorageFull):
        store.blobs.put(bytes(2_000_000))
    with store.view() as view:
        assert (ledger.verify(view).problems, ledger.verify(view).events) == ((), written)

    (small_disk / "ballast").unlink()
    assert grow() > 0
    with store.view() as view:
        assert ledger.verify(view).ok
    assert not list((small_disk / "workspace" / "blobs" / "incoming").iterdir())
    store.close()


LIMITED = """
import resource, sys
from pathlib import Path
from mainstay.domain.errors import StorageFull
from mainstay.domain.events.governance import PersonAdded
from mainstay.store import ledger, open_store

store = open_store(Path(sys.argv[1]))
resource.setrlimit(resource.RLIMIT_FSIZE, (1_500_000, 1_500_000))
done = 0
try:
    for n in range(200):
        with store.change(actor="ana") as change:
            change.record(PersonAdded(name=f"p{n}", person_kind="user", roles=["viewer"] * 5000))
        done += 1
except StorageFull:
    with store.view() as view:
        print(0 < done < 200, ledger.verify(view).ok, ledger.verify(view).events == done)
"""


@on_sqlite
def test_a_database_that_cannot_grow_is_storage_full_and_stays_whole(tmp_path: Path) -> None:
    child = subprocess.run([sys.executable, "-c", LIMITED, str(tmp_path)], capture_output=True, text=True, timeout=60)

    assert (child.stdout, child.stderr) == ("True True True\n", "")
