"""Digests in the making: carried where libcrypto can, within one request where it cannot."""

from __future__ import annotations

import ctypes
import hashlib
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chalicelib.spec import running_digest
from chalicelib.spec.digest import Digest

Data = bytes | bytearray | memoryview
ALGORITHMS = ["sha256", "sha512"]
KINDS: list[Callable[[bytes], Data]] = [
    bytes,
    bytearray,
    memoryview,
    lambda data: memoryview(bytearray(data)),
]


@pytest.fixture(params=[True, False], ids=["libcrypto", "hashlib"])
def carries(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> bool:
    if not request.param:
        monkeypatch.setattr(running_digest, "CARRIES_STATE", False)
    return bool(request.param)


@pytest.mark.parametrize("algorithm", ALGORITHMS)
@pytest.mark.parametrize("kind", KINDS)
def test_any_kind_of_buffer_in_any_cuts_gives_the_same_digest(
    carries: bool,  # noqa: FBT001
    algorithm: str,
    kind: Callable[[bytes], Data],
) -> None:
    content = bytes(range(256)) * 17
    running = running_digest.start(algorithm)
    for begin in range(0, len(content), 111):
        running.update(kind(content[begin : begin + 111]))
    running.update(kind(b""))
    assert running.digest() == Digest.of(content, algorithm)
    assert running.algorithm == algorithm


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_nothing_has_a_digest(carries: bool, algorithm: str) -> None:  # noqa: FBT001
    assert running_digest.start(algorithm).digest() == Digest.of(b"", algorithm)


def test_without_libcrypto_no_state_is_given_or_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    carried = running_digest.start("sha256").state()
    monkeypatch.setattr(running_digest, "CARRIES_STATE", False)
    assert running_digest.start("sha256").state() is None
    assert carried is not None
    assert running_digest.resume("sha256", carried) is None


@pytest.mark.parametrize("algorithm", [*ALGORITHMS, "md5"])
@pytest.mark.parametrize("length", [0, 1, 111, 113, 215, 217, 1000])
def test_a_state_of_a_length_that_is_none_is_not_taken(algorithm: str, length: int) -> None:
    assert running_digest.resume(algorithm, bytes(length)) is None


def test_a_state_is_a_copy_that_later_bytes_do_not_change() -> None:
    running = running_digest.start("sha256")
    running.update(b"one")
    state = running.state()
    running.update(b"two")
    assert state is not None
    resumed = running_digest.resume("sha256", state)
    assert resumed is not None
    assert resumed.digest() == Digest.of(b"one")


@given(st.lists(st.binary(max_size=300), max_size=8), st.sampled_from(ALGORITHMS))
def test_a_digest_carried_over_every_boundary_is_that_of_the_whole(
    blocks: list[bytes], algorithm: str
) -> None:
    running = running_digest.start(algorithm)
    for block in blocks:
        running.update(block)
        resumed = running_digest.resume(algorithm, running.state() or b"")
        assert resumed is not None
        running = resumed
    assert running.digest() == f"{algorithm}:{hashlib.new(algorithm, b''.join(blocks)).hexdigest()}"


class _Wrong:
    """A libcrypto whose contexts are not what they seem: it forgets what it was given."""

    def __getattr__(self, name: str) -> Callable[..., int]:
        return lambda *_: 1


@pytest.mark.parametrize("library", [None, object(), _Wrong()], ids=["none", "without functions", "wrong"])
def test_a_library_that_does_not_carry_truly_is_found_out(
    library: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(running_digest, "_LIBRARY", library)
    assert not running_digest._self_test()


@pytest.mark.parametrize("error", [OSError, AttributeError, TypeError])
def test_a_python_without_libcrypto_is_no_error(
    error: type[Exception], monkeypatch: pytest.MonkeyPatch
) -> None:
    def absent(_name: str) -> None:
        raise error

    monkeypatch.setattr(ctypes, "CDLL", absent)
    assert running_digest._load_library() is None
