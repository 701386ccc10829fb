"""The AWS CLI as far as `open.sh` calls it, and `terraform output`. Answers are files.

Run as `aws` or `terraform`. The folder CALLS has `<operation>.json` to answer with, and gets `calls`.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import jmespath


def main() -> None:
    folder = Path(os.environ["CALLS"])
    if Path(sys.argv[0]).name == "terraform":
        assert sys.argv[2:] == ["output", "-json", "registry"], sys.argv
        print((folder / "terraform.json").read_text())
        return
    if sys.argv[1:] == ["--version"]:
        print(f"aws-cli/{os.environ.get('CLI_VERSION', '2.27.0')} Python/3.13.3 Linux/6 exe/x86_64")
        return
    service, operation, *rest = sys.argv[1:]
    positional, options = _parsed(rest)
    for name, value in options.items():
        if value.startswith("file://"):
            options[name] = Path(value.removeprefix("file://")).read_text()
    with (folder / "calls").open("a") as calls:
        calls.write(json.dumps([service, operation, options]) + "\n")
    if operation == "invoke":
        asked = json.loads(options["payload"])
        name = "setup-edge.json" if asked.get("edge") else "setup.json"
        Path(positional[0]).write_text((folder / name).read_text())
    answer = json.loads((folder / f"{operation}.json").read_text())
    if "query" in options:
        answer = jmespath.search(options["query"], answer)
    print(answer if options.get("output") == "text" else json.dumps(answer))


def _parsed(arguments: list[str]) -> tuple[list[str], dict[str, str]]:
    """`--force-new-deployment` and its like take no value."""
    positional, options, left = [], {}, list(arguments)
    while left:
        one = left.pop(0)
        if not one.startswith("--"):
            positional.append(one)
        elif left and not left[0].startswith("--"):
            options[one[2:]] = left.pop(0)
        else:
            options[one[2:]] = ""
    return positional, options


main()
