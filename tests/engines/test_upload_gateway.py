"""Upload gateways as processes: what they serve, what one leaves to the other, and how they stop."""

from __future__ import annotations

import os
import re
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from urllib.parse import urljoin, urlsplit

import pytest
import requests

from chalicelib.identity.capability import derive_key
from tests.engines.backends import ACCESS_KEY, EMBEDDED, SECRET_KEY, Engines
from tests.support.client import Client, refused
from tests.support.content import digest_of
from tests.support.gateway_process import GatewayProcess, running_gateway
from tests.support.process import RegistryProcess, StartError, running_registry

TOKEN_KEY = b"key of the tests".ljust(32)
BLOCK = os.urandom(1024 * 1024)
MEBIBYTE = len(BLOCK)


@dataclass
class Site:
    """A registry, two gateways before it, and a client that opens its uploads."""

    registry: RegistryProcess
    gateways: tuple[GatewayProcess, GatewayProcess]
    environ: dict[str, str]
    folder: Path
    client: Client

    def opened(self, gateway: int = 0) -> str:
        return self.at(gateway, self.client.open_upload())

    def at(self, gateway: int, location: str) -> str:
        """The same upload, on that gateway."""
        split = urlsplit(location)
        path = split.path + (f"?{split.query}" if split.query else "")
        return urljoin(self.gateways[gateway].url, path)


