"""What the trainer measured last, with each version. Versions from before have none."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the column; SQLite wants a default for the rows that are there."""
    op.add_column("versions", sa.Column("trained", sa.Text, nullable=False, server_default=sa.text("'{}'")))
