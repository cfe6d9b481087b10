"""Whatever the Hub, the network and the library raise becomes one of the port's errors, or stays a bug."""

import json

import httpx2
import pytest
from huggingface_hub import constants
from huggingface_hub.errors import (
    EntryNotFoundError,
    FileMetadataError,
    HfHubHTTPError,
    HfUriError,
    HFValidationError,
    LocalEntryNotFoundError,
    OfflineModeIsEnabled,
)
from huggingface_hub.utils import hf_raise_for_status  # type: ignore[attr-defined] # exported by a lazy loader

from adapterd.core.errors import AdapterdError
from adapterd.hub.errors import redact, translate
from adapterd.hub.http import FinalError
from adapterd.ports import Conflict, Denied, NotFound, Transient


def answered(
    status: int, headers: dict[str, str] | None = None, body: object = None, path: str = "/api/models/acme/x/refs"
) -> Exception:
    """The library's own exception for an answer of the Hub."""
    request = httpx2.Request("GET", f"https://hub.example{path}?X-Amz-Signature=secret")
    response = httpx2.Response(status, headers=headers or {}, json=body or {}, request=request)
    with pytest.raises(HfHubHTTPError) as caught:
        hf_raise_for_status(response)
    return caught.value


def caused(error: Exception, cause: Exception) -> Exception:
    """An exception with a cause, as `raise ... from` makes it."""
    error.__cause__ = cause
    return error


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (answered(400), Denied),
        (answered(401), Denied),
        (answered(402), Denied),
        (answered(403), Denied),
        (answered(403, {"X-Error-Code": "GatedRepo"}), Denied),
        (answered(404, {"X-Error-Code": "RepoNotFound"}), NotFound),
        (answered(404, {"X-Error-Code": "RevisionNotFound"}), NotFound),
        (answered(404, {"X-Error-Code": "EntryNotFound"}), NotFound),
        (answered(404), Transient),
        (answered(408), Transient),
        (answered(409), Conflict),
        (answered(409, body={"error": "another conflicting operation is in progress"}), Transient),
        (answered(409, path="/api/models/acme/x/commit/main"), Transient),
        (answered(412), Conflict),
        (answered(413), Denied),
        (answered(418), Denied),
        (answered(422), Denied),
        (answered(429), Transient),
        (answered(500), Transient),
        (answered(503), Transient),
        (answered(504), Transient),
        (FinalError("no complete answer"), Transient),
        (httpx2.ConnectError("refused"), Transient),
        (httpx2.ReadTimeout("slow"), Transient),
        (httpx2.RemoteProtocolError("broken"), Transient),
        (httpx2.ProxyError("407"), Transient),
        (httpx2.TooManyRedirects("loop"), Transient),
        (httpx2.InvalidURL("no"), Transient),
        (ConnectionError("xet-write-token: 404"), Transient),
        (TimeoutError("slow"), Transient),
        (OfflineModeIsEnabled("offline"), Transient),
        (caused(RuntimeError("Error while uploading 'w'"), answered(403)), Denied),
        (caused(RuntimeError("Error while uploading 'w'"), httpx2.ReadError("cut")), Transient),
        (caused(LocalEntryNotFoundError("not cached"), answered(404, {"X-Error-Code": "RepoNotFound"})), NotFound),
        (LocalEntryNotFoundError("not cached"), Transient),
        (FileMetadataError("no ETag"), Transient),
        (EntryNotFoundError("Cannot copy a.json"), NotFound),
        (HFValidationError("Repo id must be"), Denied),
        (HfUriError("https://elsewhere/acme/x", "Invalid"), Denied),
        (ValueError("Invalid metadata in README.md.\n- license is no license"), Denied),
        (ValueError("LFS batch API returned errors:\nno room"), Transient),
        (ValueError("Malformed response from server"), Transient),
        (json.JSONDecodeError("Expecting value", "<html>", 0), Transient),
        (KeyError("commitOid"), Transient),
        (OSError("Consistency check failed: file should be of size 4"), Transient),
        (Denied("ours already"), Denied),
    ],
    ids=lambda value: None if isinstance(value, type) else f"{type(value).__name__}-{str(value)[:24]!r}",
)
def test_every_family_has_its_place(error: Exception, kind: type[AdapterdError]) -> None:
    """Each exception that the library lets out means one thing to a step, said of what and with a hint."""
    mapped = translate(error, "commit to acme/x@versions")
    assert type(mapped) is kind
    if mapped is not error:
        assert mapped is not None
        assert mapped.message.startswith("commit to acme/x@versions: ")
        assert mapped.hint


