"""The tables (Core), compact, and the views over them that are the public interface.

Base tables end in `_rows`, count time in whole microseconds since 1970 UTC and name steps by
position; the views give words, step names and UTC ISO-8601 text. What can be derived is not
stored: a step without a row of its own is running, backing off or waiting, which its attempts tell.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from enum import StrEnum

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

from engine.model import ENDED_STEP, AttemptOutcome, RunStatus

REVISIONS = ("0001", "0002", "0003")  # the migrations, oldest first
APPLICATION_ID = 0x4B41484E  # "KAHN", in the file's header

metadata = MetaData(
    naming_convention={"ck": "ck_%(table_name)s_%(constraint_name)s", "ix": "ix_%(column_0_label)s"}
)

_Key = BigInteger().with_variant(Integer, "sqlite")


def _one_of(column: str, words: Iterable[str]) -> CheckConstraint:
    listed = ", ".join(f"'{word}'" for word in words)
    return CheckConstraint(f"{column} IN ({listed})", name=column)


def _counter(name: str) -> Column[int]:
    """A number of an event, or of how many; 0 in what was recorded before they were counted."""
    return Column(name, Integer, nullable=False, server_default=text("0"))


class AlertStatus(StrEnum):
    """How an alert stands."""

    PENDING = "pending"
    SENDING = "sending"  # claimed by a process; due again if that process has died
    SENT = "sent"
    GIVEN_UP = "given_up"


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
Index("ix_run_rows_only", run_rows.c.workflow, sqlite_where=run_rows.c.only_steps != "")
Index("ix_run_rows_root_run", run_rows.c.root_run)
Index("ix_run_rows_resumed_from", run_rows.c.resumed_from)
Index("ix_run_rows_definition_id", run_rows.c.definition_id)

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
    Column("outcome", Text),
    Column("retry_at", BigInteger),
    Column("error", Text),
    _counter("claimed_seq"),
    Column("ended_seq", Integer),
    _one_of("outcome", list(AttemptOutcome)),
    CheckConstraint("number >= 1", name="number"),
    CheckConstraint("finished_at IS NULL OR outcome IS NOT NULL", name="ended"),
    CheckConstraint("finished_at >= started_at", name="order"),
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

alert_rows = Table(
    "alert_rows",
    metadata,
    Column("id", _Key, primary_key=True),
    Column("run_id", _Key, ForeignKey("run_rows.id"), nullable=False),
    Column("channel", Text, nullable=False),
    Column("status", Text, nullable=False),
    Column("created_at", BigInteger, nullable=False),
    Column("tries", Integer, nullable=False),
    Column("owner", Text),
    Column("sent_at", BigInteger),
    Column("error", Text, nullable=False),
    _one_of("status", list(AlertStatus)),
    _one_of("channel", ["slack", "email"]),
    sqlite_autoincrement=True,
)
Index("ix_alert_rows_status", alert_rows.c.status)
Index("ix_alert_rows_run_id", alert_rows.c.run_id)

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


def _iso(column: str) -> str:
    return (
        f"strftime('%Y-%m-%dT%H:%M:%S', {column} / 1000000, 'unixepoch')"
        f" || printf('.%03dZ', {column} / 1000 % 1000)"
    )


VIEWS: dict[str, str] = {
    "runs": f"""
CREATE VIEW runs AS
SELECT id, workflow, status, params, {_iso("started_at")} AS started_at,
       {_iso("finished_at")} AS finished_at,
       (finished_at - started_at) / 1e6 AS duration_s,
       resumed_from, root_run, note, started_by, user, host, workers, events,
       {_iso("abs(pruned_at)")} AS pruned_at, only_steps, backfill
FROM run_rows""",
    "attempts": f"""
CREATE VIEW attempts AS
SELECT a.run_id AS run_id, d.name AS step, a.number AS number, a.outcome AS outcome,
       {_iso("a.started_at")} AS started_at, {_iso("a.finished_at")} AS finished_at,
       (a.finished_at - a.started_at) / 1e6 AS duration_s, a.error AS error,
       {_iso("a.retry_at")} AS retry_at
FROM attempt_rows a
JOIN run_rows r ON r.id = a.run_id
JOIN definition_steps d ON d.definition_id = r.definition_id AND d.position = a.position""",
    "step_runs": f"""
CREATE VIEW step_runs AS
SELECT run_id, step, position, status, {_iso("started_us")} AS started_at,
       {_iso("ended_us")} AS finished_at,
       CASE WHEN started_us IS NULL AND status NOT IN ('waiting', 'running', 'backing_off') THEN 0.0
            ELSE (ended_us - started_us) / 1e6 END AS duration_s,
       note, source_run, attempts, {_iso("retry_us")} AS next_attempt_at, marked_by
