"""Images of incompressible layers, made once and held as one random block with a counter in front."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator
from dataclasses import dataclass

from tests.support.content import OCI_CONFIG, OCI_IMAGE, OCI_LAYER, digest_of

BLOCK = 1024 * 1024
_RANDOM = os.urandom(BLOCK)


@dataclass(frozen=True)
class Layer:
    """`size` bytes that no other layer has."""

    seed: bytes
    size: int
    digest: str

    def blocks(self) -> Iterator[bytes]:
        return _blocks(self.seed, self.size)


@dataclass(frozen=True)
class LayeredImage:
    name: str
    config: bytes
    layers: tuple[Layer, ...]
    manifest: bytes

    @property
    def size(self) -> int:
        return sum(layer.size for layer in self.layers)


def make_image(name: str, count: int, size: int) -> LayeredImage:
    layers = tuple(_layer(size) for _ in range(count))
    config = json.dumps({"architecture": "amd64", "os": "linux", "created by": name}).encode()
    manifest = {
        "schemaVersion": 2,
        "mediaType": OCI_IMAGE,
        "config": {"mediaType": OCI_CONFIG, "digest": digest_of(config), "size": len(config)},
        "layers": [{"mediaType": OCI_LAYER, "digest": one.digest, "size": one.size} for one in layers],
    }
    return LayeredImage(name, config, layers, json.dumps(manifest).encode())


def _layer(size: int) -> Layer:
    seed = os.urandom(16)
    digest = hashlib.sha256()
    for block in _blocks(seed, size):
        digest.update(block)
    return Layer(seed, size, f"sha256:{digest.hexdigest()}")


def _blocks(seed: bytes, size: int) -> Iterator[bytes]:
    for number in range(-(-size // BLOCK)):
        head = seed + number.to_bytes(8)
        yield (head + _RANDOM[len(head) :])[: min(BLOCK, size - number * BLOCK)]
