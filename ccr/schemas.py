"""Writes docs/schemas: what is published of the forms that people write and read, as the code has them.

python -m ccr.schemas [--check]
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final

from ccr.generated import kept
from chalicelib.management import event_models, lifecycle_policy

FOLDER: Final = Path(__file__).parents[1] / "docs" / "schemas"
SCHEMAS: Final[dict[str, Callable[[], dict[str, Any]]]] = {
    "events.json": event_models.schema,
    "lifecycle-policy.json": lifecycle_policy.schema,
}


def render(name: str) -> str:
    return json.dumps(SCHEMAS[name](), indent=2) + "\n"


def main(arguments: Sequence[str]) -> int:
    made = {FOLDER / name: render(name) for name in SCHEMAS}
    return kept(made, arguments, "docs/schemas are not what the code says: run `make reference`")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
