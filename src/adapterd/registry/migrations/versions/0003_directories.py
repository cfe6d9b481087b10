"""Every directory that a root was keeps its baseline, not only the last. Known from before is the last one."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the table, with what the roots were last seen as."""
    op.create_table(
        "root_directories",
        sa.Column("root", sa.Text, nullable=False),
        sa.Column("device", sa.Text, nullable=False),
        sa.Column("inode", sa.Text, nullable=False),
        sa.PrimaryKeyConstraint("root", "device", "inode", name="pk_root_directories"),
    )
    op.execute(
        "INSERT INTO root_directories SELECT root, device, inode FROM roots WHERE device IS NOT NULL AND baselined"
    )
