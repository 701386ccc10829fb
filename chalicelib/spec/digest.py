"""Content digests: `algorithm:encoded` of the OCI image specification, sha256 and sha512."""

from __future__ import annotations

import hashlib
import re
from typing import Final

from chalicelib.spec.errors import ErrorCode, RegistryError

HEX_LENGTHS: Final = {"sha256": 64, "sha512": 128}
_GRAMMAR: Final = re.compile(r"([a-z0-9]+(?:[+._-][a-z0-9]+)*):([a-zA-Z0-9=_-]+)")
_HEX: Final = re.compile(r"[0-9a-f]+")


class Digest(str):
    """A digest that has been checked; compares and prints as its text."""

    __slots__ = ()

    @property
    def algorithm(self) -> str:
        return self.partition(":")[0]

    @classmethod
    def parse(cls, text: str) -> Digest:
        """Check `text`. Raises DIGEST_INVALID (400) for bad grammar or an unknown algorithm."""
        match = _GRAMMAR.fullmatch(text)
        if match is None:
            raise _invalid(text, "a digest looks like sha256:<64 lower-case hex digits>")
        algorithm, encoded = match.groups()
        if algorithm not in HEX_LENGTHS:
            raise _invalid(text, f"{algorithm} is not supported; use sha256 or sha512")
        if len(encoded) != HEX_LENGTHS[algorithm] or not _HEX.fullmatch(encoded):
            raise _invalid(text, f"{algorithm} takes {HEX_LENGTHS[algorithm]} lower-case hex digits")
        return cls(text)

    @classmethod
    def of(cls, content: bytes, algorithm: str = "sha256") -> Digest:
        return cls(f"{algorithm}:{hashlib.new(algorithm, content).hexdigest()}")


def _invalid(text: str, why: str) -> RegistryError:
    return RegistryError(ErrorCode.DIGEST_INVALID, f"invalid digest: {why}", ({"digest": text[:200]},))
