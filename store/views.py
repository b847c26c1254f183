"""The views: what users query with SQL, over tables that may change."""

from __future__ import annotations


def _iso(column: str) -> str:
    return (
        f"strftime('%Y-%m-%dT%H:%M:%S', {column} / 1000000, 'unixepoch')"
        f" || printf('.%03dZ', {column} / 1000 % 1000)"
    )


# Beneath the public ones: the attempts that are claimed and have not ended. By `json_each` alone:
# a connection that does not trust the schema refuses `json_extract` in a view. What is joined to a
# list is a CROSS JOIN: else SQLite may go through the whole list for each step.
LIVE_ROWS = """
CREATE VIEW live_rows AS
SELECT r.id AS run_id,
       (SELECT v.value FROM json_each(e.value) v WHERE v.key = 0) AS position,
       (SELECT v.value FROM json_each(e.value) v WHERE v.key = 1) AS number,
       (SELECT v.value FROM json_each(e.value) v WHERE v.key = 2) AS claimed_seq,
       (SELECT v.value FROM json_each(e.value) v WHERE v.key = 3) AS started_at
FROM run_rows r, json_each(r.live) e WHERE r.status = 'running'"""

VIEWS: dict[str, str] = {
    "runs": f"""
CREATE VIEW runs AS
SELECT id, workflow, status, params, {_iso("started_at")} AS started_at,
       {_iso("finished_at")} AS finished_at,
       (finished_at - started_at) / 1e6 AS duration_s,
       resumed_from, root_run, note, started_by, user, host, workers, events,
       {_iso("abs(pruned_at)")} AS pruned_at, only_steps, backfill, reason, choices,
       {_iso("slot")} AS slot, zone
FROM run_rows""",
    "attempts": f"""
CREATE VIEW attempts AS
SELECT a.run_id AS run_id, d.name AS step, a.number AS number, a.outcome AS outcome,
       {_iso("a.started_at")} AS started_at, {_iso("a.finished_at")} AS finished_at,
       (a.finished_at - a.started_at) / 1e6 AS duration_s, a.error AS error,
       {_iso("a.retry_at")} AS retry_at
FROM attempt_rows a
JOIN run_rows r ON r.id = a.run_id
JOIN definition_steps d ON d.definition_id = r.definition_id AND d.position = a.position
UNION ALL
SELECT l.run_id, d.name, l.number, NULL, {_iso("l.started_at")}, NULL, NULL, NULL, NULL
FROM live_rows l
CROSS JOIN run_rows r ON r.id = l.run_id
CROSS JOIN definition_steps d ON d.definition_id = r.definition_id AND d.position = l.position""",
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
)""",
    "run_order": """
CREATE VIEW run_order AS
SELECT o.run_id AS run_id, d.name AS step, e.value / 1e6 AS weight_s
FROM order_rows o
JOIN run_rows r ON r.id = o.run_id
JOIN json_each(o.weights) e
CROSS JOIN definition_steps d ON d.definition_id = r.definition_id AND d.position = e.key""",
    "decisions": """
CREATE VIEW decisions AS
SELECT c.run_id AS run_id, d.name AS step, c.seq AS seq, c.what AS decision, c.facts AS facts
FROM decision_rows c
JOIN run_rows r ON r.id = c.run_id
JOIN definition_steps d ON d.definition_id = r.definition_id AND d.position = c.position""",
    "environments": """
CREATE VIEW environments AS
SELECT r.id AS run_id, v.key AS package, v.value AS version
FROM run_rows r
JOIN environment_rows e ON e.id = r.environment_id
JOIN json_each(e.versions) v""",
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
WHERE e.seq > 0""",
    "alerts": f"""
CREATE VIEW alerts AS
SELECT id, run_id, channel, status, {_iso("created_at")} AS created_at,
       {_iso("sent_at")} AS sent_at, tries, error, kind, incident_id AS incident, workflow, facts
FROM alert_rows""",
    "incidents": f"""
CREATE VIEW incidents AS
SELECT id, workflow, step, error, {_iso("opened_at")} AS opened_at, opened_run,
       {_iso("last_at")} AS last_at, last_run, failures, {_iso("reminded_at")} AS reminded_at,
       {_iso("closed_at")} AS closed_at, closed_run, fingerprint
FROM incident_rows""",
    "schedules": f"""
CREATE VIEW schedules AS
SELECT workflow, calendar, zone, {_iso("noted_at")} AS noted_at, facts
FROM schedule_rows""",
    "slots": f"""
CREATE VIEW slots AS
SELECT workflow, {_iso("slot")} AS slot, {_iso("decided_at")} AS decided_at, run_id, reason
FROM slot_rows""",
    "pauses": f"""
CREATE VIEW pauses AS
SELECT workflow, {_iso("paused_at")} AS paused_at, paused_by, {_iso("until")} AS until, reason,
       {_iso("ended_at")} AS ended_at, ended_by
FROM pause_rows""",
    "run_summary": f"""
CREATE VIEW run_summary AS
SELECT r.id AS run_id, r.workflow AS workflow, r.status AS status,
       {_iso("r.started_at")} AS started_at, (r.finished_at - r.started_at) / 1e6 AS duration_s,
       r.steps AS steps, r.ok AS ok, r.cached AS cached, r.failed AS failed, r.skipped AS skipped,
       r.attempts AS attempts, r.retries AS retries
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
