"""Nobody gives more than they have, sees what is not theirs, or undoes what another has just done."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Any

import pytest

from chalicelib.identity.credential_desk import CLAIMS_LIMIT, GRANTS_LIMIT, PATTERN_LIMIT, CredentialDesk
from chalicelib.identity.credentials import (
    EXPIRY_LIMIT_SECONDS,
    OVERLAP_LIMIT_SECONDS,
    Credential,
    Kind,
    Trust,
    administrator,
)
from chalicelib.identity.grants import Grant
from chalicelib.identity.refusals import Reason, RefusedError
from chalicelib.identity.roles import EVERY_PROJECT, Role
from chalicelib.identity.secret import is_generated, matches
from chalicelib.identity.tenancy import Registry, Tenancy
from chalicelib.management.forms import SUBJECT
from chalicelib.registry.lifecycle_run import CARETAKER
from chalicelib.spec.cloud_events import Event
from chalicelib.wiring import COLLECTOR
from tests.identity.memory import NOW, Clock, Credentials, Tenants

TRUST = Trust("https://issuer.example", "ccr", "repo:acme/app:*", {"ref": "refs/heads/main"})


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def store() -> Credentials:
    return Credentials()


@pytest.fixture
def desk(store: Credentials, clock: Clock) -> CredentialDesk:
    tenancy = Tenancy(Tenants(), clock)
    for account, project, registry in (
        ("acme", "shop", "dev"),
        ("acme", "site", "web"),
        ("other", "shop", "theirs"),
    ):
        if tenancy.store.account(account) is None:
            tenancy.create_account(account)
        tenancy.create_registry(tenancy.create_project(account, project), registry)
    return CredentialDesk(store, tenancy, clock)


def user(store: Credentials, id_: str, account: str = "acme", **roles: Role) -> Credential:
    """`every` stands for every project."""
    named = {EVERY_PROJECT if name == "every" else name: role for name, role in roles.items()}
    made = Credential(id_, account, roles=named)
    assert store.put(made)
    return made


@pytest.fixture
def owner(store: Credentials) -> Credential:
    return user(store, "olga", every=Role.OWNER)


@pytest.fixture
def maintainer(store: Credentials) -> Credential:
    return user(store, "mia", shop=Role.MAINTAINER)


@pytest.fixture
def root(store: Credentials) -> Credential:
    made = administrator("root", "acme", "secret", NOW)
    assert store.put(made)
    return made


def refused(reason: Reason, call: Callable[[], Any]) -> str:
    with pytest.raises(RefusedError) as error:
        call()
    assert error.value.reason is reason, error.value
    return error.value.message


def grants(*patterns: str, actions: Iterable[str] = ("pull", "push")) -> list[Grant]:
    return [Grant(pattern, frozenset(actions)) for pattern in patterns]


def robot(desk: CredentialDesk, by: Credential, id_: str = "ci", *patterns: str) -> Credential:
    return desk.create_robot(by, id_, "shop", grants(*patterns or ("dev/*",)))[0]


# Making


def test_a_robot_has_a_secret_that_is_told_once(desk: CredentialDesk, maintainer: Credential) -> None:
    made, secret = desk.create_robot(maintainer, "ci", "shop", grants("dev/*"), title="CI", expires=NOW + 60)
    assert is_generated(secret)
    assert matches(secret, made.secrets[0].hash)
    assert secret not in repr(made)
    assert (made.account, made.project, made.created_by, made.expires) == ("acme", "shop", "mia", NOW + 60)


@pytest.mark.parametrize(
    ("patterns", "actions", "reason"),
    [
        (["web/*"], ["pull"], Reason.NOT_FOUND),
        (["theirs/*"], ["pull"], Reason.NOT_FOUND),
        (["none/*"], ["pull"], Reason.NOT_FOUND),
        (["dev/*", "web/*"], ["pull"], Reason.NOT_FOUND),
        (["*"], ["pull"], Reason.INVALID),
        (["d*"], ["pull"], Reason.INVALID),
        (["*/app"], ["pull"], Reason.INVALID),
        (["dev/[a]"], ["pull"], Reason.INVALID),
        (["dev/*"], ["admin"], Reason.INVALID),
        (["dev/*"], [], Reason.INVALID),
        ([], ["pull"], Reason.INVALID),
        (["dev/*"] * (GRANTS_LIMIT + 1), ["pull"], Reason.INVALID),
    ],
)
def test_a_grant_lies_in_the_robots_project(
    desk: CredentialDesk, maintainer: Credential, patterns: list[str], actions: list[str], reason: Reason
) -> None:
    wanted = grants(*patterns, actions=actions)
    refused(reason, lambda: desk.create_robot(maintainer, "ci", "shop", wanted))
    refused(reason, lambda: desk.create_trust(maintainer, "ci", "shop", wanted, TRUST))
    refused(reason, lambda: desk.change(maintainer, robot(desk, maintainer), grants=wanted))


def test_a_registry_elsewhere_is_told_as_one_that_is_not_there(
    desk: CredentialDesk, maintainer: Credential
) -> None:
    said = {
        refused(Reason.NOT_FOUND, lambda name=name: robot(desk, maintainer, "x", f"{name}/*")).replace(
            name, "_"
        )
        for name in ("web", "theirs", "none")
    }
    assert len(said) == 1


@pytest.mark.parametrize(
    "roles",
    [
        {},
        {"shop": Role.VIEWER},
        {"shop": Role.DEVELOPER},
        {"site": Role.OWNER},
        {"every": Role.DEVELOPER},
    ],
)
def test_who_maintains_no_project_makes_no_robot_in_it(
    desk: CredentialDesk, store: Credentials, roles: dict[str, Role]
) -> None:
    by = user(store, "dev", **roles)
    refused(Reason.FORBIDDEN, lambda: desk.create_robot(by, "ci", "shop", grants("dev/*")))
    refused(Reason.FORBIDDEN, lambda: desk.create_trust(by, "ci", "shop", grants("dev/*"), TRUST))


def test_a_robot_makes_nobody(desk: CredentialDesk, store: Credentials, maintainer: Credential) -> None:
    """Not even one that was given the roles of an owner behind the desk's back."""
    plain = robot(desk, maintainer)
    strong = replace(plain, id="strong", roles={EVERY_PROJECT: Role.OWNER}, is_operator=True, version=1)
    assert store.put(strong)
    for by in (plain, strong):
        refused(Reason.FORBIDDEN, lambda by=by: desk.create_robot(by, "x", "shop", grants("dev/*")))
        refused(Reason.FORBIDDEN, lambda by=by: desk.create_trust(by, "x", "shop", grants("dev/*"), TRUST))
        refused(Reason.FORBIDDEN, lambda by=by: desk.create_user(by, "x", {EVERY_PROJECT: Role.OWNER}))
        refused(Reason.FORBIDDEN, lambda by=by: desk.create_user(by, "x", {}, account="other"))
        refused(Reason.FORBIDDEN, lambda by=by: desk.change(by, by, grants=grants("dev/*")))


