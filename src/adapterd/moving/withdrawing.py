"""yank and unyank: a version that nobody gets unasked any more, and one that they get again. By Hub alone."""

import json

from adapterd.core import publication as pub
from adapterd.core.standing import Said, with_yank, without_yank, yanked
from adapterd.moving import document
from adapterd.moving.acts import names_of
from adapterd.moving.errors import RefusedError
from adapterd.moving.version import demand
from adapterd.ports import Hub, NotFound, Refs


def yank(hub: Hub, repo: str, number: int, said: Said) -> bool:
    """Withdraw a version; False where it is withdrawn already.

    Raises:
        NotFound: there is no such version, or it was erased.
        RefusedError: a channel holds it, or was moved to it meanwhile.
    """
    refs = hub.refs(repo)
    known = document.read(hub, repo, refs)
    demand(repo, number, refs, known[0])
    seen: dict[str, bool] = {}
    if holders := _holders(hub, repo, number, refs, seen):
        raise _holding(repo, holders, f"{repo}@v{number} is not yanked")
    if number in yanked(known[0]):
        return False
    message = f"Yank v{number}\n\nBy {said.actor}. {said.reason}".strip()
    document.change(hub, repo, lambda d: with_yank(d, number, said), message, known, refs)
    # Whoever promotes reads the yanks before it moves, so a channel may have been moved in between.
    if holders := _holders(hub, repo, number, hub.refs(repo), seen):
        raise _holding(repo, holders, f"{repo}@v{number} is yanked")
    return True


def unyank(hub: Hub, repo: str, number: int, said: Said) -> bool:
    """Take a withdrawal back; False where there is none. NotFound where there is no such version, or it was erased."""
    refs = hub.refs(repo)
    known = document.read(hub, repo, refs)
    demand(repo, number, refs, known[0])
    message = f"Unyank v{number}\n\nBy {said.actor}. {said.reason}".strip()
    return bool(document.change(hub, repo, lambda d: without_yank(d, number), message, known, refs)[2])


def number_at(hub: Hub, repo: str, commit: str) -> int | None:
    """The version that a commit holds, by its manifest; None where it holds none of ours."""
    try:
        number = json.loads(hub.read(repo, commit, pub.MANIFEST))["number"]
    except (NotFound, ValueError, KeyError, TypeError, RecursionError):
        return None
    return number if isinstance(number, int) else None


def _holders(hub: Hub, repo: str, number: int, refs: Refs, seen: dict[str, bool]) -> list[str]:
    """The channels that hold a version; `seen` are the heads that were read already."""
    found = []
    for name in names_of(refs):
        head = refs.branches[name]
        if head not in seen:
            seen[head] = number_at(hub, repo, head) == number
        if seen[head]:
            found.append(name)
    return found


def _holding(repo: str, holders: list[str], what: str) -> RefusedError:
    names = ", ".join(holders)
    said = f"channel {names} holds it" if len(holders) == 1 else f"channels {names} hold it"
    hint = f"first adapterd rollback {repo} --channel {holders[0]}"
    return RefusedError(f"{what}: {said}", hint)
