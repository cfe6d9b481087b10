"""From the id of a quantised copy of a model to the model itself. Data and one rule; pure.

Trainers that load 4-bit weights write the copy's id into the adapter, often in lower case. An adapter belongs to the
model that was quantised: that is what servers load. The pairs are those of unsloth's own table of models, and Qwen's
copies, which bear the original's name. A copy whose original nothing here names has none.
"""

from types import MappingProxyType

_SAME_NAME = {
    "CohereForAI": "aya-vision-32b aya-vision-8b c4ai-command-a-03-2025 c4ai-command-r-08-2024 "
    "c4ai-command-r-plus-08-2024",
    "HuggingFaceTB": "SmolLM-135M SmolLM-135M-Instruct SmolLM-360M SmolLM-360M-Instruct SmolLM-1.7B "
    "SmolLM-1.7B-Instruct SmolLM2-135M SmolLM2-135M-Instruct SmolLM2-360M SmolLM2-360M-Instruct SmolLM2-1.7B "
    "SmolLM2-1.7B-Instruct",
    "NousResearch": "Hermes-2-Pro-Mistral-7B Hermes-3-Llama-3.1-8B Hermes-3-Llama-3.1-70B Hermes-3-Llama-3.1-405B",
    "Qwen": "QwQ-32B QwQ-32B-Preview Qwen2-0.5B Qwen2-0.5B-Instruct Qwen2-1.5B Qwen2-1.5B-Instruct Qwen2-7B "
    "Qwen2-7B-Instruct Qwen2-VL-2B Qwen2-VL-2B-Instruct Qwen2-VL-7B Qwen2-VL-7B-Instruct Qwen2-VL-72B "
    "Qwen2-VL-72B-Instruct Qwen2.5-0.5B Qwen2.5-0.5B-Instruct Qwen2.5-1.5B Qwen2.5-1.5B-Instruct Qwen2.5-3B "
    "Qwen2.5-3B-Instruct Qwen2.5-7B Qwen2.5-7B-Instruct Qwen2.5-14B Qwen2.5-14B-Instruct Qwen2.5-32B "
    "Qwen2.5-32B-Instruct Qwen2.5-72B Qwen2.5-72B-Instruct Qwen2.5-Coder-0.5B Qwen2.5-Coder-0.5B-Instruct "
    "Qwen2.5-Coder-1.5B Qwen2.5-Coder-1.5B-Instruct Qwen2.5-Coder-3B Qwen2.5-Coder-3B-Instruct Qwen2.5-Coder-7B "
    "Qwen2.5-Coder-7B-Instruct Qwen2.5-Coder-14B Qwen2.5-Coder-14B-Instruct Qwen2.5-Coder-32B "
    "Qwen2.5-Coder-32B-Instruct Qwen2.5-Math-1.5B Qwen2.5-Math-1.5B-Instruct Qwen2.5-Math-7B "
    "Qwen2.5-Math-7B-Instruct Qwen2.5-Math-72B Qwen2.5-Math-72B-Instruct Qwen2.5-VL-3B-Instruct "
    "Qwen2.5-VL-7B-Instruct Qwen2.5-VL-32B-Instruct Qwen2.5-VL-72B-Instruct Qwen3-0.6B Qwen3-0.6B-Base Qwen3-1.7B "
    "Qwen3-1.7B-Base Qwen3-4B Qwen3-4B-Base Qwen3-4B-Instruct-2507 Qwen3-4B-Thinking-2507 Qwen3-8B Qwen3-8B-Base "
    "Qwen3-14B Qwen3-14B-Base Qwen3-32B Qwen3-30B-A3B Qwen3-30B-A3B-Base Qwen3-VL-2B-Instruct Qwen3-VL-2B-Thinking "
    "Qwen3-VL-4B-Instruct Qwen3-VL-4B-Thinking Qwen3-VL-8B-Instruct Qwen3-VL-8B-Thinking Qwen3-VL-32B-Instruct "
    "Qwen3-VL-32B-Thinking",
    "RekaAI": "reka-flash-3",
    "agentica-org": "DeepScaleR-1.5B-Preview",
    "akjindal53244": "Llama-3.1-Storm-8B",
    "allenai": "Llama-3.1-Tulu-3-8B Llama-3.1-Tulu-3-70B OLMo-2-0325-32B-Instruct",
    "canopylabs": "orpheus-3b-0.1-ft orpheus-3b-0.1-pretrained",
    "deepseek-ai": "DeepSeek-R1-0528-Qwen3-8B DeepSeek-R1-Distill-Llama-8B DeepSeek-R1-Distill-Llama-70B "
    "DeepSeek-R1-Distill-Qwen-1.5B DeepSeek-R1-Distill-Qwen-7B DeepSeek-R1-Distill-Qwen-14B "
    "DeepSeek-R1-Distill-Qwen-32B",
    "google": "codegemma-2b codegemma-7b codegemma-7b-it functiongemma-270m-it gemma-1.1-2b-it gemma-1.1-7b-it "
    "gemma-2-2b gemma-2-2b-it gemma-2-9b gemma-2-9b-it gemma-2-27b gemma-2-27b-it gemma-2b gemma-2b-it "
    "gemma-3-270m gemma-3-270m-it gemma-3-1b-it gemma-3-1b-pt gemma-3-4b-it gemma-3-4b-pt gemma-3-12b-it "
    "gemma-3-12b-pt gemma-3-27b-it gemma-3-27b-pt gemma-3n-E2B gemma-3n-E2B-it gemma-3n-E4B gemma-3n-E4B-it "
    "gemma-4-31B-it gemma-4-E2B-it gemma-4-E4B-it gemma-7b gemma-7b-it medgemma-4b-it medgemma-27b-text-it",
    "ibm-granite": "granite-3.2-2b-instruct granite-3.2-8b-instruct granite-4.0-1b granite-4.0-1b-base "
    "granite-4.0-350m granite-4.0-350m-base granite-4.0-h-1b granite-4.0-h-1b-base granite-4.0-h-350m "
    "granite-4.0-h-350m-base granite-4.0-h-micro granite-4.0-h-micro-base granite-4.0-micro granite-4.0-micro-base "
    "granite-vision-3.2-2b",
    "llava-hf": "llava-1.5-7b-hf llava-v1.6-mistral-7b-hf",
    "meta-llama": "Llama-3.1-8B Llama-3.1-8B-Instruct Llama-3.2-1B Llama-3.2-1B-Instruct Llama-3.2-3B "
    "Llama-3.2-3B-Instruct Llama-3.2-11B-Vision Llama-3.2-11B-Vision-Instruct Llama-3.2-90B-Vision "
    "Llama-3.2-90B-Vision-Instruct Llama-3.3-70B-Instruct Meta-Llama-3.1-8B Meta-Llama-3.1-8B-Instruct "
    "Meta-Llama-3.1-70B Meta-Llama-3.1-70B-Instruct Meta-Llama-3.1-405B Meta-Llama-3.1-405B-Instruct",
    "microsoft": "Phi-3-medium-4k-instruct Phi-3-mini-4k-instruct Phi-3.5-mini-instruct Phi-4-mini-instruct "
    "Phi-4-mini-reasoning Phi-4-reasoning Phi-4-reasoning-plus phi-4",
    "mistralai": "Devstral-Small-2505 Devstral-Small-2507 Magistral-Small-2506 Magistral-Small-2507 "
    "Magistral-Small-2509 Ministral-3-3B-Base-2512 Ministral-3-3B-Instruct-2512 Ministral-3-3B-Reasoning-2512 "
    "Ministral-3-8B-Base-2512 Ministral-3-8B-Instruct-2512 Ministral-3-8B-Reasoning-2512 Ministral-3-14B-Base-2512 "
    "Ministral-3-14B-Instruct-2512 Ministral-3-14B-Reasoning-2512 Mistral-7B-Instruct-v0.1 "
    "Mistral-7B-Instruct-v0.2 Mistral-7B-Instruct-v0.3 Mistral-7B-v0.1 Mistral-7B-v0.3 "
    "Mistral-Large-Instruct-2407 Mistral-Nemo-Base-2407 Mistral-Nemo-Instruct-2407 Mistral-Small-24B-Base-2501 "
    "Mistral-Small-24B-Instruct-2501 Mistral-Small-3.1-24B-Base-2503 Mistral-Small-3.1-24B-Instruct-2503 "
    "Mistral-Small-3.2-24B-Instruct-2506 Mistral-Small-Instruct-2409 Mixtral-8x7B-Instruct-v0.1 Mixtral-8x7B-v0.1 "
    "Pixtral-12B-2409",
    "open-thoughts": "OpenThinker-7B",
    "openai": "gpt-oss-20b gpt-oss-120b",
    "teknium": "OpenHermes-2.5-Mistral-7B",
}
"""Models whose copies bear their own name, before the suffix."""

