"""The same request about what is there and about what is not, and what is left of the answers to compare."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Final
from urllib.parse import quote, unquote

import jwt

from tests.access.caller import Reply

# What two answers differ in though they say the same: a session, its capability.
_CHANCE: Final = (
    (re.compile(r"/u/[^/]+/"), "/u/CAPABILITY/"),
    (re.compile(r"[0-9a-f]{32}(?![0-9a-f])"), "SESSION"),
)
_MOMENT: Final = {"jti", "iat", "nbf", "exp"}

Spelling = Callable[[str], str]

# How a name may be written to slip past a comparison. The first is as it is.
SPELLINGS: Final[dict[str, Spelling]] = {
    "as it is": lambda name: name,
    "upper case": str.upper,
    "title": str.title,
    "look-alike": lambda name: name.replace("e", "\u0435").replace("a", "\u0430"),
    "full width": lambda name: "".join(chr(ord(c) + 0xFEE0) if c.isalnum() else c for c in name),
    "accent": lambda name: name.replace("p", "p\u0301", 1),
    "zero width": lambda name: name.replace("/", "\u200b/", 1),
    "trailing slash": lambda name: f"{name}/",
    "trailing dot": lambda name: f"{name}.",
    "leading slash": lambda name: f"/{name}",
    "double slash": lambda name: name.replace("/", "//", 1),
    "dot": lambda name: name.replace("/", "/./", 1),
    "dots": lambda name: f"{name}/../{name.rpartition('/')[2]}",
    "up": lambda name: f"own/../{name}",
    "space": lambda name: f"{name} ",
    "nul": lambda name: f"{name}\0",
    "newline": lambda name: f"{name}\n",
    "percent": lambda name: "".join(f"%{ord(c):02x}" if c.isalnum() else c for c in name),
    "percent all": lambda name: "".join(f"%{ord(c):02X}" for c in name),
    "percent twice": lambda name: "".join(f"%25{ord(c):02x}" for c in name),
    "wild": lambda name: f"{name[:-1]}*",
    "question": lambda name: f"{name[:-1]}?",
    "class": lambda name: f"[{name[0]}]{name[1:]}",
    "quote": lambda name: f'{name}"',
    "backslash": lambda name: name.replace("/", "\\", 1),
    "colon": lambda name: f"{name}:v1",
    "semicolon": lambda name: f"{name};x=1",
    "scope": lambda name: f"{name}:pull repository:{name}",
}


@dataclass(frozen=True)
class Answered:
    """A reply without what chance put into it, `NAME` for the name that was asked about."""

    status: int
    headers: tuple[tuple[str, str], ...]
    body: str
    calls: tuple[int, int]


def about(reply: Reply, *names: str) -> Answered:
    """`names`: everything that the request called it, in its own spelling too."""
    spelled = {
        form for name in names for form in (name, unquote(name, errors="replace"), quote(name), _json(name))
    }
    ordered = sorted(spelled, key=len, reverse=True)

    def plain(text: str) -> str:
        for form in ordered:
            text = text.replace(form, "NAME")
        for pattern, word in _CHANCE:
            text = pattern.sub(word, text)
        return text

    headers = {key: plain(value) for key, value in reply.headers.items()}
    return Answered(reply.status, tuple(sorted(headers.items())), plain(_body(reply)), reply.calls)


def without_tokens(reply: Reply) -> Reply:
    """Tokens read, so that two can be compared; both are as long."""
    document = json.loads(reply.body)
    for name in {"token", "access_token", "refresh_token"} & set(document):
        claims = jwt.decode(document[name], options={"verify_signature": False})
        document[name] = {key: value for key, value in claims.items() if key not in _MOMENT}
    return replace(reply, body=json.dumps(document).encode())


def _body(reply: Reply) -> str:
    return reply.body.decode(errors="replace")


def _json(text: str) -> str:
    quoted: Any = json.dumps(text)
    return str(quoted)[1:-1]
