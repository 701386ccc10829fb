"""`python -m infra.templates`: writes what is generated; `--check` says what is not as the code has it."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any, Final

from infra.templates.cloudformation import origin_response_template, template
from infra.templates.terraform import for_module

INFRA: Final = Path(__file__).parents[1]


def documents() -> dict[Path, Any]:
    """Each file and what it holds."""
    folder = INFRA / "cloudformation"
    return {
        folder / "registry.json": template(),
        folder / "origin-response.json": origin_response_template(),
        INFRA / "terraform" / "module" / "deployment.json": for_module(),
    }


def main(arguments: list[str]) -> int:
    stale = []
    for path, document in documents().items():
        text = json.dumps(document, indent=2, ensure_ascii=False) + "\n"
        if path.exists() and path.read_text() == text:
            continue
        stale.append(path)
        if "--check" not in arguments:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
    for path in stale:
        said = "is not what the code says: make templates" if "--check" in arguments else "written"
        print(f"{path.relative_to(INFRA.parent)} {said}")
    return 1 if stale and "--check" in arguments else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
