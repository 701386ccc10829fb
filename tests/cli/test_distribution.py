"""A registry that answers `ccr pull` with more than anybody can hold."""

from __future__ import annotations

import gzip
import json
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from ccr.cli.connection import Connection
from ccr.cli.exits import CliError
from ccr.cli.transfer.content import DamagedError
from ccr.cli.transfer.distribution import Distribution
from ccr.cli.transfer.manifests import LIMIT, OCI_IMAGE, Descriptor
from ccr.cli.transfer.retry import ATTEMPTS, Patience
from tests.support.content import digest_of
from tests.support.in_thread import in_thread

MEBIBYTE = 1024 * 1024
# In MiB: more than a pull may take into memory, and than a socket holds that nobody reads.
ENDLESS = 64
MANIFEST = json.dumps({"schemaVersion": 2, "mediaType": OCI_IMAGE, "layers": []}).encode()

Answer = Callable[[BaseHTTPRequestHandler], None]


class Impatient(Patience):
    def pause(self, seconds: float) -> None:
        """At once."""


@contextmanager
def registry(answer: Answer) -> Iterator[Distribution]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.close_connection = True
            answer(self)

        def log_message(self, *_: object) -> None:
            """Quiet."""

    with in_thread(ThreadingHTTPServer(("127.0.0.1", 0), Handler)) as address:
        yield Distribution(Connection(f"http://{address}", "ci", "secret"), "dev/app", Impatient())


def whole(handler: BaseHTTPRequestHandler, body: bytes, length: int | None = None, **headers: str) -> None:
    handler.send_response(200)
    handler.send_header("Content-Length", str(len(body) if length is None else length))
    handler.send_header("Content-Type", OCI_IMAGE)
    for name, value in headers.items():
        handler.send_header(name.replace("_", "-"), value)
    handler.end_headers()
    handler.wfile.write(body)


@pytest.mark.parametrize("media_type", [OCI_IMAGE, "application/vnd.oci.image.config.v1+json"])
def test_no_more_of_a_document_is_read_than_a_manifest_may_have(media_type: str) -> None:
    written = []

    def endless(handler: BaseHTTPRequestHandler) -> None:
        whole(handler, b"", ENDLESS * MEBIBYTE)
        try:
            for _ in range(ENDLESS):
                handler.wfile.write(b" " * MEBIBYTE)
                written.append(MEBIBYTE)
        except OSError:
            return

    wanted = Descriptor(digest_of(b""), 2, media_type)
    with registry(endless) as distribution, pytest.raises(DamagedError, match=str(LIMIT)):
        distribution.fetch(wanted)
    assert len(written) < ENDLESS


def test_a_document_under_compression_is_not_unpacked() -> None:
    machine = zlib.compressobj(9, zlib.DEFLATED, 31)
    bomb = b"".join([machine.compress(b" " * MEBIBYTE) for _ in range(2 * ENDLESS)]) + machine.flush()
    with (
        registry(lambda one: whole(one, bomb, Content_Encoding="gzip")) as distribution,
        pytest.raises(DamagedError, match="is not JSON"),
    ):
        distribution.manifest("1.0")
    assert len(gzip.decompress(bomb)) == 2 * ENDLESS * MEBIBYTE


def test_a_manifest_that_was_cut_off_is_asked_for_again() -> None:
    asked = []

    def cut(handler: BaseHTTPRequestHandler) -> None:
        asked.append(handler.path)
        body = MANIFEST if len(asked) == ATTEMPTS else MANIFEST[:20]
        whole(handler, body, len(MANIFEST))

    with registry(cut) as distribution:
        assert distribution.manifest("1.0").raw == MANIFEST
    assert len(asked) == ATTEMPTS


def test_a_manifest_that_is_cut_off_every_time_is_no_damage() -> None:
    with (
        registry(lambda one: whole(one, MANIFEST[:20], len(MANIFEST))) as distribution,
        pytest.raises(CliError, match="broke"),
    ):
        distribution.manifest("1.0")