def test_an_id_is_had_once_in_the_whole_deployment(
    desk: CredentialDesk, store: Credentials, owner: Credential
) -> None:
    stranger = user(store, "zoe", "other", every=Role.OWNER)
    robot(desk, owner)
    own = refused(Reason.CONFLICT, lambda: robot(desk, owner))
    foreign = refused(Reason.CONFLICT, lambda: desk.create_user(stranger, "ci", {}))
    assert "already" in own
    assert "ci" in foreign
    assert "already" not in foreign
    assert (
        refused(Reason.CONFLICT, lambda: desk.create_trust(owner, "ci", "shop", grants("dev/*"), TRUST))
        == own
    )


@pytest.mark.parametrize("agent", [CARETAKER.id, COLLECTOR.id])
def test_nobody_is_called_as_the_deployment_is_in_the_audit_trail(
    desk: CredentialDesk, owner: Credential, maintainer: Credential, agent: str
) -> None:
    assert agent in refused(Reason.INVALID, lambda: desk.create_user(owner, agent, {}))
    assert agent in refused(Reason.INVALID, lambda: robot(desk, maintainer, agent))


@pytest.mark.parametrize("expires", [NOW, NOW - 1, 0, -1, NOW + EXPIRY_LIMIT_SECONDS + 1])
def test_an_expiry_lies_within_a_year(desk: CredentialDesk, maintainer: Credential, expires: int) -> None:
    refused(
        Reason.INVALID,
        lambda: desk.create_robot(maintainer, "ci", "shop", grants("dev/*"), expires=expires),
    )
    refused(Reason.INVALID, lambda: desk.change(maintainer, robot(desk, maintainer), expires=expires))


