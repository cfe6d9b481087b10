"""Run the examples of our modules and of the pages named as arguments; exit with the number of failures."""

import contextlib
import doctest
import io
import sys
import warnings
from importlib import import_module

import torch
import transformers

MODULES = ("adapterd.api", "adapterd.attaching")
OPTIONS = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE


def main() -> int:
    """Run them all; what failed is on standard output."""
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    transformers.utils.logging.disable_progress_bar()
    failed = 0
    for module in MODULES:
        found = doctest.testmod(import_module(module), optionflags=OPTIONS)
        failed += found.failed + (found.attempted == 0)
    for page in sys.argv[1:]:
        found = doctest.testfile(page, module_relative=False, optionflags=OPTIONS, encoding="utf-8")
        failed += found.failed + (found.attempted == 0)
    return failed


if __name__ == "__main__":
    with contextlib.redirect_stderr(io.StringIO()):
        status = main()
    sys.exit(status)
