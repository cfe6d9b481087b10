"""``python -m adapterd``."""

import sys

from adapterd.cli import main

if __name__ == "__main__":
    sys.exit(main())
