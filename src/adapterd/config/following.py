"""The configuration of ``adapterd follow``: one YAML file on a serving host, apart from that of a training host."""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, model_validator

from adapterd.config.errors import ConfigError, Problem
from adapterd.config.kinds import AbsolutePath, AutoBool, Conflict, Duration, Kind, ProxyUrl, Url, conflicting, refuse
from adapterd.config.load import LARGEST, validated
from adapterd.config.model import Config
from adapterd.config.section import Section
from adapterd.config.source import read_document, read_text
from adapterd.core.naming import Reference, is_hub_id, parse_reference

GUIDE = "adapterd follow --example, which shows every key"
AUTO, OFF = "auto", "off"


def _reference(value: str) -> str:
    """Take what the command line calls ADAPTER."""
    try:
        parse_reference(value)
    except ValueError as error:
        raise refuse("namespace/name, or namespace/name@CHANNEL, @vN, @COMMIT, @id:HEX", str(error)) from None
    return value


def _plain_name(value: str) -> str:
    """Take a name that can be that of a folder and of a model."""
    if not value.isprintable() or "/" in value or value.startswith(".") or "@" in value or value != value.strip():
        raise refuse("a name without / and @, which does not begin with a dot")
    return value


def _index(value: str) -> str:
    """Take ``auto``, ``off`` or a repo."""
    if value not in {AUTO, OFF} and not is_hub_id(value):
        raise refuse("auto, off, or a Hub id such as org/name")
    return value


StableName = Annotated[
    str, Kind("a name without / and @", "sql"), Field(min_length=1, max_length=128), AfterValidator(_plain_name)
]


class FollowHub(Section):
    """Where versions are taken from, and as whom. The token never stands in this file."""

    endpoint: Url = Field(default="https://huggingface.co", description="Address of the Hub.")
    token_file: AbsolutePath | None = Field(
        default=None,
        description="File with a token that may read, for this user only. Without it: the systemd credential"
        " `hf_token`, HF_TOKEN, HF_TOKEN_PATH, then the files of `hf auth login`; public repos need none.",
        examples=["/etc/adapterd/follow.token"],
    )
    xet: AutoBool = Field(
        default="auto", description="Transfer weights through xet; auto: only with the default endpoint."
    )
    proxy: ProxyUrl | None = Field(default=None, description="Proxy for the Hub; engines are never asked through one.")
    ca_file: AbsolutePath | None = Field(
        default=None,
        description="Certificates (PEM) to trust for the Hub instead of the built-in ones.",
        examples=["/etc/ssl/certs/company.pem"],
    )


class FollowedAdapter(Section):
    """One adapter: which version of it, and under which name routers ask for it."""

    adapter: Annotated[
        str,
        Kind("namespace/name, or namespace/name@CHANNEL, @vN, @COMMIT, @id:HEX", "my-team/sql@main"),
        AfterValidator(_reference),
    ] = Field(description="What to follow: `namespace/name@CHANNEL`, or an exact version; without @ it is `main`.")
    name: StableName | None = Field(
        default=None,
        description="Stable name: the key in `aliases.json` and the link in `dir`; without it, the repo's name.",
        examples=["sql"],
    )
    engines: tuple[Url, ...] | None = Field(
        default=None,
        description="Addresses of the engines that serve it, of those below; without it, all of them.",
        examples=[["http://127.0.0.1:8000"]],
    )

    @property
    def reference(self) -> Reference:
        """It, parsed."""
        return parse_reference(self.adapter)

    @property
    def stable_name(self) -> str:
        """The name that routers ask for."""
        return self.name or self.reference.adapter.partition("/")[2]


class FollowedEngine(Section):
    """One vLLM or SGLang server."""

    url: Url = Field(description="Its address, without /v1.", examples=["http://127.0.0.1:8000"])
    kind: Literal["auto", "vllm", "sglang"] = Field(default="auto", description="What it is; auto asks it.")
    sees_dir_as: AbsolutePath | None = Field(
        default=None,
        description="What this engine calls `dir`, where it runs in a container with mounts of its own.",
        examples=["/adapters"],
    )
    api_key_file: AbsolutePath | None = Field(
        default=None,
        description="File with its API key, read anew for each request.",
        examples=["/etc/adapterd/engine.key"],
    )


