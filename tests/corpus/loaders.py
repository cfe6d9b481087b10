"""The parts of vLLM and SGLang that read an adapter, run from their source with a dummy for everything else."""

import importlib
import importlib.abc
import importlib.machinery
import importlib.util
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any, ClassVar
from unittest.mock import MagicMock

import safetensors.torch
import transformers

from adapterd.core.enginetraits import Facts

LLAMA = ("LlamaForCausalLM", "MistralForCausalLM")
_LINEAR = {"q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"}


class _Dummy(ModuleType):
    """A module in which every name means something, and nothing."""

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 - anything
        if name.startswith("__"):
            raise AttributeError(name)
        return False if name == "PIN_MEMORY" else MagicMock(name=name)


class _Finder(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Finds the real modules of one engine in its source, and a dummy for each of its others."""

    def __init__(self, engine: str, source: Path, real: Sequence[str]) -> None:
        self.engine, self.source, self.real = (
            engine,
            source,
            {name.removesuffix(".py").replace("/", ".") for name in real},
        )

    def find_spec(self, fullname: str, *_: Any) -> importlib.machinery.ModuleSpec | None:  # noqa: ANN401 - of the protocol
        """Find a module of this engine."""
        if fullname.partition(".")[0] != self.engine:
            return None
        if fullname in self.real:
            path = self.source / (fullname.replace(".", "/") + ".py")
            return importlib.util.spec_from_file_location(fullname, path)
        return importlib.machinery.ModuleSpec(fullname, self, is_package=True)

    def create_module(self, spec: importlib.machinery.ModuleSpec) -> ModuleType:
        """Give a dummy."""
        return _Dummy(spec.name)

    def exec_module(self, module: ModuleType) -> None:
        """A dummy runs nothing."""


class _Loader:
    """Some modules of one release, freshly imported."""

    name: ClassVar[str]

    def __init__(self, source: Path, modules: Sequence[str]) -> None:
        self.modules = list(modules)
        for known in [known for known in sys.modules if known.partition(".")[0] == self.name]:
            del sys.modules[known]
        sys.meta_path[:] = [finder for finder in sys.meta_path if not isinstance(finder, _Finder)]
        sys.meta_path.insert(0, _Finder(self.name, source, modules))

    def module(self, path: str) -> Any:  # noqa: ANN401 - a module that mypy does not know
        """Import a module of the engine by its path."""
        return importlib.import_module(path.removesuffix(".py").replace("/", "."))


class Vllm(_Loader):
    """vLLM: the config's rules and, of the release that was read last, the loading of the weights into CPU memory."""

    name = "vllm"
    _HELPER, _MODEL = "vllm/lora/peft_helper.py", "vllm/lora/lora_model.py"

    def __init__(self, source: Path) -> None:
        """Open a release's source."""
        newest = (source / self._MODEL).is_file() and "LoRAFullModuleWeights" in (source / self._MODEL).read_text()
        weights = [self._MODEL, "vllm/lora/lora_weights.py", "vllm/lora/utils.py"] if newest else []
        super().__init__(source, [self._HELPER, *weights])
        self.asked = [self._HELPER, *([self._MODEL, "vllm/lora/utils.py"] if newest else [])]

    def load(self, folder: Path, _base: Path, facts: Facts, rank: int) -> Mapping[str, float]:
        """Read config and, where the base is one whose layers are known here, weights; raises where it refuses.

        Gives the factor by which it scales each layer.
        """
        helper = self.module(self._HELPER).PEFTHelper.from_local_dir(str(folder), 256)
        helper.validate_legal(SimpleNamespace(max_lora_rank=rank, bias_enabled=False))
        if self._MODEL in self.modules and set(facts.architectures) & set(LLAMA):
            model = self.module(self._MODEL).LoRAModel.from_local_checkpoint(
                str(folder),
                _LINEAR | {"embed_tokens", "lm_head"},
                helper,
                lora_model_id=1,
                device="cpu",
                model_vocab_size=facts.vocabulary,
            )
            return {name: layer.scaling for name, layer in model.loras.items()}
        return dict.fromkeys(facts.modules, helper.vllm_lora_scaling_factor)


class Sglang(_Loader):
    """SGLang: the config's rules, the limits of the pool, and the fusing of the weights."""

    name = "sglang"
    _AT = "sglang/srt/lora/"

    def __init__(self, source: Path) -> None:
        """Open a release's source."""
        names = ("lora_config.py", "lora_manager.py", "mem_pool.py", "lora.py", "utils.py")
        super().__init__(source, [*(self._AT + name for name in names), "sglang/srt/layers/utils/common.py"])
        self.asked = [
            f"python/{self._AT}{name}" for name in ("lora_config.py", "lora_manager.py", "lora.py", "utils.py")
        ]

    def load(self, folder: Path, base: Path, facts: Facts, rank: int) -> Mapping[str, float]:
        """Read config and weights, and find the buffer of each; raises where it refuses.

        Gives the factor by which it scales each layer that it keeps.
        """
        layers = sys.modules.setdefault("sglang.srt.layers.utils", _Dummy("sglang.srt.layers.utils"))
        vars(layers)["get_layer_id"] = self.module("sglang/srt/layers/utils/common.py").get_layer_id
        config = self.module(f"{self._AT}lora_config.py").LoRAConfig(str(folder), base_vocab_size=facts.vocabulary)
        utils = self.module(f"{self._AT}utils.py")
        targets = utils.get_normalized_target_modules(facts.kinds)
        of_pool = SimpleNamespace(max_lora_rank=rank, lora_added_tokens_size=0, target_modules=targets)
        pool = self.module(f"{self._AT}mem_pool.py").LoRAMemoryPool
        server = SimpleNamespace(
            attn_dp_enabled=False,
            lora_refs={},
            memory_pool=SimpleNamespace(can_support=lambda given: pool.can_support(of_pool, given)),
            num_pinned_loras=0,
            max_loras_per_batch=8,
        )
        asked = SimpleNamespace(lora_name="adapter", lora_path=str(folder), pinned=False)
        self.module(f"{self._AT}lora_manager.py").LoRAManager.validate_new_adapter(server, config, asked)
        of_base = transformers.AutoConfig.from_pretrained(base)
        adapter = self.module(f"{self._AT}lora.py").LoRAAdapter("adapter", config, of_base, None, None)
        files = sorted(folder.glob("adapter_model*.safetensors"))
        tensors = {name: held for file in files for name, held in safetensors.torch.load_file(file).items()}
        adapter.initialize_weights_from_tensors(tensors)
        for layer in adapter.layers:
            for name in layer.weights:
                utils.get_target_module_name(name, targets)  # as the pool does where it fills its buffers
        return dict.fromkeys(facts.modules, adapter.scaling)
