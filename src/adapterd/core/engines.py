"""Whether serving engines take an adapter, with which flags, and whether it would do anything. Pure.

The rules are data (`core.enginerules`); this module applies them.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from adapterd.core import enginedata as data
from adapterd.core import enginerules as rules
from adapterd.core.enginerules import FULL, NO, NONE, PARTIAL, UNKNOWN, YES
from adapterd.core.enginetraits import Facts, traits
from adapterd.core.reasons import reason
from adapterd.core.version import Reason

_TAKES = (YES, UNKNOWN, NO)
_EFFECTS = (FULL, UNKNOWN, PARTIAL, NONE)
_RANKS = (8, 16, 32, 64, 128, 256, 320, 512)
"""The values that vLLM's ``--max-lora-rank`` may have."""
_DEFAULT_RANK = 16
_WORDS = {
    (YES, FULL): "yes",
    (YES, UNKNOWN): "yes, to an effect that is not known",
    (YES, PARTIAL): "otherwise than it was trained",
    (YES, NONE): "without any effect",
}


@dataclass(frozen=True, slots=True)
class EngineVerdict:
    """What one engine does with one adapter.

    Attributes:
        versions: the releases that this holds for, as package managers write it; empty where that is not known.
        takes: ``yes``, ``no`` or ``unknown``.
        effect: ``full``, ``partial``, ``none`` or ``unknown``.
        flags: what its command line needs.
        reasons: pairs of text and source.
    """

    engine: str
    versions: str
    takes: str
    effect: str
    flags: tuple[str, ...] = ()
    reasons: tuple[tuple[str, str], ...] = ()

    @property
    def otherwise(self) -> bool:
        """Whether it takes the adapter, or may, and would not do what was trained."""
        return self.takes != NO and self.effect in (PARTIAL, NONE)


def judge(facts: Facts) -> tuple[EngineVerdict, ...]:
    """The verdict of each engine, in the order of the table."""
    has = traits(facts)
    return tuple(_peft(e, facts) if e.name == "peft" else _judged(e, facts, has) for e in rules.ENGINES)


def document(verdicts: Sequence[EngineVerdict]) -> dict[str, Any]:
    """The verdicts as the report and the manifest have them."""
    return {
        v.engine: {
            "versions": v.versions,
            "takes": v.takes,
            "effect": v.effect,
            "flags": list(v.flags),
            "reasons": [{"text": text, "source": source} for text, source in v.reasons],
        }
        for v in verdicts
    }


def findings(verdicts: Sequence[EngineVerdict], required: Collection[str] = ()) -> tuple[Reason, ...]:
    """What rejects: a required engine that refuses it or does otherwise. What warns: one that is silent about that.

    A refusal by an engine that nobody asked for is no alarm, since it says so by itself when it is tried.
    """
    refuses = [v for v in verdicts if v.engine in required and (v.takes == NO or v.otherwise)]
    found = [reason("engine_refuses", _sentence(v)) for v in refuses]
    quiet = [v for v in verdicts if v.otherwise and v.takes == YES and v.engine not in required]
    unsure = [v for v in verdicts if v.engine in required and v.takes == UNKNOWN and not v.otherwise]
    if told := "; ".join(_sentence(v) for v in (*unsure, *quiet)):
        found.append(reason("engine_warning", told))
    return tuple(found)


def summary(served: object) -> list[tuple[str, str, str]]:
    """A document's engines, each as its name, what it does in a few words, and why where that is not all of it."""
    return [(f"{name} {e.get('versions', '')}".rstrip(), _told(e), _why(e)) for name, e in _entries(served)]


def doubtful(served: object) -> list[tuple[str, str]]:
    """Of a document's engines those that take the adapter, or may, and do otherwise than it was trained; and why."""
    return [
        (name, f"{_WORDS[YES, str(e.get('effect'))]}; {_why(e)}".removesuffix("; "))
        for name, e in _entries(served)
        if e.get("takes") != NO and e.get("effect") in (PARTIAL, NONE)
    ]


def serves(served: object, name: str) -> bool:
    """Whether an engine of a document takes the adapter, and serves more than the base model then."""
    entry = dict(_entries(served)).get(name, {})
    return entry.get("takes") == YES and entry.get("effect") != NONE


def _entries(served: object) -> list[tuple[str, Mapping[str, Any]]]:
    """A document's engines in the order of the table: one that was stored has its keys in another order."""
    known = [engine.name for engine in rules.ENGINES]
    given = served if isinstance(served, Mapping) else {}
    names = (*known, *sorted(set(given) - set(known)))
    return [(name, given[name]) for name in names if isinstance(given.get(name), Mapping)]


