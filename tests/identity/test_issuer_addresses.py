"""Where issuers are fetched from: public addresses alone, each the very one that was looked at."""

from __future__ import annotations

import socket
import threading
from typing import Any

import pytest

from chalicelib.openid.issuer_keys import DOCUMENT_LIMIT, IssuerKeys
from chalicelib.outside import connection as module
from tests.identity.issuer import DISCOVERY, JWKS, rsa_key, running_issuer, send

PUBLIC, PUBLIC_6 = "93.184.215.14", "2606:2800:21f:cb07:6820:80da:af6b:8b2c"
KEY = rsa_key()


class Names:
    """What a name means, one answer after the other; each connection is noted and refused."""

    def __init__(self, *answers: list[str]) -> None:
        self.answers, self.asked, self.connected = list(answers), [], []

    def resolve(self, host: str, port: int, **_: Any) -> list[Any]:
        self.asked.append(host)
        found = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (one, port)) for one in found]

    def connect(self, where: tuple[str, int], _seconds: float) -> socket.socket:
        self.connected.append(where)
        raise ConnectionRefusedError


def fetch(monkeypatch: pytest.MonkeyPatch, names: Names, url: str = "https://issuer.example") -> Names:
    """It fails in any case."""
    with monkeypatch.context() as patch:
        patch.setattr(module.socket, "getaddrinfo", names.resolve)
        patch.setattr(module.socket, "create_connection", names.connect)
        with pytest.raises(OSError):
            IssuerKeys(loopback=False).fetch(url)
    return names


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1",
        "127.8.8.8",
        "0.0.0.0",
        "10.0.0.1",
        "172.16.0.1",
        "192.168.1.1",
        "169.254.169.254",
        "169.254.170.2",
        "100.64.0.1",
        "192.0.0.1",
        "192.0.0.9",
        "192.0.0.10",
        "192.0.0.170",
        "::ffff:192.0.0.9",
        "64:ff9b::c000:9",
        "198.18.0.1",
        "224.0.0.1",
        "240.0.0.1",
        "255.255.255.255",
        "::",
        "::1",
        "fe80::1",
        "fe80::1%1",
        "fc00::1",
        "fec0::1",
        "feff::1",
        "fd00:ec2::254",
        "ff02::1",
        "::ffff:127.0.0.1",
        "::ffff:169.254.169.254",
        "64:ff9b::7f00:1",
        "64:ff9b::a9fe:a9fe",
        "2002:7f00:1::",
        "2002:a9fe:a9fe::1",
        "2001:0:7f00:1::1",
        "2001:db8::1",
    ],
)
def test_an_address_inside_is_never_connected_to(monkeypatch: pytest.MonkeyPatch, address: str) -> None:
    for answer in ([address], [PUBLIC, address], [address, PUBLIC]):
        assert fetch(monkeypatch, Names(answer)).connected == []


@pytest.mark.parametrize(
    ("answer", "url", "connected"),
    [
        ([PUBLIC], "https://issuer.example", [(PUBLIC, 443)]),
        ([PUBLIC], "https://issuer.example:8443/realms/ci", [(PUBLIC, 8443)]),
        ([PUBLIC_6, PUBLIC, PUBLIC], "https://issuer.example", [(PUBLIC_6, 443), (PUBLIC, 443)]),
        ([f"::ffff:{PUBLIC}"], "https://issuer.example", [(f"::ffff:{PUBLIC}", 443)]),
    ],
)
def test_a_public_address_is_connected_to_as_it_was_found(
    monkeypatch: pytest.MonkeyPatch, answer: list[str], url: str, connected: list[tuple[str, int]]
) -> None:
    assert fetch(monkeypatch, Names(answer), url).connected == connected


def test_a_name_that_changes_its_meaning_is_asked_once(monkeypatch: pytest.MonkeyPatch) -> None:
    names = fetch(monkeypatch, Names([PUBLIC], ["127.0.0.1"]))
    assert (names.asked, names.connected) == (["issuer.example"], [(PUBLIC, 443)])


def test_an_address_in_the_url_is_looked_at_too(monkeypatch: pytest.MonkeyPatch) -> None:
    """As the machine itself reads it: some libraries take 127.1 and 0x7f000001 for 127.0.0.1."""
    for host in (
        "127.0.0.1",
        "127.1",
        "2130706433",
        "0x7f000001",
        "[::1]",
        "[::ffff:127.0.0.1]",
        "localhost",
    ):
        names = Names([PUBLIC])
        with monkeypatch.context() as patch:
            patch.setattr(module.socket, "create_connection", names.connect)
            with pytest.raises(OSError):
                IssuerKeys(loopback=False).fetch(f"https://{host}:1")
        assert names.connected == []


def test_the_keys_of_a_good_issuer_may_not_be_inside_either() -> None:
    """With loopback allowed, and nothing else: the metadata service and a network inside are not."""
    with running_issuer(KEY) as issuer:
        assert IssuerKeys(loopback=True).fetch(issuer.url)["keys"]
        for inside in ("169.254.169.254", "10.0.0.1", "[fd00:ec2::254]"):
            issuer.discovery = {"jwks_uri": f"https://{inside}/keys"}
            with pytest.raises(OSError, match="not a public address"):
                IssuerKeys(loopback=True).fetch(issuer.url)


@pytest.mark.parametrize("path", [DISCOVERY, JWKS])
def test_a_document_is_read_to_its_limit_and_no_further(path: str) -> None:
    with running_issuer(KEY) as issuer:
        issuer.replies[path] = lambda handler: send(handler, b" " * (DOCUMENT_LIMIT + 1))
        with pytest.raises(OSError, match=str(DOCUMENT_LIMIT + 1)):
            IssuerKeys(loopback=True).fetch(issuer.url)


def test_a_resolver_that_does_not_answer_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    go_on = threading.Event()
    monkeypatch.setattr("chalicelib.openid.issuer_keys.SECONDS", 0.05)
    monkeypatch.setattr(module.socket, "getaddrinfo", lambda *_, **__: go_on.wait(60) and [])
    try:
        with pytest.raises(OSError, match="within"):
            IssuerKeys(loopback=False).fetch("https://issuer.example")
    finally:
        go_on.set()
