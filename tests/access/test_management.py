"""What the management API does around its operations: turns, keys, bodies, and what the trail tells."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from types import TracebackType
from typing import Any

import pytest

from chalicelib.identity.audit import Record
from chalicelib.identity.sign_in import USED_EVERY_SECONDS
from chalicelib.management import api
from tests.access.caller import Caller
from tests.access.estate import Estate, pushed

DAY = 24 * 3600
YEAR_2000 = 946_684_800


class Turn:
    """Before the one who waits has it, another takes a credential away."""

    def __init__(self, estate: Estate, document: dict[str, Any] | None) -> None:
        self.estate, self.document = estate, document

    def __enter__(self) -> None:
        desk = self.estate.ground.deployment.desk
        by, before = desk.store.get("acme-owner"), desk.store.get("coder")
        assert by is not None
        assert before is not None
        if self.document is None:
            desk.delete(by, before)
        else:
            desk.change(by, before, **self.document)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Nothing is held."""


@pytest.mark.parametrize("how", [None, {"is_disabled": True}], ids=["deleted", "disabled"])
def test_who_waited_for_a_turn_acts_with_what_the_credential_is_then(
    estate: Estate, monkeypatch: pytest.MonkeyPatch, how: dict[str, Any] | None
) -> None:
    estate.user("acme-owner", "coder", shop="maintainer")
    coder = estate.caller("coder")
    monkeypatch.setattr(api, "_TURN", Turn(estate, how))
    refused = coder.api("POST", "/registries", {"name": "late", "project": "shop"})
    monkeypatch.undo()
    assert refused.status == 401
    assert "www-authenticate" in refused.headers
    assert estate.caller("acme-owner").api("GET", "/registries/late").status == 404


def said(caller: Caller, method: str, path: str, body: str) -> int:
    """With a body as it is."""
    event = caller._event(method, f"/api/v1{path}", "", {"content-type": "application/json"})
    return int(caller.deployment.manage({**event, "body": body, "isBase64Encoded": False})["statusCode"])


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ("[" * 20_000 + "]" * 20_000, 400),
        ('{"title":' * 3_000 + "1" + "}" * 3_000, 400),
        ('{"name": ' + "[" * 200 + "]" * 200 + "}", 400),
        ('{"name": ' + "9" * 6_000 + "}", 400),
        ('{"name": ' + "[" * 10 + "]" * 10 + "}", 422),
        ('{"name": ', 422),
    ],
    ids=["lists", "objects", "less deep", "a long number", "of another type", "cut off"],
)
def test_a_body_that_cannot_be_read_is_refused(estate: Estate, body: str, status: int) -> None:
    assert said(estate.caller("acme-owner"), "POST", "/projects", body) == status


@pytest.mark.parametrize(
    "query",
    [
        {"after": "²²²²²²²²²²²²²²²-00000000"},
        {"since": "2026-01-02T12:00:00Z", "until": "2026-01-02T18:00:00Z", "after": f"{1:015d}-00000000"},
        {
            "since": "2026-01-02T12:00:00Z",
            "until": "2026-01-02T18:00:00Z",
            "after": "001767348000000-00000000",
        },
        {"until": "9999-12-31T23:59:59-14:00"},
    ],
    ids=["other digits", "an older day", "earlier the same day", "after the last year"],
)
def test_a_range_of_the_trail_that_cannot_be_is_refused(estate: Estate, query: dict[str, str]) -> None:
    assert estate.caller("acme-owner").api("GET", "/audit", query=query).status == 422


def test_a_page_of_the_trail_looks_at_a_month_and_says_where_to_go_on(estate: Estate) -> None:
    trail, owner = estate.ground.deployment.trail, estate.caller("acme-owner")
    days = [0, 10, 30, 31, 32, 62, 63, 300]
    for day in days:
        trail.write(Record("acme", (YEAR_2000 - day * DAY) * 1000, "someone", "act", f"day {day}"))
    moment = datetime.fromtimestamp
    until = moment(YEAR_2000 + 1, UTC).isoformat()
    query = {"until": until, "since": moment(YEAR_2000 - 350 * DAY, UTC).isoformat()}
    found, after, pages = [], "", 0
    while after or not pages:
        reply = owner.api("GET", "/audit", query={**query, "after": after})
        assert reply.status == 200
        assert reply.calls[0] < 40
        found += [one["target"] for one in reply.document["items"]]
        after, pages = reply.document["next"], pages + 1
    assert found == [f"day {day}" for day in days]
    assert pages == 12


@pytest.mark.parametrize("title", ["\x1b[2J", "a\nb", "\u202egone", "\u200b"])
def test_a_title_has_nothing_in_it_that_a_terminal_acts_on(estate: Estate, title: str) -> None:
    operator, owner = estate.caller("admin"), estate.caller("acme-owner")
    for caller, method, path, document in (
        (operator, "POST", "/accounts", {"id": "third", "owner": "third-owner"}),
        (owner, "PATCH", "/accounts/acme", {}),
        (owner, "POST", "/projects", {"name": "fresh"}),
        (owner, "PATCH", "/projects/shop", {}),
        (owner, "POST", "/registries", {"name": "fresh", "project": "shop"}),
        (owner, "PATCH", "/registries/dev", {}),
    ):
        assert caller.api(method, path, {**document, "title": title}).status == 422
        assert caller.api(method, path, {**document, "title": "Größe [1]"}).status in {200, 201}


