"""One mapping from whatever the Hub, the network and huggingface_hub raise to the errors of the port."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from http import HTTPStatus

import httpx2
from huggingface_hub import constants
from huggingface_hub.errors import (
    EntryNotFoundError,
    FileMetadataError,
    HfHubHTTPError,
    HfUriError,
    HFValidationError,
    LocalEntryNotFoundError,
    OfflineModeIsEnabled,
    RevisionResolutionError,
    XetDownloadError,
)
from huggingface_hub.utils import parse_ratelimit_headers  # type: ignore[attr-defined] # exported by a lazy loader

from adapterd.core.errors import AdapterdError
from adapterd.hub.http import describe
from adapterd.hub.named import CONFIGURED, Named
from adapterd.hub.transfer import NoHubError
from adapterd.ports import Conflict, Denied, NotFound, Transient

_ONCE_MORE = "nothing, the next attempt looks at the Hub first"


@dataclass(frozen=True, slots=True)
class _Answer:
    """What one status means: the port's error, and what to try."""

    kind: type[AdapterdError]
    hint: str


_STATUSES: Mapping[int, _Answer] = {
    400: _Answer(Denied, "correct what the Hub names"),
    402: _Answer(Denied, "see the billing of the namespace"),
    403: _Answer(Denied, "give a token that may write to this namespace; for a gated repo, ask for access on its page"),
    404: _Answer(NotFound, "check the name, and that the token may see it"),
    409: _Answer(Conflict, "look at the Hub again"),
    412: _Answer(Conflict, "look at the Hub again"),
    413: _Answer(Denied, "publish less at once"),
    422: _Answer(Denied, "correct what the Hub names"),
    451: _Answer(Denied, "write to the Hub's support: the repo is disabled"),
}

_MALFORMED = ("Malformed response from server", "lfs_batch", "lfs_action", "Invalid server response", "Invalid etag")
_LFS_REFUSED = "LFS batch API returned errors:"
_README_REFUSED = "Invalid metadata in README.md"
_SHORT_DOWNLOAD = "Consistency check failed"

_SECRETS = re.compile(r"\b(?:hf_|api_org_)\w{4,}|(?i:bearer)\s+\S+")
_ADDRESS_TAILS = re.compile(r"(\w+://)(?:[^\s/@]*@)?([^\s?#\"'<>]*)(?:[?#][^\s\"'<>]*)?")
_LONGEST = 300


def redact(text: str) -> str:
    """One short line without tokens, passwords or query strings."""
    line = " ".join(_ADDRESS_TAILS.sub(r"\1\2", _SECRETS.sub("***", text)).split())
    return line if len(line) <= _LONGEST else line[: _LONGEST - 3] + "..."


def translate(error: Exception, what: str, *, sent: bool = False, named: Named = CONFIGURED) -> AdapterdError | None:
    """The port's error for `error`, met on the way to `what`; None for a local disk's error and for a bug.

    `sent` says that the request with the effect has gone out: then only a refusal is proof that nothing happened, and
    everything else is Transient. Hints call the Hub's settings as they are `named`.
    """
    mapped = _known(error, what, named)
    if not sent or _refused(error):
        return mapped
    said = mapped.message if mapped else f"{what}: {redact(f'{type(error).__name__}: {error}')}"
    retry_after = mapped.retry_after if isinstance(mapped, Transient) else None
    return Transient(f"{said}; it may have happened all the same", _ONCE_MORE, retry_after=retry_after)


def _refused(error: Exception) -> bool:
    """Whether the other side said that it did nothing."""
    if isinstance(error, HfHubHTTPError):
        return error.response.is_client_error and error.response.status_code != HTTPStatus.REQUEST_TIMEOUT
    return isinstance(error, AdapterdError)


def _known(error: Exception, what: str, named: Named) -> AdapterdError | None:  # noqa: C901, PLR0911, PLR0912 - a table
    """The families of the library, from the special to the general: HfHubHTTPError alone has four base classes."""
    match error:
        case AdapterdError():
            return error
        case NoHubError():
            return Transient(f"{what}: {error}", named.no_hub)
        case HfHubHTTPError():
            return _answered(error, what, named)
        case httpx2.TransportError():
            return Transient(f"{what}: {redact(describe(error))}", named.network)
        case httpx2.HTTPError() | httpx2.InvalidURL():
            return Transient(f"{what}: {redact(str(error))}", named.no_hub)
        case OfflineModeIsEnabled():
            return Transient(f"{what}: huggingface_hub is set offline", "unset HF_HUB_OFFLINE")
        case LocalEntryNotFoundError() | RuntimeError() if isinstance(error.__cause__, Exception):
            # A wrapper: of a failed transfer of one file, or of what kept the library from asking.
            return _known(error.__cause__, what, named)
        case OSError() | RuntimeError() if _of_xet(error):
            said = f"{what}: {redact(str(error))}"
            return (
                Denied(said, _STATUSES[403].hint)
                if isinstance(error, PermissionError)
                else Transient(said, named.no_xet)
            )
        case LocalEntryNotFoundError() | FileMetadataError() | RevisionResolutionError() | XetDownloadError():
            return Transient(f"{what}: {redact(str(error))}", named.network)
        case EntryNotFoundError():
            return NotFound(f"{what}: {redact(str(error))}", _STATUSES[404].hint)
        case HFValidationError() | HfUriError():
            return Denied(f"{what}: {redact(str(error))}", "correct the name of the repo")
        case json.JSONDecodeError() | KeyError():
            return Transient(f"{what}: the answer is not a Hub's ({redact(repr(error))})", named.no_hub)
        case ValueError():
            return _value(error, what, named)
        case ConnectionError() | TimeoutError():
            return Transient(f"{what}: {redact(str(error))}", named.no_xet)
        case OSError() if str(error).startswith(_SHORT_DOWNLOAD):
            return Transient(f"{what}: {redact(str(error))}", named.network)
        case _:
            return None


