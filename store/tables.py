"""The tables (Core), compact; the views over them are the public interface.

Base tables end in `_rows`, count time in whole microseconds since 1970 UTC and name steps by
position; the views (`store.views`) give words, step names and UTC ISO-8601 text. What can be
derived is not stored: a step without a row of its own is ok if an attempt of it was, else running,
backing off or waiting. An attempt has a row once it has ended; until then its run names it as live.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Column,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    Table,
    Text,
    text,
)
from sqlalchemy.dialects import sqlite
from sqlalchemy.schema import CreateIndex, CreateTable

from engine.alert import AlertKind, AlertStatus
from engine.events import DECISIONS
from engine.model import ENDED_STEP, AttemptOutcome, RunStatus
from store.version import APPLICATION_ID, REVISIONS

metadata = MetaData(
    naming_convention={"ck": "ck_%(table_name)s_%(constraint_name)s", "ix": "ix_%(column_0_label)s"}
)

_Key = BigInteger().with_variant(Integer, "sqlite")


def _one_of(column: str, words: Iterable[str]) -> CheckConstraint:
    listed = ", ".join(f"'{word}'" for word in words)
    return CheckConstraint(f"{column} IN ({listed})", name=column)


def _ok_or_one_of(column: str, words: Iterable[str]) -> CheckConstraint:
    """Ask for the most frequent first: SQLite makes a table of a list for each row, 0.7 µs."""
    listed = ", ".join(f"'{word}'" for word in words if word != "ok")
    return CheckConstraint(f"{column} = 'ok' OR {column} IN ({listed})", name=column)


def _counter(name: str) -> Column[int]:
    """A number of an event, or of how many; 0 in what was recorded before they were counted."""
    return Column(name, Integer, nullable=False, server_default=text("0"))


definition_rows = Table(
    "definition_rows",
    metadata,
    Column("id", _Key, primary_key=True),
    Column("sha256", Text, nullable=False, unique=True),
    Column("workflow", Text, nullable=False),
)

definition_steps = Table(
    "definition_steps",
    metadata,
    Column("definition_id", _Key, ForeignKey("definition_rows.id"), primary_key=True),
    Column("position", Integer, primary_key=True),
    Column("name", Text, nullable=False),
    Column("fingerprint", Text, nullable=False),
    Column("parts", Text, nullable=False),
    Column("upstreams", Text, nullable=False),
    sqlite_with_rowid=False,
)
Index("ix_definition_steps_name", definition_steps.c.definition_id, definition_steps.c.name)

run_rows = Table(
    "run_rows",
    metadata,
    Column("id", _Key, primary_key=True),
    Column("workflow", Text, nullable=False),
    Column("status", Text, nullable=False),
    Column("params", Text, nullable=False),
    Column("context_sha256", Text, nullable=False),
    Column("definition_id", _Key, ForeignKey("definition_rows.id")),
    Column("started_at", BigInteger, nullable=False),
    Column("finished_at", BigInteger),
    Column("resumed_from", _Key, ForeignKey("run_rows.id")),
    Column("root_run", _Key, nullable=False),
    Column("started_by", Text, nullable=False),
    Column("note", Text, nullable=False),
    Column("user", Text, nullable=False),
    Column("host", Text, nullable=False),
    Column("owner", Text, nullable=False),
    Column("workers", Integer, nullable=False),
    _counter("events"),  # how many are recorded of it, see the view `events`
    Column("pruned_at", BigInteger),  # when its values and logs were let go; below 0: under way
    # JSON list of the steps it was bound to (`--only`), empty for a whole run
    Column("only_steps", Text, nullable=False, server_default=text("''")),
    Column("backfill", BigInteger),  # the run of the backfill that it is a part of
    # Counted as they come, so that a list of runs counts no rows.
    *map(_counter, ("steps", "ok", "failed", "skipped", "cached", "attempts", "retries")),
    # JSON list of the attempts that are claimed: [position, number, event, started_at or null]
    Column("live", Text, nullable=False, server_default=text("'[]'")),
    # Why it began as it did, and what became of its steps by that, as JSON; null in older stores
    Column("reason", Text),
    Column("choices", Text),
    Column("environment_id", BigInteger),
    Column("slot", BigInteger),  # the moment at which its schedule had it due
    Column("zone", Text),  # in which its times are shown; null: the machine's
    Column("limits", Text),  # after how long it and its steps are late, as JSON; null: never
    _one_of("status", list(RunStatus)),
    _one_of("started_by", ["hand", "timer", "library"]),
    CheckConstraint("(status = 'running') = (finished_at IS NULL)", name="ended"),
    sqlite_autoincrement=True,  # a pruned run's number is never used again
)
Index("ix_run_rows_workflow", run_rows.c.workflow, run_rows.c.id)
Index(
    "ix_run_rows_age",
    *(run_rows.c.workflow, run_rows.c.status, run_rows.c.pruned_at, run_rows.c.finished_at),
)
Index(
    "ix_run_rows_params",
    *(run_rows.c.workflow, run_rows.c.params, run_rows.c.context_sha256, run_rows.c.pruned_at),
)
Index("ix_run_rows_running", run_rows.c.id, sqlite_where=run_rows.c.status == "running")
Index("ix_run_rows_only", run_rows.c.workflow, sqlite_where=run_rows.c.only_steps != "")
Index("ix_run_rows_root_run", run_rows.c.root_run)
Index("ix_run_rows_resumed_from", run_rows.c.resumed_from)
Index("ix_run_rows_definition_id", run_rows.c.definition_id)
Index("ix_run_rows_environment_id", run_rows.c.environment_id)

environment_rows = Table(
    "environment_rows",  # what engines ran on: recorded once for all runs that had the same
    metadata,
    Column("id", _Key, primary_key=True),
    Column("sha256", Text, nullable=False, unique=True),
    Column("versions", Text, nullable=False),  # JSON: the version of each package
)

step_rows = Table(
    "step_rows",
    metadata,
    Column("run_id", _Key, ForeignKey("run_rows.id"), primary_key=True),
    Column("position", Integer, primary_key=True),
    Column("status", Text, nullable=False),
    Column("ended_at", BigInteger),
    Column("note", Text, nullable=False),
    Column("source_run", _Key),
    _counter("seq"),
    _one_of("status", sorted(ENDED_STEP)),
    CheckConstraint("(status = 'cached') <= (source_run IS NOT NULL)", name="source_run"),
    sqlite_with_rowid=False,
)

carried_rows = Table(
    "carried_rows",  # what a continued run took over of a step's past, where that is not nothing
    metadata,
    Column("run_id", _Key, ForeignKey("run_rows.id"), primary_key=True),
    Column("position", Integer, primary_key=True),
    Column("used", Integer, nullable=False),
    Column("retry_at", BigInteger),
    Column("key_run", _Key, nullable=False),
    Column("lost", Integer, nullable=False),
    Column("why", Text, nullable=False),  # a step that had ended well is redone
    sqlite_with_rowid=False,
)

order_rows = Table(
    "order_rows",  # by what a run ordered its ready steps, where that was not the graph alone
    metadata,
    Column("run_id", _Key, ForeignKey("run_rows.id"), primary_key=True),
    Column("weights", Text, nullable=False),  # JSON list by position, in microseconds
)

marked_rows = Table(
    "marked_rows",  # steps of a run that were not run: a person said that they are done
    metadata,
    Column("run_id", _Key, ForeignKey("run_rows.id"), primary_key=True),
    Column("position", Integer, primary_key=True),
    Column("marked_by", Text, nullable=False),
    sqlite_with_rowid=False,
)

attempt_rows = Table(
    "attempt_rows",
    metadata,
    Column("run_id", _Key, ForeignKey("run_rows.id"), primary_key=True),
    Column("position", Integer, primary_key=True),
    Column("number", Integer, primary_key=True),
    Column("started_at", BigInteger),
    Column("finished_at", BigInteger),
    Column("outcome", Text),  # never null: a live attempt has no row
    Column("retry_at", BigInteger),
    Column("error", Text),
    _counter("claimed_seq"),
    Column("ended_seq", Integer),
    _ok_or_one_of("outcome", list(AttemptOutcome)),
    CheckConstraint("number >= 1", name="number"),
    CheckConstraint("finished_at IS NULL OR outcome IS NOT NULL", name="ended"),
    CheckConstraint("finished_at >= started_at", name="order"),
    sqlite_with_rowid=False,
)

decision_rows = Table(
    "decision_rows",  # what was decided about a step, where no other row tells why
    metadata,
    Column("run_id", _Key, ForeignKey("run_rows.id"), primary_key=True),
    Column("position", Integer, primary_key=True),
    Column("seq", Integer, primary_key=True),  # the event that it was decided at
    Column("what", Text, primary_key=True),
    Column("facts", Text, nullable=False),  # JSON
    _one_of("what", DECISIONS),
    sqlite_with_rowid=False,
)

output_rows = Table(
    "output_rows",
    metadata,
    Column("run_id", _Key, ForeignKey("run_rows.id"), primary_key=True),
    Column("position", Integer, primary_key=True),  # -1: the run's initial context
    Column("key", Text, primary_key=True),
    Column("codec", Text, nullable=False),
    Column("sha256", Text, nullable=False),
    Column("data", LargeBinary, nullable=False),
)

file_rows = Table(
    "file_rows",
    metadata,
    Column("run_id", _Key, ForeignKey("run_rows.id"), primary_key=True),
    Column("position", Integer, primary_key=True),
    Column("target", Text, primary_key=True),
    Column("temporary", Text, nullable=False),
    Column("sha256", Text, nullable=False),
    Column("size", BigInteger, nullable=False),
    Column("published", Integer, nullable=False),
)

schedule_rows = Table(
    "schedule_rows",  # when workflows are to run, as their files said last
    metadata,
    Column("workflow", Text, primary_key=True),
    Column("calendar", Text, nullable=False),
    Column("zone", Text, nullable=False),  # empty: the machine's
    Column("noted_at", BigInteger, nullable=False),
    Column("facts", Text, nullable=False),  # JSON: what else is to be held against the clock
    sqlite_with_rowid=False,
)

slot_rows = Table(
    "slot_rows",  # moments at which a workflow was due, and what became of each: a run, or why none
    metadata,
    Column("workflow", Text, primary_key=True),
    Column("slot", BigInteger, primary_key=True),
    Column("decided_at", BigInteger, nullable=False),
    Column("run_id", BigInteger),  # stays when the run is pruned
    Column("reason", Text, nullable=False),
    CheckConstraint("(run_id IS NULL) = (reason <> '')", name="reason"),
    sqlite_with_rowid=False,
)

pause_rows = Table(
    "pause_rows",
    metadata,
    Column("id", _Key, primary_key=True),
    Column("workflow", Text, nullable=False),
    Column("paused_at", BigInteger, nullable=False),
    Column("paused_by", Text, nullable=False),
    Column("until", BigInteger),
    Column("reason", Text, nullable=False),
    Column("ended_at", BigInteger),
    Column("ended_by", Text),
    CheckConstraint("(ended_at IS NULL) = (ended_by IS NULL)", name="ended"),
)
Index(
    "ix_pause_rows_open",
    pause_rows.c.workflow,
    unique=True,
    sqlite_where=pause_rows.c.ended_at.is_(None),
)

incident_rows = Table(
    "incident_rows",  # one trouble, however many runs it takes: opened, reminded of, closed
    metadata,
    Column("id", _Key, primary_key=True),
    Column("workflow", Text, nullable=False),
    Column("step", Text, nullable=False),  # empty: of the run as a whole
    Column("fingerprint", Text, nullable=False),
    Column("error", Text, nullable=False),
    Column("opened_at", BigInteger, nullable=False),
    Column("opened_run", BigInteger, nullable=False),
    Column("last_at", BigInteger, nullable=False),
    Column("last_run", BigInteger, nullable=False),
    Column("failures", Integer, nullable=False),
    Column("reminded_at", BigInteger),
    Column("closed_at", BigInteger),
    Column("closed_run", BigInteger),
    Column("thread", Text, nullable=False),  # JSON: by channel, where its first message is
    CheckConstraint("closed_at IS NOT NULL OR closed_run IS NULL", name="closed"),
    sqlite_autoincrement=True,
)
Index(
    "ix_incident_rows_open",
    *(incident_rows.c.workflow, incident_rows.c.step, incident_rows.c.fingerprint),
    unique=True,
    sqlite_where=incident_rows.c.closed_at.is_(None),
)

alert_rows = Table(
    "alert_rows",
    metadata,
    Column("id", _Key, primary_key=True),
    Column("run_id", _Key, ForeignKey("run_rows.id")),
    Column("channel", Text, nullable=False),
    Column("status", Text, nullable=False),
    Column("created_at", BigInteger, nullable=False),
    Column("tries", Integer, nullable=False),
    Column("owner", Text),
    Column("sent_at", BigInteger),
    Column("error", Text, nullable=False),
    Column("kind", Text, nullable=False, server_default=text("'run'")),
    Column("incident_id", _Key, ForeignKey("incident_rows.id")),
    Column("workflow", Text, nullable=False, server_default=text("''")),  # of one without a run
    Column("facts", Text, nullable=False, server_default=text("'{}'")),  # JSON, by kind
    _one_of("status", list(AlertStatus)),
    _one_of("channel", ["slack", "email"]),
    _one_of("kind", list(AlertKind)),
    CheckConstraint("run_id IS NOT NULL OR workflow <> ''", name="whose"),
    sqlite_autoincrement=True,
)
Index("ix_alert_rows_status", alert_rows.c.status)
Index("ix_alert_rows_run_id", alert_rows.c.run_id)
Index("ix_alert_rows_incident_id", alert_rows.c.incident_id)

cancel_rows = Table(
    "cancel_rows",  # runs that somebody wants to end; the engine looks for it
    metadata,
    Column("run_id", _Key, ForeignKey("run_rows.id"), primary_key=True),
    Column("asked_at", BigInteger, nullable=False),
    Column("asked_by", Text, nullable=False),
)

place_rows = Table(
    "place_rows",  # one row: the machine and path this store was made for, which a copy is not at
    metadata,
    Column("id", _Key, primary_key=True),
    Column("machine", Text, nullable=False),
    Column("path", Text, nullable=False),
    CheckConstraint("id = 1", name="one"),
)


def schema() -> Iterator[str]:
    """All that makes a store of the newest version of an empty file, in order."""
    from store.views import LIVE_ROWS, VIEWS

    dialect = sqlite.dialect()
    yield f"PRAGMA application_id = {APPLICATION_ID}"
    for table in metadata.sorted_tables:
        yield str(CreateTable(table).compile(dialect=dialect))
        for index in sorted(table.indexes, key=lambda index: str(index.name)):
            yield str(CreateIndex(index).compile(dialect=dialect))
    yield LIVE_ROWS
    yield from VIEWS.values()
    yield (
        "CREATE TABLE alembic_version (version_num VARCHAR(32) NOT NULL, "
        "CONSTRAINT alembic_version_pkc PRIMARY KEY (version_num))"
    )
    yield f"INSERT INTO alembic_version VALUES ('{REVISIONS[-1]}')"
