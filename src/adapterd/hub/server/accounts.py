"""Who asks, and what they may do: tokens, roles and namespaces."""

import hmac
import secrets
import string
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from adapterd.hub.server.errors import HubError, forbidden, repo_not_found
from adapterd.hub.server.storage import durable
from adapterd.hub.server.storage.catalog import Record

_TOKEN_LETTERS = string.ascii_letters + string.digits
_TOKEN_LENGTH = 34


@dataclass(frozen=True)
class Account:
    """A user with one token.

    Attributes:
        name: the user's own namespace.
        token: begins with ``hf_``.
        role: ``write``, ``read``, or ``none`` for a token that opens nothing.
        orgs: further namespaces that the user belongs to.
    """

    name: str
    token: str
    role: Literal["write", "read", "none"] = "write"
    orgs: tuple[str, ...] = ()

    def belongs_to(self, namespace: str) -> bool:
        """Tell whether a namespace is the user's own or one of their organisations."""
        return namespace.lower() in {self.name.lower(), *(org.lower() for org in self.orgs)}


def new_token() -> str:
    """Make a token in the form that every Hub client accepts."""
    return "hf_" + "".join(secrets.choice(_TOKEN_LETTERS) for _ in range(_TOKEN_LENGTH))


def stored_token(data: Path) -> str:
    """Give the token that a data directory keeps for itself, made at its first use and readable by its owner only."""
    return durable.kept_secret(data / "token", new_token)


def authenticate(accounts: Sequence[Account], header: str | None) -> Account | None:
    """Find whose token this is; no header is an anonymous reader, a wrong token is refused."""
    if not header:
        return None
    scheme, _, token = header.partition(" ")
    if scheme.lower() == "bearer":
        for account in accounts:
            if hmac.compare_digest(account.token.encode(), token.strip().encode()):
                return account
    raise HubError(401, "Invalid credentials in Authorization header")


def may_read(account: Account | None, record: Record) -> bool:
    """Tell whether a repo exists for this asker."""
    if not record.private:
        return True
    return account is not None and account.role != "none" and account.belongs_to(record.namespace)


def require_read(account: Account | None, record: Record) -> None:
    """Hide a private repo from those without access: for them it does not exist."""
    if not may_read(account, record):
        raise repo_not_found()


def require_write(account: Account | None, namespace: str, *, what: str) -> Account:
    """Refuse those who may not write to a namespace."""
    if account is None:
        raise HubError(401, "Invalid username or password.")
    if account.role != "write":
        raise forbidden(f"The token of {account.name} has the role {account.role}, and {what} needs write")
    if not account.belongs_to(namespace):
        raise forbidden(f"{account.name} has no rights in the namespace {namespace}, and {what} needs write")
    return account
