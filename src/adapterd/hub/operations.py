"""The port's operations as those of huggingface_hub."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import BinaryIO

from huggingface_hub import CommitOperationAdd, CommitOperationCopy, CommitOperationDelete

from adapterd.hub.http import Call, join
from adapterd.ports import AddBytes, AddFile, CopyFrom, Delete, Operation


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
        case AddBytes(path=path, data=data):
            return _addition(path, data, call)
        case AddFile(path=path, source=source):
            os.stat(source)  # noqa: PTH116 - an OSError that names the file, where the library has a bare ValueError
            return _addition(path, source, call)
        case CopyFrom(path=path, revision=revision):
            return CommitOperationCopy(src_path_in_repo=path, path_in_repo=path, src_revision=revision)
        case Delete(path=path):
            return CommitOperationDelete(path_in_repo=path, is_folder=False)


def _addition(path: str, content: str | bytes, call: Call) -> CommitOperationAdd:
    addition = _Addition(path_in_repo=path, path_or_fileobj=content)
    addition.call = call
    return addition
