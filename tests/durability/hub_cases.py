"""The table of the Hub's faults: what is done to which requests, and how it must end."""

from dataclasses import dataclass

from adapterd.hub.server.faultkinds import KINDS
from adapterd.hub.server.faults import Rule

MINUTES = 120.0
"""How long a fault of a while lasts, in seconds of the injected clock."""

DEADLINE = 0.8
"""Deadline of a Hub call, in real seconds; what hangs, hangs for so long."""

PATIENT = 20.0
"""The same where nothing hangs, so that a busy machine is no fault of the Hub."""

ELSEWHERE = "http://elsewhere"
"""Stands for another host, which answers nothing but 404 and notes who asks."""


@dataclass(frozen=True, slots=True)
class Case:
    """One fault.

    Attributes:
        name: for the table.
        rules: of the plan.
        stalls: the reason's code where a person must act; empty where the versions get out by themselves.
        remedy: what that person does, beside `retry`: nothing, a new ``token``, or ``private`` again.
        fresh: whether the fault meets the repo's first version already; else v1 is there.
        deadline: of a Hub call, in real seconds.
    """

    name: str
    rules: tuple[Rule, ...]
    stalls: str = ""
    remedy: str = ""
    fresh: bool = False
    deadline: float = PATIENT


def _rule(kind: str, on: str = "", fault: dict[str, object] | None = None, **when: object) -> Rule:
    made = KINDS[kind](**(fault or {}))
    return Rule(fault=made, on=tuple(on.split()), **when)  # type: ignore[arg-type] # by name


def _while(name: str, kind: str, on: str = "", **fault: object) -> Case:
    """A fault that lasts a while."""
    return Case(name, (_rule(kind, on, fault, seconds=MINUTES),))


def _times(name: str, kind: str, on: str, count: int = 1, *, fresh: bool = False, **fault: object) -> Case:
    """A fault that strikes some requests."""
    return Case(name, (_rule(kind, on, fault, count=count),), fresh=fresh)


def _hangs(name: str, kind: str, on: str, *, fresh: bool = False, **fault: object) -> Case:
    """A fault that only a deadline ends."""
    return Case(name, (_rule(kind, on, fault, count=1),), fresh=fresh, deadline=DEADLINE)


def _after_a_lost_commit(name: str, kind: str, count: int, **fault: object) -> Case:
    """A fault of `resolve`, which publishing asks when it finds its own commit without a tag."""
    return Case(name, (_rule("lost-answer", "commit", count=2), _rule(kind, "resolve", fault, count=count)))


def _stalls(name: str, kind: str, on: str, code: str, remedy: str = "", *, fresh: bool = False) -> Case:
    """A fault in which a person must act."""
    return Case(name, (_rule(kind, on),), code, remedy, fresh=fresh)


STORM = (
    _rule("lost-answer", "commit tag branch create-repo lfs-put", chance=0.25, seed=1, seconds=10 * MINUTES),
    _rule("error", "", {"status": 503}, chance=0.1, seed=2, seconds=10 * MINUTES),
    _rule("reset-upload", "lfs-put commit", chance=0.2, seed=3, seconds=10 * MINUTES),
    _rule("truncated", "tree refs resolve", chance=0.2, seed=4, seconds=10 * MINUTES),
    _rule("busy", "commit", chance=0.2, seed=5, seconds=10 * MINUTES),
    _rule("rate-limit", "", {"reset": 20}, chance=0.05, seed=6, seconds=10 * MINUTES),
)

