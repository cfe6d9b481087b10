"""Whether what a configuration names is on this host; the types can only tell whether it is well said."""

import ssl
import stat
from collections.abc import Iterator, Mapping
from pathlib import Path

from adapterd.config.errors import ConfigError, Problem
from adapterd.config.load import GUIDE, LARGEST
from adapterd.config.model import Config
from adapterd.config.source import Document, Loc, dotted, read_document, read_text
from adapterd.config.tokens import Token, find_token
from adapterd.core.examples import MAX_BYTES, BadExamplesError, parse_examples


def kind_of(path: Path) -> str:
    """Say what lies at a path: nothing, a directory, a file, or what this user cannot tell."""
    try:
        return "a directory" if stat.S_ISDIR(path.stat().st_mode) else "a file"
    except (FileNotFoundError, NotADirectoryError):
        return "nothing"
    except OSError as error:
        return f"what this user cannot look at ({error.strerror})"


def require_present(config: Config, path: Path) -> None:
    """Refuse what the configuration in the file ``path`` names and this host does not have.

    A root may appear later, so only one that is something else is wrong. What this user cannot look at may be open to
    the daemon's, and is no problem either.

    Raises:
        ConfigError: with each of them, at its line.
    """
    text = read_text(path, LARGEST)
    document = Document() if isinstance(text, Problem) else read_document(text, GUIDE)
    found = [Problem(document.line(loc), dotted(loc), text, hint) for loc, text, hint in _absences(config)]
    if found:
        raise ConfigError(str(path), tuple(sorted(found, key=lambda problem: problem.line or 0)))


def _absences(config: Config) -> Iterator[tuple[Loc, str, str]]:
    """Each place with what is wrong and what helps."""
    for index, root in enumerate(config.roots):
        if kind_of(root.path) == "a file":
            hint = "the folder under which training jobs write"
            yield ("roots", index, "path"), f"{root.path} is a file; expected a directory", hint
        for place, folder in enumerate(root.trained_on):
            if (there := kind_of(folder)) in {"nothing", "a file"}:
                hint = "the folder of an adapter that those under this root were trained on top of"
                yield ("roots", index, "trained_on", place), f"{folder} is {there}; expected an adapter directory", hint
        yield from _probe_faults(("roots", index, "probes"), root.probes)
    for index, base in enumerate(config.base_models):
        yield from _probe_faults(("base_models", index, "probes"), base.probes)
        if base.path is not None and (there := kind_of(base.path)) in {"nothing", "a file"}:
            text = f"there is no {base.path}" if there == "nothing" else f"{base.path} is a file"
            hint = f"the folder that {base.id} lies in, or leave path out for the one in the Hub's cache"
            yield ("base_models", index, "path"), f"{text}; expected the directory of a base model", hint
    if config.hub.ca_file is not None and (fault := _certificate_fault(config.hub.ca_file)):
        hint = "a file of certificates in PEM form, or leave ca_file out for the built-in ones"
        yield ("hub", "ca_file"), fault, hint


def _probe_faults(loc: Loc, path: Path | None) -> Iterator[tuple[Loc, str, str]]:
    """Say why a file of probes cannot be used; nothing where it can, or where this user may not read it."""
    if path is None:
        return
    hint = 'one JSON object a line: {"prompt": "...", "completion": "..."}, or with a label'
    try:
        with path.open("rb") as file:
            parse_examples(file.read(MAX_BYTES + 1))
    except PermissionError:
        return
    except OSError as error:
        yield loc, f"{path} cannot be read: {error.strerror}", hint
    except BadExamplesError as error:
        yield loc, f"{path}: {error}", hint


def _certificate_fault(path: Path) -> str:
    """Say why no certificates can be taken from a file; empty where they can."""
    match kind_of(path):
        case "nothing":
            return f"there is no {path}; expected a file of certificates"
        case "a directory":
            return f"{path} is a directory; expected a file of certificates"
    try:
        ssl.create_default_context(cafile=str(path))
    except PermissionError:
        return ""
    except OSError as error:
        return f"{path} holds no certificates that can be read: {getattr(error, 'reason', None) or error.strerror}"
    return ""


def token_at_hand(config: Config, environ: Mapping[str, str], home: Path) -> tuple[Token | None, ConfigError | None]:
    """The token, or why this shell has none: the daemon's may have another environment, or another user.

    Raises:
        ConfigError: `hub.token_file` names a file that is absent, or that holds no token.
    """
    try:
        return find_token(config, environ, home), None
    except ConfigError as error:
        named = config.hub.token_file
        if named is not None and not _closed(named):
            raise
        return None, error


def _closed(path: Path) -> bool:
    """Whether this user may not read a file that could be whole."""
    try:
        with path.open("rb"):
            return False
    except PermissionError:
        return True
    except OSError:
        return False
