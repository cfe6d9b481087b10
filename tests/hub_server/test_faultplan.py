"""A fault plan: which requests its rules strike, and how its file is read."""

import json
import os
from pathlib import Path

import pytest

from adapterd.hub.server.faultfile import FaultFile, FaultFileError, parse
from adapterd.hub.server.faultkinds import KINDS
from adapterd.hub.server.faults import Asked, Delay, FaultPlan, Rule, matches
from adapterd.hub.server.web.actions import ACTIONS, asked

REFS = Asked("GET", "/api/models/acme/x/refs", "refs", "acme/x")


def struck(plan: FaultPlan, times: int) -> list[bool]:
    """Whether each of some equal requests is struck."""
    return [bool(plan.strike(REFS)) for _ in range(times)]


@pytest.mark.parametrize(
    ("method", "path", "action", "repo"),
    [
        ("POST", "/api/models/acme/x/commit/feat%2Fx", "commit", "acme/x"),
        ("POST", "/api/models/acme/x/preupload/main", "preupload", "acme/x"),
        ("PUT", "/lfs/0123/object", "lfs-put", ""),
        ("POST", "/acme/x.git/info/lfs/objects/batch", "lfs-batch", "acme/x"),
        ("POST", "/datasets/acme/x.git/info/lfs/objects/verify", "lfs-verify", "acme/x"),
        ("POST", "/api/models/acme/x/tag/main", "tag", "acme/x"),
        ("DELETE", "/api/models/acme/x/tag/v1", "untag", "acme/x"),
        ("GET", "/api/models/acme/x/refs", "refs", "acme/x"),
        ("GET", "/api/datasets/acme/x/revision/main", "info", "acme/x"),
        ("HEAD", "/acme/x/resolve/v1/adapter_config.json", "resolve", "acme/x"),
        ("POST", "/api/repos/create", "create-repo", ""),
        ("POST", "/api/validate-yaml", "card-check", ""),
        ("GET", "/api/models/acme/x/auth-check", "", "acme/x"),
        ("GET", "/nowhere", "", ""),
    ],
)
def test_requests_have_names(method: str, path: str, action: str, repo: str) -> None:
    """A request is known by what it asks for, and by the repo that its path names."""
    found = asked(method, path)
    assert (found.action, found.repo) == (action, repo)
    assert found.action in {*ACTIONS, ""}


def test_a_rule_is_about_action_method_path_and_repo() -> None:
    """All that it names must fit; what it leaves out fits always."""
    fault = Delay(0)
    assert matches(Rule(fault=fault), REFS)
    assert matches(Rule(fault=fault, on=("tree", "refs"), method="GET", path="/api/*/refs", repo="acme/*"), REFS)
    for other in ({"on": ("tree",)}, {"method": "POST"}, {"path": "/api"}, {"repo": "ada/*"}):
        assert not matches(Rule(fault=fault, **other), REFS)


def test_a_rule_strikes_from_the_nth_on_and_so_many_times() -> None:
    """The second and third of five."""
    plan = FaultPlan([Rule(fault=Delay(0), nth=2, count=2)])
    assert struck(plan, 5) == [False, True, True, False, False]
    assert [strike.asked for strike in plan.strikes] == [REFS, REFS]


def test_a_rule_ends_with_its_time() -> None:
    """Its seconds run from its first strike."""
    now = [100.0]
    plan = FaultPlan([Rule(fault=Delay(0), seconds=30, nth=2)], clock=lambda: now[0])
    assert struck(plan, 1) == [False]
    now[0] = 500
    assert struck(plan, 1) == [True]
    now[0] = 529
    assert struck(plan, 1) == [True]
    now[0] = 530
    assert struck(plan, 2) == [False, False]


def test_chance_is_the_same_each_time_with_the_same_seed() -> None:
    """What happens by chance can be repeated."""
    plan = FaultPlan([Rule(fault=Delay(0), chance=0.3, seed=7)])
    first = struck(plan, 200)
    plan.use([Rule(fault=Delay(0), chance=0.3, seed=7)])
    assert struck(plan, 200) == first
    assert 40 < sum(first) < 80
    plan.use([Rule(fault=Delay(0), chance=0.3, seed=8)])
    assert struck(plan, 200) != first


def test_several_rules_strike_one_request() -> None:
    """The first in the plan stands outermost."""
    plan = FaultPlan([Rule(fault=Delay(1)), Rule(fault=Delay(2), nth=2), Rule(fault=Delay(3))])
    assert plan.strike(REFS) == [Delay(1), Delay(3)]
    assert plan.strike(REFS) == [Delay(1), Delay(2), Delay(3)]


