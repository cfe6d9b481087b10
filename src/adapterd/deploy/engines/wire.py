"""One HTTP request to an engine: bounded in time and size, never through a proxy, never redirected."""

import http.client
import json
import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any
from urllib.parse import urlsplit

from adapterd.deploy.engines.contract import EngineRefusedError
from adapterd.ports import Denied, Transient

CONNECT_SECONDS = 5.0
MOST_BYTES = 16 * 1024 * 1024
_LONGEST = 400
"""Characters of an engine's message that are shown."""
_LATER = {
    HTTPStatus.REQUEST_TIMEOUT,
    HTTPStatus.TOO_MANY_REQUESTS,
    HTTPStatus.BAD_GATEWAY,
    HTTPStatus.SERVICE_UNAVAILABLE,
    HTTPStatus.GATEWAY_TIMEOUT,
}
"""It starts, it is busy, or what stands before it finds it away."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back: the status, and the body as JSON or, where it is none, as text."""

    status: int
    body: Any

    @property
    def ok(self) -> bool:
        """Whether it was done."""
        return HTTPStatus.OK <= self.status < HTTPStatus.MULTIPLE_CHOICES

    @property
    def message(self) -> str:
        """The engine's own words, on one line."""
        said = self.body
        if isinstance(said, dict):
            # vLLM: {"error": {"message"}}, before 0.10 {"message"}; SGLang: {"error_message"}; FastAPI: {"detail"}.
            inner = said.get("error")
            found = [said.get(key) for key in ("error_message", "message", "detail")]
            said = inner.get("message") if isinstance(inner, dict) else next((f for f in (inner, *found) if f), said)
        text = " ".join(str(said).split())
        return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 3]}..."


class Wire:
    """The connection to one engine; a new one for each request, since requests are rare."""

    def __init__(self, url: str, key: str | None, deadline: float) -> None:
        """Take the address apart; nothing is sent.

        Args:
            url: of the engine, without `/v1`.
            key: its API key, sent as a bearer token.
            deadline: longest silence, in seconds, until an answer is complete.
        """
        parts = urlsplit(url)
        self.url = url.rstrip("/")
        self._secure = parts.scheme == "https"
        self._host, self._port, self._base = parts.hostname or "", parts.port, parts.path.rstrip("/")
        self._key = key
        self._deadline = deadline

    def get(self, path: str) -> Answer:
        """Ask."""
        return self._send("GET", path, None)

    def post(self, path: str, body: Mapping[str, object]) -> Answer:
        """Have it do something."""
        return self._send("POST", path, json.dumps(body).encode())

    def _send(self, method: str, path: str, body: bytes | None) -> Answer:
        headers = {"accept": "application/json", "connection": "close"}
        if body is not None:
            headers["content-type"] = "application/json"
        if self._key:
            headers["authorization"] = f"Bearer {self._key}"
        connection = self._connection()
        try:
            connection.connect()
            connection.sock.settimeout(self._deadline)
            connection.request(method, self._base + path, body, headers)
            response = connection.getresponse()
            data = response.read(MOST_BYTES + 1)
        except (OSError, http.client.HTTPException) as error:
            said = str(error) or type(error).__name__
            raise Transient(
                f"the engine at {self.url} does not answer: {said}", "start it, or correct its address", code="engine"
            ) from None
        finally:
            connection.close()
        return self._judged(response.status, data[:MOST_BYTES])

    def _connection(self) -> http.client.HTTPConnection:
        if self._secure:
            context = ssl.create_default_context()
            return http.client.HTTPSConnection(self._host, self._port, timeout=CONNECT_SECONDS, context=context)
        return http.client.HTTPConnection(self._host, self._port, timeout=CONNECT_SECONDS)

    def _judged(self, status: int, data: bytes) -> Answer:
        """The answer, where it is one about adapters."""
        try:
            body = json.loads(data)
        except (ValueError, RecursionError):
            body = data.decode("utf-8", "replace")
        answer = Answer(status, body)
        if status in (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN):
            raise Denied(
                f"the engine at {self.url} refuses the key: {answer.message}", "api_key_file of this engine, or its key"
            )
        if status in _LATER:
            raise Transient(f"the engine at {self.url} is not ready: {status} {answer.message}", code="engine")
        if HTTPStatus.MULTIPLE_CHOICES <= status < HTTPStatus.BAD_REQUEST:
            raise EngineRefusedError(f"{self.url} redirects to somewhere else", "the engine's own address")
        return answer
