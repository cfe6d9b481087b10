"""Where the Hub's token comes from: a file, a systemd credential or the usual places, never the configuration."""

import stat
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from adapterd.config.errors import ConfigError, Problem
from adapterd.config.model import Config

_LARGEST = 4096
_PLACES = "HF_TOKEN, HF_TOKEN_PATH, or hf auth login (HF_HOME/token)"
_HINT = (
    "hub.token_file with the path of a file that holds a token which may write to the namespace;"
    f" or the systemd credential hf_token, {_PLACES}"
)


@dataclass(frozen=True)
class Token:
    """A token, and where it was found.

    Attributes:
        value: the secret; not part of the token's representation.
        source: the file or variable, for messages.
        warning: what is unsafe about the place; empty when nothing is.
    """

    value: str = field(repr=False)
    source: str
    warning: str = ""


def find_token(config: Config | None, environ: Mapping[str, str], home: Path) -> Token:
    """Take the token from the first place that has one.

    The order: ``hub.token_file``, ``$CREDENTIALS_DIRECTORY/hf_token``, ``$HF_TOKEN``, ``$HF_TOKEN_PATH``,
    ``$HF_HOME/token``, ``~/.cache/huggingface/token``. A place that was named but does not hold a token is an
    error, never a reason to go on with another identity. Without a configuration, hints name none of its keys.

    Raises:
        ConfigError: no place has a token, or the first that should have cannot be read.
    """
    hint = _PLACES if config is None else _HINT
    if config is not None and config.hub.token_file is not None:
        return _from_file(config.hub.token_file, "hub.token_file", hint)
    if folder := environ.get("CREDENTIALS_DIRECTORY"):
        credential = Path(folder) / "hf_token"
        if credential.exists():
            return _from_file(credential, "the systemd credential hf_token", hint)
    if value := environ.get("HF_TOKEN", "").strip():
        return Token(_checked(value, "HF_TOKEN", "HF_TOKEN", hint), "HF_TOKEN")
    if named := environ.get("HF_TOKEN_PATH"):
        path = Path(named.replace("~", str(home), 1) if named.startswith("~/") else named)
        return _from_file(path, "HF_TOKEN_PATH", hint)
    hf_home = environ.get("HF_HOME")
    for folder, name in ((hf_home, "HF_HOME"), (str(home / ".cache" / "huggingface"), "hf auth login")):
        if folder and (path := Path(folder) / "token").exists():
            return _from_file(path, name, hint)
    raise ConfigError("hub", (Problem(None, "", "no token was found in any of the usual places", hint),))


def _from_file(path: Path, place: str, hint: str) -> Token:
    """Read a token from a file, and look at who else could."""
    try:
        status = path.stat()
        if not stat.S_ISREG(status.st_mode):
            raise _unusable(path, place, "is no regular file", hint)
        with path.open("rb") as file:
            data = file.read(_LARGEST)
    except OSError as error:
        what = {FileNotFoundError: "there is no such file", PermissionError: "permission denied"}.get(
            type(error), f"cannot be read: {error.strerror}"
        )
        raise _unusable(path, place, what, hint) from None
    value = _checked(data.decode("utf-8", "replace").strip(), str(path), place, hint)
    mode = stat.S_IMODE(status.st_mode)
    others = mode & (stat.S_IRWXG | stat.S_IRWXO)
    warning = f"{path} can be read by other users (mode {mode:04o}); chmod 600 {path}" if others else ""
    return Token(value, str(path), warning)


def _checked(value: str, source: str, place: str, hint: str) -> str:
    """Refuse what cannot be a token, without showing it: it would fail later, inside a request's header."""
    if not value:
        raise _unusable(source, place, "holds no token", hint)
    if len(value.split()) != 1 or not value.isascii() or not value.isprintable():
        raise _unusable(source, place, "does not hold a token alone: one word of ASCII characters", hint)
    return value


def _unusable(path: Path | str, place: str, what: str, hint: str) -> ConfigError:
    """Make the error for a place that should hold a token."""
    source, text = str(path), what if place == str(path) else f"{what} (named by {place})"
    return ConfigError(source, (Problem(None, "", text, hint),))
