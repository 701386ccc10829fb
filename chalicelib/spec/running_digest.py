"""SHA-2 whose state can be saved between requests, through libcrypto, else within one only."""

from __future__ import annotations

import ctypes
import hashlib
from typing import Any, Final, Protocol

from chalicelib.spec.digest import Digest

# sizeof(SHA256_CTX) and sizeof(SHA512_CTX) of OpenSSL's sha.h, plain integers throughout.
_CONTEXT_BYTES: Final = {"sha256": 112, "sha512": 216}


class RunningDigest(Protocol):
    """A digest in the making."""

    algorithm: str

    def update(self, data: bytes | bytearray | memoryview) -> None: ...
    def digest(self) -> Digest: ...
    def state(self) -> bytes | None:
        """What `resume` takes, or None where state cannot be carried: read back instead."""
        ...


class _Hashlib:
    """hashlib: full speed, but its state stays inside the process."""

    def __init__(self, algorithm: str) -> None:
        self.algorithm = algorithm
        self._hash = hashlib.new(algorithm)

    def update(self, data: bytes | bytearray | memoryview) -> None:
        self._hash.update(data)

    def digest(self) -> Digest:
        return Digest(f"{self.algorithm}:{self._hash.hexdigest()}")

    def state(self) -> bytes | None:
        return None


class _LibCrypto:
    """SHA*_Init, _Update and _Final of libcrypto, whose context is plain memory."""

    def __init__(self, algorithm: str, state: bytes | None = None) -> None:
        self.algorithm = algorithm
        prefix = algorithm.upper()
        self._update = getattr(_LIBRARY, f"{prefix}_Update")
        self._final = getattr(_LIBRARY, f"{prefix}_Final")
        self._context = ctypes.create_string_buffer(_CONTEXT_BYTES[algorithm])
        if state is None:
            getattr(_LIBRARY, f"{prefix}_Init")(self._context)
        else:
            ctypes.memmove(self._context, state, len(self._context))

    def update(self, data: bytes | bytearray | memoryview) -> None:
        if isinstance(data, memoryview):
            data = data.tobytes()
        size = len(data)
        if isinstance(data, bytes):
            self._update(self._context, data, ctypes.c_size_t(size))
        elif size:
            view = (ctypes.c_char * size).from_buffer(data)
            self._update(self._context, view, ctypes.c_size_t(size))

    def digest(self) -> Digest:
        copy = ctypes.create_string_buffer(self._context.raw, len(self._context))
        out = ctypes.create_string_buffer(hashlib.new(self.algorithm).digest_size)
        self._final(out, copy)
        return Digest(f"{self.algorithm}:{out.raw.hex()}")

    def state(self) -> bytes | None:
        return self._context.raw


def _load_library() -> Any:
    """The libcrypto that Python itself is linked with, if it carries state truly."""
    try:
        import _hashlib  # noqa: PLC0415 - absent where Python has no OpenSSL

        return ctypes.CDLL(_hashlib.__file__)
    except (ImportError, OSError, AttributeError, TypeError):
        return None


def _self_test() -> bool:
    """Carry a state over a block boundary and compare with hashlib."""
    try:
        for algorithm in _CONTEXT_BYTES:
            first = _LibCrypto(algorithm)
            first.update(b"a" * 200)
            second = _LibCrypto(algorithm, first.state())
            second.update(bytearray(b"b" * 77))
            if second.digest() != Digest.of(b"a" * 200 + b"b" * 77, algorithm):
                return False
    except (AttributeError, TypeError, ValueError, OSError):
        return False
    return True


_LIBRARY: Final = _load_library()
CARRIES_STATE: Final = _LIBRARY is not None and _self_test()


def start(algorithm: str) -> RunningDigest:
    return _LibCrypto(algorithm) if CARRIES_STATE else _Hashlib(algorithm)


def resume(algorithm: str, state: bytes) -> RunningDigest | None:
    """Go on from a saved state; None where this process cannot."""
    if not CARRIES_STATE or len(state) != _CONTEXT_BYTES.get(algorithm):
        return None
    return _LibCrypto(algorithm, state)
