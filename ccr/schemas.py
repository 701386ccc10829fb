"""Writes docs/schemas: what is published of the forms that people write, as the code has them.

python -m ccr.schemas [--check]
"""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from chalicelib.management import lifecycle_policy

PATH: Final = Path(__file__).parents[1] / "docs" / "schemas" / "lifecycle-policy.json"


def render() -> str:
    return json.dumps(lifecycle_policy.schema(), indent=2) + "\n"


def main(arguments: Sequence[str]) -> int:
    if "--check" not in arguments:
        PATH.parent.mkdir(exist_ok=True)
        PATH.write_text(render())
        return 0
    if PATH.exists() and PATH.read_text() == render():
        return 0
    print("docs/schemas are not what the code says: run `make reference`", file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