@pytest.mark.parametrize("title", ["x" * 201, "a\nb", "\x1b[31m", "\0", "\u202e"])
def test_a_title_is_one_printable_line(desk: CredentialDesk, maintainer: Credential, title: str) -> None:
    refused(Reason.INVALID, lambda: desk.create_robot(maintainer, "ci", "shop", grants("dev/*"), title=title))


def test_a_user_is_made_by_who_may_make_members_of_the_whole_account(
    desk: CredentialDesk, store: Credentials, owner: Credential, maintainer: Credential
) -> None:
    made, secret = desk.create_user(owner, "new", {"shop": Role.OWNER})
    assert (made.account, made.kind, made.roles) == ("acme", Kind.USER, {"shop": Role.OWNER})
    assert not made.is_operator
    assert matches(secret, made.secrets[0].hash)
    of_project = user(store, "po", shop=Role.OWNER)
    for by in (maintainer, of_project, user(store, "em", every=Role.MAINTAINER)):
        refused(Reason.FORBIDDEN, lambda by=by: desk.create_user(by, "x", {}))
    refused(Reason.NOT_FOUND, lambda: desk.create_user(owner, "x", {"none": Role.VIEWER}))


def test_only_an_operator_makes_users_of_another_account(
    desk: CredentialDesk, owner: Credential, root: Credential
) -> None:
    refused(Reason.FORBIDDEN, lambda: desk.create_user(owner, "x", {}, account="other"))
    made, _ = desk.create_user(root, "first", {EVERY_PROJECT: Role.OWNER}, account="other")
    assert (made.account, made.is_operator) == ("other", False)


@pytest.mark.parametrize(
    "trust",
    [
        pytest.param(replace(TRUST, issuer="http://issuer.example"), id="no TLS"),
        pytest.param(replace(TRUST, issuer="http://127.0.0.1.evil.example"), id="looks like loopback"),
        pytest.param(replace(TRUST, issuer="file:///etc/passwd"), id="a file"),
        pytest.param(replace(TRUST, issuer=""), id="no issuer"),
        pytest.param(replace(TRUST, audience=""), id="no audience"),
        pytest.param(replace(TRUST, subject=""), id="no subject"),
        pytest.param(replace(TRUST, subject="*"), id="any subject"),
        pytest.param(replace(TRUST, subject="***"), id="any subject in more words"),
        pytest.param(replace(TRUST, subject="*:*"), id="any subject in two parts"),
        pytest.param(replace(TRUST, subject="repo:*"), id="everybody of the issuer"),
        pytest.param(replace(TRUST, subject="repo*:acme/app"), id="wild before it says whose"),
        pytest.param(replace(TRUST, subject="repo://*"), id="separators alone"),
        pytest.param(replace(TRUST, subject=":*acme"), id="wild right after the separator"),
        pytest.param(replace(TRUST, subject="*@acme.example"), id="wild in front"),
        pytest.param(replace(TRUST, subject="some*"), id="no separator"),
        pytest.param(replace(TRUST, subject="x" * (PATTERN_LIMIT + 1)), id="a long subject"),
        pytest.param(replace(TRUST, claims={"ref": "x" * (PATTERN_LIMIT + 1)}), id="a long claim"),
        pytest.param(replace(TRUST, claims={str(n): "x" for n in range(CLAIMS_LIMIT + 1)}), id="many claims"),
    ],
)
def test_a_trust_names_whom_it_trusts(desk: CredentialDesk, maintainer: Credential, trust: Trust) -> None:
    refused(Reason.INVALID, lambda: desk.create_trust(maintainer, "gh", "shop", grants("dev/*"), trust))


