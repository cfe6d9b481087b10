"""How to load exactly one version in each engine that takes it: the lines of a card. Pure.

Who takes it, and with which flags, is the report's word (`core.engines`); PEFT itself loaded it when it was validated.
"""

import json
import re
from collections.abc import Mapping
from typing import Any

from adapterd.core.engines import serves
from adapterd.core.facts import Facts, section
from adapterd.core.naming import is_commit, is_hub_id, serving_name
from adapterd.core.variants import keywords

_CLASSES = {
    "SEQ_CLS": "ForSequenceClassification",
    "TOKEN_CLS": "ForTokenClassification",
    "QUESTION_ANS": "ForQuestionAnswering",
    "SEQ_2_SEQ_LM": "ForSeq2SeqLM",
    "FEATURE_EXTRACTION": "",
}
"""Ends of the auto classes of transformers by task."""
_LABELLED = ("SEQ_CLS", "TOKEN_CLS")
_TOKENIZER = ("tokenizer.json", "tokenizer.model", "tokenizer_config.json", "spiece.model", "vocab.json", "vocab.txt")
_WORD = re.compile(r"[A-Za-z0-9_./@:=+-]+")
_PATH = "PATH_OF_THE_BASE"
FOLDER = "adapters"


def ways(facts: Facts, number: int) -> list[str]:
    """A section for each engine that takes the version and to which it does something."""
    served = section(facts.report, "engines")
    lines = _peft(facts, number)
    if serves(served, "transformers"):
        lines += _transformers(facts, number)
    folder = [name for name in ("vllm", "sglang", "lorax") if serves(served, name)]
    if folder:
        lines += _pulled(facts, number)
    for name in folder:
        lines += _SECTIONS[name](facts, number, _flags(served[name]))
    return lines


def _flags(entry: Mapping[str, Any]) -> str:
    """The flags of a verdict for a shell. Names of layers come from the file of weights, and may be anything."""
    flags = [str(flag) for flag in entry.get("flags") or ()]
    safe = [flag for flag in flags if all(_WORD.fullmatch(word) for word in flag.split(" "))]
    return " ".join(safe)


def _model(facts: Facts) -> str:
    """The base model's id, where it is one."""
    return facts.base.id if is_hub_id(facts.base.id) else ""


def _base_lines(facts: Facts, name: str) -> list[str]:
    """Python that loads the base model, at the commit and in the variant in which the adapter was measured."""
    auto = f"AutoModel{_CLASSES.get(facts.config.task, 'ForCausalLM')}"
    options = [json.dumps(_model(facts) or _PATH)]
    if _model(facts) and is_commit(facts.base.revision):
        options.append(f'revision="{facts.base.revision}"')
    labels = facts.measurements.get("labels")
    if facts.config.task in _LABELLED and isinstance(labels, int) and not isinstance(labels, bool):
        options.append(f"num_labels={labels}")
    imports = [auto, *(["AutoTokenizer"] if _has_tokenizer(facts) else [])]
    if quantised := keywords(facts.variant.quantization, str(facts.report.get("dtype") or "auto")):
        imports.append("BitsAndBytesConfig")
        said = ", ".join(
            f"{key}={json.dumps(value) if isinstance(value, str) else value}" for key, value in quantised.items()
        )
        options.append(f"quantization_config=BitsAndBytesConfig({said})")
    lines = [f"from transformers import {', '.join(sorted(imports))}", ""]
    call = f"{name} = {auto}.from_pretrained({', '.join(options)})"
    if len(call) <= 100:  # noqa: PLR2004 - what a card shows without scrolling
        return [*lines, call]
    return [*lines, f"{name} = {auto}.from_pretrained(", *(f"    {option}," for option in options), ")"]


def _has_tokenizer(facts: Facts) -> bool:
    """Whether a tokenizer was saved with the adapter."""
    return any(name in facts.files for name in _TOKENIZER)


