"""Schedules with their slots and pauses; incidents, and alerts that tell of other things than runs.

A run of before has no slot, and no incident is made of failures of before.
"""

from __future__ import annotations

from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

DDL = (
    """
DROP VIEW runs
""",
    """
DROP VIEW alerts
""",
    """
ALTER TABLE run_rows ADD COLUMN slot BIGINT
""",
    """
CREATE TABLE schedule_rows (
    workflow TEXT NOT NULL,
    calendar TEXT NOT NULL,
    zone TEXT NOT NULL,
    noted_at BIGINT NOT NULL,
    facts TEXT NOT NULL,
    PRIMARY KEY (workflow)
) WITHOUT ROWID
""",
    """
CREATE TABLE slot_rows (
    workflow TEXT NOT NULL,
    slot BIGINT NOT NULL,
    decided_at BIGINT NOT NULL,
    run_id BIGINT,
    reason TEXT NOT NULL,
    PRIMARY KEY (workflow, slot),
    CONSTRAINT ck_slot_rows_reason CHECK ((run_id IS NULL) = (reason <> ''))
) WITHOUT ROWID
""",
    """
CREATE TABLE pause_rows (
    id INTEGER NOT NULL,
    workflow TEXT NOT NULL,
    paused_at BIGINT NOT NULL,
    paused_by TEXT NOT NULL,
    until BIGINT,
    reason TEXT NOT NULL,
    ended_at BIGINT,
    ended_by TEXT,
    PRIMARY KEY (id),
    CONSTRAINT ck_pause_rows_ended CHECK ((ended_at IS NULL) = (ended_by IS NULL))
)
""",
    """
CREATE UNIQUE INDEX ix_pause_rows_open ON pause_rows (workflow) WHERE ended_at IS NULL
""",
    """
CREATE TABLE incident_rows (
    id INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
    workflow TEXT NOT NULL,
    step TEXT NOT NULL,
    fingerprint TEXT NOT NULL,
    error TEXT NOT NULL,
    opened_at BIGINT NOT NULL,
    opened_run BIGINT NOT NULL,
    last_at BIGINT NOT NULL,
    last_run BIGINT NOT NULL,
    failures INTEGER NOT NULL,
    reminded_at BIGINT,
    closed_at BIGINT,
    closed_run BIGINT,
    thread TEXT NOT NULL,
    CONSTRAINT ck_incident_rows_closed CHECK (closed_at IS NOT NULL OR closed_run IS NULL)
)
""",
    """
CREATE UNIQUE INDEX ix_incident_rows_open ON incident_rows (workflow, step, fingerprint) WHERE closed_at IS NULL
""",
    """
DROP INDEX ix_alert_rows_status
""",
    """
DROP INDEX ix_alert_rows_run_id
""",
    """
ALTER TABLE alert_rows RENAME TO old_alert_rows
""",
    """
CREATE TABLE alert_rows (
    id INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
    run_id INTEGER,
    channel TEXT NOT NULL,
    status TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    tries INTEGER NOT NULL,
    owner TEXT,
    sent_at BIGINT,
    error TEXT NOT NULL,
    kind TEXT DEFAULT 'run' NOT NULL,
    incident_id INTEGER,
    workflow TEXT DEFAULT '' NOT NULL,
    facts TEXT DEFAULT '{}' NOT NULL,
    CONSTRAINT ck_alert_rows_status CHECK (status IN ('pending', 'sending', 'sent', 'given_up')),
    CONSTRAINT ck_alert_rows_channel CHECK (channel IN ('slack', 'email')),
    CONSTRAINT ck_alert_rows_kind CHECK (kind IN ('run', 'opened', 'reminder', 'closed', 'digest', 'late', 'missing', 'paused')),
    CONSTRAINT ck_alert_rows_whose CHECK (run_id IS NOT NULL OR workflow <> ''),
    FOREIGN KEY(run_id) REFERENCES run_rows (id),
    FOREIGN KEY(incident_id) REFERENCES incident_rows (id)
)
""",
    """
INSERT INTO alert_rows (id, run_id, channel, status, created_at, tries, owner, sent_at, error)
SELECT id, run_id, channel, status, created_at, tries, owner, sent_at, error FROM old_alert_rows
""",
    """
DELETE FROM sqlite_sequence WHERE name = 'alert_rows'
""",
    """
UPDATE sqlite_sequence SET name = 'alert_rows' WHERE name = 'old_alert_rows'
""",
    """
DROP TABLE old_alert_rows
""",
    """
CREATE INDEX ix_alert_rows_incident_id ON alert_rows (incident_id)
""",
    """
CREATE INDEX ix_alert_rows_run_id ON alert_rows (run_id)
""",
    """
CREATE INDEX ix_alert_rows_status ON alert_rows (status)
""",
    """
CREATE VIEW runs AS
SELECT id, workflow, status, params, strftime('%Y-%m-%dT%H:%M:%S', started_at / 1000000, 'unixepoch') || printf('.%03dZ', started_at / 1000 % 1000) AS started_at,
       strftime('%Y-%m-%dT%H:%M:%S', finished_at / 1000000, 'unixepoch') || printf('.%03dZ', finished_at / 1000 % 1000) AS finished_at,
       (finished_at - started_at) / 1e6 AS duration_s,
       resumed_from, root_run, note, started_by, user, host, workers, events,
       strftime('%Y-%m-%dT%H:%M:%S', abs(pruned_at) / 1000000, 'unixepoch') || printf('.%03dZ', abs(pruned_at) / 1000 % 1000) AS pruned_at, only_steps, backfill, reason, choices,
       strftime('%Y-%m-%dT%H:%M:%S', slot / 1000000, 'unixepoch') || printf('.%03dZ', slot / 1000 % 1000) AS slot
FROM run_rows
""",
    """
CREATE VIEW alerts AS
SELECT id, run_id, channel, status, strftime('%Y-%m-%dT%H:%M:%S', created_at / 1000000, 'unixepoch') || printf('.%03dZ', created_at / 1000 % 1000) AS created_at,
       strftime('%Y-%m-%dT%H:%M:%S', sent_at / 1000000, 'unixepoch') || printf('.%03dZ', sent_at / 1000 % 1000) AS sent_at, tries, error, kind, incident_id AS incident, workflow, facts
FROM alert_rows
""",
    """
CREATE VIEW incidents AS
SELECT id, workflow, step, error, strftime('%Y-%m-%dT%H:%M:%S', opened_at / 1000000, 'unixepoch') || printf('.%03dZ', opened_at / 1000 % 1000) AS opened_at, opened_run,
       strftime('%Y-%m-%dT%H:%M:%S', last_at / 1000000, 'unixepoch') || printf('.%03dZ', last_at / 1000 % 1000) AS last_at, last_run, failures, strftime('%Y-%m-%dT%H:%M:%S', reminded_at / 1000000, 'unixepoch') || printf('.%03dZ', reminded_at / 1000 % 1000) AS reminded_at,
       strftime('%Y-%m-%dT%H:%M:%S', closed_at / 1000000, 'unixepoch') || printf('.%03dZ', closed_at / 1000 % 1000) AS closed_at, closed_run, fingerprint
FROM incident_rows
""",
    """
CREATE VIEW schedules AS
SELECT workflow, calendar, zone, strftime('%Y-%m-%dT%H:%M:%S', noted_at / 1000000, 'unixepoch') || printf('.%03dZ', noted_at / 1000 % 1000) AS noted_at, facts
FROM schedule_rows
""",
    """
CREATE VIEW slots AS
SELECT workflow, strftime('%Y-%m-%dT%H:%M:%S', slot / 1000000, 'unixepoch') || printf('.%03dZ', slot / 1000 % 1000) AS slot, strftime('%Y-%m-%dT%H:%M:%S', decided_at / 1000000, 'unixepoch') || printf('.%03dZ', decided_at / 1000 % 1000) AS decided_at, run_id, reason
FROM slot_rows
""",
    """
CREATE VIEW pauses AS
SELECT workflow, strftime('%Y-%m-%dT%H:%M:%S', paused_at / 1000000, 'unixepoch') || printf('.%03dZ', paused_at / 1000 % 1000) AS paused_at, paused_by, strftime('%Y-%m-%dT%H:%M:%S', until / 1000000, 'unixepoch') || printf('.%03dZ', until / 1000 % 1000) AS until, reason,
       strftime('%Y-%m-%dT%H:%M:%S', ended_at / 1000000, 'unixepoch') || printf('.%03dZ', ended_at / 1000 % 1000) AS ended_at, ended_by
FROM pause_rows
""",
)


def upgrade() -> None:
    """Change the schema. DDL is frozen here: a migration imports nothing of the project."""
    for statement in DDL:
        op.execute(statement)


def downgrade() -> None:
    """There is no way back: an upgrade leaves a copy of the store as it was."""
    raise NotImplementedError("restore the copy made before the upgrade")
