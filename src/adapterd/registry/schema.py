"""The registry's tables, and the rules that the database itself keeps.

A row of `versions` moves like this (`core.version.MOVES`); every move is one conditional UPDATE under the row's fence:

    intake      staged
    advance     staged -> validated, rejected, superseded
    advance     validated -> published, superseded, staged (the policy changed)
    retry       rejected, superseded -> staged
    intake      superseded -> staged, when the content is seen again as a final save
    restore     published, at a rebuild
    erase       staged, validated, superseded -> rejected, when a person wants it gone

Standing is a second axis on the same row: `due_at`, `attempts`, `reason`, `stalled` and the lease. A crash leaves a row
where it stands, with a lease that runs out; the step that claims it then begins anew.

The migrations write the same tables by hand; a test compares them with these.
"""

import json
import re
from typing import Any

from sqlalchemy import (
    Boolean,
    CheckConstraint,
    Column,
    Dialect,
    Double,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    Table,
    Text,
    TypeDecorator,
    UniqueConstraint,
    text,
)

REVISIONS = ("0001", "0002", "0003", "0004")
"""Every schema there was, oldest first; the last is the one that this program writes."""

_ESCAPED = re.compile(r"\\(\\|u[0-9a-f]{4})")


class Words(TypeDecorator[str]):
    """Text that may hold a path: bytes of a file name that are no UTF-8 (lone surrogates) survive the round trip."""

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: str | None, dialect: Dialect) -> str | None:  # noqa: ARG002 - SQLAlchemy's
        """Write a backslash twice, and a lone surrogate as its number."""
        return value and value.replace("\\", "\\\\").encode("utf-8", "backslashreplace").decode("utf-8")

    def process_result_value(self, value: str | None, dialect: Dialect) -> str | None:  # noqa: ARG002 - SQLAlchemy's
        """Read both back."""
        if not value or "\\" not in value:
            return value
        return _ESCAPED.sub(lambda m: "\\" if m[1] == "\\" else chr(int(m[1][1:], 16)), value)


class Json(TypeDecorator[Any]):
    """Plain JSON as text with sorted keys, so that equal values are equal bytes."""

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: Any, dialect: Dialect) -> str:  # noqa: ANN401, ARG002 - any JSON; SQLAlchemy's
        """Write it compactly; ASCII only, so that any string survives."""
        return json.dumps(value, sort_keys=True, separators=(",", ":"))

    def process_result_value(self, value: str | None, dialect: Dialect) -> Any:  # noqa: ANN401, ARG002 - any JSON; SQLAlchemy's
        """Read it."""
        return None if value is None else json.loads(value)


METADATA = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
        "fk": "fk_%(table_name)s_%(column_0_name)s",
        "pk": "pk_%(table_name)s",
    }
)

# Single numbers: `generation` grows with every change that the index document could show.
meta = Table(
    "meta",
    METADATA,
    Column("key", Text, primary_key=True),
    Column("value", Integer, nullable=False),
)

# A watched root: whether its baseline was taken, and which directory it was. Device and inode are text, since both are
# unsigned 64-bit numbers and some file systems use the highest bit.
roots = Table(
    "roots",
    METADATA,
    Column("root", Words, primary_key=True),
    Column("baselined", Boolean, nullable=False),
    Column("device", Text),
    Column("inode", Text),
    CheckConstraint("(device IS NULL) = (inode IS NULL)", name="inode_with_device"),
)

# Every directory that was ever seen at a root's path and whose baseline is taken: one that comes back keeps it.
root_directories = Table(
    "root_directories",
    METADATA,
    Column("root", Words, primary_key=True),
    Column("device", Text, primary_key=True),
    Column("inode", Text, primary_key=True),
)

