"""Live attempts and counts in their run's row; what ready steps were ordered by.

An attempt that has not ended has no row of its own any more. A store is upgraded while no run is
on, so those that are found here have lost their engine; the next writing command records that.
"""

from __future__ import annotations

from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

DDL = (
    """
DROP VIEW attempts
""",
    """
DROP VIEW step_runs
""",
    """
DROP VIEW events
""",
    """
DROP VIEW run_summary
""",
    """
ALTER TABLE run_rows ADD COLUMN steps INTEGER DEFAULT 0 NOT NULL
""",
    """
ALTER TABLE run_rows ADD COLUMN ok INTEGER DEFAULT 0 NOT NULL
""",
    """
ALTER TABLE run_rows ADD COLUMN failed INTEGER DEFAULT 0 NOT NULL
""",
    """
ALTER TABLE run_rows ADD COLUMN skipped INTEGER DEFAULT 0 NOT NULL
""",
    """
ALTER TABLE run_rows ADD COLUMN cached INTEGER DEFAULT 0 NOT NULL
""",
    """
ALTER TABLE run_rows ADD COLUMN attempts INTEGER DEFAULT 0 NOT NULL
""",
    """
ALTER TABLE run_rows ADD COLUMN retries INTEGER DEFAULT 0 NOT NULL
""",
    """
ALTER TABLE run_rows ADD COLUMN live TEXT DEFAULT '[]' NOT NULL
""",
    """
CREATE INDEX ix_run_rows_running ON run_rows (id) WHERE status = 'running'
""",
    """
CREATE TABLE order_rows (
    run_id INTEGER NOT NULL,
    weights TEXT NOT NULL,
    PRIMARY KEY (run_id),
    FOREIGN KEY(run_id) REFERENCES run_rows (id)
)
""",
    """
UPDATE run_rows SET
    steps = (SELECT count(*) FROM definition_steps d WHERE d.definition_id = run_rows.definition_id),
    ok = (SELECT count(*) FROM step_rows s WHERE s.run_id = run_rows.id AND s.status = 'ok'),
    failed = (SELECT count(*) FROM step_rows s WHERE s.run_id = run_rows.id AND s.status = 'failed'),
    skipped = (SELECT count(*) FROM step_rows s
               WHERE s.run_id = run_rows.id AND s.status = 'skipped'),
    cached = (SELECT count(*) FROM step_rows s WHERE s.run_id = run_rows.id AND s.status = 'cached'),
    attempts = (SELECT count(*) FROM attempt_rows a WHERE a.run_id = run_rows.id),
    retries = (SELECT count(*) FROM attempt_rows a WHERE a.run_id = run_rows.id AND a.number > 1)
""",
    """
UPDATE run_rows SET live = (
    SELECT json_group_array(json_array(position, number, claimed_seq, started_at))
    FROM attempt_rows a WHERE a.run_id = run_rows.id AND a.outcome IS NULL)
WHERE status = 'running'
""",
    """
DELETE FROM attempt_rows WHERE outcome IS NULL
""",
    """
CREATE VIEW live_rows AS
SELECT r.id AS run_id,
       (SELECT v.value FROM json_each(e.value) v WHERE v.key = 0) AS position,
       (SELECT v.value FROM json_each(e.value) v WHERE v.key = 1) AS number,
       (SELECT v.value FROM json_each(e.value) v WHERE v.key = 2) AS claimed_seq,
       (SELECT v.value FROM json_each(e.value) v WHERE v.key = 3) AS started_at
FROM run_rows r, json_each(r.live) e WHERE r.status = 'running'
""",
    """
CREATE VIEW attempts AS
SELECT a.run_id AS run_id, d.name AS step, a.number AS number, a.outcome AS outcome,
       strftime('%Y-%m-%dT%H:%M:%S', a.started_at / 1000000, 'unixepoch') || printf('.%03dZ', a.started_at / 1000 % 1000) AS started_at, strftime('%Y-%m-%dT%H:%M:%S', a.finished_at / 1000000, 'unixepoch') || printf('.%03dZ', a.finished_at / 1000 % 1000) AS finished_at,
       (a.finished_at - a.started_at) / 1e6 AS duration_s, a.error AS error,
       strftime('%Y-%m-%dT%H:%M:%S', a.retry_at / 1000000, 'unixepoch') || printf('.%03dZ', a.retry_at / 1000 % 1000) AS retry_at
FROM attempt_rows a
JOIN run_rows r ON r.id = a.run_id
JOIN definition_steps d ON d.definition_id = r.definition_id AND d.position = a.position
UNION ALL
SELECT l.run_id, d.name, l.number, NULL, strftime('%Y-%m-%dT%H:%M:%S', l.started_at / 1000000, 'unixepoch') || printf('.%03dZ', l.started_at / 1000 % 1000), NULL, NULL, NULL, NULL
FROM live_rows l
CROSS JOIN run_rows r ON r.id = l.run_id
CROSS JOIN definition_steps d ON d.definition_id = r.definition_id AND d.position = l.position
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
              WHEN a.outcome = 'ok' THEN 'ok'
              WHEN l.number IS NOT NULL THEN 'running'
              WHEN a.retry_at IS NOT NULL THEN 'backing_off'
              WHEN c.retry_at IS NOT NULL AND a.number IS NULL THEN 'backing_off'
              ELSE 'waiting' END AS status,
         CASE WHEN s.status = 'cached' THEN NULL ELSE
           coalesce((SELECT min(e.started_at) FROM attempt_rows e
                     WHERE e.run_id = r.id AND e.position = d.position), l.started_at)
         END AS started_us,
         CASE WHEN s.status IS NULL AND a.outcome = 'ok' THEN a.finished_at
              ELSE s.ended_at END AS ended_us,
         coalesce(nullif(s.note, ''), 'redone: ' || nullif(c.why, ''), '') AS note,
         s.source_run AS source_run,
         (SELECT count(*) FROM attempt_rows e
          WHERE e.run_id = r.id AND e.position = d.position)
           + (l.number IS NOT NULL) AS attempts,
         CASE WHEN s.status IS NOT NULL OR a.outcome = 'ok' OR l.number IS NOT NULL THEN NULL
              WHEN a.number IS NOT NULL THEN a.retry_at
              ELSE c.retry_at END AS retry_us,
         (SELECT m.marked_by FROM marked_rows m
          WHERE m.run_id = r.id AND m.position = d.position) AS marked_by
  FROM run_rows r
  JOIN definition_steps d ON d.definition_id = r.definition_id
  LEFT JOIN step_rows s ON s.run_id = r.id AND s.position = d.position
  LEFT JOIN carried_rows c ON c.run_id = r.id AND c.position = d.position
  LEFT JOIN live_rows l ON l.run_id = r.id AND l.position = d.position
  LEFT JOIN attempt_rows a ON a.run_id = r.id AND a.position = d.position
    AND a.number = (SELECT max(e.number) FROM attempt_rows e
                    WHERE e.run_id = r.id AND e.position = d.position)
)
""",
    """
CREATE VIEW events AS
SELECT e.run_id AS run_id, e.seq AS seq, e.event AS event, d.name AS step, e.number AS number,
       e.outcome AS outcome
FROM (
  SELECT run_id, claimed_seq AS seq, 'claimed' AS event, position, number, NULL AS outcome
  FROM attempt_rows
  UNION ALL
  SELECT run_id, claimed_seq, 'claimed', position, number, NULL FROM live_rows
  UNION ALL
  SELECT run_id, ended_seq, 'attempt', position, number, outcome FROM attempt_rows
  UNION ALL
  SELECT run_id, seq, 'step', position, NULL, status FROM step_rows
  UNION ALL
  SELECT a.run_id, a.ended_seq + 1, 'step', a.position, NULL, 'ok' FROM attempt_rows a
  WHERE a.outcome = 'ok' AND a.ended_seq > 0 AND NOT EXISTS (
    SELECT 1 FROM step_rows s WHERE s.run_id = a.run_id AND s.position = a.position)
  UNION ALL
  SELECT id, events, 'run', NULL, NULL, status FROM run_rows WHERE status <> 'running'
) e
JOIN run_rows r ON r.id = e.run_id
LEFT JOIN definition_steps d ON d.definition_id = r.definition_id AND d.position = e.position
WHERE e.seq > 0
""",
    """
CREATE VIEW run_summary AS
SELECT r.id AS run_id, r.workflow AS workflow, r.status AS status,
       strftime('%Y-%m-%dT%H:%M:%S', r.started_at / 1000000, 'unixepoch') || printf('.%03dZ', r.started_at / 1000 % 1000) AS started_at, (r.finished_at - r.started_at) / 1e6 AS duration_s,
       r.steps AS steps, r.ok AS ok, r.cached AS cached, r.failed AS failed, r.skipped AS skipped,
       r.attempts AS attempts, r.retries AS retries
FROM run_rows r
""",
    """
CREATE VIEW run_order AS
SELECT o.run_id AS run_id, d.name AS step, e.value / 1e6 AS weight_s
FROM order_rows o
JOIN run_rows r ON r.id = o.run_id
JOIN json_each(o.weights) e
CROSS JOIN definition_steps d ON d.definition_id = r.definition_id AND d.position = e.key
""",
)


def upgrade() -> None:
    """Change the schema. DDL is frozen here: a migration imports nothing of the project."""
    for statement in DDL:
        op.execute(statement)


def downgrade() -> None:
    """There is no way back: an upgrade leaves a copy of the store as it was."""
    raise NotImplementedError("restore the copy made before the upgrade")
