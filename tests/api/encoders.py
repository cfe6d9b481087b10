"""What sentence-transformers makes of a published adapter, in a process of its own: run by test_encoders.py.

Standard input is JSON: ``repo``, ``commit``, ``base``, ``trained``, what was published as that commit, and ``main``,
what `main` holds. Standard output is JSON: for each way whose vectors it gives, bit for bit.
"""

import json
import sys
import warnings
from collections.abc import Callable, Mapping
from pathlib import Path

import peft
import torch
import transformers
from sentence_transformers import SentenceTransformer

import adapterd

TEXTS = ["The parcel never came.", "Refund", "How do I return a jacket that I bought two weeks ago?"]
Plan = Mapping[str, str]


def by_name(of: Plan) -> SentenceTransformer:
    """The adapter's repo for a model, which finds the base itself: `revision` for its config and tokenizer alone."""
    return SentenceTransformer(of["repo"], revision=of["commit"])


def by_name_pinned(of: Plan) -> SentenceTransformer:
    """The same, with a revision for the weights too."""
    pin = {"adapter_kwargs": {"revision": of["commit"]}}
    return SentenceTransformer(of["repo"], revision=of["commit"], model_kwargs=pin)


def by_load_adapter(of: Plan) -> SentenceTransformer:
    """The integration of transformers, where `revision` belongs into `adapter_kwargs`."""
    encoder = SentenceTransformer(of["base"])
    encoder.load_adapter(of["repo"], adapter_kwargs={"revision": of["commit"]})
    return encoder


def by_attach(of: Plan) -> SentenceTransformer:
    """Our own, in place."""
    encoder = SentenceTransformer(of["base"])
    adapterd.attach(encoder, {"search": f"{of['repo']}@{of['commit']}"})
    return encoder


def by_pull(of: Plan) -> SentenceTransformer:
    """The folder that was pulled, for a model."""
    return SentenceTransformer(str(adapterd.pull(f"{of['repo']}@{of['commit']}", Path.home() / "search")))


WAYS: tuple[Callable[[Plan], SentenceTransformer], ...] = (by_name, by_name_pinned, by_load_adapter, by_attach, by_pull)


def vectors(encoder: SentenceTransformer) -> torch.Tensor:
    """What an encoder makes of the texts."""
    return encoder.encode(TEXTS, convert_to_tensor=True)


def pooled(base: str, folder: str | None) -> torch.Tensor:
    """The mean over each text's tokens by hand: of the base, or of the adapter in a folder."""
    model = transformers.AutoModel.from_pretrained(base)
    if folder is not None:
        model = peft.PeftModel.from_pretrained(model, folder)
    tokens = transformers.AutoTokenizer.from_pretrained(base)(TEXTS, padding=True, return_tensors="pt")
    with torch.no_grad():
        states = model.eval()(**tokens).last_hidden_state
    mask = tokens["attention_mask"].unsqueeze(-1).to(states.dtype)
    return (states * mask).sum(1) / mask.sum(1)


def main() -> None:
    """Let it load the adapter in each way, and compare."""
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    transformers.utils.logging.disable_progress_bar()
    plan = json.load(sys.stdin)
    known = {
        "trained": pooled(plan["base"], plan["trained"]),
        "main": pooled(plan["base"], plan["main"]),
        "base": pooled(plan["base"], None),
    }
    made = {way.__name__: vectors(way(plan)) for way in WAYS}
    made["without an adapter"] = vectors(SentenceTransformer(plan["base"]))
    found = {way: [name for name, each in known.items() if torch.equal(each, of)] for way, of in made.items()}
    Path("/dev/stdout").write_text(json.dumps(found), encoding="utf-8")


if __name__ == "__main__":
    main()
