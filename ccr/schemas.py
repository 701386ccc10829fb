"""Writes docs/schemas: what is published of the forms that people write and read, as the code has them.

python -m ccr.schemas [--check]
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final

from chalicelib.management import event_models, lifecycle_policy

FOLDER: Final = Path(__file__).parents[1] / "docs" / "schemas"
SCHEMAS: Final[dict[str, Callable[[], dict[str, Any]]]] = {
    "events.json": event_models.schema,
    "lifecycle-policy.json": lifecycle_policy.schema,
}


def render(name: str) -> str:
    return json.dumps(SCHEMAS[name](), indent=2) + "\n"


def main(arguments: Sequence[str]) -> int:
    if "--check" not in arguments:
        FOLDER.mkdir(exist_ok=True)
        for name in SCHEMAS:
            (FOLDER / name).write_text(render(name))
        return 0
    if all((FOLDER / name).exists() and (FOLDER / name).read_text() == render(name) for name in SCHEMAS):
        return 0
    print("docs/schemas are not what the code says: run `make reference`", file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
