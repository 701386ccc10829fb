"""A stand-in for kubectl: it is not ours, and no cluster is here.

It notes what it is told, and keeps one service account.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from tests.cli.terminal import Terminal

_SCRIPT = f"""#!{sys.executable}
import json, pathlib, sys
place = pathlib.Path(__file__).parent
text = sys.stdin.read() if sys.argv[1] == "apply" else ""
with (place / "told").open("a") as out:
    out.write(json.dumps({{"arguments": sys.argv[1:], "text": text}}) + "\\n")
account = place / "account.json"
if sys.argv[1] == "get":
    print(account.read_text())
if sys.argv[1] == "patch":
    patch = json.loads(sys.argv[sys.argv.index("-p") + 1])
    known = json.loads(account.read_text())
    if patch["metadata"] != known["metadata"]:
        sys.exit("the object has been modified")
    account.write_text(json.dumps({{**known, **patch}}))
"""


class Kubectl:
    """On the PATH of a terminal."""

    def __init__(self, terminal: Terminal, *pull_secrets: str) -> None:
        self._folder = terminal.install("kubectl", _SCRIPT).parent
        names = [{"name": name} for name in pull_secrets]
        document = {"metadata": {"resourceVersion": "7"}, "imagePullSecrets": names}
        self.account.write_text(json.dumps(document))

    @property
    def account(self) -> Path:
        """What it shows of the service account."""
        return self._folder / "account.json"

    @property
    def pull_secrets(self) -> list[str]:
        document = json.loads(self.account.read_text())
        return [one["name"] for one in document["imagePullSecrets"]]

    @property
    def told(self) -> list[dict[str, Any]]:
        place: Path = self._folder / "told"
        return [json.loads(line) for line in place.read_text().splitlines()]
