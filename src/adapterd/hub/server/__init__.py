"""A small, real Hub over HTTP, for the demo, the tests and sites without a network.

One bare git repository per repo, its LFS objects beside it; what was acknowledged survives a kill at any moment.
It imports nothing else of adapterd.
"""

from adapterd.hub.server.accounts import Account, new_token, stored_token
from adapterd.hub.server.faultfile import FaultFile, FaultFileError
from adapterd.hub.server.faults import FaultPlan, Rule
from adapterd.hub.server.running import RunningHub, serve, start
from adapterd.hub.server.storage.catalog import DataDirectoryError
from adapterd.hub.server.web.app import create_app
from adapterd.hub.server.web.middleware import Record, RequestLog

__all__ = [
    "Account",
    "DataDirectoryError",
    "FaultFile",
    "FaultFileError",
    "FaultPlan",
    "Record",
    "RequestLog",
    "Rule",
    "RunningHub",
    "create_app",
    "new_token",
    "serve",
    "start",
    "stored_token",
]
