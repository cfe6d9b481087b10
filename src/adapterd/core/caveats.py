"""What a version was not put through, and what to look out for: lines of a card, from recorded facts alone. Pure."""

from collections.abc import Mapping
from typing import Any

from adapterd.core import examples
from adapterd.core.engines import doubtful
from adapterd.core.enginetraits import PLAIN_INITS
from adapterd.core.expected import number as finite
from adapterd.core.facts import Facts, objects, public, section
from adapterd.core.markdown import code, plain
from adapterd.core.naming import is_hub_id

_LANGUAGE = ("CAUSAL_LM", "SEQ_2_SEQ_LM")
_NUMBERS = {
    "loss_adapter": "the loss on the probe texts",
    "effect": "the change of the weights",
    "max_dlogit": "the change of the outputs",
    "deterministic": "whether two passes give the same",
    "latency_ms": "the time that a pass takes",
    "base_restored": "whether the base is the same after removal",
}
"""Measurements that a full validation may lack, in words."""
_NAMES_SHOWN = 8
_LONGEST = 80
"""Characters of a name that are shown."""


def unproved(facts: Facts) -> list[str]:
    """What was not exercised."""
    engines = section(facts.report, "engines")
    untried = ["No serving engine was run: what the table says of them was read in their sources."] if engines else []
    if facts.structural:
        return ["No forward pass was made: neither outputs, losses, speed nor generated text.", *untried]
    lacking = [words for name, words in _NUMBERS.items() if facts.measurements.get(name) is None]
    found = [f"Not measured: {', '.join(lacking)}."] if lacking else []
    return [*found, *_probes(facts), *_generated(facts), *untried, *_places(facts)]


def _probes(facts: Facts) -> list[str]:
    """Which texts, how much of them, and what no pass came through."""
    found, terms, measured = [], facts.terms, facts.measurements
    if terms.get("texts") == examples.digest(()):
        own = " but by the publisher's own checks" if any(name.startswith("gate.") for name in measured) else ""
        found.append(f"The probes are public texts of adapterd's: how good it is at its own task was not asked{own}.")
    if isinstance(tokens := terms.get("tokens"), int):
        found.append(f"Of each probe text the first {tokens} tokens were used; longer inputs were not tried.")
    if idle := int(finite(measured, "modules_idle") or 0):
        found.append(f"{idle} of {measured.get('modules', 'its')} layers were reached by no pass.")
    trained, touched = finite(measured, "tokens_trained") or 0, finite(measured, "tokens_touched") or 0
    if trained > touched:
        found.append(f"Of {trained:.0f} trained or added tokens, {trained - touched:.0f} stood in no probe.")
    return found


def _generated(facts: Facts) -> list[str]:
    """How far text was generated, and that no chat template was applied."""
    if facts.config.task not in ("", *_LANGUAGE):
        return []
    prompts = objects(section(facts.report, "golden").get("prompts"))
    lengths = [len(section(section(p, "adapter"), "greedy").get("ids") or ()) for p in prompts]
    longest = max(lengths, default=0)
    told = f"Text was generated for {longest} tokens, always the likeliest one; no sampling, and nothing longer."
    return [told if longest else "No text was generated.", "No chat template was applied; probes are plain text."]


def _places(facts: Facts) -> list[str]:
    device, dtype = facts.report.get("device"), facts.report.get("dtype")
    return [f"Other devices and types than {plain(device)} and {plain(dtype)}."] if device and dtype else []


def warned(facts: Facts, number: int) -> list[str]:
    """What to look out for when loading it."""
    return [*_base(facts), *_kind(facts), *_tokens(facts), *_engines(facts), *_provenance(facts, number)]


def _base(facts: Facts) -> list[str]:
    """Whether the base is what its name says."""
    found = []
    if not is_hub_id(facts.base.id):
        found.append(
            "Its base model is not on the Hub; the fingerprint of config and weights that `adapterd.json` names tells"
            " whether yours is the same."
        )
    if facts.terms.get("trained_on"):
        found.append(
            "It was trained and measured on its base with other adapters merged into it; on the bare base it is wrong."
        )
    if quantised := facts.variant.quantization:
        found.append(f"It was measured in its base quantised to {plain(quantised)}; elsewhere outputs differ a little.")
    return found


