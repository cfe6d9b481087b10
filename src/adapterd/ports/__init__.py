"""The four ports, a page of contract each, and the errors that they may raise.

Steps know these and nothing behind them. Whatever library stands behind a port, its exceptions are mapped to the
classes here once, in the adapter module; anything else that comes through is a bug and stalls the version.
"""

from adapterd.ports.converter import Converter
from adapterd.ports.errors import (
    Conflict,
    Denied,
    DeviceBusy,
    DeviceTooSmall,
    GateFailed,
    LostLease,
    NoSuchDevice,
    NotFound,
    RegistryBusy,
    RegistryError,
    Transient,
    WorkerDied,
)
from adapterd.ports.gates import GateAnswer, GateRequest, Gates
from adapterd.ports.hub import (
    AddBytes,
    AddFile,
    AddRegular,
    AddStored,
    CopyFrom,
    Delete,
    Hub,
    Operation,
    Pause,
    Refs,
    RemoteCommit,
    RemoteFile,
)
from adapterd.ports.registry import Registry, RegistryReader
from adapterd.ports.rows import (
    AdapterRecord,
    ChannelRecord,
    Claim,
    Draft,
    Event,
    Intent,
    Observation,
    RepoRecord,
    Sighting,
    Validation,
)
from adapterd.ports.validator import BaseModel, ProbeRequest, ProbeResult, Validator

__all__ = [
    "AdapterRecord",
    "AddBytes",
    "AddFile",
    "AddRegular",
    "AddStored",
    "BaseModel",
    "ChannelRecord",
    "Claim",
    "Conflict",
    "Converter",
    "CopyFrom",
    "Delete",
    "Denied",
    "DeviceBusy",
    "DeviceTooSmall",
    "Draft",
    "Event",
    "GateAnswer",
    "GateFailed",
    "GateRequest",
    "Gates",
    "Hub",
    "Intent",
    "LostLease",
    "NoSuchDevice",
    "NotFound",
    "Observation",
    "Operation",
    "Pause",
    "ProbeRequest",
    "ProbeResult",
    "Refs",
    "Registry",
    "RegistryBusy",
    "RegistryError",
    "RegistryReader",
    "RemoteCommit",
    "RemoteFile",
    "RepoRecord",
    "Sighting",
    "Transient",
    "Validation",
    "Validator",
    "WorkerDied",
]
