"""Behind a TLS proxy: the realm, the uploads and the redirects are those of the outside."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from urllib.parse import urlsplit

import pytest
import requests

from tests.conformance.tls_proxy import self_signed, tls_proxy
from tests.conformance.ways import ONCE
from tests.support.client import Client
from tests.support.content import digest_of, image
from tests.support.process import RegistryProcess, running_registry

pytestmark = ONCE


@dataclass
class Outside:
    """What clients see of a registry that listens for the proxy alone."""

    url: str
    storage_url: str
    registry: RegistryProcess
    session: requests.Session

    def client(self) -> Client:
        name = f"tls/{os.urandom(6).hex()}"
        return Client(self.url, self.registry.username, self.registry.password, name, self.session)


@pytest.fixture(scope="module")
def outside(registry: RegistryProcess, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Outside]:
    """On the S3 engine of the registry that runs already, whose address and keys are known."""
    data = tmp_path_factory.mktemp("outside")
    pem = self_signed(data)
    shutil.copy(registry.log.parent / "secrets.json", data / "secrets.json")
    storage = _storage_address(registry)
    address: list[tuple[str, int]] = []
    with (
        tls_proxy(pem, lambda: address[0]) as url,
        tls_proxy(pem, lambda: storage) as storage_url,
        requests.Session() as session,
    ):
        session.trust_env = False
        session.verify = str(pem)
        environ = {
            "CCR_PUBLIC_URL": f"{url}/",
            "CCR_S3_ENDPOINT": f"http://{storage[0]}:{storage[1]}",
            "CCR_S3_PUBLIC_ENDPOINT": storage_url,
            "CCR_BUCKET": "outside",
        }
        with running_registry(data, environ=environ) as inside:
            address.append(_address(inside.url))
            yield Outside(url, storage_url, inside, session)


def _address(url: str) -> tuple[str, int]:
    parts = urlsplit(url)
    assert parts.hostname
    assert parts.port
    return parts.hostname, parts.port


def _storage_address(registry: RegistryProcess) -> tuple[str, int]:
    with requests.Session() as session:
        client = Client(registry.url, registry.username, registry.password, "test/storage", session)
        digest = client.push_blob(b"where is S3?")
        answer = client.call("GET", client.of(f"blobs/{digest}"), allow_redirects=False)
    return _address(answer.headers["Location"])


def _realm(answer: requests.Response) -> str:
    found = re.search(r'realm="([^"]*)"', answer.headers["WWW-Authenticate"])
    assert found is not None
    return found[1]


def test_the_realm_is_the_public_one(outside: Outside) -> None:
    for url in (outside.url, outside.registry.url):
        answer = outside.session.get(f"{url}/v2/", timeout=30)
        assert _realm(answer) == f"{outside.url}/token"


def test_an_image_goes_round_through_the_proxy(outside: Outside) -> None:
    client = outside.client()
    one = image(b"under cover")
    client.push(one, "latest")
    assert client.get("manifests/latest").content == one.raw
    assert client.get(f"blobs/{digest_of(b'under cover')}").content == b"under cover"


def test_redirects_lead_to_the_public_address_of_storage(outside: Outside) -> None:
    client = outside.client()
    digest = client.push_blob(b"0123456789")
    path = client.of(f"blobs/{digest}")
    for method in ("GET", "HEAD"):
        answer = client.call(method, path, allow_redirects=False)
        assert answer.headers["Location"].startswith(f"{outside.storage_url}/outside/")
    assert client.get(f"blobs/{digest}", headers={"Range": "bytes=2-4"}).content == b"234"
    assert client.head(f"blobs/{digest}").headers["Content-Length"] == "10"


def test_nothing_else_names_the_inside(outside: Outside) -> None:
    client = outside.client()
    answers = [
        client.call("POST", client.of("blobs/uploads/")),
        client.call("POST", client.of("blobs/uploads/"), params={"digest": digest_of(b"x")}, data=b"x"),
    ]
    one = image(b"x")
    client.push_blob(one.blobs[0])
    answers.append(client.put_manifest(one, "a", params={"tag": "b"}))
    answers.append(client.get("tags/list", params={"n": "1"}))
    assert "next" in answers[-1].links
    for answer in answers:
        said = answer.text + str(dict(answer.headers))
        assert outside.registry.host not in said
        assert answer.headers.get("Location", "/").startswith("/")


@pytest.mark.parametrize(
    ("told", "scheme"),
    [("https", "https"), ("HTTPS", "https"), ("https, http", "https"), ("http", "http"), ('x"', "http")],
)
def test_the_realm_has_the_scheme_that_the_proxy_tells(client: Client, told: str, scheme: str) -> None:
    """Where no public URL is set: the host of the request, and X-Forwarded-Proto."""
    headers = {"X-Forwarded-Proto": told, "Host": "registry.example"}
    answer = client.session.get(f"{client.url}/v2/", headers=headers, timeout=30)
    assert _realm(answer) == f"{scheme}://registry.example/token"


def test_without_a_proxy_the_realm_is_where_the_client_asked(client: Client) -> None:
    assert _realm(client.session.get(f"{client.url}/v2/", timeout=30)) == f"{client.url}/token"
