"""A request as a function URL event says it, payload format 2.0.

https://docs.aws.amazon.com/lambda/latest/dg/urls-invocation.html
"""

from __future__ import annotations

import base64
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final
from urllib.parse import parse_qsl, unquote

from chalicelib.observation.seen import Seen
from chalicelib.spec.errors import ErrorCode, RegistryError

_LENGTH: Final = re.compile(r"[0-9]{1,18}")
# An encoded slash, backslash, NUL or percent sign only ever hides one name inside another.
_HIDING: Final = re.compile(r"%(?:2f|5c|00|25)", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Request:
    """Header names are in lower case; `blocks` are the body's bytes, to be read once."""

    method: str
    raw_path: str
    query: tuple[tuple[str, str], ...]
    headers: Mapping[str, str]
    blocks: Iterable[bytes]
    source_ip: str = ""
    seen: Seen = field(default_factory=Seen, compare=False)

    @classmethod
    def from_event(
        cls, event: Mapping[str, Any], blocks: Iterable[bytes] | None = None, seen: Seen | None = None
    ) -> Request:
        """`blocks` take the place of the event's body where it is streamed beside it; `seen` takes notes."""
        http = event["requestContext"]["http"]
        return cls(
            method=str(http["method"]).upper(),
            raw_path=str(event.get("rawPath") or "/"),
            query=tuple(parse_qsl(event.get("rawQueryString") or "", keep_blank_values=True)),
            headers={name.lower(): value for name, value in (event.get("headers") or {}).items()},
            blocks=_body(event) if blocks is None else blocks,
            source_ip=str(http.get("sourceIp", "")),
            seen=Seen() if seen is None else seen,
        )

    def path(self) -> str:
        """The decoded path. Raises NAME_INVALID (400) for encodings that hide its shape."""
        if _HIDING.search(self.raw_path):
            message = (
                "the path holds an encoded slash, backslash, percent sign or NUL; send names as they are"
            )
            raise RegistryError(ErrorCode.NAME_INVALID, message)
        return unquote(self.raw_path, errors="replace")

    def body(self) -> bytes:
        return b"".join(self.blocks)

    def first(self, name: str, default: str = "") -> str:
        """The first query parameter of that name."""
        return next((value for key, value in self.query if key == name), default)

    def every(self, name: str) -> list[str]:
        return [value for key, value in self.query if key == name]

    def content_length(self) -> int | None:
        """None for a body of unknown length."""
        text = self.headers.get("content-length", "")
        return int(text) if _LENGTH.fullmatch(text) else None


def _body(event: Mapping[str, Any]) -> Iterator[bytes]:
    """Decoded when it is read, so that a body that is none is refused by whoever needs one."""
    text = event.get("body") or ""
    if not event.get("isBase64Encoded"):
        yield str(text).encode()
        return
    try:
        yield base64.b64decode(text, validate=True)
    except ValueError as error:
        raise RegistryError(ErrorCode.SIZE_INVALID, "the body is not base64; send it again") from error
