"""What one engine's command line needs to serve several adapters together, or why it cannot. Pure.

The verdicts on each adapter are those of its manifest (`core.engines`); here they become one command line.
"""

import posixpath
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from adapterd.core.enginerules import FULL, NO, NONE, PARTIAL, UNKNOWN, YES
from adapterd.core.engines import vllm_rank

ENGINES = ("vllm", "sglang", "lorax")

_NAMED = """
    q_proj k_proj v_proj o_proj q_a_proj kv_a_proj_with_mqa q_b_proj kv_b_proj wq_b wk weights_proj gate_proj up_proj
    down_proj qkv_proj gate_up_proj embed_tokens lm_head qkvr wo_ud
"""
"""What ``--lora-target-modules`` may name, beside ``all``: SUPPORTED_LORA_TARGET_MODULES of SGLang 0.5.23."""
_SGLANG_MODULES = frozenset(_NAMED.split())

_RANK, _MODULES = "--max-lora-rank ", "--lora-target-modules "


@dataclass(frozen=True, slots=True)
class Wanted:
    """One version that shall be served, by its manifest.

    Attributes:
        name: for a reader, as in ``acme/support@v3``.
        base: id of its base model; empty for a local one.
        weights: the base model's fingerprint, or its revision where there is none.
        rank: as the manifest has it; None where it has none.
        targets: the kinds of layers that it names; empty where it has a pattern.
        verdict: this engine's entry in the manifest; None where there is none.
    """

    name: str
    adapter: str
    tag: str
    serving_name: str
    base: str
    weights: str
    rank: int | None
    targets: Sequence[str]
    verdict: Mapping[str, Any] | None


@dataclass(frozen=True, slots=True)
class Flags:
    """The command line; empty where there are `problems`. `warnings` are what nobody knows."""

    arguments: tuple[str, ...]
    problems: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()


def wanted(manifest: Mapping[str, Any], engine: str) -> Wanted:
    """What a manifest, which was parsed and found to be one, says for this engine."""
    base, peft = _object(manifest.get("base")), _object(manifest.get("peft"))
    rank, targets = peft.get("rank"), peft.get("targets")
    verdict = _object(manifest.get("engines")).get(engine)
    tag = f"v{manifest['number']}"
    return Wanted(
        name=f"{manifest['adapter']}@{tag}",
        adapter=str(manifest["adapter"]),
        tag=tag,
        serving_name=str(manifest["serving_name"]),
        base=str(base.get("id") or ""),
        weights=str(base.get("fingerprint") or base.get("revision") or ""),
        rank=rank if isinstance(rank, int) and not isinstance(rank, bool) and rank > 0 else None,
        targets=targets if isinstance(targets, list) and all(isinstance(t, str) for t in targets) else (),
        verdict=verdict if isinstance(verdict, dict) else None,
    )


def flags(engine: str, versions: Sequence[Wanted], folder: str = "", at_once: int | None = None) -> Flags:
    """What `engine` needs to serve all of them.

    Args:
        engine: one of `ENGINES`.
        versions: at least one.
        folder: where they lie, each in a folder of its serving name; empty for an engine that loads them later.
        at_once: how many of them one batch may mix; None for all.
    """
    problems = [*_of_bases(versions), *_of_names(engine, versions)]
    problems += _of_layers(versions) if engine == "sglang" else []
    warnings: list[str] = []
    for each in versions:
        refusal, doubt = _judged(engine, each)
        problems += [refusal] if refusal else []
        warnings += [doubt] if doubt else []
    if problems:
        return Flags((), tuple(problems), tuple(warnings))
    together = min(at_once or len(versions), len(versions))
    made = {"vllm": _vllm, "sglang": _sglang, "lorax": _lorax}[engine](versions, folder, together)
    return Flags(made, (), tuple(warnings))


