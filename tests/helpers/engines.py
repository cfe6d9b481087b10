"""Engines by their recorded contract: vLLM's and SGLang's list of models, load and unload, with their own refusals.

The words and codes are those of their sources:

- vLLM: `OpenAIServingModels` in `vllm/entrypoints/openai/models/serving.py` (commit 00153c8), the errors of
  `vllm/exceptions.py`, wrapped by the engine core as "Call to add_lora method failed: ..." (vLLM issue 30690). Without
  VLLM_ALLOW_RUNTIME_LORA_UPDATING the routes do not exist.
- SGLang 0.5.23: `srt/entrypoints/http_server.py`, `srt/managers/tokenizer_control_mixin.py`,
  `srt/lora/lora_manager.py`, `srt/lora/lora_registry.py`.
"""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

BASE = "acme/base"
KEY = "engine-key"


@dataclass
class RecordedEngine:
    """One server.

    Attributes:
        loaded: name to folder.
        calls: what it was asked to load and unload.
        max_rank: above it an adapter is refused.
        fails: a message with which every load fails in the engine's core.
        runtime: whether adapters may be loaded while it runs.
        key: wanted as a bearer token; empty for none.
        starting: whether a proxy before it answers 503.
        unfinished: SGLang's adapters whose unload was begun.
    """

    kind: str
    loaded: dict[str, str] = field(default_factory=dict)
    calls: list[tuple[str, str]] = field(default_factory=list)
    max_rank: int = 64
    fails: str = ""
    runtime: bool = True
    key: str = ""
    starting: bool = False
    unfinished: set[str] = field(default_factory=set)
    url: str = ""
    port: int = 0
    _server: ThreadingHTTPServer | None = None
    _thread: threading.Thread | None = None

    def start(self) -> None:
        """Serve; on the same port as before where it was stopped."""
        engine = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self._say(*engine.answer("GET", self.path, self.headers.get("authorization"), {}))

            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["content-length"])))
                self._say(*engine.answer("POST", self.path, self.headers.get("authorization"), body))

            def _say(self, status: int, said: Any) -> None:  # noqa: ANN401 - any JSON, or text
                data = said.encode() if isinstance(said, str) else json.dumps(said).encode()
                self.send_response(status)
                self.send_header("content-length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

            def log_message(self, *_: object) -> None:
                """Say nothing."""

        self._server = ThreadingHTTPServer(("127.0.0.1", self.port), Handler)
        self.port = self._server.server_port
        self.url = f"http://127.0.0.1:{self.port}"
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Go away, and forget what was loaded, as a process does."""
        if self._server is not None and self._thread is not None:
            self._server.shutdown()
            self._server.server_close()
            self._thread.join()
            self._server = None
        self.loaded.clear()

    def restart(self) -> None:
        """Begin anew on the same port, with nothing loaded."""
        self.stop()
        self.start()

    def answer(self, method: str, path: str, key: str | None, body: dict[str, Any]) -> tuple[int, Any]:
        """What this kind of engine says."""
        if self.starting:
            return 503, "upstream connect error"
        if self.key and key != f"Bearer {self.key}":
            return 401, {"error": "Unauthorized"}
        if (method, path) == ("GET", "/v1/models"):
            return 200, self._models()
        load, unload = ("/load_lora_adapter", "/unload_lora_adapter")
        prefix = "/v1" if self.kind == "vllm" else ""
        if method != "POST" or path not in (prefix + load, prefix + unload) or (prefix and not self.runtime):
            return 404, {"detail": "Not Found"}
        what = "load" if path.endswith(load) and not path.endswith(unload) else "unload"
        self.calls.append((what, body["lora_name"]))
        if self.kind == "vllm":
            return self._vllm_load(body) if what == "load" else self._vllm_unload(body)
        return self._sglang_load(body) if what == "load" else self._sglang_unload(body)

    def _models(self) -> dict[str, Any]:
        base = {"id": BASE, "object": "model", "owned_by": self.kind, "root": BASE, "parent": None}
        adapters = [
            {"id": name, "object": "model", "owned_by": self.kind, "root": folder, "parent": BASE}
            for name, folder in self.loaded.items()
        ]
        return {"object": "list", "data": [base, *adapters]}

    def _vllm_load(self, body: dict[str, Any]) -> tuple[int, Any]:
        name, folder = body["lora_name"], body["lora_path"]
        if not name or not folder:
            return _vllm_error(400, "InvalidUserInput", "Both 'lora_name' and 'lora_path' must be provided.")
        if name in self.loaded:
            return _vllm_error(
                400,
                "InvalidUserInput",
                f"The lora adapter '{name}' has already been loaded. If you want to load the adapter in place, set"
                " 'load_inplace' to True.",
            )
        config = _config(folder)
        if config is None:
            return _vllm_error(404, "NotFoundError", f"Loading lora {name} failed: No adapter found for {folder}")
        if self.fails:
            return _vllm_error(500, "InternalServerError", f"Call to add_lora method failed: {self.fails}")
        if config["r"] > self.max_rank:
            words = f"LoRA rank {config['r']} is greater than max_lora_rank {self.max_rank}."
            return _vllm_error(500, "InternalServerError", f"Call to add_lora method failed: {words}")
        self.loaded[name] = folder
        return 200, f"Success: LoRA adapter '{name}' added successfully."

    def _vllm_unload(self, body: dict[str, Any]) -> tuple[int, Any]:
        name = body["lora_name"]
        if name not in self.loaded:
            return _vllm_error(404, "NotFoundError", f"The lora adapter '{name}' cannot be found.")
        del self.loaded[name]
        return 200, f"Success: LoRA adapter '{name}' removed successfully."

    def _sglang_load(self, body: dict[str, Any]) -> tuple[int, Any]:
        name, folder = body["lora_name"], body["lora_path"]
        config = _config(folder)
        said = ""
        if not self.runtime:
            said = "LoRA is not enabled. Please set `--enable-lora` to enable LoRA."
        elif name in self.unfinished:
            said = f"LoRA adapter '{name}' has an incomplete unload. Retry the unload before loading it again."
        elif config is None:
            said = f"[Errno 2] No such file or directory: '{folder}/adapter_config.json'"
        elif name in self.loaded:
            said = f"Failed to load LoRA adapter {name} because it is already loaded"
        elif self.fails:
            said = self.fails
        elif config["r"] > self.max_rank:
            said = (
                f"LoRA adapter {name} with rank {config['r']} is incompatible with the current LoRA memory pool"
                " configuration. Please ensure that the LoRA adapter's rank is within the configured `--max-lora-rank`"
                " and that the target modules are included in `--lora-target-modules`."
            )
        if said:
            return 400, {"success": False, "error_message": said, "loaded_adapters": dict(self.loaded)}
        self.loaded[name] = folder
        return 200, {"success": True, "error_message": None, "loaded_adapters": dict(self.loaded)}

    def _sglang_unload(self, body: dict[str, Any]) -> tuple[int, Any]:
        name = body["lora_name"]
        if name in self.unfinished:
            self.unfinished.discard(name)
            return 200, {"success": True, "error_message": None, "loaded_adapters": dict(self.loaded)}
        if name not in self.loaded:
            said = f"LoRA with name {name} does not exist. Loaded LoRAs: {self.loaded.keys()}"
            return 400, {"success": False, "error_message": said, "loaded_adapters": None}
        del self.loaded[name]
        return 200, {"success": True, "error_message": None, "loaded_adapters": dict(self.loaded)}


@contextmanager
def serving(kind: str, **settings: Any) -> Iterator[RecordedEngine]:  # noqa: ANN401 - any field of the engine
    """An engine that answers until the end of the block."""
    engine = RecordedEngine(kind, **settings)
    engine.start()
    try:
        yield engine
    finally:
        engine.stop()


def _vllm_error(status: int, kind: str, message: str) -> tuple[int, Any]:
    return status, {"error": {"message": message, "type": kind, "param": None, "code": status}}


def _config(folder: str) -> dict[str, Any] | None:
    try:
        found: dict[str, Any] = json.loads((Path(folder) / "adapter_config.json").read_bytes())
    except FileNotFoundError:
        return None
    return found
