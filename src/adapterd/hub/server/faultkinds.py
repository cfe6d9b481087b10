"""The faults that a plan can name, in the words of people; each makes one of the values of `faults.py`."""

import json
from collections.abc import Callable, Mapping
from typing import Literal

from adapterd.hub.server.faults import (
    Alter,
    CutUpload,
    Delay,
    Fault,
    Hang,
    Lose,
    Redirect,
    Remake,
    Say,
    Trickle,
    Truncate,
)

_PAGE = b"<!doctype html><html><body><h1>Please sign in</h1></body></html>"


def latency(seconds: float = 1.0) -> Fault:
    """The request waits before the Hub gets it."""
    return Delay(seconds)


def rate_limit(reset: int = 60) -> Fault:
    """429 with an empty window, which opens after `reset` seconds."""
    window = {"RateLimit": f'"api";r=0;t={reset}', "RateLimit-Policy": '"fixed window";"api";q=1000;w=300'}
    return _refuse(429, "We had to rate limit you", headers={**window, "Retry-After": str(reset)})


def quota() -> Fault:
    """429 with requests left in the window: a quota of this action, for which the Hub names no time."""
    return _refuse(429, "You have exceeded a quota for this action", headers={"RateLimit": '"api";r=870;t=55'})


def error(status: int = 503, retry_after: int = 0) -> Fault:
    """A server error; with `retry_after` it says when to come back."""
    return _refuse(status, "Internal Error", headers={"Retry-After": str(retry_after)} if retry_after else {})


def busy() -> Fault:
    """409: another commit to the repo is in progress."""
    return _refuse(409, "Another commit operation is in progress, please retry")


def stale() -> Fault:
    """412: the head has moved since the client looked."""
    return _refuse(412, "A commit has happened since. Please refresh and try again.")


def token_expired() -> Fault:
    """401: the token is not valid any more."""
    return _refuse(401, "Invalid credentials in Authorization header")


def token_read_only() -> Fault:
    """403: the token may read and not write."""
    return _refuse(403, "You don't have the rights to write to this repo: the token has the role read")


def card_refused(says: str = '"license" must be one of [apache-2.0, mit, other]') -> Fault:
    """400: the Hub refuses the metadata of a model card; for the action card-check."""
    return _json(400, {"errors": [{"message": says}], "warnings": []})


def repo_gone() -> Fault:
    """404: there is no such repo, for as long as the rule is in force."""
    return _refuse(404, "Repository not found", headers={"X-Error-Code": "RepoNotFound"})


def proxy_page(status: int = 200) -> Fault:
    """A page of HTML by something that stands in between."""
    return Say(status, _PAGE, {"content-type": "text/html"})


def lost_answer() -> Fault:
    """The Hub does what it was asked to; the connection is reset before the answer."""
    return Lose()


def silent_answer() -> Fault:
    """The Hub does what it was asked to; its answer never comes, and the connection stays open."""
    return Lose(silent=True)


def reset_upload(after: int = 1000) -> Fault:
    """The connection is reset once more than `after` bytes of the body have come, or the whole body."""
    return CutUpload(after)


def hang() -> Fault:
    """The connection is accepted, and no answer ever comes."""
    return Hang()


def hang_in_answer(after: int = 10) -> Fault:
    """Nothing comes after the first bytes of an answer's body, and the connection stays open."""
    return Hang(after)


def trickle(what: Literal["request", "headers", "body"] = "body", every: float = 0.2) -> Fault:
    """The request is read, or the answer written, a little every so many seconds, without end."""
    return Trickle(what, every)


def truncated(after: int = 100) -> Fault:
    """The answer ends after so many bytes of its body, fewer than it promised."""
    return Truncate(after)


def wrong_bytes() -> Fault:
    """A bit of the answer's body is turned; its length is right."""
    return Alter()


def redirect(to: str, status: int = 302) -> Fault:
    """The client is sent to the same path at another address."""
    return Redirect(to, status)


def delete_repo() -> Fault:
    """Somebody deletes the repo just before the request."""
    return Remake("delete")


def rename_repo(to: str) -> Fault:
    """Somebody renames the repo just before the request; its former name leads to it."""
    return Remake("rename", to)


def make_public() -> Fault:
    """Somebody makes the repo public just before the request."""
    return Remake("public")


def make_private() -> Fault:
    """Somebody makes the repo private just before the request."""
    return Remake("private")


KINDS: Mapping[str, Callable[..., Fault]] = {
    make.__name__.replace("_", "-"): make
    for make in (
        latency,
        rate_limit,
        quota,
        error,
        busy,
        stale,
        token_expired,
        token_read_only,
        card_refused,
        repo_gone,
        proxy_page,
        lost_answer,
        silent_answer,
        reset_upload,
        hang,
        hang_in_answer,
        trickle,
        truncated,
        wrong_bytes,
        redirect,
        delete_repo,
        rename_repo,
        make_public,
        make_private,
    )
}
"""Every fault by its name in a plan."""


def _refuse(status: int, message: str, headers: Mapping[str, str] | None = None) -> Say:
    """A refusal in the Hub's own form."""
    return _json(status, {"error": message}, {"X-Error-Message": message, **(headers or {})})


def _json(status: int, body: object, headers: Mapping[str, str] | None = None) -> Say:
    return Say(status, json.dumps(body).encode(), {"content-type": "application/json", **(headers or {})})