_OTHER_NAME = {
    "codellama-7b": "codellama/CodeLlama-7b-hf",
    "codellama-13b": "codellama/CodeLlama-13b-hf",
    "codellama-34b": "codellama/CodeLlama-34b-hf",
    "llama-2-7b": "meta-llama/Llama-2-7b-hf",
    "llama-2-7b-chat": "meta-llama/Llama-2-7b-chat-hf",
    "llama-2-13b": "meta-llama/Llama-2-13b-hf",
    "llama-3-8b": "meta-llama/Meta-Llama-3-8B",
    "llama-3-8b-instruct": "meta-llama/Meta-Llama-3-8B-Instruct",
    "llama-3-70b": "meta-llama/Meta-Llama-3-70B",
    "llama-3-70b-instruct": "meta-llama/Meta-Llama-3-70B-Instruct",
    "llama-3.1-nemotron-70b-instruct": "nvidia/Llama-3.1-Nemotron-70B-Instruct-HF",
    "mistral-7b": "mistralai/Mistral-7B-v0.1",
    "mistral-7b-v0.2": "alpindale/Mistral-7B-v0.2-hf",
    "pixtral-12b-2409-base": "mistralai/Pixtral-12B-Base-2409",
    "solar-10.7b": "upstage/SOLAR-10.7B-v1.0",
    "tinyllama": "TinyLlama/TinyLlama-1.1B-intermediate-step-1431k-3T",
    "tinyllama-chat": "TinyLlama/TinyLlama-1.1B-Chat-v1.0",
    "yi-6b": "01-ai/Yi-6B",
    "zephyr-sft": "HuggingFaceH4/mistral-7b-sft-beta",
}
"""Models whose copies have another name than theirs, in lower case."""

