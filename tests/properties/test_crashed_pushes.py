"""What the properties found of pushes that stopped half way, kept as plain tests."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from chalicelib.registry.manifests import Push
from chalicelib.registry.stores import STAGING
from chalicelib.registry.uploads import Chunk
from chalicelib.spec.digest import Digest
from chalicelib.spec.errors import RegistryError
from chalicelib.spec.reference import Repository
from tests.properties.documents import BIG, BLOBS
from tests.properties.interleaving import Fate, Operation
from tests.properties.registry_in_memory import RegistryInMemory, check_counts, small_limits

REPOSITORY = Repository("account", "registry/app")
BIG_PUSH = Push(REPOSITORY, BIG.manifest, BIG.digest, ("latest",))


@pytest.fixture
def registry() -> Iterator[RegistryInMemory]:
    """With every blob that a manifest of two batches names."""
    with small_limits():
        registry = RegistryInMemory()
        for content in BLOBS:
            row = registry.uploads.open(REPOSITORY)
            registry.uploads.close(REPOSITORY, row.session, Digest.of(content), Chunk([content]))
        yield registry


def push_until_it_dies(registry: RegistryInMemory, writes: int) -> None:
    """After its first write and so many more."""
    operation = Operation("put", lambda: registry.manifests.put(BIG_PUSH))
    while not operation.waiting.startswith("write"):
        operation.step()
    for _ in range(writes):
        operation.step()
    operation.step(Fate.DIE_AFTER)
    assert registry.memory.manifests[REPOSITORY.name, BIG.digest].state == STAGING


@pytest.mark.parametrize("writes", [0, 1, 2], ids=["nothing held", "some held", "all held"])
def test_deleting_a_push_that_died_half_way_lets_its_blobs_go(
    registry: RegistryInMemory, writes: int
) -> None:
    """They could not be deleted, for a manifest that nobody could see or delete."""
    push_until_it_dies(registry, writes)
    with pytest.raises(RegistryError, match="MANIFEST_UNKNOWN"):
        registry.manifests.delete(REPOSITORY, BIG.digest)
    assert not registry.memory.manifests
    check_counts(registry.memory)
    for content in BLOBS:
        registry.blobs.delete(REPOSITORY, Digest.of(content))


@pytest.mark.parametrize("writes", [0, 1, 2], ids=["nothing held", "some held", "all held"])
def test_pushing_again_completes_a_push_that_died_half_way(registry: RegistryInMemory, writes: int) -> None:
    push_until_it_dies(registry, writes)
    registry.manifests.put(BIG_PUSH)
    assert registry.manifests.get(REPOSITORY, "latest").raw == BIG.manifest.raw
    check_counts(registry.memory)


def test_a_push_survives_that_somebody_deletes_it_half_way(registry: RegistryInMemory) -> None:
    operation = Operation("put", lambda: registry.manifests.put(BIG_PUSH))
    for _ in range(5):
        operation.step()
    with pytest.raises(RegistryError, match="MANIFEST_UNKNOWN"):
        registry.manifests.delete(REPOSITORY, BIG.digest)
    assert operation.finish().error is None
    assert registry.manifests.get(REPOSITORY, "latest").raw == BIG.manifest.raw
    check_counts(registry.memory)
