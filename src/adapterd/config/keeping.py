"""What is kept, where and for how long: the sections `registry`, `spool` and `retention`."""

from pydantic import Field

from adapterd.config.kinds import AbsolutePath, Duration, Size
from adapterd.config.section import Section


class Registry(Section):
    """The durable record of all versions."""

    path: AbsolutePath | None = Field(
        default=None,
        description="SQLite file, never on a network file system; none: registry.db in the state directory.",
        examples=["/var/lib/adapterd/registry.db"],
    )
    backups: int = Field(
        default=7, ge=0, le=365, description="Daily copies that are kept in `backups` beside the file; 0: none is made."
    )


class Spool(Section):
    """Where the frozen copies lie until they are published."""

    path: AbsolutePath | None = Field(
        default=None, description="Folder; none: spool in the state directory.", examples=["/var/lib/adapterd/spool"]
    )
    max_size: Size | None = Field(
        default=None,
        gt=0,
        description="The most that snapshots may take together; what does not fit waits. None: the file system's room.",
        examples=["200GiB"],
    )


class HubRetention(Section):
    """What `adapterd prune --hub` may take from the Hub. Nothing is ever taken without that command."""

    keep: int | None = Field(
        default=None, ge=1, description="Newest versions of each adapter that stay; none: all of them.", examples=[20]
    )
    keep_for: Duration = Field(default=90 * 86400.0, ge=0, description="Younger versions stay, however many there are.")
    keep_finals: bool = Field(default=True, description="Final saves stay, whatever their number and age.")


class Retention(Section):
    """How long what is done with is kept. What a live version needs always stays."""

    snapshots: int = Field(
        default=1, ge=0, description="Newest published snapshots of each adapter that stay in the spool."
    )
    snapshots_for: Duration = Field(
        default=86400.0, ge=0, description="How long any published or superseded snapshot stays in the spool."
    )
    rejected_for: Duration = Field(
        default=14 * 86400.0, ge=0, description="How long a rejected snapshot stays, so that one can look at it."
    )
    events_for: Duration = Field(
        default=90 * 86400.0,
        ge=86400.0,
        description="After this the history of a version that is done is cut to its moves, and its reports to their"
        " verdicts; the published manifest keeps the whole report, and the audit log is never cut.",
    )
    observations_for: Duration = Field(
        default=30 * 86400.0, ge=86400.0, description="How long a directory that is gone is still listed."
    )
    hub: HubRetention = Field(default=HubRetention(), description=HubRetention.__doc__)
