"""Many wrong passwords at once: beyond a short queue they are sent away, and nobody else waits for them."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from contextlib import ExitStack

import pytest
from moto import mock_aws

from chalicelib.config import Settings
from chalicelib.identity import secret
from chalicelib.wiring import ADMINISTRATOR, Deployment
from tests.endpoints.driver import PASSWORD
from tests.gateway.conftest import Served, serving
from tests.gateway.doubles import KEY


@pytest.fixture
def registry() -> Iterator[Served]:
    with pytest.MonkeyPatch.context() as environment, mock_aws():
        environment.setenv("AWS_ACCESS_KEY_ID", "testing")
        environment.setenv("AWS_SECRET_ACCESS_KEY", "testing")
        deployment = Deployment(Settings(token_keys=(KEY,)))
        deployment.prepare()
        deployment.set_admin(PASSWORD)
        with serving(deployment) as served:
            yield served


def basic(id_: str, password: str) -> str:
    return "Authorization: Basic " + base64.b64encode(f"{id_}:{password}".encode()).decode()


def status_of(registry: Served, line: str, *headers: str) -> tuple[int, str | None]:
    with registry.connect() as wire:
        wire.request(line, *headers)
        answer = wire.answer()
        return answer.status, answer.headers.get("retry-after")


def test_a_password_too_many_is_429_and_secrets_that_were_made_here_do_not_wait(registry: Served) -> None:
    with ExitStack() as stack:
        for _ in range(secret.QUEUE_LIMIT):
            assert secret._QUEUE.acquire(blocking=False)
            stack.callback(secret._QUEUE.release)
        for id_ in (ADMINISTRATOR, "nobody"):
            for line in ("GET /token", "GET /v2/", "GET /api/v1/projects"):
                assert status_of(registry, line, basic(id_, PASSWORD)) == (429, "1")
        assert status_of(registry, "GET /token", basic("nobody", secret.make_secret())) == (401, None)
        assert status_of(registry, "GET /v2/") == (401, None)
    assert status_of(registry, "GET /token", basic(ADMINISTRATOR, PASSWORD)) == (200, None)


def test_every_place_in_the_queue_is_given_back() -> None:
    for _ in range(2 * secret.QUEUE_LIMIT):
        secret.matches_nobody("a password")
    stored = secret.hash_secret("a password")
    assert secret.matches("a password", stored)
    assert not secret.matches("another", stored)
