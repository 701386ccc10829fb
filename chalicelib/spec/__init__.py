"""The OCI specifications as pure functions: no I/O, standard library only."""
