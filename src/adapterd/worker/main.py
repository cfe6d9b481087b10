"""The worker process: ``python -m adapterd.worker.main``, started by the supervisor alone.

It reads one request a line from an inherited socket and answers there; stdout is left to the libraries, which print.
"""

import argparse
import os
import socket
import sys

from adapterd.worker.wire import pack, read_request, result_message, unpack
from adapterd.worker.yielding import yield_to_training


def serve(wire: socket.socket, threads: int) -> None:
    """Answer requests until the daemon closes its end."""
    import torch  # noqa: PLC0415 - slow, and only after this process has yielded
    import transformers  # noqa: PLC0415 - the same

    from adapterd.worker.measure import Bench, BusyError  # noqa: PLC0415 - imports PEFT

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
            try:
                answer = result_message(number, bench.measure(request), bench.hashes)
            except BusyError as exc:
                answer = {"event": "busy", "id": number, "message": str(exc), "absent": exc.absent}
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
    with socket.socket(fileno=options.fd) as wire:
        serve(wire, options.threads)


if __name__ == "__main__":
    main()
