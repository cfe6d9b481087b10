"""The worker process: ``python -m adapterd.worker.main``, started by the supervisor alone.

It reads one request a line from an inherited socket and answers there; stdout is left to the libraries, which print.
"""

import argparse
import contextlib
import os
import socket
import sys
import traceback
from typing import Any

from adapterd.worker.wire import pack, read_request, result_message, unpack
from adapterd.worker.yielding import contain, yield_to_training

_FAILED = 70
"""The exit status after an exception that nobody foresaw."""
_LONGEST = 200
"""Letters of such an exception that are told; its traceback is in the log."""


def serve(wire: socket.socket, threads: int) -> None:
    """Answer requests until the daemon closes its end."""
    import torch  # noqa: PLC0415 - slow, and only after this process has yielded
    import transformers  # noqa: PLC0415 - the same

    from adapterd.worker.measure import Bench  # noqa: PLC0415 - imports PEFT
    from adapterd.worker.room import AbsentError, BusyError, TooSmallError  # noqa: PLC0415 - with the bench

    refusals = ((AbsentError, "absent"), (TooSmallError, "too_small"), (BusyError, "busy"))
    if threads:
        torch.set_num_threads(threads)
    transformers.utils.logging.disable_progress_bar()
    bench = Bench(tell=lambda what: wire.sendall(pack({"event": "progress", "what": what})))
    wire.sendall(pack({"event": "ready"}))
    with wire.makefile("rb") as lines:
        for line in lines:
            message = unpack(line)
            number, request = message["id"], read_request(message)
            bench.hashes.update(message["hashes"])
            answer: dict[str, Any]
            try:
                answer = result_message(number, bench.measure(request), bench.hashes, spent=bench.spent)
            except BusyError as exc:
                event = next(event for kind, event in refusals if isinstance(exc, kind))
                spent = bench.spent or torch.cuda.is_initialized()  # who only waits holds nothing of a GPU
                answer = {"event": event, "id": number, "message": str(exc), "spent": spent}
            except MemoryError:
                answer = {"event": "out_of_memory", "id": number}
            sys.stdout.flush()
            sys.stderr.flush()
            wire.sendall(pack(answer))


def main() -> None:
    """Read the options, step back behind training, serve."""
    parser = argparse.ArgumentParser(prog="adapterd.worker")
    parser.add_argument("--threads", type=int, required=True)
    parser.add_argument("--fd", type=int, required=True)
    parser.add_argument("--parent", type=int, required=True)
    options = parser.parse_args()
    os.set_inheritable(options.fd, False)
    yield_to_training(options.parent)
    contain()
    with socket.socket(fileno=options.fd) as wire:
        try:
            serve(wire, options.threads)
        except BaseException as exc:  # noqa: BLE001 - a library's sys.exit would say no word, and wait for its threads
            traceback.print_exc()
            with contextlib.suppress(OSError):
                sys.stdout.flush()
                wire.sendall(pack({"event": "crashed", "what": f"{type(exc).__name__}: {exc}"[:_LONGEST]}))
            os._exit(_FAILED)


if __name__ == "__main__":
    main()
