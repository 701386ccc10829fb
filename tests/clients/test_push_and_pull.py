"""What every client does all day: log in, push, remove, pull."""

from __future__ import annotations

import pytest

from tests.clients.commands import ClientError
from tests.clients.conftest import Target, new_target, one_way
from tests.clients.drivers import Driver
from tests.clients.layout import Layout

pytestmark = pytest.mark.clients


@pytest.fixture
def loaded(driver: Driver, target: Target, image: Layout) -> Driver:
    """A client that is logged in and holds an image under the target's reference."""
    log_in(driver, target)
    driver.load(image, target.reference)
    return driver


def log_in(driver: Driver, target: Target) -> None:
    driver.login(target.host, target.registry.username, target.registry.password)


def log_in_and_push(driver: Driver, target: Target, password: str) -> None:
    driver.login(target.host, target.registry.username, password)
    driver.push(target.reference)


def identity(driver: Driver, reference: str) -> str:
    held = driver.held(reference)
    assert held is not None
    return held.identity


def test_what_is_pulled_is_what_was_pushed(loaded: Driver, target: Target) -> None:
    before = identity(loaded, target.reference)
    loaded.push(target.reference)
    loaded.remove(target.reference)
    assert not loaded.keeps(before)

    loaded.pull(target.reference)

    after = loaded.held(target.reference)
    assert after is not None
    assert after.identity == before
    assert after.manifest == target.served_digest()
    loaded.remove(target.reference)


def test_a_second_push_changes_nothing(loaded: Driver, target: Target) -> None:
    before = identity(loaded, target.reference)
    loaded.push(target.reference)
    served = target.served_digest()

    loaded.push(target.reference)

    assert served is not None
    assert target.served_digest() == served
    loaded.remove(target.reference)
    assert not loaded.keeps(before)
    loaded.pull(target.reference)
    assert identity(loaded, target.reference) == before
    loaded.remove(target.reference)


def test_an_image_pushed_to_a_second_repository_pulls_from_there(loaded: Driver, target: Target) -> None:
    before = identity(loaded, target.reference)
    other = new_target(target.registry)
    loaded.push(target.reference)
    loaded.tag(target.reference, other.reference)

    said = loaded.push(other.reference)

    if loaded.name == "docker":
        assert said.count(f"Mounted from {target.repository}") == 4
    loaded.remove(target.reference)
    loaded.remove(other.reference)
    assert not loaded.keeps(before)
    loaded.pull(other.reference)
    held = loaded.held(other.reference)
    assert held is not None
    assert held.identity == before
    assert held.manifest == other.served_digest() == target.served_digest()
    loaded.remove(other.reference)


def test_an_image_pulls_by_its_digest(loaded: Driver, target: Target) -> None:
    before = identity(loaded, target.reference)
    loaded.push(target.reference)
    loaded.remove(target.reference)
    assert not loaded.keeps(before)
    pinned = f"{target.host}/{target.repository}@{target.served_digest()}"

    loaded.pull(pinned)

    assert identity(loaded, pinned) == before
    loaded.remove(pinned)


@one_way
def test_a_wrong_password_is_refused(driver: Driver, target: Target, image: Layout) -> None:
    driver.load(image, target.reference)
    with pytest.raises(ClientError, match=r"(?i)unauthorized|invalid username/password"):
        log_in_and_push(driver, target, "not the password")
    assert target.served_digest() is None
    driver.remove(target.reference)


@one_way
def test_a_pull_of_what_is_not_there_is_refused(driver: Driver, target: Target) -> None:
    log_in(driver, target)
    with pytest.raises(ClientError, match=r"(?i)manifest unknown|not found"):
        driver.pull(target.reference)
