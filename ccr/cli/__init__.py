"""The `ccr` command line: a client of /api/v1, and the helpers that docker and kubelet call."""

VERSION = "0.1.0"
