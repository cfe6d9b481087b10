"""A version that died between commit and tag may be overtaken by another of its adapter."""

from collections.abc import Callable
from typing import Any

from adapterd.ports import Transient
from helpers.hosts import World
from publishing.conftest import stage
from publishing.lines import audit, drive


class Flaky:
    """A Hub that once gives no answer to a tag."""

    def __init__(self, port: object, left: list[int]) -> None:
        """Fail as long as there is something left."""
        self.port, self.left = port, left

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 - whatever the port has
        """Give the port's attribute."""
        return getattr(self.port, name)

    def create_tag(self, *args: str) -> None:
        """Tag, or not."""
        if self.left:
            self.left.pop()
            raise Transient("no answer")
        self.port.create_tag(*args)  # type: ignore[attr-defined]  # any Hub


def test_a_version_that_is_overtaken_between_commit_and_tag_is_committed_once(
    make_world: Callable[..., World], adapter: str
) -> None:
    """While one waits with a commit that has no tag, the next is published above it; both keep their one commit."""
    left: list[int] = []
    world = make_world("x", wrap_hub=lambda hub: Flaky(hub, left))
    good = [stage(world, adapter, 9)]
    drive(world)
    left.append(1)
    good += [stage(world, adapter, 1), stage(world, adapter, 2)]
    drive(world)
    assert audit([world], adapter, good) == [1, 2, 3]
