"""Why: decisions about steps, why a run began as it did, and what its engine ran on.

The check of an attempt's outcome allows what it did, and looks for 'ok' first. No row changes by
that, so the text of the schema is all that does: SQLite's own way for checks, which copies no table.
Of what was recorded before nothing is known of these, and nothing is made up.
"""

from __future__ import annotations

from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

DDL = (
    """
PRAGMA writable_schema = ON
""",
    """
UPDATE sqlite_master SET sql = replace(sql, 'outcome IN (''ok'', ', 'outcome = ''ok'' OR outcome IN (')
WHERE type = 'table' AND name = 'attempt_rows'
""",
    """
PRAGMA writable_schema = OFF
""",
    """
DROP VIEW runs
""",
    """
ALTER TABLE run_rows ADD COLUMN reason TEXT
""",
    """
ALTER TABLE run_rows ADD COLUMN choices TEXT
""",
    """
ALTER TABLE run_rows ADD COLUMN environment_id BIGINT
""",
    """
CREATE INDEX ix_run_rows_environment_id ON run_rows (environment_id)
""",
    """
CREATE TABLE environment_rows (
    id INTEGER NOT NULL,
    sha256 TEXT NOT NULL,
    versions TEXT NOT NULL,
    PRIMARY KEY (id),
    UNIQUE (sha256)
)
""",
    """
CREATE TABLE decision_rows (
    run_id INTEGER NOT NULL,
    position INTEGER NOT NULL,
    seq INTEGER NOT NULL,
    what TEXT NOT NULL,
    facts TEXT NOT NULL,
    PRIMARY KEY (run_id, position, seq, what),
    CONSTRAINT ck_decision_rows_what CHECK (what IN ('condition', 'give up', 'hold', 'retry', 'rule', 'skip')),
    FOREIGN KEY(run_id) REFERENCES run_rows (id)
) WITHOUT ROWID
""",
    """
CREATE VIEW runs AS
SELECT id, workflow, status, params, strftime('%Y-%m-%dT%H:%M:%S', started_at / 1000000, 'unixepoch') || printf('.%03dZ', started_at / 1000 % 1000) AS started_at,
       strftime('%Y-%m-%dT%H:%M:%S', finished_at / 1000000, 'unixepoch') || printf('.%03dZ', finished_at / 1000 % 1000) AS finished_at,
       (finished_at - started_at) / 1e6 AS duration_s,
       resumed_from, root_run, note, started_by, user, host, workers, events,
       strftime('%Y-%m-%dT%H:%M:%S', abs(pruned_at) / 1000000, 'unixepoch') || printf('.%03dZ', abs(pruned_at) / 1000 % 1000) AS pruned_at, only_steps, backfill, reason, choices
FROM run_rows
""",
    """
CREATE VIEW decisions AS
SELECT c.run_id AS run_id, d.name AS step, c.seq AS seq, c.what AS decision, c.facts AS facts
FROM decision_rows c
JOIN run_rows r ON r.id = c.run_id
JOIN definition_steps d ON d.definition_id = r.definition_id AND d.position = c.position
""",
    """
CREATE VIEW environments AS
SELECT r.id AS run_id, v.key AS package, v.value AS version
FROM run_rows r
JOIN environment_rows e ON e.id = r.environment_id
JOIN json_each(e.versions) v
""",
)


def upgrade() -> None:
    """Change the schema. DDL is frozen here: a migration imports nothing of the project."""
    for statement in DDL:
        op.execute(statement)


def downgrade() -> None:
    """There is no way back: an upgrade leaves a copy of the store as it was."""
    raise NotImplementedError("restore the copy made before the upgrade")
