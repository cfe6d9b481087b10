"""The first schema. There is no way down: a registry is rebuilt from the Hub, not downgraded."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

_ZERO = [{"key": "generation", "value": 0}]


def upgrade() -> None:
    """Make every table; `adapterd.registry.schema` says what they mean."""
    _series()
    _line()
    _beside_the_line()
    _publishing()


def _series() -> None:
    meta = op.create_table(
        "meta",
        sa.Column("key", sa.Text, nullable=False),
        sa.Column("value", sa.Integer, nullable=False),
        sa.PrimaryKeyConstraint("key", name=op.f("pk_meta")),
    )
    op.bulk_insert(meta, _ZERO)
    op.create_table(
        "roots",
        sa.Column("root", sa.Text, nullable=False),
        sa.Column("baselined", sa.Boolean, nullable=False),
        sa.Column("device", sa.Text),
        sa.Column("inode", sa.Text),
        sa.PrimaryKeyConstraint("root", name=op.f("pk_roots")),
        sa.CheckConstraint("(device IS NULL) = (inode IS NULL)", name=op.f("ck_roots_inode_with_device")),
    )
    op.create_table(
        "adapters",
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("folded", sa.Text, nullable=False),
        sa.Column("root", sa.Text, nullable=False),
        sa.Column("base", sa.Text, nullable=False),
        sa.Column("peft_type", sa.Text, nullable=False),
        sa.Column("task", sa.Text, nullable=False),
        sa.Column("counter", sa.Integer, nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_adapters")),
        sa.CheckConstraint("counter >= 0", name=op.f("ck_adapters_counter")),
        sa.UniqueConstraint("folded", name=op.f("uq_adapters_folded")),
    )


def _line() -> None:
    op.create_table(
        "versions",
        sa.Column("id", sa.Integer, nullable=False),
        sa.Column("adapter", sa.Text, nullable=False),
        sa.Column("identity", sa.Text, nullable=False),
        sa.Column("tree", sa.Text, nullable=False),
        sa.Column("intake", sa.Integer, nullable=False),
        sa.Column("stage", sa.Text, nullable=False),
        sa.Column("base", sa.Text, nullable=False),
        sa.Column("run", sa.Text, nullable=False),
        sa.Column("step", sa.Integer),
        sa.Column("final", sa.Boolean, nullable=False),
        sa.Column("labels", sa.Text, nullable=False),
        sa.Column("repairs", sa.Text, nullable=False),
        sa.Column("number", sa.Integer),
        sa.Column("commit", sa.Text),
        sa.Column("due_at", sa.Double, nullable=False),
        sa.Column("attempts", sa.Integer, nullable=False),
        sa.Column("lease_owner", sa.Text),
        sa.Column("lease_until", sa.Double, nullable=False),
        sa.Column("fence", sa.Integer, nullable=False),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("message", sa.Text, nullable=False),
        sa.Column("hint", sa.Text, nullable=False),
        sa.Column("stalled", sa.Boolean, nullable=False),
        sa.Column("created_at", sa.Double, nullable=False),
        sa.Column("updated_at", sa.Double, nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_versions")),
        sa.UniqueConstraint("adapter", "identity", name=op.f("uq_versions_adapter_identity")),
        sa.CheckConstraint(
            "stage IN ('staged', 'validated', 'published', 'rejected', 'superseded')", name=op.f("ck_versions_stage")
        ),
        sa.CheckConstraint(
            "(stage = 'published') = (\"commit\" IS NOT NULL)", name=op.f("ck_versions_published_has_commit")
        ),
        sa.CheckConstraint("stage <> 'published' OR number IS NOT NULL", name=op.f("ck_versions_published_has_number")),
        sa.CheckConstraint("number IS NULL OR number >= 1", name=op.f("ck_versions_number")),
        sa.CheckConstraint("NOT stalled OR reason <> ''", name=op.f("ck_versions_stalled_has_reason")),
        sa.CheckConstraint("NOT stalled OR stage IN ('staged', 'validated')", name=op.f("ck_versions_stalled_is_live")),
        sa.CheckConstraint("lease_owner IS NOT NULL OR lease_until = 0", name=op.f("ck_versions_lease_has_owner")),
        sa.ForeignKeyConstraint(["adapter"], ["adapters.name"], name=op.f("fk_versions_adapter")),
        sa.UniqueConstraint("intake", name=op.f("uq_versions_intake")),
    )
    op.create_index("ix_versions_stage_intake", "versions", ["stage", "intake"])
    op.create_index(
        "uq_versions_adapter_number",
        "versions",
        ["adapter", "number"],
        unique=True,
        sqlite_where=sa.text("number IS NOT NULL"),
    )


def _beside_the_line() -> None:
    op.create_table(
        "sightings",
        sa.Column("id", sa.Integer, nullable=False),
        sa.Column("version_id", sa.Integer, nullable=False),
        sa.Column("root", sa.Text, nullable=False),
        sa.Column("path", sa.Text, nullable=False),
        sa.Column("run", sa.Text, nullable=False),
        sa.Column("checkpoint", sa.Integer),
        sa.Column("step", sa.Integer),
        sa.Column("final", sa.Boolean, nullable=False),
        sa.Column("fingerprint", sa.Text, nullable=False),
        sa.Column("seen_at", sa.Double, nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_sightings")),
        sa.UniqueConstraint(
            "version_id", "root", "path", "fingerprint", name=op.f("uq_sightings_version_id_root_path_fingerprint")
        ),
        sa.ForeignKeyConstraint(["version_id"], ["versions.id"], name=op.f("fk_sightings_version_id")),
    )
    op.create_table(
        "observations",
        sa.Column("root", sa.Text, nullable=False),
        sa.Column("path", sa.Text, nullable=False),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("fingerprint", sa.Text, nullable=False),
        sa.Column("adapter", sa.Text, nullable=False),
        sa.Column("run", sa.Text, nullable=False),
        sa.Column("checkpoint", sa.Integer),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("message", sa.Text, nullable=False),
        sa.Column("hint", sa.Text, nullable=False),
        sa.Column("version", sa.Integer),
        sa.Column("first_seen", sa.Double, nullable=False),
        sa.Column("changed_at", sa.Double, nullable=False),
        sa.Column("signal", sa.Text, nullable=False),
        sa.PrimaryKeyConstraint("root", "path", name=op.f("pk_observations")),
        sa.CheckConstraint(
            "state IN ('baseline', 'waiting', 'settled', 'unwanted', 'stalled', 'refused', 'unfinished', "
            "'source_gone')",
            name=op.f("ck_observations_state"),
        ),
        sa.CheckConstraint("state <> 'stalled' OR reason <> ''", name=op.f("ck_observations_stalled_has_reason")),
        sa.ForeignKeyConstraint(["version"], ["versions.id"], name=op.f("fk_observations_version")),
    )
    op.create_table(
        "events",
        sa.Column("id", sa.Integer, nullable=False),
        sa.Column("version_id", sa.Integer, nullable=False),
        sa.Column("at", sa.Double, nullable=False),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("detail", sa.Text, nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_events")),
        sa.ForeignKeyConstraint(["version_id"], ["versions.id"], name=op.f("fk_events_version_id")),
    )
    op.create_index("ix_events_version_id_id", "events", ["version_id", "id"])
    op.create_table(
        "validations",
        sa.Column("id", sa.Integer, nullable=False),
        sa.Column("version_id", sa.Integer, nullable=False),
        sa.Column("tree", sa.Text, nullable=False),
        sa.Column("policy", sa.Text, nullable=False),
        sa.Column("verdict", sa.Text, nullable=False),
        sa.Column("report", sa.Text, nullable=False),
        sa.Column("at", sa.Double, nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_validations")),
        sa.ForeignKeyConstraint(["version_id"], ["versions.id"], name=op.f("fk_validations_version_id")),
    )
    op.create_index("ix_validations_version_id_id", "validations", ["version_id", "id"])


def _publishing() -> None:
    op.create_table(
        "intents",
        sa.Column("version_id", sa.Integer, nullable=False),
        sa.Column("number", sa.Integer, nullable=False),
        sa.Column("policy", sa.Text, nullable=False),
        sa.Column("message", sa.Text, nullable=False),
        sa.PrimaryKeyConstraint("version_id", name=op.f("pk_intents")),
        sa.ForeignKeyConstraint(["version_id"], ["versions.id"], name=op.f("fk_intents_version_id")),
    )
    op.create_table(
        "intent_files",
        sa.Column("version_id", sa.Integer, nullable=False),
        sa.Column("path", sa.Text, nullable=False),
        sa.Column("data", sa.LargeBinary, nullable=False),
        sa.PrimaryKeyConstraint("version_id", "path", name=op.f("pk_intent_files")),
        sa.ForeignKeyConstraint(
            ["version_id"], ["intents.version_id"], name=op.f("fk_intent_files_version_id"), ondelete="CASCADE"
        ),
    )
    op.create_table(
        "repos",
        sa.Column("adapter", sa.Text, nullable=False),
        sa.Column("versions_head", sa.Text, nullable=False),
        sa.Column("readme", sa.LargeBinary, nullable=False),
        sa.Column("paths", sa.Text, nullable=False),
        sa.Column("seen", sa.Text, nullable=False),
        sa.Column("standing_head", sa.Text, nullable=False),
        sa.Column("standing", sa.Text, nullable=False),
        sa.Column("private", sa.Boolean),
        sa.Column("adopted", sa.Boolean, nullable=False),
        sa.PrimaryKeyConstraint("adapter", name=op.f("pk_repos")),
        sa.ForeignKeyConstraint(["adapter"], ["adapters.name"], name=op.f("fk_repos_adapter")),
    )
    op.create_table(
        "channels",
        sa.Column("adapter", sa.Text, nullable=False),
        sa.Column("channel", sa.Text, nullable=False),
        sa.Column("number", sa.Integer),
        sa.Column("commit", sa.Text, nullable=False),
        sa.Column("highest", sa.Integer, nullable=False),
        sa.Column("due_at", sa.Double, nullable=False),
        sa.Column("attempts", sa.Integer, nullable=False),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("message", sa.Text, nullable=False),
        sa.Column("hint", sa.Text, nullable=False),
        sa.Column("stalled", sa.Boolean, nullable=False),
        sa.PrimaryKeyConstraint("adapter", "channel", name=op.f("pk_channels")),
        sa.CheckConstraint("NOT stalled OR reason <> ''", name=op.f("ck_channels_stalled_has_reason")),
        sa.ForeignKeyConstraint(["adapter"], ["adapters.name"], name=op.f("fk_channels_adapter")),
    )