def _kind(facts: Facts) -> list[str]:
    """What the config says that surprises."""
    fields, found = facts.config.fields, []
    init = fields.get("init_lora_weights")
    if isinstance(init, str) and init.lower() not in PLAIN_INITS:
        found.append(
            f"{code(init[:_LONGEST])} moves the base's own weights when PEFT loads it: load no other adapter beside it."
        )
    if names := _listed(fields.get("modules_to_save")):
        found.append(f"It replaces whole layers of the base: {names}. Merging and switching cost their full size.")
    if fields.get("alora_invocation_tokens"):
        found.append("It acts only after its invocation tokens (aLoRA).")
    if str(fields.get("bias") or "none") != "none":
        found.append("It changes biases of the base, which stay changed while it is loaded, even where it is disabled.")
    return found


def _tokens(facts: Facts) -> list[str]:
    """Tokenizer and added tokens."""
    found = []
    own = sorted(name for name in facts.files if "token" in name or name.startswith(("vocab", "merges", "spiece")))
    if own:
        found.append("It brings a tokenizer of its own: use the one of this version, not the base's.")
    if "added_tokens.json" in facts.files:
        found.append("Tokens were added: the base's embeddings may have to be resized before it is loaded.")
    if facts.config.fields.get("trainable_token_indices"):
        found.append("It trained embeddings of some tokens.")
    if any("chat_template" in name for name in facts.files):
        found.append(
            "It brings a chat template: prompts that are built with another one are not what it was trained on."
        )
    return found


def _engines(facts: Facts) -> list[str]:
    return [f"{plain(name)}: {plain(words)}" for name, words in doubtful(facts.report.get("engines"))]


def _provenance(facts: Facts, number: int) -> list[str]:
    """What was set aside or mended."""
    found = [
        f"A person set {code(w.get('code', ''))} aside: {plain(w.get('reason', ''))}"
        for w in public(facts.report)["waivers"]
    ]
    repaired = sorted({str(r.get("key") or r.get("file") or "") for r in facts.version.repairs})
    if repaired:
        keys = ", ".join(map(code, repaired[:_NAMES_SHOWN]))
        found.append(f"Mended in the copy, as `adapterd.json` of `v{number}` records: {keys}.")
    return found


def _listed(value: Any) -> str:  # noqa: ANN401 - any JSON value
    """Some names of a list as code."""
    if isinstance(value, str):
        return code(value[:_LONGEST])
    names = [str(v)[:_LONGEST] for v in value] if isinstance(value, list | tuple) else []
    more = f" and {len(names) - _NAMES_SHOWN} more" if len(names) > _NAMES_SHOWN else ""
    return ", ".join(map(code, sorted(names)[:_NAMES_SHOWN])) + more


def measured(measurements: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Rows of the card's table: the numbers that say something to a reader."""
    rows = []
    loss, base = finite(measurements, "loss_adapter"), finite(measurements, "loss_base")
    if loss is not None and base is not None:
        rows.append(("loss on the probe texts", f"{loss:.4f} with the adapter, {base:.4f} without (nats per token)"))
    if (effect := finite(measurements, "effect")) is not None:
        rows.append(("largest weight change", f"{100 * effect:.3g} % of a module's weights"))
    if (change := finite(measurements, "max_dlogit")) is not None:
        noise = finite(measurements, "noise_floor")
        rows.append(("largest change of an output", f"{change:.3g}{'' if noise is None else f', noise {noise:.3g}'}"))
    own = sorted(name for name in measurements if name.startswith("gate.") and finite(measurements, name) is not None)
    rows += [(code(name), f"{finite(measurements, name):.6g}") for name in own[:_NAMES_SHOWN]]
    return rows