@pytest.fixture(scope="module")
def site(engines: Engines, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    folder = tmp_path_factory.mktemp("site")
    settings = engines.deployment(EMBEDDED).settings
    environ = {
        "AWS_ACCESS_KEY_ID": ACCESS_KEY,
        "AWS_SECRET_ACCESS_KEY": SECRET_KEY,
        "CCR_S3_ENDPOINT": settings.s3_endpoint,
        "CCR_DYNAMODB_ENDPOINT": settings.dynamodb_endpoint,
    }
    with ExitStack() as stack:
        told = {**environ, "CCR_TOKEN_KEY": TOKEN_KEY.hex()}
        registry = stack.enter_context(running_registry(folder / "registry", environ=told))
        environ |= {
            "CCR_CAPABILITY_KEY": derive_key(TOKEN_KEY, "capability").hex(),
            "CCR_REGISTRY_URL": registry.url,
        }
        one, other = (stack.enter_context(running_gateway(folder / name, environ)) for name in ("1", "2"))
        client = Client(registry.url, registry.username, registry.password, "test/gateway")
        yield Site(registry, (one, other), environ, folder, client)


@pytest.fixture(scope="module", autouse=True)
def _keys() -> Iterator[None]:
    """For the deployment that makes tables and bucket."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AWS_ACCESS_KEY_ID", ACCESS_KEY)
        patch.setenv("AWS_SECRET_ACCESS_KEY", SECRET_KEY)
        yield


def put(location: str, digest: str, content: object = b"") -> requests.Response:
    return requests.put(location, params={"digest": digest}, data=content, timeout=60)  # type: ignore[arg-type]


def patch(location: str, content: object) -> requests.Response:
    return requests.patch(location, data=content, timeout=60)  # type: ignore[arg-type]


def is_there(site: Site, content: bytes) -> bool:
    answer = site.client.get(f"blobs/{digest_of(content)}")
    return answer.status_code == 200 and answer.content == content


@pytest.mark.parametrize("size", [0, 5, 20 * MEBIBYTE], ids=["empty", "small", "20 MiB"])
def test_a_whole_blob_in_one_put(site: Site, size: int) -> None:
    content = os.urandom(size)
    answer = put(site.opened(), digest_of(content), content)
    assert answer.status_code == 201, answer.text
    assert answer.headers["Docker-Content-Digest"] == digest_of(content)
    assert answer.headers["Location"] == f"/v2/test/gateway/blobs/{digest_of(content)}"
    assert is_there(site, content)


@pytest.mark.parametrize("algorithm", ["sha256", "sha512"])
def test_two_gateways_serve_one_upload(site: Site, algorithm: str) -> None:
    content = os.urandom(9 * MEBIBYTE) + BLOCK
    first = patch(site.opened(0), content[:MEBIBYTE])
    assert (first.status_code, first.headers["Range"]) == (202, f"0-{MEBIBYTE - 1}")
    second = patch(site.at(1, first.headers["Location"]), content[MEBIBYTE:])
    assert (second.status_code, second.headers["Range"]) == (202, f"0-{len(content) - 1}")
    closed = put(site.at(0, second.headers["Location"]), digest_of(content, algorithm))
    assert closed.status_code == 201, closed.text
    assert site.client.head(f"blobs/{digest_of(content, algorithm)}").status_code == 200


def test_what_a_client_sends_again_is_answered_again(site: Site) -> None:
    """Its answer may have been lost."""
    location, content = site.opened(), os.urandom(100)
    patch(location, content)
    for gateway in (0, 1):
        assert put(site.at(gateway, location), digest_of(content)).status_code == 201
    refused(put(location, digest_of(b"other")), 404, "BLOB_UPLOAD_UNKNOWN")
    refused(patch(location, content), 404, "BLOB_UPLOAD_UNKNOWN")


def test_a_wrong_digest_is_400_and_nothing_is_published(site: Site) -> None:
    content = os.urandom(6 * MEBIBYTE)
    refused(put(site.opened(), digest_of(b"other"), content), 400, "DIGEST_INVALID")
    assert site.client.head(f"blobs/{digest_of(content)}").status_code == 404
    assert site.client.head(f"blobs/{digest_of(b'other')}").status_code == 404


def test_the_status_of_an_upload_and_its_end(site: Site) -> None:
    location = site.opened()
    patch(location, BLOCK)
    status = requests.get(location, timeout=60)
    assert (status.status_code, status.headers["Range"]) == (204, f"0-{MEBIBYTE - 1}")
    assert requests.delete(site.at(1, location), timeout=60).status_code == 204
    refused(requests.get(location, timeout=60), 404, "BLOB_UPLOAD_UNKNOWN")


@pytest.mark.parametrize("path", ["/v2/", "/token", "/api/v1/whoami", "/", "/u/", "/v2/_catalog"])
def test_nothing_but_uploads_is_served(site: Site, path: str) -> None:
    refused(requests.get(site.gateways[0].url + path, timeout=60), 404, "UNSUPPORTED")


@pytest.mark.parametrize("path", ["/healthz", "/readyz"])
def test_it_tells_its_health(site: Site, path: str) -> None:
    assert requests.get(site.gateways[0].url + path, timeout=60).status_code == 200


def test_an_upload_without_its_capability_is_none(site: Site) -> None:
    location = site.opened()
    other = site.client.about("test/other").open_upload()
    session = location.rpartition("/")[2]
    forged = re.sub(r"/u/(.)", lambda found: f"/u/{'B' if found[1] != 'B' else 'C'}", location)
    replayed = site.at(0, other).rpartition("/")[0] + f"/{session}"
    bare = f"{site.gateways[0].url}/v2/test/gateway/blobs/uploads/{session}"
    for url, code in (
        (forged, "BLOB_UPLOAD_UNKNOWN"),
        (replayed, "BLOB_UPLOAD_UNKNOWN"),
        (bare, "UNSUPPORTED"),
    ):
        refused(patch(url, b"bytes"), 404, code)
    assert requests.get(location, timeout=60).headers["Range"] == "0-0"


def test_a_registry_that_is_away_is_503_and_the_bytes_are_kept(site: Site) -> None:
    content = os.urandom(6 * MEBIBYTE)
    location = site.opened()
    with socket.create_server(("127.0.0.1", 0)) as nobody:
        away = {**site.environ, "CCR_REGISTRY_URL": f"http://127.0.0.1:{nobody.getsockname()[1]}"}
        nobody.close()
        with running_gateway(site.folder / "away", away) as lonely:
            there = replace(site, gateways=(lonely, lonely)).at(0, location)
            answer = put(there, digest_of(content), content)
            refused(answer, 503, "BLOB_UPLOAD_INVALID")
            assert answer.headers["Retry-After"]
    assert site.client.head(f"blobs/{digest_of(content)}").status_code == 404
    assert put(location, digest_of(content)).status_code == 201
    assert is_there(site, content)


def test_one_that_cannot_reach_its_table_is_alive_and_not_ready(site: Site) -> None:
    lost = {**site.environ, "CCR_TABLE_PREFIX": "nobodys-"}
    with running_gateway(site.folder / "lost", lost) as gateway:
        assert requests.get(f"{gateway.url}/healthz", timeout=60).status_code == 200
        assert requests.get(f"{gateway.url}/readyz", timeout=60).status_code == 503


class Slow:
    """A body that stops in the middle until it is told to go on."""

    def __init__(self, content: bytes) -> None:
        self.content, self.is_half, self.go_on = content, threading.Event(), threading.Event()

    def __iter__(self) -> Iterator[bytes]:
        half = len(self.content) // 2
        yield self.content[:half]
        self.is_half.set()
        self.go_on.wait(60)
        yield self.content[half:]


def test_one_that_is_killed_in_a_part_leaves_the_session_to_the_other(site: Site, engines: Engines) -> None:
    content = os.urandom(4 * MEBIBYTE) * 4
    location = site.opened(1)
    patch(location, content[:MEBIBYTE])
    body = Slow(content[MEBIBYTE:])
    with running_gateway(site.folder / "killed", site.environ) as gateway:
        there = replace(site, gateways=(gateway, gateway)).at(0, location)

        def send() -> None:
            with pytest.raises(requests.ConnectionError):
                patch(there, body)

        sender = threading.Thread(target=send)
        sender.start()
        assert body.is_half.wait(60)
        gateway.process.kill()
        gateway.process.wait(60)
        body.go_on.set()
        sender.join(60)
    assert requests.get(location, timeout=60).headers["Range"] == f"0-{MEBIBYTE - 1}"
    refused(patch(location, b""), 409, "BLOB_UPLOAD_INVALID")
    end_lease(engines, location.rpartition("/")[2])
    answer = put(location, digest_of(content), content[MEBIBYTE:])
    assert answer.status_code == 201, answer.text
    assert is_there(site, content)


def end_lease(engines: Engines, session: str) -> None:
    """As a minute does: a dead writer has its session until its lease runs out."""
    engines.deployment(EMBEDDED).dynamodb.update_item(
        TableName="ccr-uploads",
        Key={"session": {"S": session}},
        UpdateExpression="SET lease = :past",
        ExpressionAttributeValues={":past": {"N": "1"}},
    )


def test_one_that_is_told_to_stop_finishes_what_it_has_begun(site: Site) -> None:
    content = os.urandom(MEBIBYTE) * 10
    body = Slow(content)
    answers: list[requests.Response] = []
    with running_gateway(site.folder / "drained", site.environ) as gateway:
        there = replace(site, gateways=(gateway, gateway)).at(0, site.client.open_upload())
        sender = threading.Thread(target=lambda: answers.append(patch(there, body)))
        sender.start()
        assert body.is_half.wait(60)
        gateway.process.terminate()
        _await_refusal(gateway.url)
        body.go_on.set()
        sender.join(60)
        assert gateway.process.wait(60) == 0
    assert [answer.status_code for answer in answers] == [202]
    assert put(site.at(0, answers[0].headers["Location"]), digest_of(content)).status_code == 201


def _await_refusal(url: str) -> None:
    """It takes no connection any more."""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        try:
            requests.get(f"{url}/healthz", timeout=5)
        except requests.ConnectionError:
            return
        time.sleep(0.05)
    pytest.fail("it goes on taking connections")


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"CCR_CAPABILITY_KEY": ""}, "CCR_CAPABILITY_KEY"),
        ({"CCR_CAPABILITY_KEY": "zz"}, "CCR_CAPABILITY_KEY"),
        ({"CCR_REGISTRY_URL": ""}, "CCR_REGISTRY_URL"),
        ({"CCR_REGISTRY_URL": "registry.example.id"}, "CCR_REGISTRY_URL"),
        ({"CCR_UPLOADS_AT_ONCE": "0"}, "CCR_UPLOADS_AT_ONCE"),
        ({"CCR_DRAIN_SECONDS": "soon"}, "CCR_DRAIN_SECONDS"),
    ],
)
def test_a_setting_that_is_none_is_named(site: Site, change: dict[str, str], named: str) -> None:
    with (
        pytest.raises(StartError) as raised,
        running_gateway(site.folder / f"refused-{named}", {**site.environ, **change}),
    ):
        pass
    lines = str(raised.value).strip().splitlines()
    assert lines[-1].startswith(f"ccr: {named} ")
    assert "Traceback" not in str(raised.value)
