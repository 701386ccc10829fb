"""A collection that goes on for long keeps nobody from the management API."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any, Final

import pytest

from chalicelib.registry.changes import Actor
from chalicelib.registry.collection import Freed, Report
from chalicelib.wiring import Deployment
from tests.access.caller import Caller
from tests.management.direct_client import House

SECONDS: Final = 30


class Slow:
    """Collects until it is told to end."""

    def __init__(self) -> None:
        self.begun, self.ended = threading.Event(), threading.Event()
        self.asked: list[tuple[str | None, float, Actor]] = []

    def __call__(self, account: str | None, seconds: float, actor: Actor) -> Report:
        self.asked.append((account, seconds, actor))
        self.begun.set()
        assert self.ended.wait(SECONDS)
        return Report({"acme": Freed(bytes=7, blobs=1)}, is_complete=False)


@pytest.fixture
def owner(house: House) -> Caller:
    """On a deployment whose services are this test's own."""
    caller = house.client("acme-owner").caller
    return Caller(Deployment(house.deployment.settings), caller.authorization)


def collecting(owner: Caller, monkeypatch: pytest.MonkeyPatch, collect: Any) -> None:
    api = owner.deployment._management
    monkeypatch.setattr(api, "_services", replace(api._services, collect=collect))


def test_others_have_their_turn_while_a_collection_goes_on(
    owner: Caller, monkeypatch: pytest.MonkeyPatch
) -> None:
    slow = Slow()
    collecting(owner, monkeypatch, slow)
    with ThreadPoolExecutor(1) as pool:
        answer = pool.submit(owner.api, "POST", "/collections", None)
        try:
            assert slow.begun.wait(SECONDS)
            assert owner.api("GET", "/whoami").status == 200
            assert owner.api("PATCH", "/accounts/acme", {"title": "Acme"}).status == 200
            assert not answer.done()
        finally:
            slow.ended.set()
        reply = answer.result(SECONDS)
    assert reply.status == 201
    made = reply.document
    assert (made["bytes"], made["blobs"], made["objects"], made["complete"]) == (7, 1, 0, False)
    ((account, seconds, actor),) = slow.asked
    assert (account, seconds, actor.id) == ("acme", 20, "acme-owner")


def test_who_may_not_collect_begins_none(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    robot = house.client("shop-robot").caller
    caller = Caller(Deployment(house.deployment.settings), robot.authorization)
    slow = Slow()
    collecting(caller, monkeypatch, slow)
    assert caller.api("POST", "/collections", None).status == 403
    assert not slow.asked


def test_a_collection_that_fails_is_answered_and_told_of(
    owner: Caller, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fails(_account: str | None, _seconds: float, _actor: Actor) -> Report:
        raise OSError("the engine is gone")

    collecting(owner, monkeypatch, fails)
    reply = owner.api("POST", "/collections", None)
    assert reply.status == 500
    assert "the engine is gone" in caplog.text
    assert "engine" not in str(reply.document)


def test_a_collection_that_is_asked_for_again_with_its_key_is_answered_as_it_was(
    owner: Caller, monkeypatch: pytest.MonkeyPatch
) -> None:
    slow = Slow()
    slow.ended.set()
    collecting(owner, monkeypatch, slow)
    first = owner.api("POST", "/collections", None, idempotency_key="once")
    again = owner.api("POST", "/collections", None, idempotency_key="once")
    assert first.document == again.document
    assert first.document["bytes"] == 7
    assert len(slow.asked) == 1
