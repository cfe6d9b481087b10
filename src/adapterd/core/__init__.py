"""The pure core: no I/O, no clock, no third-party import."""