@pytest.mark.parametrize(
    "subject",
    [
        "someone",
        "repo:acme/*",
        "repo:acme/app:ref:refs/heads/*",
        "repo:acme*",
        "system:serviceaccount:shop:*",
        "auth0|5f7c*",
        "spiffe://cluster.example/ns/shop/*",
    ],
)
def test_a_subject_may_be_wild_once_it_has_said_whose(
    desk: CredentialDesk, maintainer: Credential, subject: str
) -> None:
    trust = replace(TRUST, subject=subject)
    assert desk.create_trust(maintainer, "gh", "shop", grants("dev/*"), trust).trust == trust
    assert re.search(SUBJECT, subject), "the document says so, too"


@pytest.mark.parametrize("subject", ["", "*", "*:*", "repo:*", "repo*:acme/app", "repo://*", "some*"])
def test_the_document_says_which_subjects_are_refused(subject: str) -> None:
    assert re.search(SUBJECT, subject) is None


def test_a_trust_has_no_secret(desk: CredentialDesk, maintainer: Credential) -> None:
    made = desk.create_trust(maintainer, "gh", "shop", grants("dev/*"), TRUST)
    assert (made.kind, made.secrets, made.trust) == (Kind.TRUST, (), TRUST)
    refused(Reason.INVALID, lambda: desk.rotate(maintainer, made, 0))


# Seeing


def test_who_has_no_authority_over_a_credential_sees_none(
    desk: CredentialDesk, store: Credentials, owner: Credential, maintainer: Credential
) -> None:
    made = robot(desk, maintainer)
    assert desk.get(owner, "ci") == desk.get(maintainer, "ci") == desk.get(made, "ci") == made
    strangers = [
        user(store, "viewer", shop=Role.DEVELOPER),
        user(store, "site", site=Role.OWNER),
        user(store, "zoe", "other", every=Role.OWNER),
        administrator("root2", "other", "secret"),
        robot(desk, maintainer, "ci2"),
    ]
    for by in strangers:
        foreign = refused(Reason.NOT_FOUND, lambda by=by: desk.get(by, "ci"))
        assert foreign.replace("'ci'", "'no'") == refused(Reason.NOT_FOUND, lambda by=by: desk.get(by, "no"))
        for call in (
            lambda by=by: desk.change(by, made, title="x"),
            lambda by=by: desk.rotate(by, made, 0),
            lambda by=by: desk.delete(by, made),
        ):
            assert refused(Reason.NOT_FOUND, call) == foreign


def test_a_maintainer_sees_no_users_and_none_that_has_more(
    desk: CredentialDesk, store: Credentials, owner: Credential, maintainer: Credential
) -> None:
    refused(Reason.NOT_FOUND, lambda: desk.get(maintainer, "olga"))
    strong = replace(robot(desk, owner), id="strong", version=1, project="site")
    assert store.put(strong)
    refused(Reason.NOT_FOUND, lambda: desk.get(maintainer, "strong"))
    assert [one.id for one in desk.page(maintainer, "", 50)[0]] == ["ci", "mia"]
    assert [one.id for one in desk.page(owner, "", 50)[0]] == ["ci", "mia", "olga", "strong"]


@pytest.mark.parametrize("limit", [1, 2, 3, 50])
def test_pages_hold_every_credential_once(
    desk: CredentialDesk, store: Credentials, maintainer: Credential, limit: int
) -> None:
    """Also where most of what is there may not be seen."""
    for number in range(12):
        user(store, f"hidden-{number:02}")
        if number % 4 == 0:
            robot(desk, maintainer, f"r-{number:02}")
    found: list[str] = []
    after = ""
    while True:
        some, after = desk.page(maintainer, after, limit)
        assert len(some) <= limit
        found += [one.id for one in some]
        if not after:
            break
    assert found == ["mia", "r-00", "r-04", "r-08"]


