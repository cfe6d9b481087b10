"""Let a name mean another directory, in one step."""

from pathlib import Path


def point(link: Path, target: str) -> None:
    """Let the link name `target`, relative to where it lies: a reader finds the old directory or the new one."""
    aside = link.with_name(f".{link.name}.adapterd-link")
    aside.unlink(missing_ok=True)
    aside.symlink_to(target)
    aside.rename(link)
