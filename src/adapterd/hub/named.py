"""What hints call the settings that a Hub was reached by: those that whoever reads the hint can change."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Named:
    """The names of the settings.

    Attributes:
        endpoint: of the Hub's address.
        token: of what gives the token.
        proxy: of the proxy for everything.
        xet: of what switches xet off.
        base: of where a base model's folder is named.
    """

    endpoint: str
    token: str
    proxy: str
    xet: str
    base: str

    @property
    def network(self) -> str:
        """What to try where nothing answers."""
        return f"check {self.endpoint}, {self.proxy} and the network"

    @property
    def no_xet(self) -> str:
        """What to try where large files do not travel."""
        return f"{self.network}; for a Hub without xet, set {self.xet}"

    @property
    def no_hub(self) -> str:
        """What to try where something answers that is no Hub."""
        return f"check that {self.endpoint} is a Hub, and what a proxy in between answers"


CONFIGURED = Named("hub.endpoint", "hub.token_file or HF_TOKEN", "hub.proxy", "hub.xet: false", "under base_models")
"""Where a configuration was read."""


def by_environment(endpoint: str = "HF_ENDPOINT") -> Named:
    """Where the environment alone says it; `endpoint` is what else the address was given by."""
    return Named(endpoint, "HF_TOKEN", "HTTPS_PROXY", "HF_HUB_DISABLE_XET=1", "with --base")
