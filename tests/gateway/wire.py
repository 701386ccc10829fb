"""HTTP by the byte: a socket that sends what it is told and reads answers as they are."""

from __future__ import annotations

import json
import socket
from dataclasses import dataclass
from typing import Any, Self

TIMEOUT = 30


@dataclass(frozen=True)
class WireAnswer:
    """One answer; header names in lower case."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def entries(self) -> list[dict[str, Any]]:
        """Those of the error envelope."""
        assert self.headers["content-type"] == "application/json", self
        entries: list[dict[str, Any]] = json.loads(self.body)["errors"]
        return entries

    @property
    def codes(self) -> list[str]:
        return [entry["code"] for entry in self.entries]


class Wire:
    """One connection."""

    def __init__(self, port: int) -> None:
        self._socket = socket.create_connection(("127.0.0.1", port), TIMEOUT)
        self._file = self._socket.makefile("rb")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        self._file.close()
        self._socket.close()

    def send(self, data: bytes | str) -> None:
        self._socket.sendall(data.encode("latin-1") if isinstance(data, str) else data)

    def request(self, line: str, *headers: str, body: bytes = b"", host: bool = True) -> None:
        """The head, with a Content-Length where there is a body and none is given."""
        named = [*(["Host: registry.test"] if host else []), *headers]
        if body and not any(
            name.lower().startswith(("content-length", "transfer-encoding")) for name in named
        ):
            named.append(f"Content-Length: {len(body)}")
        self.send("\r\n".join([f"{line} HTTP/1.1", *named, "", ""]).encode("latin-1") + body)

    def answer(self, method: str = "GET") -> WireAnswer:
        """The next answer; interim ones (100) are answers too."""
        line = self._file.readline()
        assert line, "the connection was closed without an answer"
        version, status, _ = line.decode("latin-1").split(" ", 2)
        assert version == "HTTP/1.1"
        headers = {}
        while (line := self._file.readline().rstrip(b"\r\n")) != b"":
            name, _, value = line.decode("latin-1").partition(":")
            headers[name.lower()] = value.strip()
        return WireAnswer(int(status), headers, self._body(method, int(status), headers))

    def _body(self, method: str, status: int, headers: dict[str, str]) -> bytes:
        if method == "HEAD" or status in {100, 204, 304}:
            return b""
        assert "transfer-encoding" not in headers
        return self._file.read(int(headers["content-length"]))

    def read_some(self, size: int) -> bytes:
        """Of the head or the body, whatever comes."""
        return self._file.read(size)

    def is_closed(self) -> bool:
        """Whether nothing follows but the end. A reset is an error of ours."""
        return self._file.read(1) == b""

    def finish_sending(self) -> None:
        self._socket.shutdown(socket.SHUT_WR)


def chunked(*chunks: bytes) -> bytes:
    return b"".join(b"%x\r\n%s\r\n" % (len(chunk), chunk) for chunk in (*chunks, b""))
