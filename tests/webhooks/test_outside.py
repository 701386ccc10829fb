"""Where a webhook never leads: to addresses inside, by whatever name, redirect or second answer."""

from __future__ import annotations

import socket
import threading
import time
import tracemalloc
from typing import Any

import pytest

from chalicelib.outside import connection
from chalicelib.outside.connection import PrivateAddressError
from chalicelib.outside.post import ANSWER_LIMIT, Outside, RefusedUrlError
from tests.webhooks.conftest import Inbox

PUBLIC = "93.184.215.14"
INSIDE = (
    "127.0.0.1",
    "0.0.0.0",
    "10.0.0.1",
    "172.16.0.1",
    "192.168.1.1",
    "100.64.0.1",
    "169.254.169.254",
    "169.254.170.2",
    "224.0.0.1",
    "255.255.255.255",
    "::",
    "::1",
    "fe80::1",
    "fd00:ec2::254",
    "::ffff:127.0.0.1",
    "::ffff:169.254.169.254",
    "64:ff9b::a9fe:a9fe",
    "2002:7f00:1::",
)


class Names:
    """What a name means, one answer after the other; each connection is noted and refused."""

    def __init__(self, *answers: list[str]) -> None:
        self.answers, self.connected = list(answers), list[Any]()

    def resolve(self, _host: str, port: int, **_: Any) -> list[Any]:
        found = self.answers.pop(0)
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (one, port)) for one in found]

    def connect(self, where: tuple[str, int], _seconds: float) -> socket.socket:
        self.connected.append(where)
        raise ConnectionRefusedError


@pytest.fixture
def names(monkeypatch: pytest.MonkeyPatch) -> Names:
    found = Names()
    monkeypatch.setattr(connection.socket, "getaddrinfo", found.resolve)
    monkeypatch.setattr(connection.socket, "create_connection", found.connect)
    return found


@pytest.mark.parametrize("address", INSIDE)
def test_addresses_inside_are_never_connected_to(names: Names, address: str) -> None:
    names.answers = [[address], [PUBLIC, address]]
    for _ in range(2):
        with pytest.raises(PrivateAddressError):
            Outside().post("https://receiver.example/", {}, b"")
    assert names.connected == []


def test_a_name_is_resolved_once_and_connected_to_as_it_was_checked(names: Names) -> None:
    names.answers = [[PUBLIC], ["127.0.0.1"]]
    with pytest.raises(ConnectionRefusedError):
        Outside().post("https://receiver.example:8443/", {}, b"")
    assert names.connected == [(PUBLIC, 8443)]
    assert names.answers == [["127.0.0.1"]]


@pytest.mark.parametrize(
    ("inside", "host", "address", "allowed"),
    [
        ({"ci.internal"}, "ci.internal", "10.0.0.1", True),
        ({"ci.internal"}, "CI.internal", "10.0.0.1", True),
        ({"ci.internal"}, "other.internal", "10.0.0.1", False),
        ({"loopback"}, "anything.example", "127.0.0.1", True),
        ({"loopback"}, "anything.example", "169.254.169.254", False),
        ({"loopback"}, "anything.example", "::1", True),
        ({"loopback"}, "loopback", "10.0.0.1", False),
        (set(), "localhost", "127.0.0.1", False),
    ],
)
def test_a_setting_lets_named_hosts_or_this_machine_in(
    names: Names, inside: set[str], host: str, address: str, *, allowed: bool
) -> None:
    names.answers = [[address]]
    with pytest.raises(ConnectionRefusedError if allowed else PrivateAddressError):
        Outside(inside=inside).post(f"https://{host}/", {}, b"")
    assert len(names.connected) == allowed