@pytest.mark.parametrize(
    "error",
    [
        PermissionError(13, "Permission denied", "/spool/x"),
        OSError(28, "No space left on device"),
        ValueError("`parent_commit` is not a valid commit OID"),
        RuntimeError("no cause"),
        TypeError("ours"),
        AssertionError(),
    ],
    ids=lambda error: type(error).__name__,
)
def test_bugs_and_the_disk_pass_through(error: Exception, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is not known is a bug; what the local disk says is no word of the Hub."""
    monkeypatch.setattr(constants, "HF_HUB_DISABLE_XET", True)
    assert translate(error, "commit") is None


def test_a_fault_of_xet_is_not_the_disks(monkeypatch: pytest.MonkeyPatch) -> None:
    """hf_xet raises kinds of PermissionError and FileNotFoundError, and bare RuntimeErrors."""
    hf_xet = pytest.importorskip("hf_xet")
    assert isinstance(translate(hf_xet.XetAuthenticationError("token expired"), "commit"), Denied)
    assert isinstance(translate(hf_xet.XetObjectNotFoundError("gone"), "commit"), Transient)
    monkeypatch.setattr(constants, "HF_HUB_DISABLE_XET", False)
    mapped = translate(RuntimeError("CAS service error"), "commit")
    assert isinstance(mapped, Transient)
    assert "hub.xet: false" in mapped.hint


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"RateLimit": '"api";r=0;t=55'}, 55.0),
        ({"RateLimit": '"api";r=812;t=55'}, None),
        ({"RateLimit": '"api";r=812;t=55', "Retry-After": "7"}, 7.0),
        ({"Retry-After": "3600"}, 3600.0),
        ({"Retry-After": "Wed, 21 Oct 2026 07:28:00 GMT", "Date": "Wed, 21 Oct 2026 07:26:30 GMT"}, 90.0),
        ({"Retry-After": "Wed, 21 Oct 2026 07:28:00 GMT"}, None),
        ({"Retry-After": "soon"}, None),
        ({}, None),
    ],
    ids=str,
)
def test_a_rate_limit_says_when_to_come_back(headers: dict[str, str], seconds: float | None) -> None:
    """The window's end, else Retry-After; a quota of one action names no time."""
    mapped = translate(answered(429, headers), "commit")
    assert isinstance(mapped, Transient)
    assert mapped.throttled
    assert mapped.retry_after == seconds


def test_a_server_that_is_down_may_say_when_it_is_back() -> None:
    """Retry-After of a 503 is kept, and is no rate limit."""
    mapped = translate(answered(503, {"Retry-After": "30", "RateLimit": '"api";r=0;t=55'}), "commit")
    assert isinstance(mapped, Transient)
    assert (mapped.retry_after, mapped.throttled) == (30.0, False)


@pytest.mark.parametrize(
    "error",
    [answered(500), answered(408), FinalError("cut"), KeyError("commitOid"), TypeError("no"), OSError("any")],
    ids=lambda error: type(error).__name__,
)
def test_doubt_after_the_effect_is_transient(error: Exception) -> None:
    """Once the effect has gone out, whatever is not a refusal leaves open whether it happened."""
    mapped = translate(error, "commit", sent=True)
    assert isinstance(mapped, Transient)
    assert "it may have happened all the same" in mapped.message


@pytest.mark.parametrize(
    ("error", "kind"), [(answered(412), Conflict), (answered(403), Denied), (answered(429), Transient)]
)
def test_a_refusal_after_the_effect_is_a_refusal(error: Exception, kind: type[AdapterdError]) -> None:
    """The Hub said that it did nothing."""
    mapped = translate(error, "commit", sent=True)
    assert type(mapped) is kind
    assert "may have happened" not in mapped.message


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("token hf_" + "a" * 34 + " is bad", "token *** is bad"),
        ("Authorization: Bearer abc.def", "Authorization: ***"),
        ("PUT https://s3.example/k?X-Amz-Signature=1&b=2 failed", "PUT https://s3.example/k failed"),
        ("via http://me:secret@proxy.example:3128/", "via http://proxy.example:3128/"),
        ("two\n  lines", "two lines"),
        ("what? nothing", "what? nothing"),
        ("x" * 400, "x" * 297 + "..."),
    ],
)
def test_messages_hold_no_secrets(text: str, shown: str) -> None:
    """Tokens, passwords and query strings go, and a message stays one short line."""
    assert redact(text) == shown


def test_an_answers_address_is_not_repeated() -> None:
    """The library's text carries the whole address; ours does not."""
    error = answered(500, body={"error": "see https://s3.example/k?sig=1 with hf_" + "a" * 34})
    assert "secret" in str(error)
    mapped = translate(error, "commit to acme/x@main")
    assert mapped is not None
    assert mapped.message == "commit to acme/x@main: the Hub answered 500: see https://s3.example/k with ***"


@pytest.mark.parametrize(("status", "hint"), [(401, "give a valid token"), (403, "give a token that may write")])
def test_a_wrong_token_and_a_token_without_rights_differ(status: int, hint: str) -> None:
    """A role without write rights reads like a token fault on the Hub; the hint tells them apart."""
    mapped = translate(answered(status), "commit")
    assert mapped is not None
    assert mapped.hint.startswith(hint)
