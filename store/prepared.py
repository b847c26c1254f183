"""The write side's statements as text: change `store.statements`, then make this again.

`python -m store.statements > store/prepared.py`
"""

from __future__ import annotations

END_ATTEMPT = """
INSERT INTO attempt_rows (run_id, position, number, started_at, finished_at, outcome, retry_at,
error, claimed_seq, ended_seq)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"""
"""(run, position, number, started_at, finished_at, outcome, retry_at, error, claimed, seq)."""

END_ATTEMPT_WELL = """
INSERT INTO attempt_rows (run_id, position, number, started_at, finished_at, outcome, claimed_seq,
ended_seq)
VALUES (?, ?, ?, ?, ?, 'ok', ?, ?)"""
"""(run, position, number, started_at, finished_at, claimed, seq), of one that was ok."""

END_STEP = """
INSERT INTO step_rows (run_id, position, status, ended_at, note, source_run, seq)
VALUES (?, ?, ?, ?, ?, ?, ?)"""
"""(run, position, status, ended_at, note, source_run, seq); a second end breaks the key."""

WRITE_OUTPUT = """
INSERT INTO output_rows (run_id, position, "key", codec, sha256, data)
VALUES (?, ?, ?, ?, ?, ?)"""
"""(run, position, key, codec, sha256, data)."""

WRITE_FILE = """
INSERT INTO file_rows (run_id, position, target, "temporary", sha256, size, published)
VALUES (?, ?, ?, ?, ?, ?, ?)"""
"""(run, position, target, temporary, sha256, size, published)."""

PUBLISHED = """
UPDATE file_rows SET published=1 WHERE file_rows.run_id = ? AND file_rows.position = ? AND
file_rows.published = 0"""
"""(run, position), leaves unpublished files."""

RECORD_TICK = """
UPDATE run_rows SET events=?, ok=?, failed=?, skipped=?, attempts=?, retries=?, live=? WHERE
run_rows.id = ? AND run_rows.status = 'running' AND run_rows.events = ?"""
"""(events, `COUNTERS`…, live, run, events before), of a run that nobody else has written of."""

END_RUN = """
UPDATE run_rows SET status=?, finished_at=?, note=?, events=?, live='[]' WHERE run_rows.id = ? AND
run_rows.status = 'running'"""
"""(status, finished_at, note, events, run), leaves a running run."""

QUEUE_ALERT = """
INSERT INTO alert_rows (run_id, channel, status, created_at, tries, error)
VALUES (?, ?, ?, ?, ?, ?)"""
"""(run, channel, status, created_at, tries, error)."""

DECIDE = """
INSERT INTO decision_rows (run_id, position, seq, what, facts)
VALUES (?, ?, ?, ?, ?)"""
"""(run, position, seq, what, facts)."""

CARRY = """
INSERT INTO carried_rows (run_id, position, used, retry_at, key_run, lost, why)
VALUES (?, ?, ?, ?, ?, ?, ?)"""
"""(run, position, used, retry_at, key_run, lost, why)."""

DEFINE = """
INSERT INTO definition_rows (sha256, workflow)
VALUES (?, ?)"""
"""(sha256, workflow)."""

DEFINE_STEP = """
INSERT INTO definition_steps (definition_id, position, name, fingerprint, parts, upstreams)
VALUES (?, ?, ?, ?, ?, ?)"""
"""(definition, position, name, fingerprint, parts, upstreams)."""

BEGIN_RUN = """
INSERT INTO run_rows (workflow, status, params, context_sha256, definition_id, started_at,
finished_at, resumed_from, root_run, started_by, note, user, host, owner, workers, events,
only_steps, backfill, steps, ok, failed, skipped, cached, reason, choices, environment_id, slot,
zone, limits)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"""
"""The values of `RUN_COLUMNS`, in order."""