def _of_xet(error: Exception) -> bool:
    """Whether hf_xet raised this: with classes of its own that look like the disk's, or with a bare RuntimeError."""
    bare = type(error) is RuntimeError and not constants.HF_HUB_DISABLE_XET
    return bare or type(error).__module__.partition(".")[0] == "hf_xet"


def _answered(error: HfHubHTTPError, what: str, named: Named) -> AdapterdError:
    """The Hub, or what stands in front of it, answered with a status."""
    response = error.response
    status = response.status_code
    said = redact(error.server_message or response.headers.get("x-error-message") or "")
    stored = _of_store(response)
    who = "the Hub's store" if stored else "the Hub"
    message = f"{what}: {who} answered {status}" + (f": {said}" if said else "")
    retry_after = _retry_after(response)
    if status == HTTPStatus.TOO_MANY_REQUESTS:
        wait = "nothing, the Hub's window opens again" if retry_after else "publish less often: a quota of this action"
        return Transient(message, wait, retry_after=retry_after, throttled=True)
    if response.is_server_error or status == HTTPStatus.REQUEST_TIMEOUT:
        return Transient(message, "nothing, it is tried again; or see the Hub's status page", retry_after=retry_after)
    if stored:
        # It knows signatures and no tokens; the next attempt gets a new one.
        return Transient(message, _ONCE_MORE)
    if status == HTTPStatus.NOT_FOUND and "x-error-code" not in response.headers:
        # A Hub always says what it does not find; taken for the truth, a broken proxy would make repos vanish.
        return Transient(message, named.no_hub)
    if status == HTTPStatus.CONFLICT and ("/commit/" in response.request.url.path or "in progress" in said):
        hint = "nothing, another change of the repo is under way"
        return Transient(message, hint, retry_after=retry_after, code="conflict")
    if status == HTTPStatus.UNAUTHORIZED:
        return Denied(message, f"give a valid token ({named.token})")
    answer = _STATUSES.get(status, _Answer(Denied, named.no_hub))
    return answer.kind(message, answer.hint)


def _of_store(response: httpx2.Response) -> bool:
    """Whether this came from where the Hub keeps large files: an upload, or a download that was sent elsewhere."""
    asked = response.history[0].request if response.history else response.request
    return response.request.method == "PUT" or asked.url.host != response.request.url.host


def _value(error: ValueError, what: str, named: Named) -> AdapterdError | None:
    """The library raises bare ValueErrors for several answers of the server; the rest are bugs."""
    text = str(error)
    if text.startswith(_README_REFUSED):
        said = redact(text.removeprefix(_README_REFUSED).lstrip("."))
        return Denied(f"{what}: the Hub refuses the metadata of README.md: {said}", "correct the model card")
    if text.startswith(_LFS_REFUSED):
        return Transient(f"{what}: the Hub does not take a file: {redact(text.removeprefix(_LFS_REFUSED))}", _ONCE_MORE)
    if text.startswith(_MALFORMED):
        return Transient(f"{what}: the answer is not a Hub's ({redact(text)})", named.no_hub)
    return None


def _retry_after(response: httpx2.Response) -> float | None:
    """Seconds until the window opens, where the answer names them."""
    window = parse_ratelimit_headers(response.headers)
    # With requests left in the window it is another quota, for which no time is given.
    if response.status_code == HTTPStatus.TOO_MANY_REQUESTS and window is not None and window.remaining == 0:
        return float(window.reset_in_seconds)
    value = response.headers.get("retry-after", "").strip()
    if value.isdecimal():
        return float(value)
    try:
        return max(
            0.0, (parsedate_to_datetime(value) - parsedate_to_datetime(response.headers["date"])).total_seconds()
        )
    except (KeyError, TypeError, ValueError):
        return None