def test_a_key_is_free_again_after_a_request_that_raised(
    estate: Estate, monkeypatch: pytest.MonkeyPatch
) -> None:
    owner, project = estate.caller("acme-owner"), {"name": "kept"}

    def broken(*_: object) -> dict[str, Any]:
        raise ConnectionError("the store went away")

    monkeypatch.setattr(api.ManagementApi, "_resolve", broken)
    with pytest.raises(ConnectionError):
        owner.api("POST", "/projects", project, idempotency_key="one")
    monkeypatch.undo()
    assert owner.api("POST", "/projects", project, idempotency_key="one").status == 201
    again = owner.api("POST", "/projects", project, idempotency_key="one")
    assert (again.status, again.headers["idempotency-replayed"]) == (201, "true")
    assert [result for action, _, result, _ in told(estate) if action == "api POST"][:3] == [
        "ok",
        "ok",
        "500",
    ]


def test_a_key_is_nothing_to_the_next_credential_of_the_id(estate: Estate) -> None:
    owner = estate.caller("acme-owner")
    names = {"first": "one", "second": "two"}
    for name in names.values():
        estate.user("acme-owner", "coder", everywhere="owner")
        made = estate.caller("coder").api("POST", "/projects", {"name": name}, idempotency_key="same")
        assert made.status == 201, name
        assert owner.api("DELETE", "/credentials/coder").status == 204
        estate.ground.clock.advance(1)


def told(estate: Estate) -> list[tuple[str, str, str, dict[str, Any]]]:
    """Action, target, result and detail, the newest first."""
    reply = estate.caller("acme-owner").api("GET", "/audit", query={"limit": "100"})
    return [(one["action"], one["target"], one["result"], one["detail"]) for one in reply.document["items"]]


def test_the_trail_says_what_a_credential_was_made_and_changed_with(estate: Estate) -> None:
    estate.robot("acme-owner", "ci", "shop", ("dev/*", "pull,push"))
    grants = [{"pattern": "stage/*", "actions": ["pull"]}]
    owner = estate.caller("acme-owner")
    assert owner.api("PATCH", "/credentials/ci", {"grants": grants}).status == 200
    estate.user("acme-owner", "coder", shop="viewer")
    assert owner.api("PUT", "/projects/shop/members/coder", {"role": "developer"}).status == 200
    entries = told(estate)
    made = {
        "kind": "robot",
        "id": "ci",
        "project": "shop",
        "grants": [{"pattern": "dev/*", "actions": ["pull", "push"]}],
    }
    assert ("api POST", "/api/v1/credentials", "ok", made) in entries
    assert ("api PATCH", "/api/v1/credentials/ci", "ok", {"grants": grants}) in entries
    assert ("api PUT", "/api/v1/projects/shop/members/coder", "ok", {"role": "developer"}) in entries
    assert estate.secrets["ci"] not in str(entries)


def test_the_trail_tells_of_what_is_refused_before_it_reaches_an_operation(estate: Estate) -> None:
    owner = estate.caller("acme-owner")
    assert said(owner, "POST", "/projects", "[" * 20_000) == 400
    assert said(owner, "POST", "/projects", " " * (api.BODY_LIMIT + 1)) == 413
    assert owner.api("POST", "/projects", {"name": "x"}, idempotency_key="k" * 200).status == 400
    results = [result for action, _, result, _ in told(estate) if action == "api POST"]
    assert sorted(results[:3]) == ["400", "400", "413"]


def test_the_trail_tells_who_deleted_a_blob(estate: Estate) -> None:
    owner = estate.caller("acme-owner")
    digest = pushed(owner, "dev/app", b"to be deleted")
    assert owner.v2("DELETE", f"/v2/dev/app/blobs/{digest}").status == 202
    entries = [one for one in told(estate) if one[0] == "delete-blob"]
    assert entries == [("delete-blob", f"dev/app@{digest}", "ok", {})]


def test_a_login_by_basic_is_told_once_in_a_while(estate: Estate) -> None:
    estate.robot("acme-owner", "ci", "shop", ("dev/*", "pull"))
    robot, login = estate.caller("ci"), ("login", "ci", "ok", {"by": "basic"})
    for _ in range(3):
        assert robot.v2("GET", "/v2/dev/app/tags/list").status == 200
    assert told(estate).count(login) == 1
    estate.ground.clock.advance(USED_EVERY_SECONDS + 1)
    for _ in range(3):
        assert robot.v2("GET", "/v2/dev/app/tags/list").status == 200
    assert told(estate).count(login) == 2
    wrong = replace(robot, authorization=robot.authorization[:-4])
    assert wrong.v2("GET", "/v2/dev/app/tags/list").status == 401
    assert told(estate).count(login) == 2
