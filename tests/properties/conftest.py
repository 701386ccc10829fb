"""The stores of both kinds: in memory, and the adapters on moto."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from moto import mock_aws

from chalicelib.config import Settings
from chalicelib.registry import direct, manifests, parts
from chalicelib.registry.parts import MINIMUM_PART
from chalicelib.wiring import Deployment
from tests.properties.memory_stores import (
    Memory,
    MemoryHistoryStore,
    MemoryLinkStore,
    MemoryManifestStore,
    MemoryObjectStore,
    MemoryRepositoryStore,
    MemoryTagStore,
    MemoryTransactions,
    MemoryTrashStore,
    MemoryUploadStore,
    MemoryUsageStore,
)
from tests.properties.stores_under_test import Stores


def _limits() -> tuple[int, ...]:
    return manifests.TRANSACTION_LIMIT, parts.PART_SIZE, parts.MINIMUM_PART, direct.PART_SIZE


@pytest.fixture(autouse=True)
def _limits_are_put_back() -> Iterator[None]:
    """What a machine makes small must not be so for the tests that follow in this process.

    A module may have made them small for all of its own.
    """
    before = _limits()
    yield
    assert _limits() == before


def in_memory() -> Stores:
    memory = Memory()
    objects = MemoryObjectStore(memory, MINIMUM_PART, answers_again=True)
    return Stores(
        transactions=MemoryTransactions(memory),
        manifests=MemoryManifestStore(memory),
        tags=MemoryTagStore(memory),
        links=MemoryLinkStore(memory),
        repositories=MemoryRepositoryStore(memory),
        trash=MemoryTrashStore(memory),
        history=MemoryHistoryStore(memory),
        usages=MemoryUsageStore(memory),
        uploads=MemoryUploadStore(memory),
        objects=objects,
        multipart=objects,
    )


def of_deployment(deployment: Deployment) -> Stores:
    services = deployment.services
    return Stores(
        transactions=services.manifests.transactions,
        manifests=services.manifests.rows,
        tags=services.manifests.tags,
        links=services.blobs.links,
        repositories=services.discovery.repositories,
        trash=deployment.trash.rows,
        history=deployment.history,
        usages=deployment.quota.usages,
        uploads=services.uploads.sessions,
        objects=services.uploads.objects,
        multipart=services.uploads.multipart,
    )


@pytest.fixture(scope="module")
def deployment() -> Iterator[Deployment]:
    with pytest.MonkeyPatch.context() as patch, mock_aws():
        patch.setenv("AWS_ACCESS_KEY_ID", "testing")
        patch.setenv("AWS_SECRET_ACCESS_KEY", "testing")
        settings = Settings(token_keys=(b"key of the tests".ljust(32),), create_on_push=True)
        deployment = Deployment(settings, clock=Memory().clock)
        deployment.prepare()
        yield deployment


@pytest.fixture(scope="module")
def adapters(deployment: Deployment) -> Stores:
    return of_deployment(deployment)


@pytest.fixture(scope="module")
def memory() -> Stores:
    return in_memory()


@pytest.fixture(params=["memory", "adapters"])
def stores(request: pytest.FixtureRequest) -> Stores:
    kind: Stores = request.getfixturevalue(request.param)
    return kind