# Changing


def test_what_takes_away_ends_what_was_issued_before_and_nothing_else_does(
    desk: CredentialDesk, store: Credentials, maintainer: Credential, owner: Credential
) -> None:
    made = robot(desk, maintainer)
    expiring = desk.change(maintainer, made, expires=NOW + 100)
    assert expiring.generation == made.generation + 1
    assert store.revocations["ci"] == expiring.generation
    steps: list[tuple[dict[str, Any], int]] = [
        ({"title": "another"}, 0),
        ({"expires": NOW + 200}, 0),
        ({"expires": NOW + 50}, 1),
        ({"is_disabled": True}, 1),
        ({"is_disabled": True}, 0),
        ({"is_disabled": False}, 0),
        ({"grants": grants("dev/app")}, 1),
        ({"grants": grants("dev/app")}, 0),
        ({}, 0),
    ]
    now = expiring
    for change, rise in steps:
        before, now = now, desk.change(maintainer, now, **change)
        assert now.generation == before.generation + rise, change
        assert now.version == before.version + 1
    given = user(store, "new")
    assert desk.set_role(owner, given, "shop", Role.VIEWER).generation == given.generation + 1


def test_two_changes_at_once_leave_the_second_stale(
    desk: CredentialDesk, store: Credentials, maintainer: Credential
) -> None:
    made = robot(desk, maintainer)
    first, _ = desk.rotate(maintainer, made, 60)
    refused(Reason.STALE, lambda: desk.rotate(maintainer, made, 60))
    refused(Reason.STALE, lambda: desk.change(maintainer, made, title="x"))
    refused(Reason.STALE, lambda: desk.delete(maintainer, made))
    assert store.get("ci") == first


def test_a_rotation_says_the_new_secret_and_keeps_the_old_for_the_overlap(
    desk: CredentialDesk, maintainer: Credential
) -> None:
    made, first = desk.create_robot(maintainer, "ci", "shop", grants("dev/*"))
    after, second = desk.rotate(maintainer, made, 60)
    assert first != second
    assert [(matches(first, one.hash), matches(second, one.hash)) for one in after.secrets] == [
        (False, True),
        (True, False),
    ]
    assert after.secrets[1].expires == NOW + 60
    assert after.generation == made.generation


@pytest.mark.parametrize("overlap", [-1, OVERLAP_LIMIT_SECONDS + 1, 10**9])
def test_an_overlap_is_a_week_at_most(desk: CredentialDesk, maintainer: Credential, overlap: int) -> None:
    refused(Reason.INVALID, lambda: desk.rotate(maintainer, robot(desk, maintainer), overlap))


def test_everybody_may_rotate_their_own_secret_and_do_no_more_to_themselves(
    desk: CredentialDesk, owner: Credential, maintainer: Credential
) -> None:
    made = robot(desk, maintainer)
    after, secret = desk.rotate(made, made, 0, proof=made.secrets[0])
    assert matches(secret, after.secrets[0].hash)
    refused(Reason.FORBIDDEN, lambda: desk.change(after, after, title="x"))
    refused(Reason.FORBIDDEN, lambda: desk.delete(after, after))
    refused(Reason.FORBIDDEN, lambda: desk.change(owner, owner, is_disabled=True))
    refused(Reason.FORBIDDEN, lambda: desk.delete(owner, owner))
    refused(Reason.FORBIDDEN, lambda: desk.set_role(owner, owner, EVERY_PROJECT, Role.OWNER))