def _tokenizer(facts: Facts, number: int) -> list[str]:
    """Python that loads the tokenizer that was saved with the adapter."""
    if not _has_tokenizer(facts):
        return []
    return [f'tokenizer = AutoTokenizer.from_pretrained("{facts.version.adapter}", revision="v{number}")']


def _python(lines: list[str]) -> list[str]:
    return ["```python", *lines, "```", ""]


def _peft(facts: Facts, number: int) -> list[str]:
    load = f'model = PeftModel.from_pretrained(base, "{facts.version.adapter}", revision="v{number}")'
    code = ["from peft import PeftModel", *_base_lines(facts, "base"), load, *_tokenizer(facts, number)]
    return ["### PEFT", "", *_python(code)]


def _transformers(facts: Facts, number: int) -> list[str]:
    pin = f'adapter_kwargs={{"revision": "v{number}"}}'
    load = f'model.load_adapter("{facts.version.adapter}", {pin})'
    return [
        "### transformers",
        "",
        *_python([*_base_lines(facts, "model"), load, *_tokenizer(facts, number)]),
        f"A `revision=` given to `from_pretrained` would be asked of the base model's repo; `{pin}` is what pins the",
        "adapter.",
        "",
    ]


def _pulled(facts: Facts, number: int) -> list[str]:
    name = facts.version.adapter
    return [
        "### Serving engines, from a verified folder",
        "",
        "vLLM, SGLang and LoRAX read `main` of a repo and cannot pin a version, so give them a folder. It is named",
        f"`{_name(facts, number)}`, anew for each version, so that no engine reuses what it cached of another.",
        "",
        "```sh",
        f"adapterd pull {name}@v{number} {FOLDER} --layout vllm",
        "```",
        "",
    ]


def _name(facts: Facts, number: int) -> str:
    return serving_name(facts.version.adapter, number, facts.version.identity)


def _at(facts: Facts, option: str) -> str:
    """The base model's commit as a shell option; empty where there is none."""
    return f" {option} {facts.base.revision}" if _model(facts) and is_commit(facts.base.revision) else ""


def _shell(title: str, lines: list[str]) -> list[str]:
    return [f"### {title}", "", "```sh", *lines, "```", ""]


def _vllm(facts: Facts, number: int, flags: str) -> list[str]:
    name, model = _name(facts, number), _model(facts) or _PATH
    started = [
        f"vllm serve {model}{_at(facts, '--revision')} \\",
        f"  {flags} \\",
        f"  --lora-modules {name}={FOLDER}/{name}",
    ]
    nim = [
        "NVIDIA NIM watches a folder of such folders: `adapterd pull ... --layout nim`, and name the folder in",
        "`NIM_PEFT_SOURCE`. What NIM makes of an adapter is not judged here; where it runs vLLM, vLLM's word counts.",
        "",
    ]
    return [*_shell("vLLM", started), "### NIM", "", *nim]


def _sglang(facts: Facts, number: int, flags: str) -> list[str]:
    name, model = _name(facts, number), _model(facts) or _PATH
    started = [
        f"python -m sglang.launch_server --model-path {model}{_at(facts, '--revision')} \\",
        f"  {flags} \\",
        f"  --lora-paths {name}={FOLDER}/{name}",
    ]
    return _shell("SGLang", started)


def _lorax(facts: Facts, number: int, _: str) -> list[str]:
    """TGI pins by itself; LoRAX is named the folder in each request."""
    adapter, name, model = facts.version.adapter, _name(facts, number), _model(facts) or _PATH
    tgi = [
        f"text-generation-launcher --model-id {model}{_at(facts, '--revision')} \\",
        f"  --lora-adapters {adapter}@v{number}",
    ]
    asked = json.dumps({"adapter_id": f"/data/{FOLDER}/{name}", "adapter_source": "local"})
    return [
        *_shell("TGI", tgi),
        "### LoRAX",
        "",
        "Mount the folder as `/data`, and name it in each request's `parameters`:",
        "",
        "```json",
        asked,
        "```",
        "",
    ]


_SECTIONS = {"vllm": _vllm, "sglang": _sglang, "lorax": _lorax}
