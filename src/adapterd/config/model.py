"""The configuration as frozen types: every key with its kind, its default and what it is for.

The descriptions are the comments of ``config.example.yaml``, the text of the reference page and the
tooltips of editors; nothing else documents the keys.
"""

from collections.abc import Mapping
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Field, model_validator

from adapterd.config import checks
from adapterd.config.channels import Channels, default_channels
from adapterd.config.hub import Hub
from adapterd.config.keeping import Registry, Retention, Spool
from adapterd.config.kinds import (
    AbsolutePath,
    AutoBool,
    Commit,
    Crontab,
    Duration,
    Listen,
    RepoId,
    Size,
    Template,
)
from adapterd.config.rules import DType, Validation
from adapterd.config.section import Section


class Root(Section):
    """A folder under which training jobs write. It is only ever read."""

    path: AbsolutePath = Field(
        description="The folder. It may appear later, and may be mounted read-only.", examples=["/train/support"]
    )
    adapter: Template = Field(default="{run}", description="Name of the adapter that a run folder becomes.")
    named: Template = Field(
        default="{run}-{name}", description="Name of the adapter that a named sub-folder of a run becomes."
    )
    checkpoints: Literal["final", "latest", "all"] = Field(
        default="final",
        description="Which directories of a run become versions: its final save, also the latest checkpoint, or all.",
    )
    backlog: Literal["none", "latest", "all"] = Field(
        default="none", description="What becomes of the adapters that lie here when the root is first scanned."
    )
    unfinished: Literal["list", "candidate"] = Field(
        default="list",
        description="A run that went quiet without a final save: only list it, or publish its last checkpoint for"
        " the channel `candidate`.",
    )
    unfinished_after: Duration = Field(
        default=3600.0, gt=0, description="Quiet time after which a run without a final save counts as unfinished."
    )
    depth: int = Field(
        default=4, ge=1, le=12, description="How many levels below the root an adapter directory may lie."
    )
    base: RepoId | None = Field(
        default=None,
        description="Base model of every adapter under this root, whatever the trainer wrote.",
        examples=["HuggingFaceTB/SmolLM2-135M"],
    )
    probes: AbsolutePath | None = Field(
        default=None,
        description="JSONL file of probe examples for the adapters under this root: `prompt` alone, with `completion`,"
        " or with `label`. It goes before that of the base model. Its wording is never published.",
        examples=["/etc/adapterd/probes/support.jsonl"],
    )
    trained_on: tuple[AbsolutePath, ...] = Field(
        default=(),
        max_length=8,
        description="Folders of adapters that are merged into the base, in this order, before validation: what the"
        " adapters under this root were trained on top of.",
        examples=[["/models/adapters/sft"]],
    )
    network: AutoBool = Field(
        default="auto",
        description="Treat as a network file system (no events, longer quiet time); auto: look at the mount.",
    )


class BaseModelEntry(Section):
    """A base model that adapters may belong to."""

    id: RepoId = Field(description="Its id on the Hub.", examples=["HuggingFaceTB/SmolLM2-135M"])
    written_as: tuple[Annotated[str, Field(min_length=1)], ...] = Field(
        default=(),
        description="What trainers write for it in `base_model_name_or_path`: other ids, or paths.",
        examples=[["/models/smollm2-135m"]],
    )
    revision: Commit | None = Field(
        default=None,
        description="The exact commit that adapters are validated in; none: the one in the local cache.",
        examples=["93efa2f097d58c2a74874c7e644dbc9b0cee75a2"],
    )
    path: AbsolutePath | None = Field(
        default=None,
        description="Where it lies on this host; none: the Hub's cache.",
        examples=["/models/smollm2-135m"],
    )
    dtype: DType = Field(default="auto", description="Type its weights are loaded in; auto: the base's own.")
    fetch: bool = Field(default=False, description="Download it when it is not on this host.")
    probes: AbsolutePath | None = Field(
        default=None,
        description="JSONL file of probe examples for the adapters of this base.",
        examples=["/etc/adapterd/probes/smollm2.jsonl"],
    )
    device_map: Literal["auto", "balanced", "sequential"] | None = Field(
        default=None,
        description="Spread it over several devices, as transformers does; none: it lies on one device.",
        examples=["auto"],
    )
    max_memory: Mapping[str, Size] = Field(
        default_factory=dict,
        description="With `device_map`: the most that it may take, by device (`cpu`, or the number of a GPU).",
        examples=[{"0": "20GiB", "cpu": "60GiB"}],
    )
    quantization: Literal["int8", "nf4", "nf4-double", "fp4"] | None = Field(
        default=None,
        description="Load it quantised by bitsandbytes, which must be installed; manifest and card say on which variant"
        " an adapter passed.",
        examples=["nf4"],
    )
    trust_remote_code: bool = Field(
        default=False, description="Let code from its own folder run in the worker, where its architecture needs it."
    )


class Settle(Section):
    """When a directory has come to rest, and how large it may be."""

    quiet: Duration = Field(
        default=5.0, ge=0, description="Time without a change after which a directory counts as finished."
    )
    quiet_network: Duration = Field(default=90.0, ge=0, description="The same on a network file system.")
    patience: Duration = Field(
        default=120.0,
        ge=0,
        description=(
            "How long a checkpoint may lack its trainer_state.json before it counts as any other directory, and how "
            "long an incomplete or broken directory may stay unchanged before it is refused."
        ),
    )
    max_size: Size = Field(default=20 * 1024**3, gt=0, description="A larger adapter directory is refused.")
    max_files: int = Field(
        default=1000, ge=2, le=100_000, description="An adapter directory with more files is refused."
    )


