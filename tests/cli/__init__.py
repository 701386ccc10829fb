"""The command line against a running registry, and its helpers as real processes."""
