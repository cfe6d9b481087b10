"""What a request is about, by its method and raw path: the names that a fault plan knows requests by."""

import re
from urllib.parse import unquote

from adapterd.hub.server.faults import Asked

_REPO = r"/(?:datasets/|spaces/)?(?P<repo>[^/]+/[^/]+?)"
_API = r"/api/(?:models|datasets|spaces)/(?P<repo>[^/]+/[^/]+)"

_TABLE: tuple[tuple[str, str, str], ...] = (
    ("whoami", "GET", r"/api/whoami-v2"),
    ("card-check", "POST", r"/api/validate-yaml"),
    ("create-repo", "POST", r"/api/repos/create"),
    ("delete-repo", "DELETE", r"/api/repos/delete"),
    ("move-repo", "POST", r"/api/repos/move"),
    ("lfs-put", "PUT", r"/lfs/.*"),
    ("lfs-complete", "POST", r"/lfs/.*"),
    ("info", "GET", _API + r"(?:/revision/.*)?"),
    ("refs", "GET", _API + r"/refs"),
    ("tree", "GET", _API + r"/tree/.*"),
    ("paths-info", "POST", _API + r"/paths-info/.*"),
    ("log", "GET", _API + r"/commits/.*"),
    ("preupload", "POST", _API + r"/preupload/.*"),
    ("commit", "POST", _API + r"/commit/.*"),
    ("tag", "POST", _API + r"/tag/.*"),
    ("untag", "DELETE", _API + r"/tag/.*"),
    ("branch", "POST", _API + r"/branch/.*"),
    ("unbranch", "DELETE", _API + r"/branch/.*"),
    ("lfs-files", "GET", _API + r"/lfs-files"),
    ("lfs-delete", "POST", _API + r"/lfs-files/batch"),
    ("settings", "PUT", _API + r"/settings"),
    ("lfs-batch", "POST", _REPO + r"\.git/info/lfs/objects/batch"),
    ("lfs-verify", "POST", _REPO + r"\.git/info/lfs/objects/verify"),
    ("resolve", "GET", _REPO + r"/resolve/.*"),
    ("resolve", "HEAD", _REPO + r"/resolve/.*"),
    ("", "", _API + r"/.*"),
)
_PATTERNS = [(action, method, re.compile(pattern)) for action, method, pattern in _TABLE]

ACTIONS = tuple(dict.fromkeys(action for action, _, _ in _TABLE if action))
"""Every action that has a name."""


def asked(method: str, path: str) -> Asked:
    """Say what a request is about."""
    for action, needed, pattern in _PATTERNS:
        found = pattern.fullmatch(path) if needed in ("", method) else None
        if found:
            return Asked(method, path, action, unquote(found.groupdict().get("repo") or ""))
    return Asked(method, path)