@pytest.mark.parametrize(
    "url",
    [
        "http://receiver.example/",
        "ftp://receiver.example/",
        "file:///etc/passwd",
        "gopher://receiver.example/",
        "//receiver.example/",
        "https:///path",
        "https://",
        "https://user:secret@receiver.example/",
        "https://receiver.example/#part",
        "https://receiver.example:99999/",
        "https://receiver.example/\r\nX-Injected: 1",
        "https://receiver.example/a b",
        "https://rec\u00e9iver.example/",
        "https://[::1/",
        f"https://receiver.example/{'a' * 2048}",
    ],
)
def test_what_is_no_https_url_is_refused_before_any_name_is_looked_up(names: Names, url: str) -> None:
    with pytest.raises(RefusedUrlError):
        Outside().post(url, {}, b"")
    assert names.connected == []


def test_a_redirect_is_an_answer_and_is_not_followed(inbox: Inbox) -> None:
    inbox.answers = [(307, {"Location": f"{inbox.url}/elsewhere"})]
    outside = Outside(allows_http=True, inside={"loopback"})
    assert outside.post(f"{inbox.url}/here", {}, b"x") == 307
    assert [path for path, _, _ in inbox.got] == ["/here"]


def answering(*pieces: bytes, pause: float) -> int:
    """The port of a server that sends each piece after a pause, whatever it is asked."""
    listener = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        with listener, listener.accept()[0] as client:
            client.recv(65536)
            for piece in pieces:
                time.sleep(pause)
                try:
                    client.sendall(piece)
                except OSError:
                    return

    threading.Thread(target=serve, daemon=True).start()
    return int(listener.getsockname()[1])


def test_an_answer_that_drips_is_not_waited_for() -> None:
    port = answering(*[b"H"] * 100, pause=0.1)
    outside = Outside(allows_http=True, inside={"loopback"}, seconds=0.3)
    began = time.monotonic()
    with pytest.raises(OSError):
        outside.post(f"http://127.0.0.1:{port}/", {}, b"x")
    assert time.monotonic() - began < 5


def test_no_more_of_an_answer_is_read_than_its_limit() -> None:
    head = b"HTTP/1.1 200 OK\r\nContent-Length: 100000000\r\n\r\n"
    port = answering(head + b"x" * (2 * ANSWER_LIMIT), pause=0)
    outside = Outside(allows_http=True, inside={"loopback"}, seconds=5)
    assert outside.post(f"http://127.0.0.1:{port}/", {}, b"x") == 200


def test_headers_without_end_are_not_kept() -> None:
    """One account has 20 webhooks, and what tells them has 1 GB for everybody's."""
    lines = b"".join(b"X-%d: %s\r\n" % (number, b"x" * 65_000) for number in range(90))
    outside = Outside(allows_http=True, inside={"loopback"}, seconds=5)
    endless = b"\r\n" + b"HTTP/1.1 100 Continue\r\n\r\n" * 100_000
    for start, head in ((b"HTTP/1.1 200 OK\r\n", lines), (b"HTTP/1.1 100 Continue\r\n", endless)):
        port = answering(start + head + b"\r\n", pause=0)
        tracemalloc.start()
        with pytest.raises(OSError, match="does not speak HTTP"):
            outside.post(f"http://127.0.0.1:{port}/", {}, b"x")
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert peak < 2_000_000


def test_what_is_no_http_is_an_error_of_the_connection() -> None:
    port = answering(b"SSH-2.0-OpenSSH_9.9\r\n", pause=0)
    outside = Outside(allows_http=True, inside={"loopback"}, seconds=5)
    with pytest.raises(OSError, match="does not speak HTTP"):
        outside.post(f"http://127.0.0.1:{port}/", {}, b"x")


def test_a_name_without_an_address_is_told_as_that(monkeypatch: pytest.MonkeyPatch) -> None:
    def resolve(*_: Any, **__: Any) -> list[Any]:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(connection.socket, "getaddrinfo", resolve)
    with pytest.raises(
        OSError, match=r"^ci\.example resolves to no address here: Name or service not known$"
    ):
        Outside().post("https://ci.example/", {}, b"")
