"""/accounts, /projects and /registries."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated, Any

from aws_lambda_powertools.event_handler import Response
from aws_lambda_powertools.event_handler.api_gateway import Router
from aws_lambda_powertools.event_handler.openapi.params import Path, Query

from chalicelib.identity.credentials import Credential, Kind
from chalicelib.identity.grants import PULL, PUSH, Grant
from chalicelib.identity.refusals import Reason, RefusedError, not_found
from chalicelib.identity.roles import EVERY_PROJECT, READ, WRITE_MEMBER, WRITE_PROJECT, WRITE_REGISTRY, Role
from chalicelib.identity.tenancy import DELETED, FREE_BYTES, Account, Project, Registry
from chalicelib.management.forms import CREDENTIAL_ID, NAME, PROJECT_OF_ROLE, REGISTRY_NAME
from chalicelib.management.models import (
    AccountChange,
    AccountIn,
    AccountMade,
    AccountOut,
    MemberIn,
    MemberOut,
    ProjectChange,
    ProjectIn,
    ProjectOut,
    RegistryChange,
    RegistryIn,
    RegistryMade,
    RegistryOut,
)
from chalicelib.management.paging import Page, PageLimit
from chalicelib.management.services import (
    answered,
    caller_of,
    moment,
    pages,
    services_of,
)
from chalicelib.registry.policies import project_scope, registry_scope
from chalicelib.registry.stores import Usage

router = Router()  # type: ignore[no-untyped-call]
NamePath = Annotated[str, Path(min_length=1, max_length=63, pattern=NAME)]
RegistryPath = Annotated[str, Path(min_length=1, max_length=63, pattern=REGISTRY_NAME)]
# The project `*` is all of them.
RoleProjectPath = Annotated[str, Path(min_length=1, max_length=63, pattern=PROJECT_OF_ROLE)]
CredentialPath = Annotated[str, Path(min_length=1, max_length=128, pattern=CREDENTIAL_ID)]
After = Annotated[str, Query(max_length=255)]


@router.get("/accounts", tags=["accounts"])
def list_accounts(limit: PageLimit = 50, after: After = "") -> Page[AccountOut]:
    """Every account, for operators; its own, for everybody else."""
    services, by = services_of(router.context), caller_of(router.context).credential
    if by.is_operator:
        kept, following = pages(services.tenancy.store.accounts(after, limit + 1), "id", limit)
    else:
        kept, following = [services.tenancy.account(by.account)], ""
    used = services.quota.usages.many([one.id for one in kept])
    return Page(items=[_account(one, used.get(one.id)) for one in kept], next=following)


@router.post("/accounts", tags=["accounts"], responses={201: {"description": "made"}})
def create_account(account: AccountIn) -> Response[AccountMade]:
    """For operators: an account, its first project, and its first user, an owner.

    It may store 10 GiB, unless `limit_bytes` says otherwise.
    """
    services, by = services_of(router.context), caller_of(router.context).credential
    require(by.is_operator and by.kind is Kind.USER, "make accounts")
    limit = FREE_BYTES if account.limit_bytes is None else account.limit_bytes
    made = services.tenancy.create_account(account.id, account.title, limit)
    services.desk.forget_account(made.id)
    roles = {EVERY_PROJECT: Role.OWNER}
    try:
        owner, secret = services.desk.create_user(by, account.owner, roles, account=made.id)
    except RefusedError:
        services.tenancy.withdraw_account(made)
        raise
    services.tenancy.default_project(made.id)
    services.quota.usage(made.id)
    out = AccountMade(**_account(made).model_dump(), owner=owner.id, secret=secret)
    return answered(out, status=201, version=made.version)


@router.get("/accounts/<account>", tags=["accounts"])
def describe_account(account: NamePath) -> Response[AccountOut]:
    found = seen_account(account)
    out = _account(found)
    out.gives_way_bytes = services_of(router.context).quota.gives_way(account)
    return answered(out, version=found.version)


@router.patch("/accounts/<account>", tags=["accounts"])
def change_account(account: NamePath, change: AccountChange) -> Response[AccountOut]:
    """Its title; and by operators, how much it may store."""
    services, caller = services_of(router.context), caller_of(router.context)
    before = seen_account(account)
    by = caller.credential
    require(by.is_operator or (by.account == account and by.may(WRITE_PROJECT)), "change this account")
    caller.check_version("account", account, before.version)
    limit, title = change.limit_bytes, before.title if change.title is None else change.title
    if limit is not None:
        require(by.is_operator, "change limits: ask an operator of this registry")
        caller.told.update(limit_bytes=limit, limit_bytes_before=before.limit_bytes)
        services.quota.usage(account)
    after = services.tenancy.change_account(before, title=title, limit_bytes=limit)
    services.quota.forget(account)
    return answered(_account(after), version=after.version)


@router.delete("/accounts/<account>", tags=["accounts"], responses={204: {"description": "deleted"}})
def delete_account(account: NamePath) -> Response[None]:
    """For operators, once it has no projects. Its credentials go with it; its id is not given out again."""
    services, caller = services_of(router.context), caller_of(router.context)
    before = seen_account(account)
    require(caller.credential.is_operator and account != caller.credential.account, "delete this account")
    caller.check_version("account", account, before.version)
    services.tenancy.delete_account(before)
    services.desk.forget_account(account)
    return Response(204)


@router.get("/projects", tags=["projects"])
def list_projects(limit: PageLimit = 50, after: After = "") -> Page[ProjectOut]:
    services, by = services_of(router.context), caller_of(router.context).credential
    seen: list[Project] = []
    while len(seen) <= limit:
        some = services.tenancy.store.projects(by.account, after, limit + 1)
        seen += [one for one in some if _sees_project(by, one.name)]
        if len(some) <= limit:
            break
        after = some[-1].name
    kept, following = pages(seen, "name", limit)
    return Page(items=[_project(one) for one in kept], next=following)


@router.post("/projects", tags=["projects"], responses={201: {"description": "made"}})
def create_project(project: ProjectIn) -> Response[ProjectOut]:
    services, by = services_of(router.context), caller_of(router.context).credential
    require(by.kind is Kind.USER and by.may(WRITE_PROJECT), "make projects")
    made = services.tenancy.create_project(by.account, project.name, project.title)
    return answered(_project(made), status=201, version=made.version)


@router.get("/projects/<project>", tags=["projects"])
def describe_project(project: NamePath) -> Response[ProjectOut]:
    found = seen_project(project)
    return answered(_project(found), version=found.version)


@router.patch("/projects/<project>", tags=["projects"])
def change_project(project: NamePath, change: ProjectChange) -> Response[ProjectOut]:
    services, caller = services_of(router.context), caller_of(router.context)
    before = seen_project(project)
    require(caller.credential.may(WRITE_PROJECT, project), "change this project")
    caller.check_version("project", project, before.version)
    after = services.tenancy.change_project(before, title=change.title)
    return answered(_project(after), version=after.version)


@router.delete("/projects/<project>", tags=["projects"], responses={204: {"description": "deleted"}})
def delete_project(project: NamePath) -> Response[None]:
    """Refused (409) while it has registries. Its robots go with it, and what roles users had in it."""
    services, caller = services_of(router.context), caller_of(router.context)
    before = seen_project(project)
    require(caller.credential.may(WRITE_PROJECT, project), "delete this project")
    caller.check_version("project", project, before.version)
    services.tenancy.delete_project(before)
    services.emptying.policies.remove_scope(project_scope(before.account, before.name))
    services.desk.forget_project(before.account, before.name)
    return Response(204)


@router.get("/projects/<project>/members", tags=["projects"])
def list_members(project: NamePath, limit: PageLimit = 50, after: After = "") -> Page[MemberOut]:
    """Users with a role in the project, those with one in all projects included."""
    services, by = services_of(router.context), caller_of(router.context).credential
    seen_project(project)
    members: list[MemberOut] = []
    while len(members) <= limit and (some := services.desk.store.page(by.account, after, 100)):
        after = some[-1].id
        members += [MemberOut(user=one.id, role=role) for one in some if (role := one.role(project))]
    kept, following = pages(members, "user", limit)
    return Page(items=kept, next=following)


@router.put("/projects/<project>/members/<user>", tags=["projects"])
def set_member(project: RoleProjectPath, user: CredentialPath, member: MemberIn) -> Response[MemberOut]:
    """The project `*` is all of them."""
    services, by = services_of(router.context), caller_of(router.context).credential
    caller_of(router.context).told["role"] = member.role
    _check_may_change_members(project)
    services.desk.set_role(by, _user(user), project, Role(member.role))
    return answered(MemberOut(user=user, role=member.role))


@router.delete(
    "/projects/<project>/members/<user>", tags=["projects"], responses={204: {"description": "taken away"}}
)
def remove_member(project: RoleProjectPath, user: CredentialPath) -> Response[None]:
    services, by = services_of(router.context), caller_of(router.context).credential
    _check_may_change_members(project)
    services.desk.set_role(by, _user(user), project, None)
    return Response(204)


@router.get("/registries", tags=["registries"])
def list_registries(limit: PageLimit = 50, after: After = "", project: After = "") -> Page[RegistryOut]:
    services, by = services_of(router.context), caller_of(router.context).credential
    seen = [
        one
        for one in services.tenancy.registries(by.account, project or None)
        if one.name > after and sees_registry(by, one)
    ]
    kept, following = pages(seen, "name", limit)
    return Page(items=[_registry(one) for one in kept], next=following)


@router.post("/registries", tags=["registries"], responses={201: {"description": "made"}})
def create_registry(registry: RegistryIn) -> Response[RegistryMade]:
    """With a robot named after it, which may pull and push there, where that id is free."""
    services, by = services_of(router.context), caller_of(router.context).credential
    project = seen_project(registry.project)
    require(by.kind is Kind.USER and by.may(WRITE_REGISTRY, project.name), "make registries here")
    made = _made_registry(project, registry)
    robot, secret = None, None
    try:
        grants = [Grant(f"{made.name}/*", frozenset({PULL, PUSH}))]
        title = f"Made with the registry {made.name}"
        created, secret = services.desk.create_robot(by, made.name, project.name, grants, title=title)
        robot = created.id
    except RefusedError as error:
        if error.reason not in {Reason.CONFLICT, Reason.INVALID}:
            raise
    out = RegistryMade(**_registry(made).model_dump(), credential=robot, secret=secret)
    return answered(out, status=201, version=made.version)


@router.get("/registries/<registry>", tags=["registries"])
def describe_registry(registry: RegistryPath) -> Response[RegistryOut]:
    found = seen_registry(registry)
    return answered(_registry(found), version=found.version)


@router.patch("/registries/<registry>", tags=["registries"])
def change_registry(registry: RegistryPath, change: RegistryChange) -> Response[RegistryOut]:
    """Its title, or its project: images keep their names, the robots of the old project reach it no more."""
    services, caller = services_of(router.context), caller_of(router.context)
    before = seen_registry(registry)
    by = caller.credential
    require(by.may(WRITE_REGISTRY, before.project), "change this registry")
    project = before.project
    if change.project is not None and change.project != project:
        project = seen_project(change.project).name
        require(by.may(WRITE_REGISTRY, project), "move registries there")
    caller.check_version("registry", registry, before.version)
    title = before.title if change.title is None else change.title
    after = services.tenancy.change_registry(before, title=title, project=project)
    if after.project != before.project:
        services.desk.end_tokens(after)
    return answered(_registry(after), version=after.version)


@router.delete("/registries/<registry>", tags=["registries"], responses={204: {"description": "deleted"}})
def delete_registry(registry: RegistryPath, force: Annotated[bool, Query()] = False) -> Response[None]:  # noqa: FBT002
    """Refused (409) while it holds images, unless forced. Its name is this account's for 30 days more.

    The robot named after it goes with it, and so do the grants of others on it, and its policies.
    """
    services, caller = services_of(router.context), caller_of(router.context)
    before = seen_registry(registry)
    require(caller.credential.may(WRITE_REGISTRY, before.project), "delete this registry")
    caller.check_version("registry", registry, before.version)
    content, account = services.emptying.content, before.account
    held = content.repositories(account, registry)
    holding = next((one for one in held if not services.emptying.is_empty(one)), None)
    if holding is not None and not force:
        message = f"the registry {registry!r} still holds {holding.name!r}: delete it, or force"
        raise RefusedError(Reason.CONFLICT, message)
    caller.told["policies"] = told_policies(registry_scope(account, registry))
    deleting = services.tenancy.begin_deletion(before)
    services.desk.forget_registry(deleting)
    services.emptying.empty_registry(account, registry, caller.actor)
    services.tenancy.end_deletion(deleting)
    return Response(204)


def _made_registry(project: Project, asked: RegistryIn) -> Registry:
    """Names are one set for all accounts: who may not see whose it is learns that it is gone, no more."""
    services, by = services_of(router.context), caller_of(router.context).credential
    try:
        return services.tenancy.create_registry(project, asked.name, asked.title)
    except RefusedError as error:
        held = services.tenancy.store.registry(asked.name) if error.reason is Reason.CONFLICT else None
        if held is None or held.state == DELETED or held.account != by.account or not sees_registry(by, held):
            raise
        message = f"there is a registry {asked.name!r} already, in the project {held.project!r}"
        raise RefusedError(Reason.CONFLICT, f"{message}: choose another name") from error


def seen_registry(name: str) -> Registry:
    """Raises RefusedError (NOT_FOUND) for what is not there and for what the caller may not see."""
    services, by = services_of(router.context), caller_of(router.context).credential
    registry = services.tenancy.registry(by.account, name)
    if not sees_registry(by, registry):
        raise not_found("registry", name)
    return registry


def sees_registry(by: Credential, registry: Registry) -> bool:
    return by.may(READ, registry.project) or bool(by.grants_on(registry))


def seen_account(id_: str) -> Account:
    services, by = services_of(router.context), caller_of(router.context).credential
    if id_ != by.account and not by.is_operator:
        raise not_found("account", id_)
    return services.tenancy.account(id_)


def seen_project(name: str) -> Project:
    services, by = services_of(router.context), caller_of(router.context).credential
    if not _sees_project(by, name):
        raise not_found("project", name)
    return services.tenancy.project(by.account, name)


def _sees_project(by: Credential, name: str) -> bool:
    return by.may(READ, name) or by.project == name


def _check_may_change_members(project: str) -> None:
    """Before any user is looked for: who is there is not for everybody to try."""
    by = caller_of(router.context).credential
    if project != EVERY_PROJECT:
        seen_project(project)
    elif not by.may(READ):
        raise not_found("project", project)
    require(by.kind is Kind.USER and by.may(WRITE_MEMBER, project), "change members")


def _user(id_: str) -> Credential:
    """Whoever may change members may name any user of the account."""
    services, by = services_of(router.context), caller_of(router.context).credential
    user = services.desk.store.get(id_)
    if user is None or user.account != by.account or user.kind is not Kind.USER:
        raise not_found("user", id_)
    return user


def told_policies(scope: str) -> dict[str, Any]:
    """What the audit trail keeps of them as they go."""
    return {one.kind: one.document for one in services_of(router.context).policies.all(scope)}


def require(holds: bool, what: str) -> None:  # noqa: FBT001 - reads as a sentence
    if not holds:
        raise RefusedError(Reason.FORBIDDEN, f"this credential may not {what}")


def _account(account: Account, usage: Usage | None = None) -> AccountOut:
    usage = usage or services_of(router.context).quota.usage(account.id)
    return AccountOut(
        id=account.id,
        title=account.title,
        limit_bytes=account.limit_bytes,
        used_bytes=usage.bytes,
        used_percent=replace(usage, limit=account.limit_bytes).reached,
        created=moment(account.created),
    )


def _project(project: Project) -> ProjectOut:
    return ProjectOut(
        name=project.name, account=project.account, title=project.title, created=moment(project.created)
    )


def _registry(registry: Registry) -> RegistryOut:
    return RegistryOut(
        name=registry.name,
        project=registry.project,
        title=registry.title,
        state=registry.state,
        created=moment(registry.created),
    )