def test_every_kind_can_be_written_in_a_file() -> None:
    """With nothing but its name, and an address where one is needed; in YAML as in JSON."""
    needs = {"redirect": {"to": "http://localhost:1"}, "rename-repo": {"to": "acme/y"}}
    rules = {"rules": [{"fault": name, "on": "refs", **needs.get(name, {})} for name in KINDS]}
    found = parse(json.dumps(rules), "plan.json")
    assert [rule.fault for rule in found] == [KINDS[name](**needs.get(name, {})) for name in KINDS]
    assert {rule.on for rule in found} == {("refs",)}
    written = "- {fault: latency, seconds: 2, on: [commit, tag], method: post, nth: 3, count: 1, repo: Acme/*}"
    assert parse(written, "plan.yaml") == (
        Rule(fault=Delay(2.0), on=("commit", "tag"), method="POST", nth=3, count=1, repo="acme/*"),
    )
    assert parse("", "plan.yaml") == parse("rules:", "plan.yaml") == ()


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("rules: [", r"plan\.yaml is neither YAML nor JSON"),
        ("faults: []", r"plan\.yaml is no plan of faults\nTry: begin with `rules:`"),
        ("- hang", r"plan\.yaml, rule 1 is no mapping"),
        ("- {on: refs}", "rule 1: fault is missing\nTry: one of latency, rate-limit"),
        ("- {fault: rate_limit}", "rule 1: fault is 'rate_limit', which is none\nTry: rate-limit\\?"),
        ("- {fault: hang}\n- {fault: hang, on: comit}", "rule 2: on is 'comit', which is none\nTry: commit\\?"),
        ("- {fault: hang, cout: 1}", "rule 1 \\(hang\\) has no key cout\nTry: count\\?"),
        ("- {fault: hang, reset: 1}", "rule 1 \\(hang\\) has no key reset"),
        ("- {fault: rate-limit, reset: soon}", "rule 1: reset is 'soon'\nTry: give a whole number"),
        ("- {fault: hang, count: -1}", "rule 1: count is -1\nTry: give a whole number"),
        ("- {fault: hang, count: true}", "rule 1: count is True"),
        ("- {fault: hang, seconds: .inf}", "rule 1: seconds is inf\nTry: give a number"),
        ("- {fault: hang, chance: 2}", "rule 1: chance is 2.0\nTry: give a number from 0 to 1"),
        ("- {fault: hang, nth: 0}", "rule 1: nth is 0\nTry: the first request is 1"),
        ("- {fault: redirect}", "rule 1: redirect needs to\nTry: add `to: ...`"),
        ("- {fault: trickle, what: bytes}", "rule 1: what is 'bytes', which is none"),
    ],
)
def test_a_wrong_plan_says_what_is_wrong_and_where(text: str, says: str) -> None:
    """Which rule, which key, and what may stand there."""
    with pytest.raises(FaultFileError, match=says):
        parse(text, "plan.yaml")


def test_a_plan_follows_its_file(tmp_path: Path) -> None:
    """A change counts from the next request on; one that cannot be read leaves what was in force."""
    path = tmp_path / "plan.yaml"
    said: list[str] = []

    def write(text: str) -> None:
        path.write_text(text)
        os.utime(path, ns=(0, len(said) + 1))

    write("- {fault: hang}")
    plan = FaultFile(path, said.append)
    assert struck(plan, 1) == [True]
    write("- {fault: hang, on: tree}")
    assert struck(plan, 1) == [False]
    write("- {fault: hnag}")
    assert struck(plan, 1) == [False]
    path.unlink()
    assert struck(plan, 1) == [False]
    assert [line.partition(";")[0] for line in said] == [
        "plan.yaml: 1 rules in force",
        "plan.yaml, rule 1: fault is 'hnag', which is none",
        f"{path} cannot be read: No such file or directory",
    ]


def test_a_plan_that_is_not_there_is_no_plan(tmp_path: Path) -> None:
    """A mistyped name ends the start."""
    with pytest.raises(FaultFileError, match=r"cannot be read: No such file.*\nTry: name a readable file"):
        FaultFile(tmp_path / "gone.yaml", print)


DOCUMENT = Path(__file__).parents[2] / "docs" / "hub-faults.md"


def test_the_documentation_knows_every_fault_and_action() -> None:
    """Its tables name all of them, and its example is a plan."""
    text = DOCUMENT.read_text()
    assert [name for name in (*KINDS, *ACTIONS) if f"`{name}`" not in text] == []
    example = text.partition("    rules:\n")[2].partition("\n\n")[0]
    assert len(parse(f"    rules:\n{example}", "example")) == 3