def _told(entry: Mapping[str, Any]) -> str:
    """Whether it takes it, and with which flags."""
    takes, effect = str(entry.get("takes")), str(entry.get("effect"))
    words = _WORDS.get((takes, effect)) or ("not known" if takes == UNKNOWN else takes)
    flags = " ".join(map(str, entry.get("flags") or ()))
    return f"{words}, with {flags}" if flags and takes == YES else words


def _why(entry: Mapping[str, Any]) -> str:
    if entry.get("effect") == FULL:
        return ""
    return "; ".join(str(r.get("text", "")) for r in entry.get("reasons") or () if isinstance(r, Mapping))


def _sentence(verdict: EngineVerdict) -> str:
    words = {YES: "would serve it otherwise than it was trained", NO: "refuses it", UNKNOWN: "may not take it"}
    if verdict.takes == YES and verdict.effect == NONE:
        words[YES] = "would serve the base model in its place"
    because = "; ".join(text for text, _ in verdict.reasons)
    return f"{verdict.engine}{verdict.versions and ' ' + verdict.versions} {words[verdict.takes]}: {because}"


def _judged(engine: rules.Engine, facts: Facts, has: Mapping[str, str]) -> EngineVerdict:
    applies = [rule for rule in rules.RULES if rule.engine == engine.name and rule.trait in has]
    takes = max((rule.takes for rule in applies), key=_TAKES.index, default=YES)
    if takes == NO:  # what it would leave out of an adapter that it refuses is of no interest
        applies = [rule for rule in applies if rule.takes == NO]
    effect = max((rule.effect for rule in applies), key=_EFFECTS.index, default=FULL) if takes != NO else NONE
    return EngineVerdict(
        engine.name,
        rules.versions(engine, engine.since),
        takes,
        effect,
        () if takes == NO else _flags(engine.name, facts),
        tuple((rule.text.replace("{}", has[rule.trait]), rule.source) for rule in applies),
    )


def vllm_rank(rank: int) -> int:
    """The smallest value of vLLM's ``--max-lora-rank`` that has room for this rank; its default is the least."""
    return next((room for room in _RANKS if room >= max(rank, _DEFAULT_RANK)), rank)


def _flags(engine: str, facts: Facts) -> tuple[str, ...]:
    """What the engine's command line needs to take this adapter."""
    if engine == "vllm":
        room = vllm_rank(facts.rank)
        return ("--enable-lora", *((f"--max-lora-rank {room}",) if room > _DEFAULT_RANK else ()))
    if engine == "sglang":
        targets = (f"--lora-target-modules {' '.join(facts.kinds)}",) if facts.kinds else ()
        return ("--enable-lora", f"--max-lora-rank {facts.rank}", *targets)
    return ("--lora-adapters REPO@REVISION",) if engine == "lorax" else ()


def _peft(engine: rules.Engine, facts: Facts) -> EngineVerdict:
    """PEFT proves by the validation itself that it takes the adapter; the config says from which release on."""
    kind = _first(data.PEFT_TYPES, facts.peft_type)
    keys = {key: _first(data.PEFT_KEYS, key) for key in facts.config} if facts.peft_type == "LORA" else {}
    init = facts.config.get("init_lora_weights")
    used = {
        f"peft_type {facts.peft_type}": kind,
        f"init_lora_weights {init}": _first(data.PEFT_INITS, str(init).lower()),
    }
    used |= {key: since for key, since in keys.items() if facts.config[key] and key not in data.PEFT_IDLE}
    newest = max((since for since in used.values() if since), key=_release, default=engine.since)
    written = max((since for since in keys.values() if since), key=_release, default=engine.since)
    needed = max(newest, min(written, data.PEFT_TOLERANT, key=_release), key=_release)
    named = ", ".join(name for name, since in used.items() if since == needed)
    text = f"{named}: known from {needed} on" if named else f"releases before {needed} refuse keys of its config"
    reasons = ((text, f"LoraConfig and PeftType in peft {engine.since} to {engine.below}"),)
    return EngineVerdict(
        engine.name,
        rules.versions(engine, needed) if kind else "",
        YES if kind else UNKNOWN,
        FULL if kind else UNKNOWN,
        (),
        reasons if kind and needed != engine.since else (),
    )


def _first(table: Mapping[str, str], name: str) -> str:
    """The release of a table that first had a name; empty where it has none."""
    return next((release for release, names in table.items() if name in names.split()), "")


def _release(text: str) -> tuple[int, ...]:
    return tuple(int(part) for part in text.split(".") if part)
