"""What every client does all day, through the whole front door: challenge, S3 and limits are the edge's."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.clients.commands import ClientError
from tests.clients.conftest import Drivers, Target, new_target
from tests.clients.conftest import drivers as _drivers
from tests.clients.drivers import DRIVERS, Driver
from tests.clients.layout import Layout, write_image
from tests.conftest import Registries
from tests.support.process import RegistryProcess

pytestmark = pytest.mark.clients

drivers = _drivers

# One is more than an event of a function URL holds.
LAYER_SIZES = (9 * 1024 * 1024, 20_000, 100)
SMALL_LAYERS = (1024 * 1024, 20_000, 100)
# What sends a blob as one PUT, and so past every function.
SINGLE_PUT = ("ctr",)
PATCHING = [name for name in DRIVERS if name not in SINGLE_PUT]


@pytest.fixture(params=DRIVERS)
def driver(request: pytest.FixtureRequest, drivers: Drivers) -> Driver:
    return drivers.get(request.param)


@pytest.fixture
def target(registries: Registries) -> Target:
    return new_target(registries.get("aws"))


@pytest.fixture
def image(tmp_path: Path) -> Layout:
    return write_image(tmp_path / "image", LAYER_SIZES)


@pytest.fixture
def small(tmp_path: Path) -> Layout:
    return write_image(tmp_path / "small", SMALL_LAYERS)


@pytest.fixture
def logged_in(driver: Driver, target: Target) -> Iterator[Driver]:
    driver.login(target.host, target.registry.username, target.registry.password)
    yield driver
    if driver.held(target.reference) is not None:
        driver.remove(target.reference)


def round_trip(driver: Driver, target: Target, image: Layout) -> None:
    driver.load(image, target.reference)
    before = driver.held(target.reference)
    assert before is not None
    driver.push(target.reference)
    driver.remove(target.reference)
    assert not driver.keeps(before.identity)

    driver.pull(target.reference)

    after = driver.held(target.reference)
    assert after is not None
    assert after.identity == before.identity
    assert after.manifest == target.served_digest()


def test_small_layers_push_and_pull_with_the_challenge_of_the_edge(
    logged_in: Driver, target: Target, small: Layout
) -> None:
    round_trip(logged_in, target, small)


@pytest.mark.parametrize("driver", SINGLE_PUT, indirect=True)
def test_a_large_layer_in_one_put_goes_past_the_function(
    logged_in: Driver, target: Target, image: Layout
) -> None:
    round_trip(logged_in, target, image)


@pytest.mark.parametrize("driver", SINGLE_PUT, indirect=True)
def test_a_second_push_finds_everything_there(logged_in: Driver, target: Target, image: Layout) -> None:
    logged_in.load(image, target.reference)
    logged_in.push(target.reference)
    served = target.served_digest()
    logged_in.push(target.reference)
    assert served is not None
    assert target.served_digest() == served


@pytest.mark.parametrize("driver", PATCHING, indirect=True)
def test_a_large_layer_by_patch_needs_the_gateway(logged_in: Driver, target: Target, image: Layout) -> None:
    logged_in.load(image, target.reference)
    with pytest.raises(ClientError, match=r"413|4\.5 MiB"):
        logged_in.push(target.reference)
    assert target.served_digest() is None


def test_with_a_gateway_behind_the_edge_every_client_pushes_large_layers(
    driver: Driver, full: RegistryProcess, image: Layout
) -> None:
    target = new_target(full)
    driver.login(target.host, full.username, full.password)
    round_trip(driver, target, image)
    driver.remove(target.reference)
