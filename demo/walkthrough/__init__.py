"""What `make demo` and `make e2e` share: child processes, a home, the live view, the checks at the end."""
