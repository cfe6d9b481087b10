"""vLLM and SGLang: one list of models, two ways to have an adapter loaded and unloaded.

Read in vLLM's `entrypoints/openai/models/serving.py` and `entrypoints/serve/lora`, and in SGLang 0.5.23's
`srt/entrypoints/http_server.py` and `srt/managers/tokenizer_control_mixin.py`.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from typing import Any

from adapterd.core.likeness import Answer as Answered
from adapterd.deploy.engines import asking
from adapterd.deploy.engines.contract import EngineRefusedError, Order
from adapterd.deploy.engines.wire import Answer, Wire
from adapterd.ports import Transient

DEADLINE = 120.0
"""Longest silence in seconds: an engine answers when an adapter is loaded, and SGLang when requests have ended."""


@dataclass(frozen=True, slots=True)
class Dialect:
    """How one kind of engine is asked.

    Attributes:
        loaded, gone: how it says, in an error, that there is nothing to do.
        closed: what helps where it knows no such request.
    """

    load: str
    unload: str
    loaded: str
    gone: str
    closed: str


DIALECTS: Mapping[str, Dialect] = {
    "vllm": Dialect(
        "/v1/load_lora_adapter",
        "/v1/unload_lora_adapter",
        "has already been loaded",
        "cannot be found",
        "start vLLM with --enable-lora and VLLM_ALLOW_RUNTIME_LORA_UPDATING=True",
    ),
    "sglang": Dialect(
        "/load_lora_adapter",
        "/unload_lora_adapter",
        "is already loaded",
        "does not exist",
        "start SGLang with --enable-lora, --max-lora-rank and --lora-target-modules",
    ),
}
AUTO = "auto"
KINDS = (AUTO, *DIALECTS)
_UNFINISHED = "has an incomplete unload"
"""SGLang, after an unload of which nobody heard the end."""


class ServingEngine:
    """A vLLM or SGLang server; of kind `auto` it is what its list of models says that it is."""

    def __init__(
        self,
        url: str,
        *,
        kind: str = AUTO,
        api_key: Callable[[], str | None] = lambda: None,
        folders: tuple[Path, Path] | None = None,
        deadline: float = DEADLINE,
    ) -> None:
        """Remember how to reach it; nothing is sent.

        Args:
            url: its address, without `/v1`.
            kind: of `KINDS`.
            api_key: gives its key, read anew for each request.
            folders: a folder here, and what the engine calls it, where it sees another file system.
            deadline: longest silence in seconds.
        """
        self.key = url.rstrip("/").removesuffix("/v1")
        self._kind = kind
        self._api_key = api_key
        self._here, self._there = folders or (Path("/"), Path("/"))
        self._deadline = deadline

    def listed(self) -> Mapping[str, str]:
        """Everything that is loaded, by name; the base model too."""
        answer = self._wire().get("/v1/models")
        cards = answer.body.get("data") if answer.ok and isinstance(answer.body, dict) else None
        if not isinstance(cards, list) or not all(isinstance(card, dict) for card in cards):
            raise EngineRefusedError(
                f"{self.key}/v1/models lists no models: {answer.status} {answer.message}",
                "the address of a vLLM or SGLang server",
            )
        if self._kind == AUTO:
            owners = {card.get("owned_by") for card in cards}
            self._kind = next((kind for kind in DIALECTS if kind in owners), AUTO)
        return {str(card.get("id")): self._ours(card) for card in cards}

    def load(self, order: Order) -> None:
        """Load a version under its serving name."""
        dialect = self._dialect()
        body = {"lora_name": order.serving, "lora_path": str(self._theirs(order.folder))}
        answer = self._wire().post(dialect.load, body)
        if not answer.ok and _UNFINISHED in answer.message:
            self.unload(order)
            answer = self._wire().post(dialect.load, body)
        self._demand(answer, dialect.loaded, f"load {order.serving}")

    def unload(self, order: Order) -> None:
        """Let a version go."""
        dialect = self._dialect()
        answer = self._wire().post(dialect.unload, {"lora_name": order.serving})
        self._demand(answer, dialect.gone, f"unload {order.serving}")

    def ask(self, recorded: object, serving: str) -> Answered:
        """Whose outputs it serves under a name, by the golden outputs of a manifest."""
        return asking.ask(self._wire(), recorded, serving)

    def _wire(self) -> Wire:
        return Wire(self.key, self._api_key(), self._deadline)

    def _dialect(self) -> Dialect:
        if self._kind == AUTO:
            self.listed()
        if self._kind == AUTO:
            raise EngineRefusedError(
                f"{self.key} does not say whether it is vLLM or SGLang", "kind: vllm or kind: sglang for this engine"
            )
        return DIALECTS[self._kind]

    def _demand(self, answer: Answer, already: str, what: str) -> None:
        if answer.ok or already in answer.message:
            return
        if answer.status in (HTTPStatus.NOT_FOUND, HTTPStatus.METHOD_NOT_ALLOWED) and _unrouted(answer.body):
            raise EngineRefusedError(f"{self.key} has no request to {what}", self._dialect().closed)
        if answer.status >= HTTPStatus.INTERNAL_SERVER_ERROR and not isinstance(answer.body, dict):
            raise Transient(f"{self.key} failed to {what}: {answer.status} {answer.message}", code="engine")
        raise EngineRefusedError(f"{self.key} refuses to {what}: {answer.message}", self._hint(answer.message))

    def _hint(self, message: str) -> str:
        if "rank" in message:
            return "a higher --max-lora-rank for this engine; `adapterd flags` says which"
        if "No adapter found" in message or "No such file" in message:
            return f"let the engine see {self._here if self._here != Path('/') else 'the folder'}; where it is mounted"
        return "the engine's log says more; the old version stays"

    def _theirs(self, folder: Path) -> Path:
        """What the engine calls a folder of ours."""
        return self._there / folder.relative_to(self._here)

    def _ours(self, card: Mapping[str, Any]) -> str:
        """What we call the folder that something was loaded from; the engine's word where it lies outside."""
        root = Path(str(card.get("root") or ""))
        return str(self._here / root.relative_to(self._there)) if root.is_relative_to(self._there) else str(root)


def _unrouted(body: Any) -> bool:  # noqa: ANN401 - any JSON
    """Whether this is the web framework's own word for an address that it does not know."""
    return isinstance(body, dict) and body.get("detail") in {"Not Found", "Method Not Allowed"}
