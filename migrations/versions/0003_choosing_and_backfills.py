"""Runs of chosen steps, steps that a person marked as done, the runs of a backfill."""

from __future__ import annotations

from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

DDL = (
    """
DROP VIEW runs
""",
    """
DROP VIEW step_runs
""",
    """
ALTER TABLE run_rows ADD COLUMN only_steps TEXT DEFAULT '' NOT NULL
""",
    """
ALTER TABLE run_rows ADD COLUMN backfill BIGINT
""",
    """
CREATE INDEX ix_run_rows_only ON run_rows (workflow) WHERE only_steps != ''
""",
    """
CREATE TABLE marked_rows (
    run_id INTEGER NOT NULL,
    position INTEGER NOT NULL,
    marked_by TEXT NOT NULL,
    PRIMARY KEY (run_id, position),
    FOREIGN KEY(run_id) REFERENCES run_rows (id)
) WITHOUT ROWID
""",
    """
CREATE VIEW runs AS
SELECT id, workflow, status, params, strftime('%Y-%m-%dT%H:%M:%S', started_at / 1000000, 'unixepoch') || printf('.%03dZ', started_at / 1000 % 1000) AS started_at,
       strftime('%Y-%m-%dT%H:%M:%S', finished_at / 1000000, 'unixepoch') || printf('.%03dZ', finished_at / 1000 % 1000) AS finished_at,
       (finished_at - started_at) / 1e6 AS duration_s,
       resumed_from, root_run, note, started_by, user, host, workers, events,
       strftime('%Y-%m-%dT%H:%M:%S', abs(pruned_at) / 1000000, 'unixepoch') || printf('.%03dZ', abs(pruned_at) / 1000 % 1000) AS pruned_at, only_steps, backfill
FROM run_rows
""",
    """
CREATE VIEW step_runs AS
SELECT run_id, step, position, status, strftime('%Y-%m-%dT%H:%M:%S', started_us / 1000000, 'unixepoch') || printf('.%03dZ', started_us / 1000 % 1000) AS started_at,
       strftime('%Y-%m-%dT%H:%M:%S', ended_us / 1000000, 'unixepoch') || printf('.%03dZ', ended_us / 1000 % 1000) AS finished_at,
       CASE WHEN started_us IS NULL AND status NOT IN ('waiting', 'running', 'backing_off') THEN 0.0
            ELSE (ended_us - started_us) / 1e6 END AS duration_s,
       note, source_run, attempts, strftime('%Y-%m-%dT%H:%M:%S', retry_us / 1000000, 'unixepoch') || printf('.%03dZ', retry_us / 1000 % 1000) AS next_attempt_at, marked_by
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
)
""",
)


def upgrade() -> None:
    """Change the schema. DDL is frozen here: a migration imports nothing of the project."""
    for statement in DDL:
        op.execute(statement)


def downgrade() -> None:
    """There is no way back: an upgrade leaves a copy of the store as it was."""
    raise NotImplementedError("restore the copy made before the upgrade")
