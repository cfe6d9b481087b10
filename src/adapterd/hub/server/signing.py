"""Signed links: whoever holds one may put these bytes there, until it expires, and nothing else."""

import hashlib
import hmac
import secrets
from pathlib import Path
from urllib.parse import urlencode

from adapterd.hub.server.errors import forbidden
from adapterd.hub.server.storage import durable

_LIFETIME = 3600


class Signer:
    """Signs and checks links with a secret that the data directory keeps."""

    def __init__(self, data: Path) -> None:
        """Read the secret, or make it."""
        self._secret = durable.kept_secret(data / "secret", lambda: secrets.token_hex(32)).encode()

    def link(self, base: str, path: str, now: float, **facts: str | int) -> str:
        """Give a link that carries facts which its holder can not change."""
        query = {**{key: str(value) for key, value in facts.items()}, "expires": str(int(now) + _LIFETIME)}
        return f"{base}{path}?{urlencode({**query, 'signature': self._sign(path, query)})}"

    def check(self, path: str, query: dict[str, str], now: float) -> None:
        """Refuse a link that was made up, altered, or has expired."""
        facts = {key: value for key, value in query.items() if key != "signature"}
        expires = facts.get("expires", "")
        if not hmac.compare_digest(self._sign(path, facts), query.get("signature", "")):
            raise forbidden("The link's signature does not match")
        if int(expires) < now:
            raise forbidden("The link has expired")

    def _sign(self, path: str, facts: dict[str, str]) -> str:
        """Give the signature of a path with its facts."""
        text = f"{path}\n{urlencode(sorted(facts.items()))}"
        return hmac.new(self._secret, text.encode(), hashlib.sha256).hexdigest()