class Following(Section):
    """Everything that `adapterd follow` is told."""

    dir: AbsolutePath = Field(
        description="Where versions lie, one folder for each by its serving name, with `aliases.json` and the status"
        " `follow.json`. No other program may write there.",
        examples=["/srv/adapters"],
    )
    adapters: tuple[FollowedAdapter, ...] = Field(min_length=1, description="What is followed.")
    engines: tuple[FollowedEngine, ...] = Field(
        default=(), description="Who serves it; none: versions, links and `aliases.json` alone are kept."
    )
    exec: tuple[str, ...] = Field(
        default=(),
        description="Program and arguments that are started for each version that comes or goes, without a shell:"
        " for engines that adapterd does not know.",
        examples=[["/usr/local/bin/tell-engine"]],
    )
    index: Annotated[str, Kind("auto, off, or a Hub id such as org/name", "auto"), AfterValidator(_index)] = Field(
        default=AUTO,
        description="Index repo that tells what changed in one request; auto: `adapterd-index` of the adapters'"
        " namespace, if it is one. Without an index each adapter's repo is asked every time.",
    )
    interval: Duration = Field(default=60.0, ge=1, description="Time between two looks, give or take a tenth.")
    recheck: Duration = Field(
        default=3600.0, ge=1, description="After this time each adapter's own repo is asked, whatever the index says."
    )
    drain: Duration = Field(
        default=30.0, ge=0, description="Time that requests to a former version have to end before it is unloaded."
    )
    patience: Duration = Field(
        default=600.0,
        ge=0,
        description="After this time a new version no longer waits for an engine that does not answer.",
    )
    golden: Literal["off", "warn", "require"] = Field(
        default="warn",
        description="Whether each engine is asked the golden prompts before a version takes over: with `require` only"
        " one that answers as recorded does.",
    )
    keep: int = Field(
        default=2, ge=0, description="Former versions of each adapter that stay in `dir`, for the way back."
    )
    hub: FollowHub = Field(default=FollowHub(), description=FollowHub.__doc__)

    @model_validator(mode="after")
    def _fits(self) -> "Following":
        """Refuse two adapters of one name, and engines that are not listed."""
        found: list[Conflict] = []
        names: dict[str, int] = {}
        known = {engine.url for engine in self.engines}
        for place, each in enumerate(self.adapters):
            if each.stable_name in names:
                hint = f"a name of its own for adapters[{place}]"
                found.append(Conflict(("adapters", place, "name"), f"{each.stable_name!r} is taken already", hint))
            names.setdefault(each.stable_name, place)
            found += [
                Conflict(("adapters", place, "engines"), f"{url} is none of the engines", "its url, as it stands there")
                for url in each.engines or ()
                if url not in known
            ]
        if found:
            raise conflicting(found)
        return self

    @property
    def index_repo(self) -> str:
        """The index to read; empty for none."""
        if self.index == OFF:
            return ""
        if self.index != AUTO:
            return self.index
        spaces = {each.reference.adapter.partition("/")[0] for each in self.adapters}
        return f"{spaces.pop()}/adapterd-index" if len(spaces) == 1 else ""

    @property
    def as_host(self) -> Config:
        """The Hub's part, as a training host's configuration has it."""
        hub = self.hub.model_dump(exclude_none=True)
        return Config.model_validate({"hub": {"namespace": "none", **hub}, "roots": [{"path": "/nowhere"}]})


def load_following(path: Path, home: Path | None = None) -> Following:
    """Read the file; ConfigError with all of its problems."""
    text = read_text(path, LARGEST)
    if isinstance(text, Problem):
        if not path.exists():
            text = Problem(None, "", text.text, f"adapterd follow --example > {path}, then set dir and adapters")
        raise ConfigError(str(path), (text,))
    document = read_document(text, GUIDE)
    if document.value is None and not document.problems:
        raise ConfigError(str(path), (Problem(None, "", "is empty; expected at least dir and adapters", GUIDE),))
    found = validated(Following, document, {"home": home})
    if document.problems or found is None:
        raise ConfigError(str(path), tuple(sorted(document.problems, key=lambda problem: problem.line or 0)))
    return found
