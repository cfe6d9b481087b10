"""Commits go side by side, deletions alone."""

import threading
from contextlib import ExitStack

from adapterd.sending import Sending

PATIENCE = 20.0


def test_commits_hold_up_neither_each_other_nor_other_repos() -> None:
    """Two commits to one repo, and a deletion in another, are all under way at once."""
    sending = Sending()
    with ExitStack() as all_:
        all_.enter_context(sending.commit("acme/a"))
        all_.enter_context(sending.commit("acme/a"))
        all_.enter_context(sending.alone("acme/b"))


def test_a_deletion_waits_for_commits_and_holds_up_later_ones() -> None:
    """It begins when the last commit ended; a commit that came meanwhile begins when it has ended."""
    sending, said = Sending(), list[str]()
    begun, released = threading.Event(), threading.Event()

    def delete() -> None:
        with sending.alone("acme/a"):
            said.append("deleting")
            begun.set()
            released.wait(PATIENCE)
            said.append("deleted")

    def commit() -> None:
        with sending.commit("acme/a"):
            said.append("committed")

    deleting, committing = threading.Thread(target=delete), threading.Thread(target=commit)
    with sending.commit("acme/a"):
        deleting.start()
        said.append("first")
    assert begun.wait(PATIENCE)
    committing.start()
    released.set()
    for thread in (deleting, committing):
        thread.join(PATIENCE)
    assert said == ["first", "deleting", "deleted", "committed"]
