"""For deployers: resolve a reference to one version, pull it, verify every byte. No registry, no torch.

It knows the Hub only through its port.
"""

from adapterd.deploy.bringing import Brought, bring
from adapterd.deploy.browsing import entries_of, entry_of
from adapterd.deploy.catalogue import Catalogue, Entry, Listed, index_repo_of, read_catalogue, read_entry
from adapterd.deploy.faults import ErasedError, NewerSchemaError, OccupiedError, VerificationError
from adapterd.deploy.layout import Layout
from adapterd.deploy.linking import point
from adapterd.deploy.manifest import Manifest, parse_manifest
from adapterd.deploy.pulling import altered, pull
from adapterd.deploy.resolving import Resolved, resolve
from adapterd.deploy.shelf import Held, Shelf
from adapterd.deploy.verifying import Verified, verify

__all__ = [
    "Brought",
    "Catalogue",
    "Entry",
    "ErasedError",
    "Held",
    "Layout",
    "Listed",
    "Manifest",
    "NewerSchemaError",
    "OccupiedError",
    "Resolved",
    "Shelf",
    "VerificationError",
    "Verified",
    "altered",
    "bring",
    "entries_of",
    "entry_of",
    "index_repo_of",
    "parse_manifest",
    "point",
    "pull",
    "read_catalogue",
    "read_entry",
    "resolve",
    "verify",
]