def _judged(engine: str, version: Wanted) -> tuple[str, str]:
    """Why the engine cannot serve it, and what is not known of that."""
    verdict = version.verdict
    if verdict is None:
        return "", f"{version.name}: its manifest says nothing of {engine}; rank and layers are those of its config"
    takes, effect = verdict.get("takes"), verdict.get("effect")
    listed = verdict.get("reasons")
    reasons = [str(r.get("text", "")) for r in listed if isinstance(r, dict)] if isinstance(listed, list) else []
    because = f": {'; '.join(reasons)}" if reasons else ""
    if takes == NO:
        return f"{version.name}: {engine} refuses it{because}", ""
    if effect == NONE:
        return f"{version.name}: {engine} would serve the base model in its place{because}", ""
    if effect == PARTIAL:
        return f"{version.name}: {engine} would serve it otherwise than it was trained{because}", ""
    known = takes == YES and effect == FULL
    doubt = f"{version.name}: {engine} may not take it{because}" if takes == UNKNOWN else f"{version.name}{because}"
    return "", "" if known else doubt


def _of_bases(versions: Sequence[Wanted]) -> list[str]:
    """One server has one base model."""
    first = versions[0]
    return [
        f"{each.name} needs another base model than {first.name}: {_base(each)}, not {_base(first)}"
        for each in versions[1:]
        if each.weights != first.weights or (each.base and first.base and each.base != first.base)
    ]


def _base(version: Wanted) -> str:
    return f"{version.base or 'a local model'} ({version.weights[:12]})"


def _of_names(engine: str, versions: Sequence[Wanted]) -> list[str]:
    """Each has a name of its own; TGI knows an adapter by its repo alone."""
    names = [version.adapter if engine == "lorax" else version.serving_name for version in versions]
    twice = sorted({name for name in names if names.count(name) > 1})
    return [f"{engine} would know two of them by the name {name}" for name in twice]


def _of_layers(versions: Sequence[Wanted]) -> list[str]:
    """SGLang's command line takes the names of certain layers alone."""
    other = [(version.name, sorted(set(_kinds(version)) - _SGLANG_MODULES)) for version in versions]
    return [
        f"{name}: sglang has no LoRA for layers that are called {', '.join(kinds)}" for name, kinds in other if kinds
    ]


def _kinds(version: Wanted) -> Sequence[str]:
    """The kinds of layers, by the verdict or else by the config; empty where neither names them."""
    if said := _flag(version, _MODULES):
        return said.split()
    return () if "all-linear" in version.targets else [name.rpartition(".")[2] for name in version.targets]


def _vllm(versions: Sequence[Wanted], folder: str, together: int) -> tuple[str, ...]:
    rank = max(_number(version, _RANK) or vllm_rank(version.rank or 1) for version in versions)
    # In CPU memory there is room for the next version of each beside the present one.
    room = ("--max-lora-rank", str(rank), "--max-loras", str(together), "--max-cpu-loras", str(2 * len(versions)))
    return ("--enable-lora", *room, *(("--lora-modules", *_places(versions, folder)) if folder else ()))


def _sglang(versions: Sequence[Wanted], folder: str, together: int) -> tuple[str, ...]:
    rank = max(_number(version, _RANK) or version.rank or 1 for version in versions)
    kinds = [_kinds(version) for version in versions]
    targets = sorted({kind for named in kinds for kind in named}) if all(kinds) else ["all"]
    # A request for the base model counts as one more.
    room = ("--max-lora-rank", str(rank), "--max-loras-per-batch", str(together + 1))
    paths = ("--lora-paths", *_places(versions, folder)) if folder else ()
    return ("--enable-lora", *room, "--lora-target-modules", *targets, *paths)


def _lorax(versions: Sequence[Wanted], folder: str, together: int) -> tuple[str, ...]:  # noqa: ARG001 - as the others
    """TGI takes a repo and a revision, and downloads them itself; LoRAX needs no flag."""
    return ("--lora-adapters", ",".join(f"{version.adapter}@{version.tag}" for version in versions))


def _places(versions: Sequence[Wanted], folder: str) -> tuple[str, ...]:
    return tuple(f"{each.serving_name}={posixpath.join(folder, each.serving_name)}" for each in versions)


def _flag(version: Wanted, name: str) -> str:
    """What the verdict says for one flag; empty where it does not."""
    listed = (version.verdict or {}).get("flags")
    found = listed if isinstance(listed, list) else []
    return next((str(flag).removeprefix(name) for flag in found if str(flag).startswith(name)), "")


def _number(version: Wanted, name: str) -> int:
    said = _flag(version, name)
    return int(said) if said.isdecimal() and len(said) < 9 else 0  # noqa: PLR2004 - no rank has nine digits


def _object(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}
