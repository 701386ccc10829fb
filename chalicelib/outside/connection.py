"""One HTTP connection to a host that somebody else chose, to the very address that was looked at."""

from __future__ import annotations

import contextlib
import ipaddress
import queue
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from http.client import HTTPConnection, HTTPResponse, HTTPSConnection, LineTooLong
from typing import Any, Final
from urllib.parse import SplitResult

# Of protocols of the IETF; two addresses in it count as global.
_PROTOCOLS: Final = ipaddress.IPv4Network("192.0.0.0/24")
_NAT64: Final = ipaddress.IPv6Network("64:ff9b::/96")
# http.client takes a hundred lines of 64 KiB, which are 50 MB once they are parsed.
HEAD_LIMIT: Final = 64 * 1024


class PrivateAddressError(OSError):
    """The host has an address that is not public: to connect there is refused."""


@contextmanager
def connected(
    parts: SplitResult, seconds: float, allows: Callable[[str], bool] = lambda _address: False
) -> Iterator[HTTPConnection]:
    """Connect to the host of a URL within `seconds`, in which all else has to be done too.

    A time-out of a socket is for each of its reads, and a byte every second would never end. `allows`: of
    an address that is not public, whether it is allowed all the same. An answer whose status and headers are
    more than `HEAD_LIMIT` bytes is none. Raises OSError, PrivateAddressError.
    """
    is_secure, host = parts.scheme == "https", parts.hostname or ""
    port = parts.port or (443 if is_secure else 80)
    end = time.monotonic() + seconds
    with _connect(_addresses(host, port, seconds, allows), port, end) as plain:
        sock = plain
        if is_secure:
            tls = ssl.create_default_context()
            sock = tls.wrap_socket(plain, server_hostname=host, do_handshake_on_connect=False)
        with sock, _ending(sock, end):
            if isinstance(sock, ssl.SSLSocket):
                sock.do_handshake()
            connection = (HTTPSConnection if is_secure else HTTPConnection)(host, port)
            connection.sock, connection.response_class = sock, _Response
            with closing(connection):
                yield connection


class _Head:
    """A file as HTTPResponse reads status and headers from it: line by line."""

    def __init__(self, file: Any) -> None:
        self._file, self._left = file, HEAD_LIMIT
        self.close = file.close

    def readline(self, limit: int) -> bytes:
        """Raises LineTooLong."""
        line: bytes = self._file.readline(min(limit, self._left + 1))
        self._left -= len(line)
        if self._left < 0:
            raise LineTooLong("head")
        return line


class _Response(HTTPResponse):
    def begin(self) -> None:
        whole: Any = self.fp
        head: Any = _Head(whole)
        self.fp = head
        try:
            super().begin()
        finally:
            # None where there is no more to read.
            if self.fp is head:
                self.fp = whole


def _addresses(host: str, port: int, seconds: float, allows: Callable[[str], bool]) -> list[str]:
    """All of them or none: a name that also means an address inside is nobody's honest host."""
    found = list(dict.fromkeys(_resolved(host, port, seconds)))
    for address in found:
        if not (is_public(address) or allows(address)):
            raise PrivateAddressError(f"{host} is not a public address, and only those are connected to")
    return found


def _resolved(host: str, port: int, seconds: float) -> list[str]:
    """A resolver has no time-out that a caller can set, so it gets a thread that may be left behind."""
    answers: queue.SimpleQueue[list[str] | OSError | ValueError] = queue.SimpleQueue()

    def ask() -> None:
        try:
            found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
            answers.put([str(one[4][0]) for one in found])
        except socket.gaierror as error:
            answers.put(OSError(f"{host} resolves to no address here: {error.strerror}"))
        except (OSError, ValueError) as error:
            answers.put(error)

    threading.Thread(target=ask, daemon=True).start()
    try:
        answer = answers.get(timeout=seconds)
    except queue.Empty as error:
        raise OSError(f"no address of {host} within {seconds} seconds") from error
    if isinstance(answer, Exception):
        raise answer
    return answer


def is_public(text: str) -> bool:
    """Of an IPv6 address that carries one of IPv4 inside, that one counts."""
    address = ipaddress.ip_address(text)
    if isinstance(address, ipaddress.IPv6Address):
        inner = address.ipv4_mapped or address.sixtofour
        if address in _NAT64:
            inner = ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
        if inner is not None:
            return is_public(str(inner))
        if address.is_site_local:
            return False
    elif address in _PROTOCOLS:
        return False
    return address.is_global and not (address.is_multicast or address.is_reserved)


def is_loopback(text: str) -> bool:
    """Of an address."""
    return ipaddress.ip_address(text).is_loopback


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