def test_a_secret_on_its_way_out_does_not_undo_its_own_rotation(
    desk: CredentialDesk, maintainer: Credential
) -> None:
    made = robot(desk, maintainer)
    stolen = made.secrets[0]
    after, _ = desk.rotate(maintainer, made, 60)
    refused(Reason.FORBIDDEN, lambda: desk.rotate(after, after, 0, proof=stolen))
    refused(Reason.FORBIDDEN, lambda: desk.rotate(after, after, 0, proof=after.secrets[1]))
    refused(Reason.FORBIDDEN, lambda: desk.rotate(after, after, 0))
    assert desk.rotate(after, after, 0, proof=after.secrets[0])[0].version == after.version + 1


def test_the_last_owner_of_an_account_is_not_taken_away(
    desk: CredentialDesk, store: Credentials, owner: Credential
) -> None:
    """By whoever was an owner when the request came, and is none when it has its turn."""
    other = user(store, "otto", every=Role.OWNER)
    left = desk.set_role(other, owner, EVERY_PROJECT, Role.VIEWER)
    for call in (
        lambda: desk.set_role(owner, other, EVERY_PROJECT, None),
        lambda: desk.change(owner, other, is_disabled=True),
        lambda: desk.change(owner, other, expires=NOW + 60),
        lambda: desk.delete(owner, other),
    ):
        assert "the last owner" in refused(Reason.CONFLICT, call)
    again = desk.set_role(other, left, EVERY_PROJECT, Role.OWNER)
    desk.change(again, other, expires=NOW + 60)
    refused(Reason.FORBIDDEN, lambda: desk.change(again, again, expires=NOW + 60))
    assert store.get("olga") == again


def test_owners_who_take_each_other_away_at_once_leave_one(
    desk: CredentialDesk, store: Credentials, owner: Credential, monkeypatch: pytest.MonkeyPatch
) -> None:
    other, put = user(store, "otto", every=Role.OWNER), store.put

    def second(credential: Credential, **more: Any) -> bool:
        """Another writes between the look and the write of the first."""
        monkeypatch.setattr(store, "put", put)
        desk.set_role(other, owner, EVERY_PROJECT, None)
        return put(credential, **more)

    monkeypatch.setattr(store, "put", second)
    refused(Reason.STALE, lambda: desk.set_role(owner, other, EVERY_PROJECT, None))
    assert [one.id for one in store.rows.values() if one.keeps_account] == ["otto"]


def test_an_owner_is_no_operator_and_does_not_become_one(
    desk: CredentialDesk, owner: Credential, root: Credential
) -> None:
    """Who rotates a secret is told the new one."""
    for call in (
        lambda: desk.get(owner, "root"),
        lambda: desk.rotate(owner, root, 0),
        lambda: desk.change(owner, root, is_disabled=True),
        lambda: desk.delete(owner, root),
    ):
        refused(Reason.NOT_FOUND, call)
    refused(Reason.FORBIDDEN, lambda: desk.set_role(owner, root, EVERY_PROJECT, None))
    assert desk.get(root, "olga") == owner


def test_roles_are_given_by_owners_of_the_project_they_are_in(
    desk: CredentialDesk, store: Credentials, maintainer: Credential
) -> None:
    of_shop = user(store, "po", shop=Role.OWNER)
    new = user(store, "new")
    changed = desk.set_role(of_shop, new, "shop", Role.OWNER)
    assert changed.roles == {"shop": Role.OWNER}
    assert desk.set_role(of_shop, changed, "shop", None).roles == {}
    for project in ("site", EVERY_PROJECT):
        refused(Reason.FORBIDDEN, lambda p=project: desk.set_role(of_shop, new, p, Role.VIEWER))
    refused(Reason.FORBIDDEN, lambda: desk.set_role(maintainer, new, "shop", Role.VIEWER))
    stranger = user(store, "zoe", "other")
    refused(Reason.NOT_FOUND, lambda: desk.set_role(of_shop, stranger, "shop", Role.VIEWER))
    refused(Reason.NOT_FOUND, lambda: desk.set_role(of_shop, robot(desk, maintainer), "shop", Role.VIEWER))