CASES: tuple[Case, ...] = (
    Case("every answer 50 ms late", (_rule("latency", "", {"seconds": 0.05}, count=20),)),
    _while("429, window empty for 20 s", "rate-limit", reset=20),
    _times("429, window empty, one commit", "rate-limit", "commit", reset=55),
    _times("429, quota of commits", "quota", "commit", 2),
    _times("429, quota of new repos", "quota", "create-repo", fresh=True),
    _times("429, quota of tags", "quota", "tag"),
    _while("500 on everything", "error", status=500),
    _while("502 on everything", "error", status=502),
    _while("503 on everything", "error", status=503),
    _while("503, Retry-After 30", "error", status=503, retry_after=30),
    _times("503, Retry-After a day, once", "error", "refs", retry_after=86400),
    _times("500 on commits", "error", "commit", 2, status=500),
    _times("500 on uploads", "error", "lfs-put", 2, status=500),
    _times("500 on tags", "error", "tag", 2, status=500),
    _times("repo made, answer lost", "lost-answer", "create-repo", fresh=True),
    _times("branch made, answer lost", "lost-answer", "branch", fresh=True),
    _times("upload stored, answer lost", "lost-answer", "lfs-put"),
    _times("commit made, answer lost", "lost-answer", "commit", 2),
    _times("first commit made, answer lost", "lost-answer", "commit", fresh=True),
    _times("tag made, answer lost", "lost-answer", "tag", 2),
    _hangs("commit made, answer never comes", "silent-answer", "commit"),
    _hangs("tag made, answer never comes", "silent-answer", "tag"),
    _times("409, another commit in progress", "busy", "commit", 3),
    _times("412, the head moved", "stale", "commit", 2),
    _times("reset in mid-upload", "reset-upload", "lfs-put", 2, after=500),
    _times("reset in mid-commit", "reset-upload", "commit", 2, after=500),
    _times("reset on everything, 8 times", "reset-upload", "", 8, after=0),
    _hangs("half-open: refs", "hang", "refs"),
    _hangs("half-open: preupload", "hang", "preupload"),
    _hangs("half-open: upload", "hang", "lfs-put"),
    _hangs("half-open: commit", "hang", "commit"),
    _hangs("half-open: tag", "hang", "tag"),
    _hangs("half-open: in the middle of an answer", "hang-in-answer", "tree"),
    _hangs("an answer that trickles", "trickle", "refs", what="body", every=0.05),
    _hangs("headers that trickle", "trickle", "commit", what="headers", every=0.05),
    _times("truncated: refs", "truncated", "refs", 2, after=20),
    _times("truncated: tree", "truncated", "tree", 2, after=20),
    _after_a_lost_commit("truncated: manifest and card", "truncated", 4, after=20),
    _after_a_lost_commit("wrong bytes: manifest and card", "wrong-bytes", 4),
    _stalls("token expired", "token-expired", "", "denied", "token"),
    _stalls("token expired at the commit", "token-expired", "commit", "denied", "token"),
    _stalls("token read-only: commit", "token-read-only", "preupload commit", "denied", "token"),
    _stalls("token read-only: new repo", "token-read-only", "create-repo", "denied", "token", fresh=True),
    _stalls("token read-only: tag", "token-read-only", "tag", "denied", "token"),
    _stalls("repo gone", "repo-gone", "", "repo_vanished"),
    _stalls("repo gone at the commit", "repo-gone", "preupload commit", "repo_vanished"),
    Case("repo renamed", (_rule("rename-repo", "commit", {"to": "acme/renamed"}, count=1),)),
    Case("repo made public", (_rule("make-public", "refs", count=1),), "visibility_differs", "private"),
    Case("repo made public at the commit", (_rule("make-public", "commit", count=1),), "visibility_differs", "private"),
    _stalls("card refused", "card-refused", "card-check", "card_refused"),
    _while("a proxy's page, 200", "proxy-page", status=200),
    _while("a proxy's page, 404", "proxy-page", status=404),
    _while("a proxy's page, 502", "proxy-page", status=502),
    _times("a proxy's page for a commit, 200", "proxy-page", "commit", 2, status=200),
    _after_a_lost_commit("a proxy's page for the manifest, 200", "proxy-page", 2, status=200),
    _times("sent to another host: refs", "redirect", "refs", 2, to=ELSEWHERE),
    _after_a_lost_commit("sent to another host: manifest", "redirect", 2, to=ELSEWHERE),
    _times("sent to another host: upload", "redirect", "lfs-put", 2, to=ELSEWHERE, status=307),
    _times("sent to another host: commit", "redirect", "commit", 2, to=ELSEWHERE, status=307),
    Case("all of it, by chance", STORM, fresh=True),
)

TAKING: tuple[Case, ...] = (
    _times("truncated: manifest", "truncated", "resolve", 1, after=100),
    Case("truncated: every file", (_rule("truncated", "resolve", {"after": 300}, nth=2, count=8),)),
    Case("truncated before its first byte", (_rule("truncated", "resolve", {"after": 0}, nth=2, count=3),)),
    _times("wrong bytes: manifest", "wrong-bytes", "resolve", 1),
    Case("wrong bytes: every file", (_rule("wrong-bytes", "resolve", nth=2, count=6),)),
    Case(
        "wrong bytes and truncated",
        (
            _rule("wrong-bytes", "resolve", nth=2, count=5),
            _rule("truncated", "resolve", {"after": 400}, nth=2, count=5),
        ),
    ),
    Case("reset on every file", (_rule("reset-upload", "resolve", {"after": 0}, nth=2, count=4),)),
    Case("half-open: a file", (_rule("hang", "resolve", nth=3, count=1),), deadline=DEADLINE),
    Case(
        "half-open: in the middle of a file",
        (_rule("hang-in-answer", "resolve", {"after": 200}, nth=2, count=2),),
        deadline=DEADLINE,
    ),
    Case("a file that trickles", (_rule("trickle", "resolve", {"every": 0.05}, nth=3, count=1),), deadline=DEADLINE),
    Case("503 on files", (_rule("error", "resolve", nth=2, count=3),)),
    Case("429 on files", (_rule("rate-limit", "resolve", {"reset": 5}, nth=2, count=2),)),
    Case("a proxy's page for every file, 200", (_rule("proxy-page", "resolve", nth=2, count=3),)),
    Case("a proxy's page for the manifest, 200", (_rule("proxy-page", "resolve", count=1),)),
    Case("sent to another host", (_rule("redirect", "resolve", {"to": ELSEWHERE}, nth=2, count=2),)),
)
"""Faults that a deployer meets, in `resolve` and `pull`."""
