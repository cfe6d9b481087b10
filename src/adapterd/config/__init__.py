"""The configuration: one YAML file, parsed once into frozen types, from which its documents are generated."""

from adapterd.config.channels import Channel
from adapterd.config.documents import example, json_schema, reference
from adapterd.config.errors import ConfigError, LabelsError, Problem
from adapterd.config.hub import Budget, Hub
from adapterd.config.keeping import HubRetention, Registry, Retention, Spool
from adapterd.config.labels import BaseLabel, Expectation, Labels, read_labels
from adapterd.config.layout import Places, places
from adapterd.config.load import load, parse
from adapterd.config.model import (
    BaseModelEntry,
    Config,
    Log,
    Root,
    Schedule,
    Settle,
    Status,
)
from adapterd.config.rules import Gate, Limits, Validation
from adapterd.config.tokens import Token, find_token
from adapterd.config.units import format_duration, format_size, parse_duration, parse_size

__all__ = [
    "BaseLabel",
    "BaseModelEntry",
    "Budget",
    "Channel",
    "Config",
    "ConfigError",
    "Expectation",
    "Gate",
    "Hub",
    "HubRetention",
    "Labels",
    "LabelsError",
    "Limits",
    "Log",
    "Places",
    "Problem",
    "Registry",
    "Retention",
    "Root",
    "Schedule",
    "Settle",
    "Spool",
    "Status",
    "Token",
    "Validation",
    "example",
    "find_token",
    "format_duration",
    "format_size",
    "json_schema",
    "load",
    "parse",
    "parse_duration",
    "parse_size",
    "places",
    "read_labels",
    "reference",
]