def test_a_robots_roles_and_a_users_grants_are_not_to_be_had(
    desk: CredentialDesk, store: Credentials, owner: Credential
) -> None:
    new = user(store, "new")
    refused(Reason.INVALID, lambda: desk.change(owner, new, grants=grants("dev/*")))


def test_a_maintainer_changes_no_robot_to_more_than_its_own(
    desk: CredentialDesk, store: Credentials, maintainer: Credential
) -> None:
    made = robot(desk, maintainer, "ci")
    weaker = desk.change(maintainer, made, grants=grants("dev/app", actions=["pull"]))
    assert [grant.pattern for grant in weaker.grants] == ["dev/app"]
    refused(Reason.NOT_FOUND, lambda: desk.change(maintainer, weaker, grants=grants("web/*")))


def test_a_deleted_credential_is_gone_with_all_that_was_issued_to_it(
    desk: CredentialDesk, store: Credentials, clock: Clock, maintainer: Credential
) -> None:
    made = robot(desk, maintainer)
    desk.delete(maintainer, made)
    refused(Reason.NOT_FOUND, lambda: desk.get(maintainer, "ci"))
    assert store.revocations["ci"] > made.generation
    clock.now += 0.01
    assert robot(desk, maintainer).generation >= store.revocations["ci"]


def registry(desk: CredentialDesk, name: str = "dev", account: str = "acme") -> Registry:
    return desk.tenancy.registry(account, name)


def test_a_grant_is_of_the_registry_that_has_the_name_now(
    desk: CredentialDesk, maintainer: Credential
) -> None:
    """Also where the clock stands still, or goes back."""
    robot, _ = desk.create_robot(maintainer, "ci", "shop", [Grant("dev/*", frozenset({"pull"}))])
    first = registry(desk)
    assert robot.grants_on(first)
    desk.tenancy.end_deletion(desk.tenancy.begin_deletion(first))
    second = desk.tenancy.create_registry(desk.tenancy.project("acme", "shop"), "dev")
    assert second.incarnation > first.incarnation
    assert robot.actions_on("dev/app", second) == frozenset()
    assert robot.grants_on(second) == ()


def test_a_forgotten_registry_takes_its_grants_and_its_own_robot_with_it(
    desk: CredentialDesk, store: Credentials, owner: Credential, maintainer: Credential
) -> None:
    pull = frozenset({"pull"})
    desk.tenancy.create_registry(desk.tenancy.project("acme", "shop"), "prod")
    dev, prod = Grant("dev/*", pull), Grant("prod/*", pull)
    for id_, grants in (("dev", [dev]), ("prod", [dev, prod]), ("ci", [dev]), ("cd", [prod])):
        desk.create_robot(maintainer, id_, "shop", grants)
    desk.create_trust(maintainer, "gh", "shop", [dev, prod], TRUST)
    before = dict(store.rows)
    desk.forget_registry(registry(desk))
    assert set(before) - set(store.rows) == {"dev"}
    left = {id_: [one.pattern for one in store.rows[id_].grants] for id_ in ("prod", "ci", "cd", "gh")}
    assert left == {"prod": ["prod/*"], "ci": [], "cd": ["prod/*"], "gh": ["prod/*"]}
    assert set(store.revocations) == {"registry/dev", "dev", "prod", "ci", "gh"}
    assert store.rows["cd"] == before["cd"]
    assert store.rows[owner.id] == before[owner.id]


def test_a_robot_of_another_account_named_after_it_stays(
    desk: CredentialDesk, store: Credentials, root: Credential, maintainer: Credential
) -> None:
    stranger = user(store, "zoe", account="other", every=Role.OWNER)
    desk.create_robot(stranger, "dev", "shop", [Grant("theirs/*", frozenset({"pull"}))])
    desk.forget_registry(registry(desk))
    assert store.rows["dev"].grants


