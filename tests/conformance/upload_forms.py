"""The forms in which the specification lets a client upload a blob."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import requests

from tests.support.client import Client

Form = Callable[[Client, bytes, str], requests.Response]


def single_post(client: Client, content: bytes, digest: str) -> requests.Response:
    path = client.of("blobs/uploads/")
    headers = {"Content-Type": "application/octet-stream"}
    return client.call("POST", path, params={"digest": digest}, data=content, headers=headers)


def post_then_put(client: Client, content: bytes, digest: str) -> requests.Response:
    return client.close_upload(client.open_upload(), digest, content)


def stream(client: Client, content: bytes, digest: str) -> requests.Response:
    """One PATCH of unknown length, with no Content-Range."""
    answer = client.patch(client.open_upload(), iter(pieces(content, 100)))
    assert answer.status_code == 202, answer.text
    return client.close_upload(answer.headers["Location"], digest)


def one_chunk(client: Client, content: bytes, digest: str) -> requests.Response:
    return client.close_upload(send_chunks(client, client.open_upload(), [content]), digest)


def many_chunks(client: Client, content: bytes, digest: str) -> requests.Response:
    chunks = list(pieces(content, len(content) // 3 + 1))
    return client.close_upload(send_chunks(client, client.open_upload(), chunks), digest)


def many_chunks_last_in_put(client: Client, content: bytes, digest: str) -> requests.Response:
    *chunks, last = pieces(content, len(content) // 3 + 1)
    location = send_chunks(client, client.open_upload(), chunks)
    return put_chunk(client, location, digest, last, len(content) - len(last))


FORMS: tuple[Form, ...] = (
    single_post,
    post_then_put,
    stream,
    one_chunk,
    many_chunks,
    many_chunks_last_in_put,
)


def send_chunks(client: Client, location: str, chunks: list[bytes]) -> str:
    """Returns where the upload goes on."""
    start = 0
    for chunk in chunks:
        answer = patch_chunk(client, location, chunk, start)
        start += len(chunk)
        assert answer.status_code == 202, answer.text
        assert answer.headers["Range"] == f"0-{start - 1}"
        location = answer.headers["Location"]
    return location


def patch_chunk(client: Client, location: str, chunk: bytes, start: int) -> requests.Response:
    return client.patch(location, chunk, Content_Range=content_range(chunk, start))


def put_chunk(client: Client, location: str, digest: str, chunk: bytes, start: int) -> requests.Response:
    return client.close_upload(location, digest, chunk, Content_Range=content_range(chunk, start))


def content_range(chunk: bytes, start: int) -> str:
    return f"{start}-{start + len(chunk) - 1}"


def pieces(content: bytes, size: int) -> Iterator[bytes]:
    for first in range(0, len(content), size):
        yield content[first : first + size]
