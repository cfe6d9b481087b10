"""Change a repo's standing document, and let the registry know what it says now."""

from dataclasses import replace

from adapterd.core.standing import Edit
from adapterd.moving import document
from adapterd.ports import RepoRecord
from adapterd.steps.host import Host


def change(host: Host, adapter: str, edit: Edit, message: str) -> tuple[RepoRecord, str]:
    """Let the standing document say what `edit` makes of it; what is known of the repo now, and the commit if any.

    Raises what `moving.document.change` raises.
    """
    before = host.registry.repo(adapter) or RepoRecord(adapter)
    known = (before.standing, before.standing_head)
    said, head, commit = document.change(host.hub(), adapter, edit, message, known)
    record = replace(before, standing=said, standing_head=head)
    if record != before:
        host.registry.save_repo(record)
    return record, commit