FROM (
  SELECT r.id AS run_id, d.name AS step, d.position AS position,
         CASE WHEN s.status IS NOT NULL THEN s.status
              WHEN EXISTS (SELECT 1 FROM attempt_rows a WHERE a.run_id = r.id
                           AND a.position = d.position AND a.outcome IS NULL) THEN 'running'
              WHEN (SELECT a.retry_at FROM attempt_rows a WHERE a.run_id = r.id
                    AND a.position = d.position ORDER BY a.number DESC LIMIT 1) IS NOT NULL
              THEN 'backing_off'
              WHEN c.retry_at IS NOT NULL AND NOT EXISTS (SELECT 1 FROM attempt_rows a
                WHERE a.run_id = r.id AND a.position = d.position)
              THEN 'backing_off' ELSE 'waiting' END AS status,
         CASE WHEN s.status = 'cached' THEN NULL ELSE
           (SELECT min(a.started_at) FROM attempt_rows a
            WHERE a.run_id = r.id AND a.position = d.position) END AS started_us,
         s.ended_at AS ended_us,
         coalesce(nullif(s.note, ''), 'redone: ' || nullif(c.why, ''), '') AS note,
         s.source_run AS source_run,
         (SELECT count(*) FROM attempt_rows a
          WHERE a.run_id = r.id AND a.position = d.position) AS attempts,
         CASE WHEN s.status IS NOT NULL THEN NULL
              WHEN EXISTS (SELECT 1 FROM attempt_rows a
                           WHERE a.run_id = r.id AND a.position = d.position)
              THEN (SELECT a.retry_at FROM attempt_rows a WHERE a.run_id = r.id
                    AND a.position = d.position ORDER BY a.number DESC LIMIT 1)
              ELSE c.retry_at END AS retry_us,
         (SELECT m.marked_by FROM marked_rows m
          WHERE m.run_id = r.id AND m.position = d.position) AS marked_by
  FROM run_rows r
  JOIN definition_steps d ON d.definition_id = r.definition_id
  LEFT JOIN step_rows s ON s.run_id = r.id AND s.position = d.position
  LEFT JOIN carried_rows c ON c.run_id = r.id AND c.position = d.position
)""",
    "outputs": """
CREATE VIEW outputs AS
SELECT o.run_id AS run_id, coalesce(d.name, '') AS step, o.key AS key, o.codec AS codec,
       length(o.data) AS size, o.sha256 AS sha256, o.data AS data
FROM output_rows o
JOIN run_rows r ON r.id = o.run_id
LEFT JOIN definition_steps d ON d.definition_id = r.definition_id AND d.position = o.position""",
    "events": """
CREATE VIEW events AS
SELECT e.run_id AS run_id, e.seq AS seq, e.event AS event, d.name AS step, e.number AS number,
       e.outcome AS outcome
FROM (
  SELECT run_id, claimed_seq AS seq, 'claimed' AS event, position, number, NULL AS outcome
  FROM attempt_rows
  UNION ALL
  SELECT run_id, ended_seq, 'attempt', position, number, outcome
  FROM attempt_rows WHERE outcome IS NOT NULL
  UNION ALL
  SELECT run_id, seq, 'step', position, NULL, status FROM step_rows
  UNION ALL
  SELECT id, events, 'run', NULL, NULL, status FROM run_rows WHERE status <> 'running'
) e
JOIN run_rows r ON r.id = e.run_id
LEFT JOIN definition_steps d ON d.definition_id = r.definition_id AND d.position = e.position
WHERE e.seq > 0""",
    "alerts": f"""
CREATE VIEW alerts AS
SELECT id, run_id, channel, status, {_iso("created_at")} AS created_at,
       {_iso("sent_at")} AS sent_at, tries, error
FROM alert_rows""",
    "run_summary": f"""
CREATE VIEW run_summary AS
SELECT r.id AS run_id, r.workflow AS workflow, r.status AS status,
       {_iso("r.started_at")} AS started_at, (r.finished_at - r.started_at) / 1e6 AS duration_s,
       (SELECT count(*) FROM definition_steps d WHERE d.definition_id = r.definition_id) AS steps,
       (SELECT count(*) FROM step_rows s WHERE s.run_id = r.id AND s.status = 'ok') AS ok,
       (SELECT count(*) FROM step_rows s WHERE s.run_id = r.id AND s.status = 'cached') AS cached,
       (SELECT count(*) FROM step_rows s WHERE s.run_id = r.id AND s.status = 'failed') AS failed,
       (SELECT count(*) FROM step_rows s WHERE s.run_id = r.id AND s.status = 'skipped') AS skipped,
       (SELECT count(*) FROM attempt_rows a WHERE a.run_id = r.id) AS attempts,
       (SELECT count(*) FROM attempt_rows a WHERE a.run_id = r.id AND a.number > 1) AS retries
FROM run_rows r""",
    "step_stats": f"""
CREATE VIEW step_stats AS
SELECT r.workflow AS workflow, d.name AS step, count(*) AS attempts,
       sum(a.outcome = 'ok') AS ok, sum(a.outcome IN ('failed', 'timed_out')) AS failed,
       avg(CASE WHEN a.outcome = 'ok' THEN (a.finished_at - a.started_at) / 1e6 END) AS mean_s,
       min(CASE WHEN a.outcome = 'ok' THEN (a.finished_at - a.started_at) / 1e6 END) AS min_s,
       max(CASE WHEN a.outcome = 'ok' THEN (a.finished_at - a.started_at) / 1e6 END) AS max_s,
       {_iso("max(a.started_at)")} AS last_started_at
FROM attempt_rows a
JOIN run_rows r ON r.id = a.run_id
JOIN definition_steps d ON d.definition_id = r.definition_id AND d.position = a.position
GROUP BY r.workflow, d.name""",
}


def schema() -> Iterator[str]:
    """All that makes a store of the newest version of an empty file, in order."""
    dialect = sqlite.dialect()
    yield f"PRAGMA application_id = {APPLICATION_ID}"
    for table in metadata.sorted_tables:
        yield str(CreateTable(table).compile(dialect=dialect))
        for index in sorted(table.indexes, key=lambda index: str(index.name)):
            yield str(CreateIndex(index).compile(dialect=dialect))
    yield from VIEWS.values()
    yield (
        "CREATE TABLE alembic_version (version_num VARCHAR(32) NOT NULL, "
        "CONSTRAINT alembic_version_pkc PRIMARY KEY (version_num))"
    )
    yield f"INSERT INTO alembic_version VALUES ('{REVISIONS[-1]}')"
