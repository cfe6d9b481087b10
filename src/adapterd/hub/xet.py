"""The deadline of a call while xet moves its bytes: a library in Rust, with connections and retries of its own."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from huggingface_hub import constants
from huggingface_hub.utils._xet import abort_xet_session

from adapterd.hub.http import Call, FinalError


@contextmanager
def bounded(call: Call) -> Iterator[None]:
    """Abort what xet does when the time of the call is over, and say that it was that.

    The whole process has one session of xet: what other calls move through it fails with it, and is tried again.
    """
    if constants.HF_HUB_DISABLE_XET:
        yield
        return
    over = threading.Event()

    def end() -> None:
        over.set()
        abort_xet_session()  # type: ignore[no-untyped-call] # the library's own

    timer = threading.Timer(call.remaining(), end)
    timer.daemon = True
    timer.start()
    try:
        yield
    except BaseException as error:
        # An aborted session raises what Ctrl-C would.
        if over.is_set() and isinstance(error, KeyboardInterrupt | Exception):
            raise FinalError(call.overdue()) from None
        raise
    finally:
        timer.cancel()
