"""What the verbs do, a room for each kind. The grammar reaches them through `adapterd.cli.lazily`."""
