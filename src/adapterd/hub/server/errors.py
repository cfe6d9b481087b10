"""Refusals, in the Hub's own form: a status, a message and, where the client needs it, an error code."""

from collections.abc import Mapping
from typing import Any


class HubError(Exception):
    """A request that is refused.

    Attributes:
        status: the HTTP status.
        message: what a person reads; goes into the body and into ``X-Error-Message``.
        code: ``X-Error-Code``, by which the client picks its exception; empty for none.
        extra: further members of the JSON body.
        headers: further headers of the answer.
    """

    def __init__(
        self,
        status: int,
        message: str,
        *,
        code: str = "",
        extra: Mapping[str, Any] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        """Keep the parts of the answer."""
        super().__init__(message)
        self.status = status
        self.message = message
        self.code = code
        self.extra = dict(extra or {})
        self.headers = dict(headers or {})


def repo_not_found() -> HubError:
    """Say that there is no such repo, or none that the asker may know of."""
    return HubError(404, "Repository not found", code="RepoNotFound")


def revision_not_found(revision: str) -> HubError:
    """Say that the repo has no such branch, tag or commit."""
    return HubError(404, f"Invalid rev id: {revision}", code="RevisionNotFound")


def entry_not_found(message: str, *, commit: str = "") -> HubError:
    """Say that the revision has no such file; the commit lets the client remember the absence."""
    headers = {"X-Repo-Commit": commit} if commit else None
    return HubError(404, message, code="EntryNotFound", headers=headers)


def bad_request(message: str) -> HubError:
    """Say that the request makes no sense as it stands."""
    return HubError(400, message)


def forbidden(message: str) -> HubError:
    """Say that the token is known and its rights do not reach."""
    return HubError(403, message)


def conflict(message: str, **extra: str) -> HubError:
    """Say that the name is taken."""
    return HubError(409, message, extra=extra)


def bad_path(path: str) -> HubError:
    """Say that a path can not stand in a repo."""
    return HubError(422, f"Invalid path in repo: {path!r}")
