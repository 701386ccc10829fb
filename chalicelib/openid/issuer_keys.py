"""The keys of an issuer by its discovery document: `identity.oidc.KeySource` over HTTPS.

https://openid.net/specs/openid-connect-discovery-1_0.html#ProviderConfig
"""

from __future__ import annotations

import contextlib
import ipaddress
import json
import queue
import socket
import ssl
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from typing import Any, Final
from urllib.parse import SplitResult, urlsplit

DOCUMENT_LIMIT: Final = 256 * 1024
SECONDS: Final = 3.0
_HEADERS: Final = {"Accept": "application/json", "Connection": "close", "User-Agent": "ccr"}
_LOOPBACK: Final = frozenset({"127.0.0.1", "localhost", "::1"})
# Of protocols of the IETF; two addresses in it count as global.
_PROTOCOLS: Final = ipaddress.IPv4Network("192.0.0.0/24")
_NAT64: Final = ipaddress.IPv6Network("64:ff9b::/96")


class IssuerKeys:
    """HTTPS only, no redirects, 256 KiB at most, and `SECONDS` for each document however slowly it comes.

    Whoever makes a trust chooses where this connects to, so it connects to public addresses only: to the
    very one that was looked at, since a name may mean another a moment later.
    `loopback`: this machine too, and by HTTP.
    """

    def __init__(self, *, loopback: bool) -> None:
        self._loopback = loopback

    def fetch(self, issuer: str) -> Mapping[str, Any]:
        """Raises OSError when it cannot be had, ValueError for what is no such document."""
        discovery = self._get(f"{issuer.rstrip('/')}/.well-known/openid-configuration")
        if discovery.get("issuer") != issuer:
            raise ValueError("the discovery document is of another issuer")
        keys = self._get(str(discovery.get("jwks_uri")))
        if not isinstance(keys.get("keys"), list):
            raise ValueError("the key set is none")  # noqa: TRY004 - what a stranger sent, not a caller's type
        return keys

    def _get(self, url: str) -> dict[str, Any]:
        parts = urlsplit(url)
        self._check(parts)
        try:
            status, body = self._answer(parts)
        except HTTPException as error:
            raise OSError(f"{parts.netloc} does not speak HTTP") from error
        if status != 200 or len(body) > DOCUMENT_LIMIT:
            raise OSError(f"{parts.netloc} answers {status} with {len(body)} bytes")
        try:
            document = json.loads(body)
        except RecursionError as error:
            raise ValueError("the document is nested too deeply") from error
        if not isinstance(document, dict):
            raise ValueError("the document is no JSON object")  # noqa: TRY004
        return document

    def _answer(self, parts: SplitResult) -> tuple[int, bytes]:
        with self._connected(parts) as connection:
            target = f"{parts.path or '/'}{'?' if parts.query else ''}{parts.query}"
            connection.request("GET", target, headers=_HEADERS)
            answer = connection.getresponse()
            return answer.status, answer.read(DOCUMENT_LIMIT + 1)

    @contextmanager
    def _connected(self, parts: SplitResult) -> Iterator[HTTPConnection]:
        """A time-out of a socket is for each of its reads, and a byte every second would never end."""
        is_secure, host = parts.scheme == "https", parts.hostname or ""
        port = parts.port or (443 if is_secure else 80)
        end = time.monotonic() + SECONDS
        with _connect(self._addresses(host, port), port, end) as plain:
            sock = plain
            if is_secure:
                tls = ssl.create_default_context()
                sock = tls.wrap_socket(plain, server_hostname=host, do_handshake_on_connect=False)
            with sock, _ending(sock, end):
                if isinstance(sock, ssl.SSLSocket):
                    sock.do_handshake()
                connection = (HTTPSConnection if is_secure else HTTPConnection)(host, port)
                connection.sock = sock
                with closing(connection):
                    yield connection

    def _addresses(self, host: str, port: int) -> list[str]:
        """All of them or none: a name that also means an address inside is nobody's honest issuer."""
        found = list(dict.fromkeys(_resolved(host, port)))
        for address in found:
            if not (_is_public(address) or (self._loopback and ipaddress.ip_address(address).is_loopback)):
                raise OSError(f"{host} is not a public address, and issuers are fetched from those only")
        return found

    def _check(self, parts: SplitResult) -> None:
        if parts.scheme == "https" and parts.hostname and not parts.username:
            return
        if not (self._loopback and parts.scheme == "http" and parts.hostname in _LOOPBACK):
            raise ValueError("issuers and their keys are fetched over https:// only")


def _resolved(host: str, port: int) -> list[str]:
    """A resolver has no time-out that a caller can set, so it gets a thread that may be left behind."""
    answers: queue.SimpleQueue[list[str] | OSError | ValueError] = queue.SimpleQueue()

    def ask() -> None:
        try:
            found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
            answers.put([str(one[4][0]) for one in found])
        except (OSError, ValueError) as error:
            answers.put(error)

    threading.Thread(target=ask, daemon=True).start()
    try:
        answer = answers.get(timeout=SECONDS)
    except queue.Empty as error:
        raise OSError(f"no address of {host} within {SECONDS} seconds") from error
    if isinstance(answer, Exception):
        raise answer
    return answer


def _is_public(text: str) -> bool:
    """Of an IPv6 address that carries one of IPv4 inside, that one counts."""
    address = ipaddress.ip_address(text)
    if isinstance(address, ipaddress.IPv6Address):
        inner = address.ipv4_mapped or address.sixtofour
        if address in _NAT64:
            inner = ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
        if inner is not None:
            return _is_public(str(inner))
        if address.is_site_local:
            return False
    elif address in _PROTOCOLS:
        return False
    return address.is_global and not (address.is_multicast or address.is_reserved)


def _connect(addresses: list[str], port: int, end: float) -> socket.socket:
    """To the first that answers. Raises OSError."""
    problem = OSError("the name has no address")
    for address in addresses:
        try:
            return socket.create_connection((address, port), max(0.001, end - time.monotonic()))
        except OSError as error:
            problem = error
    raise problem


@contextmanager
def _ending(sock: socket.socket, end: float) -> Iterator[None]:
    """Whatever is read from `sock` when the time is over fails then."""
    timer = threading.Timer(max(0.0, end - time.monotonic()), _shut, (sock,))
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


def _shut(sock: socket.socket) -> None:
    # Not the method of an SSLSocket, which takes its state from under the thread that reads.
    with contextlib.suppress(OSError):
        socket.socket.shutdown(sock, socket.SHUT_RDWR)
