"""An image's name as people write it: dev/app:1.0, or dev/app with @ and a digest."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

import typer

DIGEST: Final = r"sha(?:256:[0-9a-f]{64}|512:[0-9a-f]{128})"
_FORM: Final = re.compile(
    r"(?P<repository>[a-z0-9]+(?:[._/-]+[a-z0-9]+)*)"
    r"(?::(?P<tag>[A-Za-z0-9_][A-Za-z0-9._-]{0,127}))?"
    rf"(?:@(?P<digest>{DIGEST}))?"
)


@dataclass(frozen=True, slots=True)
class Reference:
    """A digest says more than a tag."""

    repository: str
    tag: str
    digest: str = ""

    @property
    def manifest(self) -> str:
        """As a path of a manifest ends."""
        return self.digest or self.tag

    def __str__(self) -> str:
        return f"{self.repository}@{self.digest}" if self.digest else f"{self.repository}:{self.tag}"


def parse_reference(text: str) -> Reference:
    """Without a host; the tag `latest` where none is said, as docker has it. Raises BadParameter."""
    found = _FORM.fullmatch(text)
    if found is None or "/" not in found["repository"]:
        raise typer.BadParameter(f"{text!r} is no image of a registry: dev/app:1.0")
    return Reference(found["repository"], found["tag"] or "latest", found["digest"] or "")
