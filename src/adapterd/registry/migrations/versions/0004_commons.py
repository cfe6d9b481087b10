"""What reports have alike is kept once: each is split into its own piece and one that it shares."""

import json
from hashlib import sha256

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

_ALIKE = (
    "base_fingerprint",
    "device",
    "dtype",
    "engines",
    "level",
    "limits",
    "policy",
    "policy_terms",
    "schema",
    "versions",
)


def upgrade() -> None:
    """Make the shared pieces' table, and write every report anew: a row that only shrinks leaves its page as it is."""
    op.create_table(
        "commons",
        sa.Column("id", sa.Integer, nullable=False),
        sa.Column("digest", sa.Text, nullable=False),
        sa.Column("value", sa.Text, nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_commons")),
        sa.UniqueConstraint("digest", name=op.f("uq_commons_digest")),
    )
    op.drop_index("ix_validations_version_id_id", "validations")
    op.rename_table("validations", "validations_before")
    op.create_table(
        "validations",
        sa.Column("id", sa.Integer, nullable=False),
        sa.Column("version_id", sa.Integer, nullable=False),
        sa.Column("tree", sa.Text, nullable=False),
        sa.Column("policy", sa.Text, nullable=False),
        sa.Column("verdict", sa.Text, nullable=False),
        sa.Column("report", sa.Text, nullable=False),
        sa.Column("common", sa.Integer),
        sa.Column("at", sa.Double, nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_validations")),
        sa.ForeignKeyConstraint(["version_id"], ["versions.id"], name=op.f("fk_validations_version_id")),
        sa.ForeignKeyConstraint(["common"], ["commons.id"], name=op.f("fk_validations_common")),
    )
    _move(op.get_bind())
    op.drop_table("validations_before")
    op.create_index("ix_validations_version_id_id", "validations", ["version_id", "id"])
    op.create_index("ix_validations_common", "validations", ["common"], sqlite_where=sa.text("common IS NOT NULL"))


def _move(conn: sa.Connection) -> None:
    known: dict[str, int] = {}
    before = conn.execute(sa.text("SELECT id, version_id, tree, policy, verdict, report, at FROM validations_before"))
    for row in before.mappings():
        report = json.loads(row["report"])
        report = report if isinstance(report, dict) else {}  # no adapterd ever wrote one
        alike = json.dumps({key: report.pop(key) for key in _ALIKE if key in report}, sort_keys=True)
        digest = sha256(alike.encode()).hexdigest()
        if alike != "{}" and digest not in known:
            known[digest] = len(known) + 1
            value = json.dumps(json.loads(alike), sort_keys=True, separators=(",", ":"))
            conn.execute(
                sa.text("INSERT INTO commons (id, digest, value) VALUES (:id, :digest, :value)"),
                {"id": known[digest], "digest": digest, "value": value},
            )
        own = json.dumps(report, sort_keys=True, separators=(",", ":"))
        conn.execute(
            sa.text(
                "INSERT INTO validations (id, version_id, tree, policy, verdict, report, common, at)"
                " VALUES (:id, :version_id, :tree, :policy, :verdict, :report, :common, :at)"
            ),
            {**row, "report": own, "common": known.get(digest)},
        )
