"""Migrations: what they make is what the tables say, all of it or nothing."""

from __future__ import annotations

import ast
import os
import re
import shutil
import signal
import sqlite3
import stat
import subprocess
import sys
from pathlib import Path

import pytest
from alembic import command
from alembic.script import ScriptDirectory
from sqlalchemy import create_engine

from engine.errors import StoreError
from store import migrate, readback
from store.database import open_reader, open_writer
from store.history import History
from store.journal import queue_alerts
from store.tables import metadata
from store.version import APPLICATION_ID, REVISIONS
from store.views import VIEWS
from tests.store.filled import CHECKOUT, a_run, python


def alembic(path: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run `alembic` in the checkout, as a developer does."""
    return subprocess.run(
        [sys.executable, "-m", "alembic", *arguments],
        cwd=CHECKOUT,
        env={**os.environ, "ENGINE_STORE": f"sqlite:///{path}"},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


def schema_of(path: Path) -> dict[tuple[str, str], str]:
    """Give every object's DDL, without what only layout differs in."""
    connection = sqlite3.connect(path)
    rows = connection.execute("SELECT type, name, sql FROM sqlite_master WHERE sql IS NOT NULL")
    found = {(kind, name): re.sub(r"\s+|(?<=\()\s|\s(?=\))", "", sql) for kind, name, sql in rows}
    connection.close()
    return found


@pytest.fixture(scope="module")
def migrated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make a store by `alembic upgrade head`, in a folder whose name is no syntax."""
    path = tmp_path_factory.mktemp("a 50%20 store?") / "runs.db"
    done = alembic(path, "upgrade", "head")
    assert done.returncode == 0, done.stderr
    return path


def test_both_ways_make_the_same_store(path: Path, migrated: Path) -> None:
    """The tables as the program makes them are the tables as the migrations make them."""
    open_writer(path).close()
    ours, theirs = schema_of(path), schema_of(migrated)
    assert set(ours) == set(theirs)
    for key, sql in ours.items():
        assert theirs[key] == sql, key
    tables = {name for kind, name in ours if kind == "table"}
    assert tables == {*metadata.tables, "alembic_version", "sqlite_sequence"}
    assert {name for kind, name in ours if kind == "view"} == {*VIEWS, "live_rows"}


def test_a_migrated_store_is_a_store(migrated: Path, tmp_path: Path) -> None:
    """Private, known as ours, of the newest version: the program takes it as it is."""
    assert stat.S_IMODE(migrated.stat().st_mode) == 0o600
    path = tmp_path / "runs.db"
    shutil.copyfile(migrated, path)
    database = open_writer(path)
    a_run(database)
    assert database.raw.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    assert database.raw.execute("PRAGMA application_id").fetchone() == (APPLICATION_ID,)
    database.close()
    assert sorted(p.name for p in tmp_path.iterdir()) == ["runs.db", "runs.db.reserve"]


def test_alembic_finds_nothing_to_do(migrated: Path) -> None:
    """`check` holds the tables against the migrations, `current` names the newest."""
    checked = alembic(migrated, "check")
    assert checked.returncode == 0, checked.stdout + checked.stderr
    assert checked.stdout == "No new upgrade operations detected.\n"
    current = alembic(migrated, "current")
    assert current.stdout == f"{REVISIONS[-1]} (head)\n", current.stderr


def test_alembic_leaves_another_programs_file_alone(path: Path) -> None:
    """Our tables do not go into a file that is not ours."""
    path.parent.mkdir()
    other = sqlite3.connect(path)
    other.execute("CREATE TABLE theirs (x)")
    other.close()
    before = path.read_bytes()
    done = alembic(path, "upgrade", "head")
    assert done.returncode != 0
    assert f"'{path}' is not a store of this program" in done.stderr + done.stdout
    assert path.read_bytes() == before


def test_the_versions_are_one_line(path: Path) -> None:
    """REVISIONS names every migration, oldest first, each on the one before."""
    scripts = list(ScriptDirectory.from_config(migrate.config()).walk_revisions())
    assert tuple(script.revision for script in reversed(scripts)) == REVISIONS
    downs = [script.down_revision for script in reversed(scripts)]
    assert downs == [None, *REVISIONS[:-1]]
    assert not path.exists()


def test_migrations_import_nothing_of_ours() -> None:
    """What a migration does is fixed in it, whatever becomes of the tables."""
    versions = sorted((CHECKOUT / "migrations" / "versions").glob("*.py"))
    assert len(versions) == len(REVISIONS)
    for version in versions:
        imported = set()
        for node in ast.walk(ast.parse(version.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                imported |= {name.name.partition(".")[0] for name in node.names}
            elif isinstance(node, ast.ImportFrom):
                imported.add((node.module or "").partition(".")[0])
        assert imported <= {"__future__", "alembic", "sqlalchemy"}, version


OLD_RUN = """
INSERT INTO definition_rows VALUES (1, 'x', 'flow');
INSERT INTO definition_steps VALUES (1, 0, 'a', 'print', '{}', '[]');
INSERT INTO run_rows (id, workflow, status, params, context_sha256, definition_id, started_at,
  finished_at, root_run, started_by, note, user, host, owner, workers)
VALUES (1, 'flow', 'failed', '{}', '', 1, 0, 2000000, 1, 'hand', '', 'ann', 'here', '', 4);
INSERT INTO attempt_rows (run_id, position, number, started_at, finished_at, outcome, error)
VALUES (1, 0, 1, 0, 2000000, 'failed', 'ValueError: no luck');
INSERT INTO step_rows (run_id, position, status, ended_at, note)
VALUES (1, 0, 'failed', 2000000, 'ValueError: no luck');
INSERT INTO alert_rows (run_id, channel, status, created_at, tries, error)
VALUES (1, 'slack', 'pending', 2000000, 3, 'offline'), (1, 'email', 'sent', 2000000, 1, '');
DELETE FROM alert_rows WHERE id = 2;
"""


@pytest.mark.parametrize("version", REVISIONS[:-1])
def test_a_store_of_each_version_is_upgraded(path: Path, version: str) -> None:
    """Its runs are there, none is given a reason that was never recorded, and new ones go in."""
    path.parent.mkdir()
    engine = create_engine(f"sqlite:///{path}")
    settings = migrate.config()
    with engine.begin() as connection:
        settings.attributes["connection"] = connection
        command.upgrade(settings, version)
    engine.dispose()
    older = sqlite3.connect(path)
    older.executescript(f"PRAGMA application_id = {APPLICATION_ID};{OLD_RUN}")
    knows_zones = version >= "0006"
    if knows_zones:
        older.execute("INSERT INTO schedule_rows VALUES ('flow', 'daily', 'Asia/Tokyo', 0, '{}')")
        older.commit()
    older.close()
    database = open_writer(path)
    history = History(database)
    run = history.run(1)
    assert (run["status"], run["reason"], run["choices"]) == ("failed", None, None)
    assert [step["note"] for step in history.steps(1)] == ["ValueError: no luck"]
    assert run["zone"] == ("Asia/Tokyo" if knows_zones else None)
    for view in ("decisions", "environments", "incidents", "slots", "pauses"):
        assert database.raw.execute(f"SELECT * FROM {view}").fetchall() == []
    told = "SELECT id, run_id, channel, status, tries, error, kind FROM alerts"
    assert database.raw.execute(told).fetchall() == [
        (1, 1, "slack", "pending", 3, "offline", "run")
    ]
    with database.write() as cursor:  # the number of the alert that is gone is not given again
        queue_alerts(cursor, 1, ["email"], 0)
    assert database.raw.execute("SELECT max(id) FROM alerts").fetchone() == (3,)
    a_run(database, reason="asked for with --fresh", versions={"python": "3.11.7"}, zone="UTC")
    assert history.run(2)["reason"] == "asked for with --fresh"
    assert history.run(2)["zone"] == "UTC"
    with pytest.raises(sqlite3.IntegrityError, match="ck_attempt_rows_outcome"):
        database.raw.execute("UPDATE attempt_rows SET outcome = 'lost'")
    assert database.raw.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    database.close()


FAILING = """
from alembic import op

revision = "next"
down_revision = {newest!r}

def upgrade():
    op.execute("ALTER TABLE run_rows ADD COLUMN colour TEXT")
    op.execute("UPDATE run_rows SET note = 'half'")
    op.execute({last!r})
"""


def newer(folder: Path, monkeypatch: pytest.MonkeyPatch, last: str) -> None:
    """Let this program have one more migration, which ends with `last`."""
    scripts = folder / "migrations"
    shutil.copytree(CHECKOUT / "migrations", scripts, ignore=shutil.ignore_patterns("__pycache__"))
    (scripts / "versions" / "next.py").write_text(FAILING.format(last=last, newest=REVISIONS[-1]))
    monkeypatch.setattr(migrate, "scripts", lambda: scripts)
    monkeypatch.setattr("store.version.REVISIONS", (*REVISIONS, "next"))


def test_a_failing_migration_leaves_the_store_as_it_was(
    path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not half of it stays; the copy does."""
    database = open_writer(path)
    a_run(database, note="whole")
    database.close()
    before = schema_of(path)
    with monkeypatch.context() as patched:
        newer(tmp_path, patched, "UPDATE nowhere SET x = 1")
        with pytest.raises(StoreError, match="refused a statement: no such table: nowhere"):
            open_writer(path)
    assert schema_of(path) == before
    reader = open_reader(path)
    assert History(reader).run(1)["status"] == "ok"
    assert reader.raw.execute("SELECT version_num FROM alembic_version").fetchone() == (
        REVISIONS[-1],
    )
    reader.close()
    assert path.with_name(f"runs.db.before-upgrade-from-{REVISIONS[-1]}.1").exists()


def test_an_upgrade_keeps_what_was_recorded(
    path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The store is newer, its runs are there, and the copy is what it was."""
    database = open_writer(path)
    a_run(database)
    database.close()
    newer(tmp_path, monkeypatch, "UPDATE run_rows SET colour = 'red'")
    database = open_writer(path)
    assert database.raw.execute("SELECT note, colour FROM run_rows").fetchall() == [("half", "red")]
    database.close()
    open_writer(path).close()
    copies = list(path.parent.glob("*before-upgrade*"))
    assert [copy.name for copy in copies] == [f"runs.db.before-upgrade-from-{REVISIONS[-1]}.1"]
    connection = sqlite3.connect(copies[0])
    assert connection.execute("SELECT status, note FROM run_rows").fetchall() == [("ok", "")]
    connection.close()


KILLED_IN_A_MIGRATION = """
import os, signal, sys
from pathlib import Path
from alembic import command, op
from store.database import open_writer
from store.migrate import config
path, at = Path(sys.argv[1]), int(sys.argv[2])
command.upgrade(config(), "0001")
execute, count = op.execute, 0

def counted(statement):
    global count
    count += 1
    if count == at:
        os.kill(os.getpid(), signal.SIGKILL)
    execute(statement)

op.execute = counted
open_writer(path)
"""


def test_a_migration_killed_midway_did_not_happen(path: Path) -> None:
    """The store is as it was, whole; the next command takes another copy and finishes."""
    path.parent.mkdir()
    process = python(KILLED_IN_A_MIGRATION, path, 5, ENGINE_STORE=f"sqlite:///{path}")
    process.communicate(timeout=60)
    assert process.returncode == -signal.SIGKILL
    with pytest.raises(StoreError, match="is of the older version 0001"):
        open_reader(path)
    database = open_writer(path)
    a_run(database)
    cursor = database.raw.cursor()
    assert [text for check in readback.CHECKS.values() for text in check(cursor)] == []
    database.close()
    copies = sorted(each.name for each in path.parent.glob("*before-upgrade*"))
    assert copies == [f"runs.db.before-upgrade-from-0001.{number}" for number in (1, 2)]
