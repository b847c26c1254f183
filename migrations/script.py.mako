"""${message}."""

from __future__ import annotations

from alembic import op

revision = ${repr(up_revision)}
down_revision = ${repr(down_revision)}
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Change the schema. DDL is frozen here: a migration imports nothing of the project."""
    ${upgrades if upgrades else "pass"}


def downgrade() -> None:
    """There is no way back: an upgrade leaves a copy of the store as it was."""
    raise NotImplementedError("restore the copy made before the upgrade")
