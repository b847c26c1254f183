"""The zone of each run: the one in which its times are shown to people.

A run of before has that which its workflow's schedule named last; without one it is the machine's.
And the limits of each run: those of before have none.
"""

from __future__ import annotations

from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

DDL = (
    """
DROP VIEW runs
""",
    """
ALTER TABLE run_rows ADD COLUMN zone TEXT
""",
    """
ALTER TABLE run_rows ADD COLUMN limits TEXT
""",
    """
UPDATE run_rows SET zone = (
    SELECT s.zone FROM schedule_rows s WHERE s.workflow = run_rows.workflow
)
WHERE workflow IN (SELECT workflow FROM schedule_rows WHERE zone <> '')
""",
    """
CREATE VIEW runs AS
SELECT id, workflow, status, params, strftime('%Y-%m-%dT%H:%M:%S', started_at / 1000000, 'unixepoch') || printf('.%03dZ', started_at / 1000 % 1000) AS started_at,
       strftime('%Y-%m-%dT%H:%M:%S', finished_at / 1000000, 'unixepoch') || printf('.%03dZ', finished_at / 1000 % 1000) AS finished_at,
       (finished_at - started_at) / 1e6 AS duration_s,
       resumed_from, root_run, note, started_by, user, host, workers, events,
       strftime('%Y-%m-%dT%H:%M:%S', abs(pruned_at) / 1000000, 'unixepoch') || printf('.%03dZ', abs(pruned_at) / 1000 % 1000) AS pruned_at, only_steps, backfill, reason, choices,
       strftime('%Y-%m-%dT%H:%M:%S', slot / 1000000, 'unixepoch') || printf('.%03dZ', slot / 1000 % 1000) AS slot, zone
FROM run_rows
""",
)


def upgrade() -> None:
    """Change the schema. DDL is frozen here: a migration imports nothing of the project."""
    for statement in DDL:
        op.execute(statement)


def downgrade() -> None:
    """There is no way back: an upgrade leaves a copy of the store as it was."""
    raise NotImplementedError("restore the copy made before the upgrade")
