"""The port's operations as those of huggingface_hub."""

import base64
import json
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, BinaryIO

from huggingface_hub import CommitOperationAdd, CommitOperationCopy, CommitOperationDelete

from adapterd.hub.http import Call, join
from adapterd.ports import AddBytes, AddFile, AddRegular, AddStored, CopyFrom, Delete, Operation


class _Addition(CommitOperationAdd):
    """An addition that knows its call.

    The library uploads several large files on threads of its own, where nothing says for whom they work. Each begins
    by opening its file, so that is where the thread is told.
    """

    call: Call

    @property
    def _should_ignore(self) -> bool | None:
        """Never left out: what is published was chosen by name, whatever a `.gitignore` in the repo says."""
        return False

    @_should_ignore.setter
    def _should_ignore(self, value: bool | None) -> None:
        """Hear what the Hub found there; the library would leave such a file out without a word."""

    @contextmanager
    def as_file(self, with_tqdm: bool = False) -> Iterator[BinaryIO]:  # noqa: FBT001, FBT002 - the library's signature
        """Open the content."""
        join(self.call)
        with super().as_file(with_tqdm=with_tqdm) as file:
            yield file


def as_operation(operation: Operation, call: Call) -> CommitOperationAdd | CommitOperationCopy | CommitOperationDelete:
    """The library's operation for one of the port's, to be sent on behalf of `call`."""
    match operation:
        case AddBytes(path=path, data=data) | AddRegular(path=path, data=data):
            return _addition(path, data, call)
        case AddFile(path=path, source=source):
            os.stat(source)  # noqa: PTH116 - an OSError that names the file, where the library has a bare ValueError
            return _addition(path, source, call)
        case CopyFrom(path=path, revision=revision):
            return CommitOperationCopy(src_path_in_repo=path, path_in_repo=path, src_revision=revision)
        case Delete(path=path):
            return CommitOperationDelete(path_in_repo=path, is_folder=False)
        case AddStored(path=path):
            raise TypeError(f"{path}: what is stored already goes with AddRegular and Delete alone")


def _addition(path: str, content: str | bytes, call: Call) -> CommitOperationAdd:
    addition = _Addition(path_in_repo=path, path_or_fileobj=content)
    addition.call = call
    return addition


def in_one_request(operations: Sequence[Operation]) -> bool:
    """Whether nothing has to be asked or sent before the commit itself."""
    return any(isinstance(each, AddRegular | AddStored) for each in operations) and all(
        isinstance(each, AddRegular | AddStored | Delete) for each in operations
    )


def lines(operations: Sequence[Operation], parent: str, message: str) -> bytes:
    """The commit as the Hub takes it: one JSON object a line, the header first.

    Sent by hand: the library asks twice for the paths of what it copies, and once how each file would be stored.
    """
    title, _, body = message.partition("\n\n")
    header = {"summary": title, "description": body, "parentCommit": parent}
    found: list[dict[str, Any]] = [{"key": "header", "value": header}, *map(_line, operations)]
    return b"".join(json.dumps(each).encode() + b"\n" for each in found)


def _line(operation: Operation) -> dict[str, Any]:
    match operation:
        case AddRegular(path=path, data=data):
            content = base64.b64encode(data).decode()
            return {"key": "file", "value": {"content": content, "path": path, "encoding": "base64"}}
        case AddStored(path=path, sha256=sha256, size=size):
            return {"key": "lfsFile", "value": {"path": path, "algo": "sha256", "oid": sha256, "size": size}}
        case Delete(path=path):
            return {"key": "deletedFile", "value": {"path": path}}
        case _:
            raise TypeError(f"{operation.path} takes more than one request")
