"""Digests: the grammar, the two algorithms, the refusals."""

from __future__ import annotations

import hashlib

import pytest

from chalicelib.spec import running_digest
from chalicelib.spec.digest import Digest
from chalicelib.spec.errors import ErrorCode, RegistryError


@pytest.mark.parametrize("algorithm", ["sha256", "sha512"])
def test_digest_of_content_parses_as_itself(algorithm: str) -> None:
    digest = Digest.of(b"content", algorithm)
    assert Digest.parse(digest) == digest
    assert digest.algorithm == algorithm


@pytest.mark.parametrize(
    "text",
    [
        "",
        "sha256",
        "sha256:",
        "sha256:" + "a" * 63,
        "sha256:" + "A" * 64,
        "sha256:" + "g" * 64,
        "sha512:" + "a" * 64,
        "md5:" + "a" * 32,
        "sha256:" + "a" * 64 + "\n",
        " sha256:" + "a" * 64,
        "../" + "a" * 64,
    ],
)
def test_what_is_no_digest_is_refused(text: str) -> None:
    with pytest.raises(RegistryError) as refused:
        Digest.parse(text)
    assert (refused.value.code, refused.value.status) == (ErrorCode.DIGEST_INVALID, 400)


@pytest.mark.parametrize("algorithm", ["sha256", "sha512"])
@pytest.mark.parametrize("cuts", [(0,), (1, 63, 64, 65), (127, 128, 129), (5000,)])
def test_running_digest_goes_on_from_a_saved_state(algorithm: str, cuts: tuple[int, ...]) -> None:
    assert running_digest.CARRIES_STATE, "this Python's libcrypto cannot carry state: uploads are read back"
    content = bytes(range(256)) * 40
    running = running_digest.start(algorithm)
    begin = 0
    for cut in cuts:
        running.update(content[begin:cut])
        resumed = running_digest.resume(algorithm, running.state() or b"")
        assert resumed is not None
        running, begin = resumed, cut
    running.update(bytearray(content[begin:]))
    assert running.digest() == f"{algorithm}:{hashlib.new(algorithm, content).hexdigest()}"


def test_asking_for_a_digest_does_not_end_it() -> None:
    running = running_digest.start("sha256")
    running.update(b"one")
    assert running.digest() == running.digest() == Digest.of(b"one")


def test_a_state_of_another_size_is_not_resumed() -> None:
    assert running_digest.resume("sha256", b"short") is None
