"""Tables that take newer code: every entry that looks refuses with what to do, before it touches anything."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from chalicelib.jobs import FOR_EVENTS, JOBS
from chalicelib.registry.policies import Policy
from chalicelib.spec.errors import RegistryError
from chalicelib.wiring import SCHEMA, Deployment
from tests.endpoints.driver import Driver
from tests.identity.callers import operations


def _run(job: Callable[..., object], *event: object) -> Callable[[Deployment], object]:
    return lambda deployment: job(deployment, *event, 900)


@pytest.fixture
def contracted(deployment: Deployment) -> Iterator[Deployment]:
    """Code of this version that starts on tables which a later one has contracted."""
    said = {"applied": SCHEMA + 1, "minimum": SCHEMA + 1}
    policy = Policy("#", "schema", said)
    assert deployment.policies.put(policy)
    yield Deployment(deployment.settings)
    deployment.policies.remove(policy)


@pytest.mark.parametrize("path", ["/v2/", "/v2/dev/app/manifests/v1", "/token"])
def test_every_request_is_refused(contracted: Deployment, path: str) -> None:
    driver = Driver(contracted)
    for _ in range(2):
        answer = driver.call("GET", path)
        assert answer.status == 503
        assert f"take code that knows schema {SCHEMA + 1}" in answer.document["errors"][0]["message"]


def test_the_management_api_is_refused(contracted: Deployment) -> None:
    event = Driver(contracted).event("GET", "/api/v1/whoami", {}, b"", {})
    assert contracted.manage(event)["statusCode"] == 503


EVENT = {"Records": [], "session": "none"}
WORK: dict[str, Callable[[Deployment], object]] = {
    **{name: _run(job) for name, job in JOBS.items()},
    **{name: _run(job, EVENT) for name, job in FOR_EVENTS.items()},
    "reconcile all": lambda it: it.reconcile_all(900),
    "open": lambda it: it.open(),
}


@pytest.mark.parametrize("work", WORK)
def test_what_no_client_asks_for_fails_and_changes_nothing(contracted: Deployment, work: str) -> None:
    with operations(contracted) as seen, pytest.raises(RegistryError, match="deploy the release"):
        WORK[work](contracted)
    assert set(seen) == {"GetItem"}


def test_code_that_knows_enough_looks_once_in_its_life(deployment: Deployment) -> None:
    driver = Driver(Deployment(deployment.settings))
    counted = []
    for _ in range(3):
        with operations(driver.deployment) as seen:
            assert driver.call("GET", "/v2/").status == 401
        counted.append(dict(seen))
    assert counted == [{"GetItem": 1}, {}, {}]
