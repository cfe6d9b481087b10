"""Repos as a whole: who am I, create, delete, move, settings, access; and the check of a card."""

from typing import Any

from starlette.responses import JSONResponse, Response

from adapterd.hub.server import cards
from adapterd.hub.server.accounts import authenticate, may_read, require_read, require_write
from adapterd.hub.server.errors import HubError, bad_request, repo_not_found
from adapterd.hub.server.web.call import Call, page_of

_KINDS = {"model", "dataset", "space"}
_NO_WHOAMI = "Invalid user token."


def whoami(call: Call) -> Response:
    """Say whose token this is and what it may do."""
    try:
        account = authenticate(call.hub.accounts, call.request.headers.get("authorization"))
    except HubError as error:
        raise HubError(401, _NO_WHOAMI) from error
    if account is None:
        raise HubError(401, _NO_WHOAMI)
    orgs = [{"type": "org", "name": org, "fullname": org, "roleInOrg": account.role} for org in account.orgs]
    token = {"displayName": account.name, "role": account.role}
    answer: dict[str, Any] = {"type": "user", "id": account.name, "name": account.name, "fullname": account.name}
    return JSONResponse({**answer, "orgs": orgs, "auth": {"type": "access_token", "accessToken": token}})


def create(call: Call) -> Response:
    """Make a repo with its first commit."""
    body = call.json()
    kind, repo_id = _kind(body), _target(call, body)
    account = require_write(call.account, repo_id.partition("/")[0], what=f"creating the {kind} {repo_id}")
    private = _private(body) or False
    try:
        record = call.hub.catalog.create(kind, repo_id, call.stamp(), private=private)
    except HubError as error:
        if "id" in error.extra:
            error.extra["url"] = f"{call.base}/{page_of(kind, error.extra['id'])}"
        raise
    url = f"{call.base}/{page_of(kind, record.id)}"
    return JSONResponse({"url": url, "name": record.id, "id": record.storage[:24], "user": account.name})


def delete(call: Call) -> Response:
    """Delete a repo for good."""
    body = call.json()
    record, _ = call.hub.catalog.find(_kind(body), _target(call, body))
    require_read(call.account, record)
    require_write(call.account, record.namespace, what=f"deleting {record.id}")
    call.hub.catalog.delete(record)
    return JSONResponse({})


def move(call: Call) -> Response:
    """Give a repo another name or another namespace."""
    body = call.json()
    source, target = body.get("fromRepo"), body.get("toRepo")
    if not isinstance(source, str) or not isinstance(target, str):
        raise bad_request("fromRepo and toRepo are repo ids")
    record, _ = call.hub.catalog.find(_kind(body), source)
    require_read(call.account, record)
    for namespace in (record.namespace, target.partition("/")[0]):
        require_write(call.account, namespace, what=f"moving {record.id} to {target}")
    call.hub.catalog.move(record, target)
    return JSONResponse({"url": f"{call.base}/{page_of(record.kind, target)}"})


def settings(call: Call) -> Response:
    """Hide or show a repo; this Hub has no gated repos."""
    record, _ = call.writable("changing the settings")
    body = call.json()
    if body.get("gated"):
        raise bad_request("This Hub has no gated repos")
    private = _private(body)
    if private is None:
        raise bad_request("The request changes no setting")
    call.hub.catalog.set_private(record, private=private)
    return JSONResponse({"private": private, "gated": False})


def listing(call: Call) -> Response:
    """List the repos of a kind that the asker may see, the newest first."""
    author = call.request.query_params.get("author", "").lower()
    search = call.request.query_params.get("search", "").lower()
    found = [
        {"_id": record.storage[:24], "id": record.id, "private": record.private, "gated": False, "tags": []}
        for record in sorted(call.hub.catalog.records(), key=lambda record: record.created, reverse=True)
        if record.kind == call.kind
        and may_read(call.account, record)
        and author in {"", record.namespace.lower()}
        and search in record.id.lower()
    ]
    return JSONResponse(found[: call.number("limit", len(found), len(found))])


def auth_check(call: Call) -> Response:
    """Say whether the asker may read."""
    call.readable()
    return JSONResponse({})


def auth_check_write(call: Call) -> Response:
    """Say whether the asker may write."""
    call.writable("writing")
    return JSONResponse({})


def validate_yaml(call: Call) -> Response:
    """Check the metadata of a card, before anything is uploaded."""
    content = call.json().get("content")
    if not isinstance(content, str):
        raise bad_request("content is the text of a README.md")
    found = cards.check(content)
    errors = [{"message": message} for message in found.errors]
    warnings = [{"message": message} for message in found.warnings]
    return JSONResponse({"errors": errors, "warnings": warnings}, status_code=400 if errors else 200)


def unknown(_: Call) -> Response:
    """Refuse what this Hub does not have; every 404 carries a code, so that no client mistakes it."""
    raise repo_not_found()


def _private(body: dict[str, Any]) -> bool | None:
    """Read the wanted visibility, in its present or its former spelling; None where nothing is wanted."""
    wanted = body.get("visibility")
    if wanted is None and isinstance(body.get("private"), bool):
        return bool(body["private"])
    if wanted not in (None, "public", "private"):
        raise bad_request(f"Invalid visibility: {wanted!r}")
    return None if wanted is None else wanted == "private"


def _kind(body: dict[str, Any]) -> str:
    """Read the kind of a repo."""
    kind = body.get("type") or "model"
    if not isinstance(kind, str) or kind not in _KINDS:
        raise bad_request(f"Invalid repo type: {kind!r}")
    return kind


def _target(call: Call, body: dict[str, Any]) -> str:
    """Read which repo is meant; without an organisation it is the asker's own."""
    name, organization = body.get("name"), body.get("organization")
    if not isinstance(name, str) or not name:
        raise bad_request("name is missing")
    if "/" in name:
        return name
    if call.account is None:
        raise HubError(401, "Invalid username or password.")
    return f"{organization or call.account.name}/{name}"
