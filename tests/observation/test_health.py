"""Whether it lives, and whether it can serve: with no credential, and hardly a read."""

from __future__ import annotations

import pytest

from chalicelib.aws.readiness import READY_SECONDS, Readiness
from tests.endpoints.driver import Driver
from tests.observation.conftest import Log


class Tables:
    """Counts the reads, and fails where it is told to."""

    def __init__(self) -> None:
        self.reads, self.now, self.are_away = 0, 0.0, False

    def look(self, _session: str) -> None:
        self.reads += 1
        if self.are_away:
            raise ConnectionError("away")

    def clock(self) -> float:
        return self.now


@pytest.fixture
def tables() -> Tables:
    return Tables()


@pytest.fixture
def readiness(tables: Tables) -> Readiness:
    return Readiness(tables.look, tables.clock)


def test_it_is_looked_at_once_in_its_time(tables: Tables, readiness: Readiness) -> None:
    assert [readiness() for _ in range(100)] == [True] * 100
    assert tables.reads == 1
    tables.now += READY_SECONDS
    assert readiness()
    assert tables.reads == 2


def test_it_is_unready_while_the_tables_are_away_and_ready_again_after(
    tables: Tables, readiness: Readiness
) -> None:
    assert readiness()
    tables.now, tables.are_away = float(READY_SECONDS), True
    assert not readiness()
    tables.now, tables.are_away = READY_SECONDS * 2.0, False
    assert readiness()


@pytest.mark.parametrize(("path", "status"), [("/healthz", "alive"), ("/readyz", "ready")])
@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_both_take_no_credential(driver: Driver, path: str, status: str, method: str) -> None:
    answer = driver.call(method, path, authorization="")
    assert answer.status == 200
    assert answer.headers["cache-control"] == "no-store"
    assert answer.document == {"status": status}


def test_a_change_is_refused(driver: Driver) -> None:
    answer = driver.call("POST", "/readyz")
    assert (answer.status, answer.headers["allow"]) == (405, "GET, HEAD")


def test_readiness_fails_with_the_tables_and_liveness_does_not(
    driver: Driver, log: Log, monkeypatch: pytest.MonkeyPatch
) -> None:
    deployment = driver.deployment._deployment  # type: ignore[attr-defined]
    readiness = deployment.services.is_ready

    def away(_session: str) -> None:
        raise ConnectionError("secret detail")

    monkeypatch.setattr(readiness, "_look", away)
    monkeypatch.setattr(readiness, "_looked", -float(READY_SECONDS))
    ready, alive = driver.call("GET", "/readyz"), driver.call("GET", "/healthz")
    assert (ready.status, ready.document) == (503, {"status": "not ready"})
    assert alive.status == 200
    warning, line, _ = log.lines
    assert warning["level"] == "WARNING"
    assert "secret detail" not in log.text.getvalue()
    assert (line["operation"], line["status"]) == ("health.ready", 503)
    monkeypatch.setattr(readiness, "_looked", -float(READY_SECONDS))
