"""Everybody who asks in the matrix: every role, every shape of a robot's grants, the dead, and strangers."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Final

from chalicelib.identity.grants import ACTIONS
from chalicelib.identity.roles import Role
from chalicelib.identity.secret import make_secret
from chalicelib.identity.tokens import Tokens
from tests.access.caller import Caller, basic
from tests.access.estate import FOREIGN, REPOSITORIES, Estate
from tests.access.ground import ISSUER, Ground

PATTERNS: Final = {"dev-all": "dev/*", "dev-one": "dev/app", "dev-some": "dev/t*", "stage-all": "stage/*"}
EVERYTHING: Final = ("dev/*", "pull,push,delete")
USERS: Final = (
    *(str(role) for role in Role),
    *(f"{role}-everywhere" for role in Role),
    "roleless",
    "lab-owner",
)
STRANGERS: Final = ("rival-owner", "rival-robot", "operator")
DEAD: Final = ("nobody", "none", "wrong", "disabled", "expired", "revoked", "rotated-away")


@dataclass(frozen=True)
class Member:
    """One of the cast, by Basic and by Bearer."""

    name: str
    by_basic: Caller
    by_bearer: Caller

    @property
    def lives(self) -> bool:
        return self.name not in DEAD


def cast(estate: Estate, scopes: list[str]) -> dict[str, Member]:
    """Each by name; the tokens are for all of `scopes` that the member may have."""
    callers = {**_users(estate), **_robots(estate), **_strangers(estate), "trust": _trust(estate)}
    members = {
        name: Member(name, caller, replace(caller, authorization=f"Bearer {caller.token(*scopes)}"))
        for name, caller in callers.items()
    }
    members |= {one.name: one for one in _dead(estate, scopes)}
    # Whoever is seen for the first time costs a write more than afterwards, and the first token a read.
    for member in members.values():
        member.by_basic.v2("GET", "/v2/")
        member.by_bearer.v2("GET", "/v2/")
    return members


def _users(estate: Estate) -> dict[str, Caller]:
    for role in Role:
        estate.user("acme-owner", role, shop=role)
        estate.user("acme-owner", f"{role}-everywhere", everywhere=role)
    estate.user("acme-owner", "roleless")
    estate.user("acme-owner", "lab-owner", lab="owner")
    return {name: estate.caller(name) for name in USERS}


def _robots(estate: Estate) -> dict[str, Caller]:
    """Every set of actions on a registry, one repository, a pattern, and another registry."""
    robots = {}
    for id_, pattern, actions in _shapes():
        estate.robot("acme-owner", id_, "shop", (pattern, ",".join(actions)))
        robots[id_] = estate.caller(id_)
    robots["outgoing"] = _rotated(estate, "outgoing", overlap=3600)
    return robots


def _shapes() -> Iterator[tuple[str, str, tuple[str, ...]]]:
    """Id, pattern and actions."""
    for size in range(1, len(ACTIONS) + 1):
        for actions in itertools.combinations(ACTIONS, size):
            for shape, pattern in PATTERNS.items():
                yield f"{shape}+{'+'.join(actions)}", pattern, actions


def names_of_cast() -> list[str]:
    robots = [id_ for id_, _, _ in _shapes()]
    return [*USERS, *robots, "outgoing", "trust", *STRANGERS, *DEAD]


def _rotated(estate: Estate, id_: str, overlap: int) -> Caller:
    """By the secret that it had before."""
    estate.robot("acme-owner", id_, "shop", EVERYTHING)
    caller = estate.caller(id_)
    path = f"/credentials/{id_}/rotation"
    rotated = estate.caller("acme-owner").api("POST", path, {"overlap_seconds": overlap})
    assert rotated.status == 201
    return caller


def _strangers(estate: Estate) -> dict[str, Caller]:
    estate.robot("rival-owner", "rival-robot", "yard", ("yard/*", "pull,push,delete"))
    return {name: estate.caller(name) for name in ("rival-owner", "rival-robot")} | {
        "operator": estate.caller("admin")
    }


def _trust(estate: Estate) -> Caller:
    """A pipeline whose ID token stands in for a secret."""
    grants = [{"pattern": "dev/*", "actions": ["pull"]}]
    trust = {"issuer": ISSUER, "audience": "registry.test", "subject": "repo:acme/app:*"}
    document = {"kind": "trust", "id": "trust", "project": "shop", "grants": grants, "trust": trust}
    estate.made("acme-owner", "/credentials", document)
    id_token = estate.ground.issuer.id_token("repo:acme/app:main", "registry.test")
    return Caller(estate.ground.deployment, basic("trust", id_token))


def _dead(estate: Estate, scopes: list[str]) -> Iterator[Member]:
    """Each with a token from before it died, or one that was never good."""
    ground, owner = estate.ground, estate.caller("acme-owner")
    nobody = Caller(ground.deployment)
    yield Member("none", nobody, nobody)
    wrong = replace(nobody, authorization=basic("acme-owner", make_secret()))
    yield Member("wrong", wrong, _forged(ground, owner, scopes, keys=[b"another key".ljust(32)]))
    unknown = replace(nobody, authorization=basic("no-such-robot", make_secret()))
    yield Member("nobody", unknown, _forged(ground, owner, scopes, service="another"))

    estate.user("acme-owner", "disabled", everywhere="owner")
    estate.robot("acme-owner", "revoked", "shop", EVERYTHING)
    expires = ground.clock.now + 60
    estate.robot("acme-owner", "expired", "shop", EVERYTHING, expires=_moment(expires))
    dying = {name: estate.caller(name) for name in ("disabled", "revoked", "expired")}
    tokens = {name: caller.with_token(*scopes) for name, caller in dying.items()}
    estate.robot("acme-owner", "rotated-away", "shop", EVERYTHING)
    dying["rotated-away"] = estate.caller("rotated-away")
    tokens["rotated-away"] = dying["rotated-away"].with_token(*scopes)

    assert owner.api("PATCH", "/credentials/disabled", {"disabled": True}).status == 200
    assert owner.api("DELETE", "/credentials/revoked").status == 204
    path = "/credentials/rotated-away/rotation"
    assert owner.api("POST", path, {"overlap_seconds": 0}).status == 201
    ground.clock.advance(61)
    for name, caller in dying.items():
        yield Member(name, caller, tokens[name])


def _forged(ground: Ground, owner: Caller, scopes: list[str], **changes: object) -> Caller:
    """A token that allows everything, made with another key or for another deployment."""
    tokens = ground.deployment.services.tokens
    true = tokens.verify(owner.token(*scopes))
    assert true is not None
    other: Tokens = replace(tokens, **changes)  # type: ignore[arg-type]
    return replace(owner, authorization=f"Bearer {other.issue(true)[0]}")


def _moment(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat()


def every_scope(names: list[str]) -> list[str]:
    return [f"repository:{name}:pull,push,delete" for name in names] + ["registry:catalog:*"]


def all_repositories() -> list[str]:
    return [*REPOSITORIES, FOREIGN]
