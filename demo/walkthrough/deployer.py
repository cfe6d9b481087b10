"""The deployer's side: resolve, pull, load by tag. It knows the Hub's address and has a token, and nothing else."""

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from adapterd.core.version import Stage
from adapterd.ports import RegistryReader
from walkthrough.children import Children
from walkthrough.expectations import Check
from walkthrough.home import USER, Home
from walkthrough.plan import Plan, Training
from walkthrough.services import ADAPTERD, Hub

SCRIPT = Path(__file__).resolve().parent.parent / "load_by_tag.py"


class Deployer:
    """Takes what was published from the Hub, as any other host would."""

    def __init__(self, plan: Plan, home: Home, hub: Hub, children: Children, until: float) -> None:
        """`until` is when patience ends, in monotonic seconds."""
        self._plan = plan
        self._home = home
        self._hub = hub
        self._children = children
        self._until = until
        self._environ = home.deployer(hub.endpoint) | {"HOME": str(home.path / "deployer")}

    def pull(self, training: Training, say: Callable[[str], None]) -> Check:
        """Resolve what `main` means now, and pull that version, verified byte by byte."""
        adapter = f"{USER}/{training.name}"
        endpoint = ["--endpoint", self._hub.endpoint]
        answer = self._ask(f"resolve-{training.name}", ["resolve", adapter, "--json", *endpoint])
        resolved = json.loads(answer)
        tag = resolved["tag"]
        target = self._home.path / "deployer" / training.name
        self._ask(f"pull-{training.name}", ["pull", f"{adapter}@{tag}", str(target), *endpoint])
        say(f"resolve {adapter}: {tag}, commit {resolved['commit'][:12]}; pulled and verified")
        there = {path: (target / path).stat().st_size for path in resolved["files"] if (target / path).is_file()}
        whole = {path: file["size"] for path, file in resolved["files"].items()}
        return Check(f"{adapter}@{tag}: pulled, {len(there)} files", bool(there) and there == whole)

    def _ask(self, name: str, arguments: list[str]) -> str:
        return self._children.ask(name, [*ADAPTERD, *arguments], self._environ, self._until)

    def load(self, reader: RegistryReader) -> Mapping[str, Any]:
        """Load every version by its tag with PEFT, hold the finals against the training host's folders.

        `reader` only says which versions there are, so that each one is tried.
        """
        versions = []
        for training in self._plan.trainings:
            folder = self._home.root(training.root) / training.name
            for version in reversed(reader.versions(f"{USER}/{training.name}", Stage.PUBLISHED)):
                entry = {"repo": version.adapter, "tag": version.tag, "text": str(training.text)}
                versions.append(entry | ({"folder": str(folder)} if version.final else {}))
        broken = [str(self._home.root(broken.root) / broken.name) for broken in self._plan.broken]
        plan, report = self._home.report("deployer-plan"), self._home.report("deployer")
        text = json.dumps({"base": str(self._plan.base.path), "versions": versions, "broken": broken})
        plan.write_text(text, encoding="utf-8")
        self._children.python("deployer", SCRIPT, ["--plan", str(plan), "--report", str(report)], self._environ)
        self._children.wait("deployer", self._until)
        found: Mapping[str, Any] = json.loads(report.read_text(encoding="utf-8"))
        return found


def told(found: Mapping[str, Any]) -> list[str]:
    """What the deployer saw, as lines."""
    lines = []
    for version in found["versions"]:
        text = f"{version['repo']}@{version['tag']} loaded by tag: loss on held-out text {version['loss']:.3f}"
        if "equal" in version:
            text += f"; logits less the training host's: max |d| = {version['distance']:g}"
        lines.append(text)
    return lines


def checks(found: Mapping[str, Any]) -> list[Check]:
    """Whether the Hub gives what was trained, and the broken ones are rightly refused."""
    versions = [version for version in found["versions"] if "equal" in version]
    passed = [
        Check(
            f"{v['repo']}@{v['tag']}: logits equal the training host's bit for bit, {v['effect']:.2f} off the base's",
            v["equal"] and v["effect"] > 0,
        )
        for v in versions
    ]
    return passed + [
        Check(f"{Path(b['folder']).name}: PEFT loads it without an error, and the logits are the base's", b["equal"])
        for b in found["broken"]
    ]
