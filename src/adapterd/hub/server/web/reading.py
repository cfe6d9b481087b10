"""What can be read of a repo through the API: its description, its tree, its commits, its refs."""

import itertools
import json
from typing import Any
from urllib.parse import parse_qs, quote, urlencode

from dulwich.objects import ObjectID
from starlette.responses import Response

from adapterd.hub.server.errors import HubError, bad_request, entry_not_found
from adapterd.hub.server.storage.refs import BRANCHES, TAGS
from adapterd.hub.server.storage.repository import Repository
from adapterd.hub.server.storage.trees import Entry, history, last_changes, lookup, walk
from adapterd.hub.server.web import answers
from adapterd.hub.server.web.call import Call, is_true

_PAGE, _EXPANDED_PAGE, _COMMIT_PAGE, _LARGEST_PAGE = 1000, 50, 50, 1000
_MOST_PATHS = 1000
_BASIC = ("_id", "id")


def reply(content: object, headers: dict[str, str] | None = None) -> Response:
    """Answer with JSON; unlike Starlette's own answer, also with what a card calls not a number."""
    return Response(json.dumps(content), media_type="application/json", headers=headers)


def info(call: Call) -> Response:
    """Describe a repo, at its main branch or at a revision."""
    record, repository = call.readable()
    oid = repository.resolve(call.params.get("revision", "main"))
    answer = answers.repo_answer(record, repository, oid, blobs=call.flag("blobs"))
    query = call.request.query_params
    wanted = [*query.getlist("expand"), *query.getlist("expand[]")]
    if "usedStorage" in wanted:
        answer["usedStorage"] = sum(size for _, size, _ in repository.lfs.entries())
    if wanted:
        return reply({key: answer[key] for key in (*_BASIC, *wanted) if key in answer})
    if call.flag("securityStatus"):
        # Nothing here scans, so nothing is pending and nothing was found.
        answer["securityRepoStatus"] = {"scansDone": True, "filesWithIssues": []}
    return reply(answer)


def tree(call: Call) -> Response:
    """List a directory, page by page; the pages stay with the commit that the first one saw."""
    record, repository = call.readable()
    oid = repository.resolve(call.params["revision"])
    path = call.params.get("path", "").strip("/")
    top = lookup(repository.objects, repository.commit_at(oid).tree, path)
    if top is None or not top.directory:
        raise entry_not_found(f"{path} does not exist on {call.params['revision']!r}", commit=oid.decode())
    recursive, expand = call.flag("recursive"), call.flag("expand")
    limit = call.number("limit", _EXPANDED_PAGE if expand else _PAGE, _LARGEST_PAGE)
    start = call.number("cursor", 0, 1 << 62)
    entries = list(itertools.islice(walk(repository.objects, top, recursive=recursive), start, start + limit + 1))
    headers = {}
    if len(entries) > limit:
        query = {"recursive": recursive, "expand": expand, "limit": limit, "cursor": start + limit}
        below = f"/{quote(path, safe='')}" if path else ""
        headers = _next(call, f"{record.id}/tree/{oid.decode()}{below}", query)
    return reply(_described(repository, oid, entries[:limit], expand=expand), headers)


def paths_info(call: Call) -> Response:
    """Describe some paths; those that are not there are left out."""
    _, repository = call.readable()
    oid = repository.resolve(call.params["revision"])
    paths, expand = _asked_paths(call)
    if len(paths) > _MOST_PATHS:
        raise HubError(413, f"At most {_MOST_PATHS} paths in one request")
    top = repository.commit_at(oid).tree
    found = [lookup(repository.objects, top, path.strip("/")) for path in paths]
    entries = [entry for entry in found if entry is not None and entry.path]
    return reply(_described(repository, oid, entries, expand=expand))


def commits(call: Call) -> Response:
    """List the commits of a revision, newest first, page by page."""
    record, repository = call.readable()
    cursor = call.request.query_params.get("cursor")
    oid = repository.resolve(cursor or call.params["revision"])
    limit = call.number("limit", _COMMIT_PAGE, _LARGEST_PAGE)
    formatted = "formatted" in call.request.query_params.getlist("expand[]")
    page = list(itertools.islice(history(repository.objects, oid), limit + 1))
    headers = {}
    if len(page) > limit:
        query: dict[str, Any] = {"limit": limit, "cursor": page[limit][0].decode()}
        query |= {"expand[]": "formatted"} if formatted else {}
        headers = _next(call, f"{record.id}/commits/{quote(call.params['revision'], safe='')}", query)
    return reply([answers.commit_answer(at, commit, formatted=formatted) for at, commit in page[:limit]], headers)


def refs(call: Call) -> Response:
    """List branches and tags, each with its commit."""
    _, repository = call.readable()
    listing: dict[str, Any] = {"converts": []}
    for member, prefix in (("branches", BRANCHES), ("tags", TAGS)):
        listing[member] = [
            {"name": name, "ref": prefix + name, "targetCommit": repository.peel(oid).decode()}
            for name, oid in repository.refs.list(prefix).items()
        ]
    if call.flag("include_prs"):
        listing["pullRequests"] = []
    return reply(listing)


def _described(repository: Repository, oid: ObjectID, entries: list[Entry], *, expand: bool) -> list[dict[str, Any]]:
    """Describe entries; expanded, also with the commit that changed each last."""
    described = [answers.entry_answer(entry) for entry in entries]
    if not expand:
        return described
    changes = last_changes(repository.objects, oid, [entry.path for entry in entries])
    return [
        answers.expanded(answer, changes[answer["path"]], repository.commit_at(changes[answer["path"]]))
        for answer in described
    ]


def _asked_paths(call: Call) -> tuple[list[str], bool]:
    """Read the paths of a form, or of a JSON body."""
    if call.request.headers.get("content-type", "").startswith("application/json"):
        body = call.json()
        paths = body.get("paths", [])
        expand = is_true(body.get("expand"))
    else:
        form = parse_qs(call.body.decode(errors="replace"), keep_blank_values=True)
        paths = form.get("paths", [])
        expand = is_true(form.get("expand", ["false"])[0])
    if not isinstance(paths, list) or not all(isinstance(path, str) for path in paths):
        raise bad_request("paths is a list of text")
    return paths, expand


def _next(call: Call, path: str, query: dict[str, Any]) -> dict[str, str]:
    """Point to the next page."""
    text = urlencode({key: str(value).lower() if isinstance(value, bool) else value for key, value in query.items()})
    return {"Link": f'<{call.base}/api/{call.kind}s/{path}?{text}>; rel="next"'}
