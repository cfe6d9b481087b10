"""The validation worker: a supervisor without torch, and the process that it starts."""
