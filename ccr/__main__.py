"""`python -m ccr run`: the whole registry on this machine."""

from __future__ import annotations

import argparse
import sys

from ccr import local


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="ccr", description="A private container registry with no servers in it"
    )
    commands = parser.add_subparsers(required=True, metavar="command")
    run = commands.add_parser("run", help="serve a registry from this machine, until stopped")
    run.set_defaults(command=local.main)
    return int(parser.parse_args().command())


if __name__ == "__main__":
    sys.exit(main())
