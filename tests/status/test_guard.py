"""Who may ask."""

from http import HTTPStatus
from typing import Any

import pytest

from adapterd.status.guard import is_loopback, refusal

OWN = "127.0.0.1:9464"


@pytest.mark.parametrize(
    "host",
    ["127.0.0.1", "127.0.0.1:9464", "127.8.9.1:1", "localhost", "LOCALHOST:9464", "[::1]", "[::1]:9464"],
)
def test_loopback_names_are_ours(host: str) -> None:
    """Addresses and the name of loopback, with any port: a forwarded one has another."""
    assert is_loopback(host)


@pytest.mark.parametrize(
    "host",
    [
        "",
        "example.org",
        "example.org:9464",
        "localhost.example.org",
        "127.0.0.1.example.org",
        "0.0.0.0",  # noqa: S104 - to see it refused
        "10.0.0.1:9464",
        "[::]",
        "[::1",
        "::1:x",
        "user@localhost",
        "localhost:port",
        "localhost:99999",
        "localhost/path",
        "localhost#",
        "local\thost",
        "127.1",
        "2130706433",
    ],
)
def test_other_names_are_not(host: str) -> None:
    """A site's own name that was pointed at loopback, other addresses, and what is no host at all."""
    assert not is_loopback(host)


@pytest.mark.parametrize(
    ("method", "hosts", "origins", "status"),
    [
        ("GET", [OWN], [], None),
        ("HEAD", [OWN], [f"http://{OWN}"], None),
        ("GET", [], [], HTTPStatus.MISDIRECTED_REQUEST),
        ("GET", [OWN, OWN], [], HTTPStatus.MISDIRECTED_REQUEST),
        ("GET", ["example.org"], ["http://example.org"], HTTPStatus.MISDIRECTED_REQUEST),
        ("GET", [OWN], ["null"], HTTPStatus.FORBIDDEN),
        ("GET", [OWN], ["https://example.org"], HTTPStatus.FORBIDDEN),
        ("GET", [OWN], ["http://127.0.0.1:8080"], HTTPStatus.FORBIDDEN),
        ("GET", [OWN], [f"https://{OWN}"], HTTPStatus.FORBIDDEN),
        ("POST", [OWN], [], HTTPStatus.METHOD_NOT_ALLOWED),
        ("OPTIONS", [OWN], ["https://example.org"], HTTPStatus.FORBIDDEN),
    ],
)
def test_the_rules(method: str, hosts: list[str], origins: list[str], status: HTTPStatus | None) -> None:
    """Loopback's name, no other origin, and nothing but reading."""
    refused = refusal(method, hosts, origins)
    assert (refused[0] if refused else None) == status


def test_every_route_is_guarded(ask: Any) -> None:  # noqa: ANN401 - the browser fixture
    """A page of somebody else's reaches nothing, by whatever way it tries."""
    for path in ("/", "/adapters/a/b", "/status.json", "/healthz", "/readyz", "/metrics", "/none"):
        assert ask(path, Host="rebound.example.org").status == 421
        assert ask(path, Origin="https://example.org").status == 403
        assert ask(path, Origin="null").status == 403
        for method in ("POST", "PUT", "DELETE", "OPTIONS"):
            refused = ask(path, method)
            assert refused.status == 405
            assert refused.headers["allow"] == "GET, HEAD"


def test_our_own_origin_may_ask(ask: Any) -> None:  # noqa: ANN401 - the browser fixture
    """A browser that names the page's own origin is served."""
    assert ask("/healthz", Origin=f"http://{ask.host}").status == 200
    assert ask("/healthz", Host="localhost:1234", Origin="http://localhost:1234").status == 200


def test_every_answer_has_the_protecting_headers(ask: Any) -> None:  # noqa: ANN401 - the browser fixture
    """Nothing is loaded, framed, guessed or kept, refusals included; nobody is let in by CORS."""
    for answer in (ask("/"), ask("/metrics"), ask("/none"), ask("/", Host="example.org"), ask("/", "POST")):
        assert answer.headers["content-security-policy"].startswith("default-src 'none'; style-src 'unsafe-inline'")
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["cache-control"] == "no-store"
        assert answer.headers["referrer-policy"] == "no-referrer"
        assert "access-control-allow-origin" not in answer.headers
        assert "server" not in answer.headers
