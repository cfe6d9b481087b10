"""What a card says to copy, copied: its Python runs against the embedded Hub, and loads the version that it names."""

import json
import os
import re
import subprocess
import sys
from dataclasses import dataclass, replace
from pathlib import Path

import peft
import pytest
import torch
import transformers

from adapterd.core import adapter as ad
from adapterd.core import card, engines
from adapterd.core import publication as pub
from adapterd.core.readme import splice
from adapterd.hub.client import HubClient
from adapterd.hub.server import RunningHub
from adapterd.ports import AddBytes
from adapterd.served import facts_of as look
from deploy.conftest import TOKEN, facts_of
from helpers.tiny import SIZES, VOCABULARY, byte_tokenizer, silence

BASE, ADAPTER = "acme/tiny-base", "acme/tiny-adapter"
SUM = "print(sum(p.abs().sum().item() for n, p in model.named_parameters() if 'lora_B' in n), len(tokenizer))"


@dataclass(frozen=True)
class Shown:
    """One version's card, and the sum of its factors."""

    readme: str
    weights: float


def _files(folder: Path) -> dict[str, bytes]:
    return {
        path.name: path.read_bytes() for path in folder.iterdir() if path.name not in ("README.md", ".gitattributes")
    }


def _commit(hub: HubClient, repo: str, branch: str, files: dict[str, bytes], message: str) -> str:
    head = hub.refs(repo).branches[branch]
    return hub.commit(repo, branch, head, [AddBytes(path, data) for path, data in files.items()], message)


@pytest.fixture(scope="module")
def shown(hub: HubClient, tmp_path_factory: pytest.TempPathFactory) -> dict[int, Shown]:
    """A base, and two versions of an adapter on it with other weights each, published with their cards."""
    home = tmp_path_factory.mktemp("shown")
    torch.manual_seed(1)
    config = transformers.LlamaConfig(vocab_size=VOCABULARY, num_key_value_heads=2, **SIZES)
    with silence():
        transformers.LlamaForCausalLM(config).save_pretrained(home / "base")
        byte_tokenizer().save_pretrained(home / "base")
    for repo in (BASE, ADAPTER):
        hub.create_repo(repo, private=True)
    revision = _commit(hub, BASE, "main", _files(home / "base"), "A base")
    hub.create_branch(ADAPTER, pub.BRANCH, hub.refs(ADAPTER).branches["main"])
    return {number: _published(hub, home, number, revision) for number in (1, 2)}


def _published(hub: HubClient, home: Path, number: int, revision: str) -> Shown:
    folder = home / f"v{number}"
    torch.manual_seed(number)
    with silence():
        base = transformers.AutoModelForCausalLM.from_pretrained(home / "base")
        model = peft.get_peft_model(base, peft.LoraConfig(task_type="CAUSAL_LM", target_modules=["q_proj", "v_proj"]))
        weights = 0.0
        for name, parameter in model.named_parameters():
            if "lora_B" in name:
                torch.nn.init.normal_(parameter)
                weights += parameter.abs().sum().item()
        model.save_pretrained(folder)
        byte_tokenizer().save_pretrained(folder)
    settings = folder / ad.CONFIG
    data, _ = ad.repair_base(settings.read_bytes(), BASE)
    settings.write_bytes(data)
    payload = {name: data for name, data in _files(folder).items() if ad.is_payload(name)}
    seen = look(folder, home / "base")
    assert seen is not None
    made = facts_of(ADAPTER, number, payload)
    report = {**made.report, "engines": engines.document(engines.judge(seen))}
    facts = replace(made, config=ad.parse_config(data), base=card.BaseFacts(BASE, revision), report=report)
    readme = splice(b"", card.block(facts, number), card.metadata(facts))
    rendered = {pub.MANIFEST: card.manifest(facts, number), pub.CARD: readme, pub.PICTURE: card.picture(facts, number)}
    commit = _commit(hub, ADAPTER, pub.BRANCH, payload | rendered, card.commit_message(facts, number))
    hub.create_tag(ADAPTER, f"v{number}", commit)
    return Shown(readme.decode(), weights)


def test_what_the_card_says_to_copy_loads_the_version_that_it_names(
    shown: dict[int, Shown], server: RunningHub, tmp_path: Path
) -> None:
    """PEFT's way and transformers' way, of the older and of the newer version, each in a namespace of its own."""
    snippets = [
        code for number in (1, 2) for code in re.findall(r"```python\n(.*?)```", shown[number].readme, re.DOTALL)
    ]
    program = "\n".join(f"exec({json.dumps(code + SUM)}, {{}})" for code in snippets)
    kept = {name: os.environ[name] for name in ("PATH", "PYTHONPATH", "OMP_NUM_THREADS") if name in os.environ}
    environment = {
        "HF_ENDPOINT": server.endpoint,
        "HF_TOKEN": TOKEN,
        "HF_HOME": str(tmp_path),
        "HF_HUB_DISABLE_XET": "1",
    }
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", program],
        env=kept | environment | {"HF_HUB_DISABLE_TELEMETRY": "1"},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    loaded = [line.split() for line in done.stdout.splitlines()]
    wanted = [shown[number].weights for number in (1, 1, 2, 2)]
    assert [float(line[0]) for line in loaded] == pytest.approx(wanted, rel=1e-5)
    assert {int(line[1]) for line in loaded} == {len(byte_tokenizer())}


def test_the_hub_takes_the_card_and_serves_its_picture(shown: dict[int, Shown], hub: HubClient) -> None:
    """The card passed the Hub's check when it was committed; the paths that it links are there at its tag."""
    assert hub.read(ADAPTER, "v2", pub.CARD).decode() == shown[2].readme
    linked = re.findall(rf"\(/{ADAPTER}/(?:resolve|blob)/(v\d+)/([^)]+)\)", shown[2].readme)
    assert linked == [("v2", pub.PICTURE), ("v2", pub.MANIFEST)]
    for revision, path in linked:
        assert hub.read(ADAPTER, revision, path)
