"""Repository names and tags: the grammars of `spec.md#pulling-manifests`."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from chalicelib.spec.digest import Digest
from chalicelib.spec.errors import ErrorCode, RegistryError

NAME_LIMIT: Final = 255
_COMPONENT: Final = r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*"
_NAME: Final = re.compile(rf"{_COMPONENT}(?:/{_COMPONENT})*")
_TAG: Final = re.compile(r"[a-zA-Z0-9_][a-zA-Z0-9._-]{0,127}")


@dataclass(frozen=True, slots=True)
class Repository:
    """A repository of an account; the first segment of its name is its registry."""

    account: str
    name: str

    @property
    def registry(self) -> str:
        return self.name.partition("/")[0]


def check_name(name: str) -> str:
    """Return `name`. Raises NAME_INVALID (400) outside the grammar or over 255 characters."""
    if len(name) > NAME_LIMIT:
        raise RegistryError(ErrorCode.NAME_INVALID, f"a repository name has at most {NAME_LIMIT} characters")
    if not _NAME.fullmatch(name):
        message = "a repository name is made of lower-case letters, digits, and single . _ or - between them"
        raise RegistryError(ErrorCode.NAME_INVALID, message, ({"name": name},))
    return name


def is_name(text: str) -> bool:
    return len(text) <= NAME_LIMIT and _NAME.fullmatch(text) is not None


def is_tag(text: str) -> bool:
    return _TAG.fullmatch(text) is not None


def check_tag(tag: str) -> str:
    """Return `tag`. Raises MANIFEST_INVALID (400) outside the grammar (128 characters)."""
    if not is_tag(tag):
        message = "a tag has 1 to 128 of letters, digits, _ . and -, and starts with none of . and -"
        raise RegistryError(ErrorCode.MANIFEST_INVALID, message, ({"tag": tag[:200]},))
    return tag


def parse_reference(text: str) -> Digest | str:
    """A `Digest` where `text` has a colon, else a checked tag."""
    return Digest.parse(text) if ":" in text else check_tag(text)
