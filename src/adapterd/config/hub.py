"""Where versions go, and how much of the Hub may be used for it: the section `hub`."""

from typing import Literal

from pydantic import Field

from adapterd.config.kinds import AbsolutePath, AutoBool, Duration, HubName, ProxyUrl, Url
from adapterd.config.section import Section


class Budget(Section):
    """How much of the Hub's rate limits this host may use. Where the Hub's own answers say less, that counts."""

    requests: int = Field(
        default=600,
        ge=50,
        description="Requests in any five minutes; a free account has 1,000 for everything that uses its token.",
    )
    commits: int = Field(
        default=100, ge=1, description="Commits to one repo in any hour; the Hub's quota is unwritten."
    )
    coalesce: Literal["newest", "best", "never"] = Field(
        default="newest",
        description="When it gets tight, which checkpoint of a run goes on while its others are superseded: the newest,"
        " the one with the lowest loss on the probes, or never any but by the root's `checkpoints`.",
    )


class Hub(Section):
    """Where versions are published, and as whom. The token never stands in this file."""

    namespace: HubName = Field(description="User or organisation whose repos the adapters become.")
    endpoint: Url = Field(
        default="https://huggingface.co",
        description="Address of the Hub; another one for a mirror or the embedded Hub.",
    )
    token_file: AbsolutePath | None = Field(
        default=None,
        description="File with the token, readable by this user only. Without it: the systemd credential"
        " `hf_token`, HF_TOKEN, HF_TOKEN_PATH, then the files of `hf auth login`.",
        examples=["~/.config/adapterd/token"],
    )
    private: bool = Field(
        default=True, description="Create repos as private. A repo's visibility is never changed later."
    )
    create_repos: bool = Field(
        default=True, description="Create the repo of a new adapter; with false, a person creates each one."
    )
    xet: AutoBool = Field(
        default="auto",
        description="Transfer weights through xet; auto: only with the default endpoint and without `ca_file`.",
    )
    proxy: ProxyUrl | None = Field(
        default=None, description="Proxy for all Hub calls; one with credentials goes into HTTPS_PROXY instead."
    )
    ca_file: AbsolutePath | None = Field(
        default=None,
        description="Certificates (PEM) to trust instead of the built-in ones.",
        examples=["/etc/ssl/certs/company.pem"],
    )
    deadline: Duration = Field(default=600.0, gt=0, description="Longest time that one Hub call may take.")
    budget: Budget = Field(default=Budget(), description=Budget.__doc__)
    index_repo: HubName | None = Field(
        default=None,
        description="Repo in the namespace that carries the public index, which deployers look for under the name"
        " adapterd-index; none: the index stays a local file.",
        examples=["adapterd-index"],
    )