_ORIGINALS = MappingProxyType(
    {name.casefold(): f"{owner}/{name}" for owner, names in _SAME_NAME.items() for name in names.split()} | _OTHER_NAME
)

_SUFFIXES = {
    # The longer one first, where one ends as another does.
    "unsloth": ("-unsloth-bnb-4bit", "-bnb-4bit"),
    "qwen": ("-gptq-int4", "-gptq-int8", "-awq"),
}
"""How an organisation, in lower case, names its copies."""

_UNQUANTISED = ("unsloth", "qwen")
"""Organisations that hold the whole model too, under the copy's name without its suffix."""


def originals(model: str) -> tuple[str, ...]:
    """The ids under which the model lies whole of which this one is a quantised copy, the original's own first."""
    owner, _, name = model.partition("/")
    for suffix in _SUFFIXES.get(owner.casefold(), ()):
        if name.casefold().endswith(suffix) and len(name) > len(suffix):
            plain = name[: -len(suffix)]
            known = _ORIGINALS.get(plain.casefold(), "")
            whole = f"{owner}/{plain}" if owner.casefold() in _UNQUANTISED else ""
            return tuple(dict.fromkeys(each for each in (known, whole) if each))
    return ()


def upstream(model: str) -> str:
    """The model of which this id is a quantised copy; empty where it is none, or none is known."""
    return next(iter(originals(model)), "")
