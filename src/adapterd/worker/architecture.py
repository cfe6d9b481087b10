"""Which class of transformers a base model is loaded with, and which task is exercised. No weights are read.

An adapter that names its task is loaded by the auto class of that task; one that names none (native saves,
`auto_mapping`) by the class that it was trained in, or that the base's config names.
"""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import transformers
from transformers.models.auto import modeling_auto as auto

CAUSAL_LM, SEQ_2_SEQ_LM, FEATURES = "CAUSAL_LM", "SEQ_2_SEQ_LM", "FEATURE_EXTRACTION"
SEQ_CLS, TOKEN_CLS, QUESTION_ANS = "SEQ_CLS", "TOKEN_CLS", "QUESTION_ANS"
LANGUAGE = frozenset({CAUSAL_LM, SEQ_2_SEQ_LM})
LABELLED = frozenset({SEQ_CLS, TOKEN_CLS})

_AUTO: dict[str, tuple[str, ...]] = {
    CAUSAL_LM: ("AutoModelForCausalLM", "AutoModelForImageTextToText"),
    SEQ_2_SEQ_LM: ("AutoModelForSeq2SeqLM", "AutoModelForSpeechSeq2Seq"),
    SEQ_CLS: ("AutoModelForSequenceClassification",),
    TOKEN_CLS: ("AutoModelForTokenClassification",),
    QUESTION_ANS: ("AutoModelForQuestionAnswering",),
    FEATURES: ("AutoModel",),
}
_TASKS: tuple[tuple[str, Any], ...] = (
    (CAUSAL_LM, auto.MODEL_FOR_CAUSAL_LM_MAPPING_NAMES),
    (SEQ_2_SEQ_LM, auto.MODEL_FOR_SEQ_TO_SEQ_CAUSAL_LM_MAPPING_NAMES),
    (SEQ_2_SEQ_LM, auto.MODEL_FOR_SPEECH_SEQ_2_SEQ_MAPPING_NAMES),
    (CAUSAL_LM, auto.MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING_NAMES),
    (SEQ_CLS, auto.MODEL_FOR_SEQUENCE_CLASSIFICATION_MAPPING_NAMES),
    (TOKEN_CLS, auto.MODEL_FOR_TOKEN_CLASSIFICATION_MAPPING_NAMES),
    (QUESTION_ANS, auto.MODEL_FOR_QUESTION_ANSWERING_MAPPING_NAMES),
    (FEATURES, auto.MODEL_MAPPING_NAMES),
)


class NoClassError(Exception):
    """No class of transformers fits; `code` is the code of a reason."""

    def __init__(self, code: str, message: str) -> None:
        """Keep the code."""
        super().__init__(message)
        self.code = code


@dataclass(frozen=True, slots=True)
class Loader:
    """A class by its name in transformers, and the task that is exercised with it."""

    name: str
    task: str

    @property
    def model_class(self) -> Any:  # noqa: ANN401 - a class of transformers
        """The class itself."""
        return getattr(transformers, self.name)


def gguf_file(folder: Path) -> str | None:
    """Give the name of the GGUF file of a base that is nothing else."""
    found = sorted(folder.glob("*.gguf"))
    return found[0].name if len(found) == 1 and not (folder / "config.json").exists() else None


def plain_config(folder: Path) -> dict[str, Any]:
    """The base's ``config.json`` as it is written; empty where there is none that can be read."""
    try:
        fields = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return fields if isinstance(fields, dict) else {}


def loader_for(config: dict[str, Any], folder: Path, *, trusted: bool = False) -> Loader:
    """Choose the class for an adapter's config and a base's folder.

    Raises:
        NoClassError: `unsupported_task` where none fits, `remote_code` where only the base's own code would.
    """
    fields = plain_config(folder)
    kind = str(fields.get("model_type", ""))
    if fields.get("auto_map") and kind not in transformers.CONFIG_MAPPING and not trusted:
        raise NoClassError("remote_code", f"the base model's type {kind!r} is known to its own code alone")
    task = config.get("task_type")
    if not task:
        return _trained_in(config, fields, folder)
    if task not in _AUTO:
        raise NoClassError("unsupported_task", f"the task type is {task}, which no class of transformers is for")
    if gguf_file(folder) is not None or kind not in transformers.CONFIG_MAPPING:
        return Loader(_AUTO[task][0], task)
    config_class = transformers.CONFIG_MAPPING[kind]
    for name in _AUTO[task]:
        if config_class in getattr(transformers, name)._model_mapping:  # noqa: SLF001 - there is no public way to ask
            return Loader(name, task)
    raise NoClassError("unsupported_task", f"transformers has no class for the task {task} on a {kind} model")


def others(loader: Loader, folder: Path) -> list[Loader]:
    """What else the base may have been loaded with in training: the classes that its config names."""
    fields = plain_config(folder)
    names = [str(name) for name in fields.get("architectures") or []]
    found = [Loader(name, task_of(name) or loader.task) for name in names if _is_model(name)]
    chosen = _mapped(loader, str(fields.get("model_type", "")))
    return [each for each in found if each.task == loader.task and each.name != chosen]


def _mapped(loader: Loader, kind: str) -> str:
    """The class that an auto class means for a type of model."""
    mapping = getattr(loader.model_class, "_model_mapping", None)
    if mapping is None or kind not in transformers.CONFIG_MAPPING:
        return loader.name
    return str(getattr(mapping.get(transformers.CONFIG_MAPPING[kind], None), "__name__", loader.name))


def task_of(architecture: str) -> str | None:
    """The task that a class of transformers is for."""
    for task, names in _TASKS:
        if architecture in _flat(names):
            return task
    return None


def _trained_in(config: dict[str, Any], fields: dict[str, Any], folder: Path) -> Loader:
    """The class that an adapter without a task was trained in."""
    mapping = config.get("auto_mapping")
    named = mapping.get("base_model_class") if isinstance(mapping, dict) else None
    names = [named] if isinstance(named, str) else [str(name) for name in fields.get("architectures") or []]
    if not names and gguf_file(folder):
        return Loader("AutoModelForCausalLM", CAUSAL_LM)  # what a GGUF file holds is a language model
    for name in names:
        if _is_model(name):
            return Loader(name, task_of(name) or FEATURES)
    told = f"the class {names[0]}, which transformers has not" if names else "nothing, and the base does not tell"
    raise NoClassError("unsupported_task", f"the config names no task type; it was trained in {told}")


def _is_model(name: str) -> bool:
    """Whether transformers has a model class of this name."""
    found = getattr(transformers, name, None)
    return isinstance(found, type) and issubclass(found, transformers.PreTrainedModel)


def _flat(names: Any) -> set[str]:  # noqa: ANN401 - transformers' ordered dict of names, or of lists of names
    """Give every class name of one of transformers' tables."""
    return {name for value in names.values() for name in ([value] if isinstance(value, str) else value)}