def test_forgetting_goes_on_where_another_has_just_written(
    desk: CredentialDesk, store: Credentials, maintainer: Credential, monkeypatch: pytest.MonkeyPatch
) -> None:
    robot, _ = desk.create_robot(maintainer, "ci", "shop", [Grant("dev/*", frozenset({"pull"}))])
    real, others = store.put, iter(["a", "b"])

    def put(credential: Credential, *, revoke: bool = False, told: Event | None = None) -> bool:
        for title in others:
            held = store.rows["ci"]
            store.rows["ci"] = replace(held, title=title, version=held.version + 1)
            return real(credential, revoke=revoke, told=told)
        return real(credential, revoke=revoke, told=told)

    monkeypatch.setattr(store, "put", put)
    desk.forget_registry(registry(desk))
    assert (store.rows["ci"].grants, store.rows["ci"].title) == ((), "b")
    monkeypatch.setattr(store, "put", lambda _credential, **_: False)
    store.rows["ci"] = robot
    refused(Reason.STALE, lambda: desk.forget_registry(registry(desk)))


@pytest.mark.parametrize(
    "issuer",
    [
        "",
        "https://",
        "https:///x",
        "http://issuer.example",
        "http://127.0.0.1",
        "http://127.0.0.1.evil.example:80",
        "http://127.0.0.1:80@evil.example",
        "https://user@issuer.example",
        "https://issuer.example?x=y",
        "https://issuer.example#x",
        "https://issuer.example:port",
        "https://issuer.example:99999",
        "https://[::1",
        "https://issuer.example\\@127.0.0.1",
        "https://issuer.example\n",
        "https://issuer .example",
        "https://\u0456ssuer.example",
        "ftp://issuer.example",
        "file:///etc/passwd",
        "issuer.example",
    ],
)
def test_what_is_no_issuer_is_not_trusted(desk: CredentialDesk, maintainer: Credential, issuer: str) -> None:
    grants = [Grant("dev/*", frozenset({"pull"}))]
    trust = replace(TRUST, issuer=issuer)
    refused(Reason.INVALID, lambda: desk.create_trust(maintainer, "gh", "shop", grants, trust))


@pytest.mark.parametrize(
    "issuer",
    [
        "https://token.actions.githubusercontent.com",
        "https://gitlab.example:8443/",
        "https://oidc.eks.eu-west-1.amazonaws.com/id/0123ABCD",
    ],
)
def test_an_issuer_is_a_url_of_a_host(desk: CredentialDesk, maintainer: Credential, issuer: str) -> None:
    grants = [Grant("dev/*", frozenset({"pull"}))]
    assert desk.create_trust(maintainer, "gh", "shop", grants, replace(TRUST, issuer=issuer)).trust


@pytest.mark.parametrize(
    "issuer", ["http://127.0.0.1:1", "http://localhost:80", "https://127.8.8.8/", "https://[::1]"]
)
def test_an_issuer_on_this_machine_is_refused_at_once_unless_the_deployment_takes_it(
    desk: CredentialDesk, maintainer: Credential, issuer: str
) -> None:
    grants, trust = [Grant("dev/*", frozenset({"pull"}))], replace(TRUST, issuer=issuer)
    with pytest.raises(RefusedError, match="CCR_LOOPBACK_ISSUERS=on") as error:
        desk.create_trust(maintainer, "gh", "shop", grants, trust)
    assert error.value.reason is Reason.INVALID
    assert replace(desk, loopback_issuers=True).create_trust(maintainer, "gh", "shop", grants, trust).trust


def test_a_taken_id_is_said_to_be_there_to_who_may_see_it_alone(
    desk: CredentialDesk, maintainer: Credential, store: Credentials
) -> None:
    grants = [Grant("dev/*", frozenset({"pull"}))]
    desk.create_robot(maintainer, "mine", "shop", grants)
    store.rows["theirs"] = Credential("theirs", "another-account")
    said = {}
    for id_ in ("mine", "theirs"):
        with pytest.raises(RefusedError) as error:
            desk.create_robot(maintainer, id_, "shop", grants)
        assert error.value.reason is Reason.CONFLICT
        said[id_] = error.value.message
    assert "there is a credential 'mine' already" in said["mine"]
    assert "already" not in said["theirs"]
