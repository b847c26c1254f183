"""Events counted per run; requests to cancel; where a store belongs; what was let go."""

from __future__ import annotations

from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

DDL = (
    """
DROP VIEW runs
""",
    """
ALTER TABLE run_rows ADD COLUMN events INTEGER DEFAULT 0 NOT NULL
""",
    """
ALTER TABLE run_rows ADD COLUMN pruned_at BIGINT
""",
    """
ALTER TABLE step_rows ADD COLUMN seq INTEGER DEFAULT 0 NOT NULL
""",
    """
ALTER TABLE attempt_rows ADD COLUMN claimed_seq INTEGER DEFAULT 0 NOT NULL
""",
    """
ALTER TABLE attempt_rows ADD COLUMN ended_seq INTEGER
""",
    """
CREATE TABLE cancel_rows (
    run_id INTEGER NOT NULL,
    asked_at BIGINT NOT NULL,
    asked_by TEXT NOT NULL,
    PRIMARY KEY (run_id),
    FOREIGN KEY(run_id) REFERENCES run_rows (id)
)
""",
    """
CREATE TABLE place_rows (
    id INTEGER NOT NULL,
    machine TEXT NOT NULL,
    path TEXT NOT NULL,
    PRIMARY KEY (id),
    CONSTRAINT ck_place_rows_one CHECK (id = 1)
)
""",
    """
CREATE VIEW runs AS
SELECT id, workflow, status, params, strftime('%Y-%m-%dT%H:%M:%S', started_at / 1000000, 'unixepoch') || printf('.%03dZ', started_at / 1000 % 1000) AS started_at,
       strftime('%Y-%m-%dT%H:%M:%S', finished_at / 1000000, 'unixepoch') || printf('.%03dZ', finished_at / 1000 % 1000) AS finished_at,
       (finished_at - started_at) / 1e6 AS duration_s,
       resumed_from, root_run, note, started_by, user, host, workers, events,
       strftime('%Y-%m-%dT%H:%M:%S', pruned_at / 1000000, 'unixepoch') || printf('.%03dZ', pruned_at / 1000 % 1000) AS pruned_at
FROM run_rows
""",
    """
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
WHERE e.seq > 0
""",
)


def upgrade() -> None:
    """Change the schema. DDL is frozen here: a migration imports nothing of the project."""
    for statement in DDL:
        op.execute(statement)


def downgrade() -> None:
    """There is no way back: an upgrade leaves a copy of the store as it was."""
    raise NotImplementedError("restore the copy made before the upgrade")
