"""The first schema."""

from __future__ import annotations

from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

DDL = (
    """
CREATE TABLE definition_rows (
    id INTEGER NOT NULL,
    sha256 TEXT NOT NULL,
    workflow TEXT NOT NULL,
    PRIMARY KEY (id),
    UNIQUE (sha256)
)
""",
    """
CREATE TABLE definition_steps (
    definition_id INTEGER NOT NULL,
    position INTEGER NOT NULL,
    name TEXT NOT NULL,
    fingerprint TEXT NOT NULL,
    parts TEXT NOT NULL,
    upstreams TEXT NOT NULL,
    PRIMARY KEY (definition_id, position),
    FOREIGN KEY(definition_id) REFERENCES definition_rows (id)
)
 WITHOUT ROWID

""",
    """
CREATE INDEX ix_definition_steps_name ON definition_steps (definition_id, name)
""",
    """
CREATE TABLE run_rows (
    id INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
    workflow TEXT NOT NULL,
    status TEXT NOT NULL,
    params TEXT NOT NULL,
    context_sha256 TEXT NOT NULL,
    definition_id INTEGER,
    started_at BIGINT NOT NULL,
    finished_at BIGINT,
    resumed_from INTEGER,
    root_run INTEGER NOT NULL,
    started_by TEXT NOT NULL,
    note TEXT NOT NULL,
    user TEXT NOT NULL,
    host TEXT NOT NULL,
    owner TEXT NOT NULL,
    workers INTEGER NOT NULL,
    CONSTRAINT ck_run_rows_status CHECK (status IN ('running', 'ok', 'failed', 'cancelled', 'interrupted', 'skipped')),
    CONSTRAINT ck_run_rows_started_by CHECK (started_by IN ('hand', 'timer', 'library')),
    CONSTRAINT ck_run_rows_ended CHECK ((status = 'running') = (finished_at IS NULL)),
    FOREIGN KEY(definition_id) REFERENCES definition_rows (id),
    FOREIGN KEY(resumed_from) REFERENCES run_rows (id)
)
""",
    """
CREATE INDEX ix_run_rows_workflow ON run_rows (workflow, id)
""",
    """
CREATE TABLE alert_rows (
    id INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
    run_id INTEGER NOT NULL,
    channel TEXT NOT NULL,
    status TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    tries INTEGER NOT NULL,
    owner TEXT,
    sent_at BIGINT,
    error TEXT NOT NULL,
    CONSTRAINT ck_alert_rows_status CHECK (status IN ('pending', 'sending', 'sent', 'given_up')),
    CONSTRAINT ck_alert_rows_channel CHECK (channel IN ('slack', 'email')),
    FOREIGN KEY(run_id) REFERENCES run_rows (id)
)
""",
    """
CREATE INDEX ix_alert_rows_status ON alert_rows (status)
""",
    """
CREATE TABLE attempt_rows (
    run_id INTEGER NOT NULL,
    position INTEGER NOT NULL,
    number INTEGER NOT NULL,
    started_at BIGINT,
    finished_at BIGINT,
    outcome TEXT,
    retry_at BIGINT,
    error TEXT,
    PRIMARY KEY (run_id, position, number),
    CONSTRAINT ck_attempt_rows_outcome CHECK (outcome IN ('ok', 'failed', 'timed_out', 'cancelled', 'interrupted', 'abandoned')),
    CONSTRAINT ck_attempt_rows_number CHECK (number >= 1),
    CONSTRAINT ck_attempt_rows_ended CHECK (finished_at IS NULL OR outcome IS NOT NULL),
    CONSTRAINT ck_attempt_rows_order CHECK (finished_at >= started_at),
    FOREIGN KEY(run_id) REFERENCES run_rows (id)
)
 WITHOUT ROWID

""",
    """
CREATE TABLE carried_rows (
    run_id INTEGER NOT NULL,
    position INTEGER NOT NULL,
    used INTEGER NOT NULL,
    retry_at BIGINT,
    key_run INTEGER NOT NULL,
    lost INTEGER NOT NULL,
    why TEXT NOT NULL,
    PRIMARY KEY (run_id, position),
    FOREIGN KEY(run_id) REFERENCES run_rows (id)
)
 WITHOUT ROWID

""",
    """
CREATE TABLE file_rows (
    run_id INTEGER NOT NULL,
    position INTEGER NOT NULL,
    target TEXT NOT NULL,
    "temporary" TEXT NOT NULL,
    sha256 TEXT NOT NULL,
    size BIGINT NOT NULL,
    published INTEGER NOT NULL,
    PRIMARY KEY (run_id, position, target),
    FOREIGN KEY(run_id) REFERENCES run_rows (id)
)
""",
    """
CREATE TABLE output_rows (
    run_id INTEGER NOT NULL,
    position INTEGER NOT NULL,
    "key" TEXT NOT NULL,
    codec TEXT NOT NULL,
    sha256 TEXT NOT NULL,
    data BLOB NOT NULL,
    PRIMARY KEY (run_id, position, "key"),
    FOREIGN KEY(run_id) REFERENCES run_rows (id)
)
""",
    """
CREATE TABLE step_rows (
    run_id INTEGER NOT NULL,
    position INTEGER NOT NULL,
    status TEXT NOT NULL,
    ended_at BIGINT,
    note TEXT NOT NULL,
    source_run INTEGER,
    PRIMARY KEY (run_id, position),
    CONSTRAINT ck_step_rows_status CHECK (status IN ('cached', 'cancelled', 'failed', 'interrupted', 'ok', 'skipped')),
    CONSTRAINT ck_step_rows_source_run CHECK ((status = 'cached') <= (source_run IS NOT NULL)),
    FOREIGN KEY(run_id) REFERENCES run_rows (id)
)
 WITHOUT ROWID

""",
    """
CREATE VIEW runs AS
SELECT id, workflow, status, params, strftime('%Y-%m-%dT%H:%M:%S', started_at / 1000000, 'unixepoch') || printf('.%03dZ', started_at / 1000 % 1000) AS started_at,
       strftime('%Y-%m-%dT%H:%M:%S', finished_at / 1000000, 'unixepoch') || printf('.%03dZ', finished_at / 1000 % 1000) AS finished_at,
       (finished_at - started_at) / 1e6 AS duration_s,
       resumed_from, root_run, note, started_by, user, host, workers
FROM run_rows
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
""",
    """
CREATE VIEW step_runs AS
SELECT run_id, step, position, status, strftime('%Y-%m-%dT%H:%M:%S', started_us / 1000000, 'unixepoch') || printf('.%03dZ', started_us / 1000 % 1000) AS started_at,
       strftime('%Y-%m-%dT%H:%M:%S', ended_us / 1000000, 'unixepoch') || printf('.%03dZ', ended_us / 1000 % 1000) AS finished_at,
       CASE WHEN started_us IS NULL AND status NOT IN ('waiting', 'running', 'backing_off') THEN 0.0
            ELSE (ended_us - started_us) / 1e6 END AS duration_s,
       note, source_run, attempts, strftime('%Y-%m-%dT%H:%M:%S', retry_us / 1000000, 'unixepoch') || printf('.%03dZ', retry_us / 1000 % 1000) AS next_attempt_at
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
              ELSE c.retry_at END AS retry_us
  FROM run_rows r
  JOIN definition_steps d ON d.definition_id = r.definition_id
  LEFT JOIN step_rows s ON s.run_id = r.id AND s.position = d.position
  LEFT JOIN carried_rows c ON c.run_id = r.id AND c.position = d.position
)
""",
    """
CREATE VIEW outputs AS
SELECT o.run_id AS run_id, coalesce(d.name, '') AS step, o.key AS key, o.codec AS codec,
       length(o.data) AS size, o.sha256 AS sha256, o.data AS data
FROM output_rows o
JOIN run_rows r ON r.id = o.run_id
LEFT JOIN definition_steps d ON d.definition_id = r.definition_id AND d.position = o.position
""",
    """
CREATE VIEW alerts AS
SELECT id, run_id, channel, status, strftime('%Y-%m-%dT%H:%M:%S', created_at / 1000000, 'unixepoch') || printf('.%03dZ', created_at / 1000 % 1000) AS created_at,
       strftime('%Y-%m-%dT%H:%M:%S', sent_at / 1000000, 'unixepoch') || printf('.%03dZ', sent_at / 1000 % 1000) AS sent_at, tries, error
FROM alert_rows
""",
    """
CREATE VIEW run_summary AS
SELECT r.id AS run_id, r.workflow AS workflow, r.status AS status,
       strftime('%Y-%m-%dT%H:%M:%S', r.started_at / 1000000, 'unixepoch') || printf('.%03dZ', r.started_at / 1000 % 1000) AS started_at, (r.finished_at - r.started_at) / 1e6 AS duration_s,
       (SELECT count(*) FROM definition_steps d WHERE d.definition_id = r.definition_id) AS steps,
       (SELECT count(*) FROM step_rows s WHERE s.run_id = r.id AND s.status = 'ok') AS ok,
       (SELECT count(*) FROM step_rows s WHERE s.run_id = r.id AND s.status = 'cached') AS cached,
       (SELECT count(*) FROM step_rows s WHERE s.run_id = r.id AND s.status = 'failed') AS failed,
       (SELECT count(*) FROM step_rows s WHERE s.run_id = r.id AND s.status = 'skipped') AS skipped,
       (SELECT count(*) FROM attempt_rows a WHERE a.run_id = r.id) AS attempts,
       (SELECT count(*) FROM attempt_rows a WHERE a.run_id = r.id AND a.number > 1) AS retries
FROM run_rows r
""",
    """
CREATE VIEW step_stats AS
SELECT r.workflow AS workflow, d.name AS step, count(*) AS attempts,
       sum(a.outcome = 'ok') AS ok, sum(a.outcome IN ('failed', 'timed_out')) AS failed,
       avg(CASE WHEN a.outcome = 'ok' THEN (a.finished_at - a.started_at) / 1e6 END) AS mean_s,
       min(CASE WHEN a.outcome = 'ok' THEN (a.finished_at - a.started_at) / 1e6 END) AS min_s,
       max(CASE WHEN a.outcome = 'ok' THEN (a.finished_at - a.started_at) / 1e6 END) AS max_s,
       strftime('%Y-%m-%dT%H:%M:%S', max(a.started_at) / 1000000, 'unixepoch') || printf('.%03dZ', max(a.started_at) / 1000 % 1000) AS last_started_at
FROM attempt_rows a
JOIN run_rows r ON r.id = a.run_id
JOIN definition_steps d ON d.definition_id = r.definition_id AND d.position = a.position
GROUP BY r.workflow, d.name
""",
)


def upgrade() -> None:
    """Change the schema. DDL is frozen here: a migration imports nothing of the project."""
    for statement in DDL:
        op.execute(statement)


def downgrade() -> None:
    """There is no way back: an upgrade leaves a copy of the store as it was."""
    raise NotImplementedError("restore the copy made before the upgrade")
