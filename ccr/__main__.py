"""`python -m ccr`: the command line, as `ccr`."""

from __future__ import annotations

from ccr.cli.application import main

if __name__ == "__main__":
    main()
