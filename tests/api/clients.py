"""What real clients do with a published adapter, in a process of their own: run by test_clients.py.

Standard input is JSON: ``repo``, ``tag``, ``channel``, ``commit``, ``base``, and ``trained``, what was published.
Standard output is JSON: for each client whether its logits are those of the trained folder, bit for bit.
"""

import json
import sys
import warnings
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import huggingface_hub
import peft
import torch
import transformers

TOKENS = torch.arange(3, 40).unsqueeze(0)
AUTO = transformers.AutoModelForCausalLM
Plan = Mapping[str, str]


def bare(of: Plan) -> Any:  # noqa: ANN401 - transformers is not followed by mypy
    """The base by its id, from the Hub."""
    return AUTO.from_pretrained(of["base"])


def by_peft(of: Plan) -> Any:  # noqa: ANN401 - the same
    """PEFT, pinned by tag."""
    return peft.PeftModel.from_pretrained(bare(of), of["repo"], revision=of["tag"])


def by_peft_commit(of: Plan) -> Any:  # noqa: ANN401 - the same
    """PEFT, pinned by commit."""
    return peft.PeftModel.from_pretrained(bare(of), of["repo"], revision=of["commit"])


def by_peft_channel(of: Plan) -> Any:  # noqa: ANN401 - the same
    """PEFT, on a channel's branch."""
    return peft.PeftModel.from_pretrained(bare(of), of["repo"], revision=of["channel"])


def by_auto_peft(of: Plan) -> Any:  # noqa: ANN401 - the same
    """PEFT's auto class, which finds the base itself."""
    return peft.AutoPeftModelForCausalLM.from_pretrained(of["repo"], revision=of["tag"])


def by_load_adapter(of: Plan) -> Any:  # noqa: ANN401 - the same
    """The integration of transformers: here `revision` belongs into `adapter_kwargs`."""
    model = bare(of)
    model.load_adapter(of["repo"], adapter_kwargs={"revision": of["tag"]})
    return model


def by_transformers(of: Plan) -> Any:  # noqa: ANN401 - the same
    """transformers, given the adapter's repo for a model."""
    return AUTO.from_pretrained(of["repo"], adapter_kwargs={"revision": of["tag"]})


def by_snapshot(of: Plan) -> Any:  # noqa: ANN401 - the same
    """The Hub's own download, then PEFT from the folder."""
    return peft.PeftModel.from_pretrained(bare(of), huggingface_hub.snapshot_download(of["repo"], revision=of["tag"]))


def by_main(of: Plan) -> Any:  # noqa: ANN401 - the same
    """As vLLM's Hub resolver and SGLang download: without a revision: `main`."""
    return peft.PeftModel.from_pretrained(bare(of), huggingface_hub.snapshot_download(of["repo"]))


CLIENTS: tuple[Callable[[Plan], Any], ...] = (
    by_peft,
    by_peft_commit,
    by_peft_channel,
    by_auto_peft,
    by_load_adapter,
    by_transformers,
    by_snapshot,
    by_main,
)


def logits(model: Any) -> torch.Tensor:  # noqa: ANN401 - the same
    """What a model answers."""
    with torch.no_grad():
        return model.eval()(input_ids=TOKENS).logits


def main() -> None:
    """Let each client load it, and compare."""
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    transformers.utils.logging.disable_progress_bar()
    plan = json.load(sys.stdin)
    wanted = logits(peft.PeftModel.from_pretrained(bare(plan), plan["trained"]))
    plain = logits(bare(plan))
    found = {client.__name__: torch.equal(logits(client(plan)), wanted) for client in CLIENTS}
    found["an adapter that changes something"] = not torch.equal(plain, wanted)
    Path("/dev/stdout").write_text(json.dumps(found), encoding="utf-8")


if __name__ == "__main__":
    main()