class Schedule(Section):
    """How often the daemon looks, and how patiently it tries again."""

    scan: Duration = Field(
        default=30.0, gt=0, description="Longest time between two scans, with or without file events."
    )
    reconcile: Crontab = Field(
        default="*/15 * * * *", description="When channels and index are compared with the Hub again; weekdays by name."
    )
    retention: Crontab = Field(
        default="41 * * * *",
        description="When the spool is tidied, old events are compacted and the registry is copied.",
    )
    audit: Crontab = Field(
        default="23 3 * * *", description="When Hub, manifests, registry and index are compared with each other."
    )
    revalidate: Crontab = Field(
        default="17 4 * * sun",
        description="When the versions that channels hold are validated again, where libraries, base model or policy"
        " changed since; new versions go first.",
    )
    attempts: int = Field(
        default=100,
        ge=1,
        le=1000,
        description="Failures of its own, while the Hub answered others, after which a version stalls. Failures of the"
        " Hub itself never count, however long it is away.",
    )
    backoff: Duration = Field(default=10.0, gt=0, description="Wait after the first transient failure; it doubles.")
    backoff_max: Duration = Field(default=900.0, gt=0, description="Longest wait between two attempts.")
    lease: Duration = Field(default=300.0, gt=0, description="How long a claimed version is safe from other lanes.")

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        """Refuse a first wait that is longer than the longest."""
        checks.backoff_order(self.backoff, self.backoff_max)
        return self


class Status(Section):
    """The status page, /metrics, /healthz and /readyz."""

    listen: Listen = Field(
        default="127.0.0.1:9464", description="Loopback address and port, or off. There is no login."
    )

    @property
    def address(self) -> tuple[str, int] | None:
        """Host and port to listen on; None when it is off."""
        host, _, port = self.listen.rpartition(":")
        return (host.strip("[]"), int(port)) if host else None


class Log(Section):
    """What the daemon says on standard error."""

    level: Literal["debug", "info", "warning", "error"] = Field(
        default="info", description="The least severe line shown."
    )
    format: Literal["auto", "console", "json"] = Field(
        default="auto", description="Form of the lines; auto: console on a terminal, JSON otherwise."
    )


class Config(Section):
    """One configuration, checked as a whole."""

    hub: Hub = Field(description=Hub.__doc__)
    roots: Annotated[tuple[Root, ...], AfterValidator(checks.separate_roots)] = Field(
        min_length=1, description="The folders under which training jobs write. They are only ever read."
    )
    base_models: Annotated[tuple[BaseModelEntry, ...], AfterValidator(checks.distinct_bases)] = Field(
        default=(),
        description="The base models that adapters may belong to, beside those in the Hub's cache and at the path"
        " that the trainer wrote.",
    )
    validation: Validation = Field(default=Validation(), description=Validation.__doc__)
    channels: Channels = Field(
        default_factory=default_channels,
        description="Moving names for the versions that deployers get; `main` is what loaders read by default."
        " Channels that are given replace these two.",
    )
    settle: Settle = Field(default=Settle(), description=Settle.__doc__)
    schedule: Schedule = Field(default=Schedule(), description=Schedule.__doc__)
    registry: Registry = Field(default=Registry(), description=Registry.__doc__)
    spool: Spool = Field(default=Spool(), description=Spool.__doc__)
    retention: Retention = Field(default=Retention(), description=Retention.__doc__)
    mirror: AbsolutePath | None = Field(
        default=None,
        description="Folder, such as a mount, that gets a plain copy of what every channel holds, as"
        " NAMESPACE/NAME/CHANNEL; none: no copy. It must exist; under systemd name it as ReadWritePaths.",
        examples=["/mnt/adapters"],
    )
    status: Status = Field(default=Status(), description=Status.__doc__)
    log: Log = Field(default=Log(), description=Log.__doc__)
    state_dir: AbsolutePath | None = Field(
        default=None,
        description="Folder for registry, spool, index and audit log; none: $STATE_DIRECTORY, else"
        " $XDG_STATE_HOME/adapterd, else ~/.local/state/adapterd.",
        examples=["/var/lib/adapterd"],
    )
    runtime_dir: AbsolutePath | None = Field(
        default=None,
        description="Folder for the control socket; none: $RUNTIME_DIRECTORY, else $XDG_RUNTIME_DIR/adapterd, else"
        " run in the state directory.",
        examples=["/run/adapterd"],
    )

    @model_validator(mode="after")
    def _own_files_outside_roots(self) -> Self:
        """Refuse a root that holds the daemon's own files: it would watch itself, and roots are never written."""
        own = (
            (("registry", "path"), self.registry.path),
            (("spool", "path"), self.spool.path),
            (("mirror",), self.mirror),
            (("state_dir",), self.state_dir),
            (("runtime_dir",), self.runtime_dir),
        )
        checks.outside_roots([root.path for root in self.roots], own)
        return self
