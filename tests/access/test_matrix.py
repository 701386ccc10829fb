"""Every credential x every endpoint, method and operation, by Basic and by Bearer, against table.txt."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import pytest

from chalicelib.endpoints.routes import ENDPOINTS
from chalicelib.events.webhook_desk import Change
from chalicelib.identity.credentials import Credential, Kind, Secret
from chalicelib.identity.grants import PULL, Grant
from chalicelib.identity.roles import Role
from chalicelib.identity.secret import hash_secret, make_secret
from chalicelib.registry.policies import (
    IMMUTABLE_TAGS,
    RETENTION,
    Policy,
    project_scope,
    registry_scope,
)
from tests.access import ground, table
from tests.access.caller import API, Caller
from tests.access.cast import DEAD, Member, all_repositories, cast, every_scope, names_of_cast
from tests.access.estate import Estate, build
from tests.access.judge import Judge, absent
from tests.access.operations import (
    ACCOUNT_OPERATIONS,
    IMMUTABLE,
    INSIDE,
    OWN_OPERATIONS,
    PLACES,
    PROJECT_OPERATIONS,
    REPOSITORY_OPERATIONS,
    Operation,
    Place,
    Repo,
    furnish,
)
from tests.access.remembered_reads import Snapshot
from tests.access.table import ALLOWED, NOBODY
from tests.support.content import UNKNOWN

TABLE = table.read()
REGISTRY = {
    "version": ("end-1", "/v2/"),
    "catalog": ("catalog", "/v2/_catalog"),
    "token": ("token", "/token"),
}
WAYS = (BASIC, BEARER) = ("basic", "bearer")
MANAGEMENT: Mapping[str, tuple[Operation, ...]] = {
    **{f"project {name}": PROJECT_OPERATIONS for name in PLACES},
    "account acme": ACCOUNT_OPERATIONS,
    "account rival": ACCOUNT_OPERATIONS,
    "own account": OWN_OPERATIONS,
}
METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "CONNECT", "PURGE", "QUERY")
WRONG = {
    path.replace("<upload>", "/v2/<name>").replace("<digest>", UNKNOWN).replace("<reference>", "v1"): [
        method
        for method in METHODS
        if not any(method in one.methods for one in ENDPOINTS if one.path == path)
    ]
    for path in {endpoint.path for endpoint in ENDPOINTS}
}


@dataclass(frozen=True)
class Stage:
    estate: Estate
    members: Mapping[str, Member]
    snapshot: Snapshot

    def caller(self, name: str, way: str) -> Caller:
        member = self.members[name]
        return member.by_basic if way == BASIC else member.by_bearer

    def judge(self, name: str, way: str) -> Judge:
        return Judge(self.caller(name, way), self.members[name].lives, self.snapshot)


@pytest.fixture(scope="module")
def stage(backend: None) -> Stage:
    ground.clear()
    laid = ground.lay(quick=True)
    deployment = laid.deployment
    estate = build(laid)
    for name in all_repositories():
        furnish(Repo(estate, name))
    for place in PLACES.values():
        deployment.soft_limits.set(project_scope(place.account, place.project), 10**9)
        deployment.soft_limits.set(registry_scope(place.account, place.registry), 10**9)
    members = cast(estate, every_scope(all_repositories()))
    for target in targets():
        assert deployment.credentials.put(target)
    for policy in policies():
        assert deployment.policies.put(policy)
    for account in ("acme", "rival", deployment.settings.account):
        deployment.webhook_desk.create(account, "everybodys", Change(url=INSIDE), "somebody")
    return Stage(estate, members, Snapshot(ground.tables(), deployment._reads))


def policies() -> Iterator[Policy]:
    """Of every registry, of no tag that is there."""
    for place in PLACES.values():
        scope = registry_scope(place.account, place.registry)
        yield Policy(scope, IMMUTABLE_TAGS, IMMUTABLE)
        yield Policy(scope, RETENTION, {"days": 7})


def targets() -> Iterator[Credential]:
    """The robots and users that operations are about."""
    for place in PLACES.values():
        grants = (Grant(f"{place.registry}/*", frozenset({PULL})),)
        secrets = (Secret(hash_secret(make_secret())),)
        yield Credential(
            place.robot, place.account, Kind.ROBOT, secrets, project=place.project, grants=grants
        )
    for account, project in (("acme", "lab"), ("rival", "yard")):
        secrets = (Secret(hash_secret(make_secret())),)
        yield Credential(f"{account}-user", account, secrets=secrets, roles={project: Role.VIEWER})


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("name", names_of_cast())
def test_repositories(stage: Stage, name: str, way: str) -> None:
    judge = stage.judge(name, way)
    wrong = []
    for title in all_repositories():
        cells = TABLE.sections[f"repository {title}"].by_member(name)
        for operation in REPOSITORY_OPERATIONS:
            for request in operation.requests(Repo(stage.estate, title)):
                expected = cells[operation.column] if way == BASIC or request.takes_tokens else NOBODY
                found = judge.verdict(request, success=operation.success, of=title, listed=operation.listed)
                if found != expected:
                    wrong.append(f"{request.method} {request.path} is {found}, not {expected}")
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("name", names_of_cast())
def test_management(stage: Stage, name: str, way: str) -> None:
    judge = stage.judge(name, way)
    wrong = []
    for title, operations in MANAGEMENT.items():
        cells = TABLE.sections[title].by_operation(name, TABLE.groups)
        place = _place(title)
        for operation in operations:
            expected = NOBODY if way == BEARER else cells[operation.label]
            of = place.names()[operation.of] if operation.of else ""
            request = operation.request(place)
            found = judge.verdict(request, success=operation.success, of=of, listed=operation.listed)
            if found != expected:
                wrong.append(f"{operation.label} in [{title}] is {found}, not {expected}")
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("name", names_of_cast())
def test_the_registry_as_a_whole(stage: Stage, name: str, way: str) -> None:
    caller = stage.caller(name, way)
    cells = TABLE.sections["registry"].by_member(name)
    for column, (_, path) in REGISTRY.items():
        for method in ("GET", "HEAD", "POST") if column == "token" else ("GET", "HEAD"):
            reply = caller.v2(method, path)
            assert reply.status == _of_registry(column, method, cells[column], way), (column, method, reply)


def _of_registry(column: str, method: str, cell: str, way: str) -> int:
    """/token takes GET with Basic, and POST with a form alone."""
    if column == "token" and method != "GET":
        return {"POST": 400, "HEAD": 405}[method]
    if column == "token" and way == BEARER:
        return 401
    return {ALLOWED: 200, NOBODY: 401}[cell]


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("name", names_of_cast())
def test_a_wrong_method_is_answered_alike_whatever_is_there(stage: Stage, name: str, way: str) -> None:
    caller = stage.caller(name, way)
    for path, methods in WRONG.items():
        for method in methods:
            replies = {}
            for repository in ("dev/app", *absent("dev/app")):
                reply = caller.v2(method, path.replace("<name>", repository))
                assert reply.status == 405, (method, path, reply)
                assert "www-authenticate" not in reply.headers
                replies[repository] = reply
            assert len({str(reply) for reply in replies.values()}) == 1
    assert stage.snapshot.holds


def test_a_token_says_what_the_table_says(stage: Stage) -> None:
    """The scope that it answers is the actions whose columns are allowed."""
    columns = {"pull": "manifest", "push": "put", "delete": "untag"}
    for name, member in stage.members.items():
        if name in DEAD:
            continue
        scopes = every_scope(all_repositories())
        said = member.by_basic.v2("GET", "/token", {"scope": scopes}).document["scope"].split()
        wanted = []
        for title in all_repositories():
            cells = TABLE.sections[f"repository {title}"].by_member(name)
            actions = [action for action, column in columns.items() if cells[column] == ALLOWED]
            if actions:
                wanted.append(f"repository:{title}:{','.join(actions)}")
        assert said == [*wanted, "registry:catalog:*"], name


def test_the_table_has_a_column_for_every_endpoint() -> None:
    covered = {operation.covers for operation in REPOSITORY_OPERATIONS} | {
        id_ for id_, _ in REGISTRY.values()
    }
    assert covered >= {endpoint.id for endpoint in ENDPOINTS}
    columns = {operation.column for operation in REPOSITORY_OPERATIONS}
    for title in all_repositories():
        assert set(TABLE.sections[f"repository {title}"].columns) == columns
    assert set(TABLE.sections["registry"].columns) == set(REGISTRY)


def test_every_method_of_every_endpoint_is_asked(stage: Stage) -> None:
    repo = Repo(stage.estate, "dev/app")
    for endpoint in ENDPOINTS:
        asked = {
            request.method
            for operation in REPOSITORY_OPERATIONS
            if operation.covers == endpoint.id
            for request in operation.requests(repo)
        }
        assert asked == set(endpoint.methods) or endpoint.id in {id_ for id_, _ in REGISTRY.values()}, (
            endpoint.id
        )


def test_the_table_has_a_row_for_every_operation_of_the_management_api(stage: Stage) -> None:
    document = Caller(stage.estate.ground.deployment).api("GET", "/openapi.json").document
    operations = [operation.covers for made in MANAGEMENT.values() for operation in made]
    covered = {*operations, *(one.covers for one in REPOSITORY_OPERATIONS)}
    described = {
        f"{method.upper()} {path.removeprefix(API)}"
        for path, methods in document["paths"].items()
        for method in methods
    }
    assert described <= covered, f"no row in table.txt: {described - covered}"
    assert {one for one in covered if " /" in one} <= described
    for title, made in MANAGEMENT.items():
        labels = [label for label, _ in TABLE.sections[title].rows]
        assert labels == [operation.label for operation in made]


def test_every_member_of_the_cast_has_one_place_in_each_section(stage: Stage) -> None:
    assert set(stage.members) == set(names_of_cast())
    assert set(TABLE.sections) == {
        "registry",
        *MANAGEMENT,
        *(f"repository {title}" for title in all_repositories()),
    }
    for name in stage.members:
        for title, section in TABLE.sections.items():
            if title in MANAGEMENT:
                section.by_operation(name, TABLE.groups)
            else:
                section.by_member(name)


def _place(title: str) -> Place:
    kind, _, name = title.partition(" ")
    if kind == "project":
        return PLACES[name]
    return next(place for place in PLACES.values() if place.account == name or title == "own account")
