"""Names and ids that look alike, are written oddly or are too long: refused, and nobody learns by them."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

import pytest

from tests.access.caller import basic
from tests.access.estate import Estate
from tests.access.ground import content

ODD_NAMES = [
    "",
    " ",
    "Shop",
    "SHOP",
    "sh\u043ep",
    "\uff53\uff48\uff4f\uff50",
    "shop\u0301",
    "shop\u200b",
    "shop\n",
    "\u202eshop",
    "shop\0",
    "shop/",
    "shop/x",
    "../shop",
    ".",
    "..",
    "-shop",
    "shop-",
    "_shop",
    "shop%20",
    "*",
    "sho?",
    "sh op",
    "shop#1",
    "\U0001f433",
    "\u1d30ev",
    "a" * 64,
    "a" * 5000,
]


@pytest.mark.parametrize("name", ODD_NAMES)
def test_nothing_gets_an_odd_name(estate: Estate, name: str) -> None:
    owner, operator = estate.caller("acme-owner"), estate.caller("admin")
    before = content()
    robot = {"kind": "robot", "project": "shop", "grants": [{"pattern": "dev/*", "actions": ["pull"]}]}
    for caller, path, document in (
        (owner, "/projects", {"name": name}),
        (owner, "/registries", {"name": name, "project": "shop"}),
        (operator, "/accounts", {"id": name, "owner": "somebody"}),
    ):
        assert caller.api("POST", path, document).status == 422, path
    if len(name) != 64 and name != "shop-":
        assert owner.api("POST", "/credentials", {**robot, "id": name}).status == 422
        assert owner.api("POST", "/credentials", {"kind": "user", "id": name, "roles": {}}).status == 422
        assert operator.api("POST", "/accounts", {"id": "fresh", "owner": name}).status == 422
    assert content() == before
    assert estate.ground.deployment.tenancy.store.account("fresh") is None


@pytest.mark.parametrize("name", [name for name in ODD_NAMES if name not in {"", ".", ".."}])
def test_an_odd_name_finds_nothing(estate: Estate, name: str) -> None:
    owner = estate.caller("acme-owner")
    written = {quote(name, safe=""), quote(name)}
    for text in written:
        for path in (f"/projects/{text}", f"/registries/{text}", f"/credentials/{text}", f"/accounts/{text}"):
            reply = owner.api("GET", path)
            assert reply.status in {404, 422}, (path, reply)
        assert owner.api("GET", f"/repositories/{text}").status in {400, 404, 422}


@pytest.mark.parametrize(
    "spelled", ["DEV", "Dev", "d\u0435v", "\uff44\uff45\uff56", "dev\u200b", " dev", "dev "]
)
def test_a_registry_is_reached_by_its_own_name_alone(estate: Estate, spelled: str) -> None:
    owner = estate.caller("acme-owner")
    for name in (f"{spelled}/app", f"dev/{spelled.replace('dev', 'app')}\u0301"):
        reply = owner.v2("GET", f"/v2/{quote(name)}/manifests/v1")
        assert reply.status == 400, (name, reply)
        token = owner.with_token(f"repository:{name}:pull")
        assert token.v2("GET", f"/v2/{quote(name)}/manifests/v1").status == 400
        assert token.v2("GET", "/v2/dev/app/manifests/v1").status == 401


@pytest.mark.parametrize(
    "id_",
    [
        "ACME-OWNER",
        "Acme-Owner",
        "acme-owner ",
        " acme-owner",
        "acme-owner\0",
        "acme-owner\n",
        "\u0430cme-owner",
        "acme\u2010owner",
        "acme-owner\u200b",
        "credential#acme-owner",
        "acme-owner" + "a" * 119,
        "a" * 100_000,
        "\U0001f433" * 40,
    ],
)
def test_an_id_is_taken_as_it_is(estate: Estate, id_: str) -> None:
    """With the right secret of the credential that it resembles."""
    secret = estate.secrets["acme-owner"]
    caller = type(estate.caller())(estate.ground.deployment, basic(id_, secret))
    for reply in (caller.v2("GET", "/v2/"), caller.v2("GET", "/token"), caller.api("GET", "/whoami")):
        assert reply.status == 401, reply


@pytest.mark.parametrize(
    "change", ["upper", "space", "newline", "nul", "long", "prefix", "checksum", "empty"]
)
def test_a_secret_is_taken_as_it_is(estate: Estate, change: str) -> None:
    secret = estate.secrets["acme-owner"]
    changed = {
        "upper": secret.upper(),
        "space": f"{secret} ",
        "newline": f"{secret}\n",
        "nul": f"{secret}\0",
        "long": secret + "a" * 10_000,
        "prefix": secret.removeprefix("ccr_"),
        "checksum": secret[:-1] + ("0" if secret[-1] != "0" else "1"),
        "empty": "",
    }[change]
    caller = type(estate.caller())(estate.ground.deployment, basic("acme-owner", changed))
    assert caller.v2("GET", "/v2/").status == 401
    assert caller.api("GET", "/whoami").status == 401


HEADERS: dict[str, dict[str, str]] = {
    "authorization of a mebibyte": {"authorization": "Basic " + "A" * 2**20},
    "bearer of a mebibyte": {"authorization": "Bearer " + "A" * 2**20},
    "bearer of many dots": {"authorization": "Bearer " + "." * 10_000},
    "bearer nested deeply": {"authorization": "Bearer " + "W1tb" * 5000 + ".e30.AAAA"},
    "authorization that is no text": {"authorization": "Basic \udcff\udcfe"},
    "two in one": {"authorization": "Basic YTpi, Bearer x"},
    "a kind of a mebibyte": {"authorization": "A" * 2**20},
    "if-match": {"if_match": '"1",' * 50_000},
    "idempotency-key": {"idempotency_key": "k" * 100_000},
    "host": {"host": "h" * 100_000},
    "forwarded": {"x_forwarded_for": "1.2.3.4," * 20_000, "x_forwarded_host": "evil.test"},
}


@pytest.mark.parametrize("name", HEADERS)
def test_an_oversize_header_is_refused_alike_for_what_is_there_and_what_is_not(
    estate: Estate, name: str
) -> None:
    headers = HEADERS[name]
    before = content()
    for caller in (estate.caller(), estate.caller("rival-owner")):
        asked: dict[str, Any] = {}
        for repository in ("dev/app", "dev/apq"):
            registry = caller.v2("GET", f"/v2/{repository}/manifests/v1", **headers)
            encoded = repository.replace("/", "%2F")
            management = caller.api("DELETE", f"/repositories/{encoded}", **headers)
            assert {registry.status, management.status} <= {400, 401, 403, 404, 412}, (registry, management)
            asked[repository] = [one.about(repository, "-") for one in (registry, management)]
        assert [(one.status, one.body) for one in asked["dev/app"]] == [
            (one.status, one.body) for one in asked["dev/apq"]
        ]
        estate.ground.forgive()
    assert content() == before


@pytest.mark.parametrize(
    "scope",
    [
        "repository:/dev/app:pull",
        "repository::pull",
        "repository:" + "a" * 490 + "/x:pull",
        "repository:\U0001f433/x:pull",
        "repository:\0/x:pull",
        "repository:dev/app\n:pull",
        ":::::",
        "repository:dev/app:" + "pull," * 90,
        "repository:dev/app",
    ],
)
def test_an_odd_scope_gives_a_token_for_nothing_more(estate: Estate, scope: str) -> None:
    reply = estate.caller("rival-owner").v2("GET", "/token", {"scope": scope})
    assert (reply.status, reply.document["scope"]) == (200, "")


@pytest.mark.parametrize(
    "scope", ["repository:" + "a" * 5000 + "/x:pull", "a:b:" + "pull," * 10_000, "x " * 51]
)
def test_a_scope_that_no_client_has_is_no_request(estate: Estate, scope: str) -> None:
    assert estate.caller("rival-owner").v2("GET", "/token", {"scope": scope}).status == 400


@pytest.mark.parametrize("what", ["title", "roles", "grants", "pattern"])
def test_what_is_too_large_for_a_row_is_refused(estate: Estate, what: str) -> None:
    robot = {
        "kind": "robot",
        "id": "large",
        "project": "shop",
        "grants": [{"pattern": "dev/*", "actions": ["pull"]}],
    }
    document: dict[str, Any] = {
        "title": {**robot, "title": "t" * 201},
        "roles": {"kind": "user", "id": "large", "roles": {f"p{n}": "viewer" for n in range(5000)}},
        "grants": {**robot, "grants": robot["grants"] * 51},  # type: ignore[operator]
        "pattern": {**robot, "grants": [{"pattern": "dev/" + "a" * 300, "actions": ["pull"]}]},
    }[what]
    assert estate.caller("acme-owner").api("POST", "/credentials", document).status in {404, 413, 422}
    assert estate.ground.deployment.credentials.get("large") is None