# A series. `folded` makes names that differ only in case one. `counter` is the highest number that was ever reserved,
# adopted or restored; it never sinks. The binding (root, base,
# type, task) is empty where it is not known yet; what is empty is filled once.
adapters = Table(
    "adapters",
    METADATA,
    Column("name", Text, primary_key=True),
    Column("folded", Text, nullable=False, unique=True),
    Column("root", Words, nullable=False),
    Column("base", Words, nullable=False),
    Column("peft_type", Text, nullable=False),
    Column("task", Text, nullable=False),
    Column("counter", Integer, nullable=False),
    CheckConstraint("counter >= 0", name="counter"),
)

# The line. `fence` grows with every claim and with every move by somebody else than the holder of the lease.
versions = Table(
    "versions",
    METADATA,
    Column("id", Integer, primary_key=True),
    Column("adapter", Text, ForeignKey("adapters.name"), nullable=False),
    Column("identity", Text, nullable=False),
    Column("tree", Text, nullable=False),
    Column("intake", Integer, nullable=False, unique=True),
    Column("stage", Text, nullable=False),
    Column("base", Words, nullable=False),
    Column("run", Words, nullable=False),
    Column("step", Integer),
    Column("final", Boolean, nullable=False),
    Column("labels", Json, nullable=False),
    Column("repairs", Json, nullable=False),
    Column("number", Integer),
    Column("commit", Text),
    Column("due_at", Double, nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("lease_owner", Text),
    Column("lease_until", Double, nullable=False),
    Column("fence", Integer, nullable=False),
    Column("reason", Text, nullable=False),
    Column("message", Words, nullable=False),
    Column("hint", Words, nullable=False),
    Column("stalled", Boolean, nullable=False),
    Column("created_at", Double, nullable=False),
    Column("updated_at", Double, nullable=False),
    Column("trained", Json, nullable=False, server_default=text("'{}'")),
    UniqueConstraint("adapter", "identity"),
    CheckConstraint("stage IN ('staged', 'validated', 'published', 'rejected', 'superseded')", name="stage"),
    CheckConstraint("(stage = 'published') = (\"commit\" IS NOT NULL)", name="published_has_commit"),
    CheckConstraint("stage <> 'published' OR number IS NOT NULL", name="published_has_number"),
    CheckConstraint("number IS NULL OR number >= 1", name="number"),
    CheckConstraint("NOT stalled OR reason <> ''", name="stalled_has_reason"),
    CheckConstraint("NOT stalled OR stage IN ('staged', 'validated')", name="stalled_is_live"),
    CheckConstraint("lease_owner IS NOT NULL OR lease_until = 0", name="lease_has_owner"),
)
# A number belongs to one version of an adapter, whether it is reserved or published.
Index(
    "uq_versions_adapter_number",
    versions.c.adapter,
    versions.c.number,
    unique=True,
    sqlite_where=versions.c.number.is_not(None),
)
# What `claim` walks, in its order.
Index("ix_versions_stage_intake", versions.c.stage, versions.c.intake)

# Where a version's content was seen. Its `final` and `step` on the row above follow from these.
sightings = Table(
    "sightings",
    METADATA,
    Column("id", Integer, primary_key=True),
    Column("version_id", Integer, ForeignKey("versions.id"), nullable=False),
    Column("root", Words, nullable=False),
    Column("path", Words, nullable=False),
    Column("run", Words, nullable=False),
    Column("checkpoint", Integer),
    Column("step", Integer),
    Column("final", Boolean, nullable=False),
    Column("fingerprint", Text, nullable=False),
    Column("seen_at", Double, nullable=False),
    UniqueConstraint("version_id", "root", "path", "fingerprint"),
)

# What was last seen of a directory. `adapter` and `first_seen` keep their first value.
observations = Table(
    "observations",
    METADATA,
    Column("root", Words, primary_key=True),
    Column("path", Words, primary_key=True),
    Column("state", Text, nullable=False),
    Column("fingerprint", Text, nullable=False),
    Column("adapter", Text, nullable=False),
    Column("run", Words, nullable=False),
    Column("checkpoint", Integer),
    Column("reason", Text, nullable=False),
    Column("message", Words, nullable=False),
    Column("hint", Words, nullable=False),
    Column("version", Integer, ForeignKey("versions.id")),
    Column("first_seen", Double, nullable=False),
    Column("changed_at", Double, nullable=False),
    Column("signal", Text, nullable=False),
    CheckConstraint(
        "state IN ('baseline', 'waiting', 'settled', 'unwanted', 'stalled', 'refused', 'unfinished', 'source_gone')",
        name="state",
    ),
    CheckConstraint("state <> 'stalled' OR reason <> ''", name="stalled_has_reason"),
)

# A version's history, append-only but for one thing: waiting again for the same reason replaces the earlier line.
events = Table(
    "events",
    METADATA,
    Column("id", Integer, primary_key=True),
    Column("version_id", Integer, ForeignKey("versions.id"), nullable=False),
    Column("at", Double, nullable=False),
    Column("kind", Text, nullable=False),
    Column("detail", Json, nullable=False),
)
Index("ix_events_version_id_id", events.c.version_id, events.c.id)

# What many reports have alike, by the digest of its JSON (`registry.reports`).
commons = Table(
    "commons",
    METADATA,
    Column("id", Integer, primary_key=True),
    Column("digest", Text, nullable=False, unique=True),
    Column("value", Json, nullable=False),
)

# Reports: never changed, one row each time a version was validated. `report` is what it does not share.
validations = Table(
    "validations",
    METADATA,
    Column("id", Integer, primary_key=True),
    Column("version_id", Integer, ForeignKey("versions.id"), nullable=False),
    Column("tree", Text, nullable=False),
    Column("policy", Text, nullable=False),
    Column("verdict", Text, nullable=False),
    Column("report", Json, nullable=False),
    Column("common", Integer, ForeignKey("commons.id")),
    Column("at", Double, nullable=False),
)
Index("ix_validations_version_id_id", validations.c.version_id, validations.c.id)
# What a shared piece is looked for by, before it goes.
Index("ix_validations_common", validations.c.common, sqlite_where=validations.c.common.is_not(None))

# What publish is about to do, written in the transaction that reserves the number.
intents = Table(
    "intents",
    METADATA,
    Column("version_id", Integer, ForeignKey("versions.id"), primary_key=True),
    Column("number", Integer, nullable=False),
    Column("policy", Text, nullable=False),
    Column("message", Text, nullable=False),
)
intent_files = Table(
    "intent_files",
    METADATA,
    Column("version_id", Integer, ForeignKey("intents.version_id", ondelete="CASCADE"), primary_key=True),
    Column("path", Text, primary_key=True),
    Column("data", LargeBinary, nullable=False),
)

# What was last known of a repo and of its channels; the Hub is the truth.
repos = Table(
    "repos",
    METADATA,
    Column("adapter", Text, ForeignKey("adapters.name"), primary_key=True),
    Column("versions_head", Text, nullable=False),
    Column("readme", LargeBinary, nullable=False),
    Column("paths", Json, nullable=False),
    Column("seen", Json, nullable=False),
    Column("standing_head", Text, nullable=False),
    Column("standing", Json, nullable=False),
    Column("private", Boolean),
    Column("adopted", Boolean, nullable=False),
)
channels = Table(
    "channels",
    METADATA,
    Column("adapter", Text, ForeignKey("adapters.name"), primary_key=True),
    Column("channel", Text, primary_key=True),
    Column("number", Integer),
    Column("commit", Text, nullable=False),
    Column("highest", Integer, nullable=False),
    Column("due_at", Double, nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("reason", Text, nullable=False),
    Column("message", Words, nullable=False),
    Column("hint", Words, nullable=False),
    Column("stalled", Boolean, nullable=False),
    CheckConstraint("NOT stalled OR reason <> ''", name="stalled_has_reason"),
)
