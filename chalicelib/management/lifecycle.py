"""/registries/<registry>/lifecycle and /repositories/<repository>/lifecycle."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from itertools import islice
from typing import Annotated, Any, Final
from urllib.parse import unquote

from aws_lambda_powertools.event_handler import Response
from aws_lambda_powertools.event_handler.api_gateway import Router
from pydantic import BaseModel, BeforeValidator, Field

from chalicelib.identity.grants import DELETE, PULL
from chalicelib.identity.refusals import Reason, RefusedError, not_found
from chalicelib.identity.roles import WRITE_REGISTRY
from chalicelib.identity.tenancy import Registry
from chalicelib.management.forms import as_whole
from chalicelib.management.images import RepositoryPath
from chalicelib.management.lifecycle_policy import LifecyclePolicyIn, Rule
from chalicelib.management.models import Moment, Strict
from chalicelib.management.services import answered, caller_of, epoch, moment, services_of
from chalicelib.management.tenancy import RegistryPath, seen_registry
from chalicelib.management.versioned_policies import VersionedPolicy
from chalicelib.registry.lifecycle import LifecyclePolicy, Verdict
from chalicelib.registry.lifecycle_run import Outcome
from chalicelib.registry.policies import LIFECYCLE, registry_scope, repository_scope
from chalicelib.spec.reference import Repository, check_name

router = Router()  # type: ignore[no-untyped-call]
# A request holds the turn of the management API: who has more to run asks again.
RUN_SECONDS: Final = 5
ITEMS_LIMIT: Final = 1000


class LifecyclePolicyOut(BaseModel):
    scope: str = Field(description="the registry or the repository that it is of")
    inherited: bool = Field(description="it is the registry's, and the repository has none of its own")
    rules: list[Rule]


class PreviewIn(Strict):
    policy: LifecyclePolicyIn | None = Field(default=None, description="to be tried; else the one in force")
    at: Moment | None = Field(default=None, description="else now; what is there now is judged as of then")
    kept: bool = Field(default=False, description="tell of what stays too")
    limit: Annotated[int, Field(ge=1, le=ITEMS_LIMIT), BeforeValidator(as_whole)] = 100
    after: Annotated[str, Field(max_length=600)] = ""


class VerdictOut(BaseModel):
    repository: str
    tag: str | None = Field(description="null: the manifest itself")
    digest: str
    goes: bool
    rule: str = Field(description="the rule that decided, or empty")
    why: str


class PreviewOut(BaseModel):
    at: datetime
    items: list[VerdictOut]
    next: str = Field(description="give it as `after`, with `at`, for what follows; empty at the end")


class RunOut(BaseModel):
    gone: list[VerdictOut]
    left: list[VerdictOut] = Field(description="what was to go and changed meanwhile, or is held by such")
    complete: bool = Field(description="false: there is more to go, ask again")


@dataclass(frozen=True, slots=True)
class _Place:
    """What a policy is for."""

    registry: Registry
    repository: Repository | None = None

    @property
    def name(self) -> str:
        return self.repository.name if self.repository else self.registry.name

    @property
    def scope(self) -> str:
        if self.repository:
            return repository_scope(self.repository)
        return registry_scope(self.registry.account, self.registry.name)

    @property
    def policy(self) -> VersionedPolicy:
        """Its own."""
        return VersionedPolicy(router.context, self.scope, LIFECYCLE, self.name)

    def repositories(self, action: str) -> Iterator[Repository]:
        """Those that the caller may do that with, by name."""
        services, by = services_of(router.context), caller_of(router.context).credential
        if self.repository:
            yield self.repository
            return
        for one in services.emptying.content.repositories(self.registry.account, self.registry.name):
            if action in by.actions_on(one.name, self.registry):
                yield one


@router.get("/registries/<registry>/lifecycle", tags=["lifecycle"])
def describe_of_registry(registry: RegistryPath) -> Response[LifecyclePolicyOut]:
    return _describe(_Place(seen_registry(registry)))


@router.put("/registries/<registry>/lifecycle", tags=["lifecycle"])
def set_of_registry(registry: RegistryPath, policy: LifecyclePolicyIn) -> Response[LifecyclePolicyOut]:
    """For each repository that has none of its own."""
    return _set(_Place(seen_registry(registry)), policy)


@router.delete(
    "/registries/<registry>/lifecycle", tags=["lifecycle"], responses={204: {"description": "taken away"}}
)
def remove_of_registry(registry: RegistryPath) -> Response[None]:
    return _remove(_Place(seen_registry(registry)))


@router.post("/registries/<registry>/lifecycle/preview", tags=["lifecycle"])
def preview_of_registry(registry: RegistryPath, asked: PreviewIn) -> PreviewOut:
    """What would go, and why, in those repositories that the caller may pull from."""
    return _preview(_Place(seen_registry(registry)), asked)


@router.post("/registries/<registry>/lifecycle/run", tags=["lifecycle"])
def run_of_registry(registry: RegistryPath) -> RunOut:
    """Delete what a preview shows now."""
    place = _Place(seen_registry(registry))
    _check_may_change(place, "run its lifecycle policy")
    return _run(place)


@router.get("/repositories/<repository>/lifecycle", tags=["lifecycle"])
def describe_of_repository(repository: RepositoryPath) -> Response[LifecyclePolicyOut]:
    """Its own, or its registry's."""
    return _describe(_seen(repository))


@router.put("/repositories/<repository>/lifecycle", tags=["lifecycle"])
def set_of_repository(repository: RepositoryPath, policy: LifecyclePolicyIn) -> Response[LifecyclePolicyOut]:
    """In place of its registry's."""
    return _set(_seen(repository), policy)


@router.delete(
    "/repositories/<repository>/lifecycle",
    tags=["lifecycle"],
    responses={204: {"description": "taken away"}},
)
def remove_of_repository(repository: RepositoryPath) -> Response[None]:
    """Its registry's is in force from then on."""
    return _remove(_seen(repository))


@router.post("/repositories/<repository>/lifecycle/preview", tags=["lifecycle"])
def preview_of_repository(repository: RepositoryPath, asked: PreviewIn) -> PreviewOut:
    """What would go, and why."""
    return _preview(_seen(repository), asked)


@router.post("/repositories/<repository>/lifecycle/run", tags=["lifecycle"])
def run_of_repository(repository: RepositoryPath) -> RunOut:
    """Delete what a preview shows now."""
    place = _seen(repository)
    by = caller_of(router.context).credential
    if DELETE not in by.actions_on(place.name, place.registry):
        raise RefusedError(Reason.FORBIDDEN, "this credential may not delete images here")
    return _run(place)


def _seen(encoded: str) -> _Place:
    """Raises RefusedError (NOT_FOUND) for what is not there and for what the caller may not see."""
    services, by = services_of(router.context), caller_of(router.context).credential
    repository = Repository(by.account, check_name(unquote(encoded)))
    registry = services.tenancy.store.registry(repository.registry)
    may_pull = registry is not None and PULL in by.actions_on(repository.name, registry)
    if registry is None or not may_pull or not services.repositories.exists(repository):
        raise not_found("repository", repository.name)
    return _Place(registry, repository)


def _check_may_change(place: _Place, what: str) -> None:
    if not caller_of(router.context).credential.may(WRITE_REGISTRY, place.registry.project):
        raise RefusedError(Reason.FORBIDDEN, f"this credential may not {what}")


def _describe(place: _Place) -> Response[LifecyclePolicyOut]:
    found = place.policy.in_force()
    if found is None:
        raise _no_policy(place)
    if found.scope == place.policy.scope:
        return answered(_out(place.name, found.document), version=found.version)
    return answered(_out(place.registry.name, found.document, inherited=True))


def _no_policy(place: _Place) -> RefusedError:
    """Of what the caller sees: no secret is in it."""
    return RefusedError(Reason.NOT_FOUND, f"{place.name} has no lifecycle policy: nothing of it expires")


def _set(place: _Place, policy: LifecyclePolicyIn) -> Response[LifecyclePolicyOut]:
    _check_may_change(place, "set its lifecycle policy")
    document = policy.document()
    return answered(_out(place.name, document), version=place.policy.put(document))


def _remove(place: _Place) -> Response[None]:
    _check_may_change(place, "remove its lifecycle policy")
    place.policy.remove()
    return Response(204)


def _preview(place: _Place, asked: PreviewIn) -> PreviewOut:
    services = services_of(router.context)
    at = epoch(asked.at)
    at = int(services.lifecycle.clock()) if at is None else at
    tried = LifecyclePolicy.of(asked.policy.document()) if asked.policy else None
    if tried is None and place.repository and services.lifecycle.policy(place.repository) is None:
        raise _no_policy(place)
    found = list(islice(_verdicts(place, at, tried, asked), asked.limit + 1))
    kept = found[: asked.limit]
    following = f"{kept[-1][0]} {kept[-1][1].key}" if len(found) > asked.limit else ""
    return PreviewOut(at=moment(at), items=[_verdict(*one) for one in kept], next=following)


def _verdicts(
    place: _Place, at: int, tried: LifecyclePolicy | None, asked: PreviewIn
) -> Iterator[tuple[str, Verdict]]:
    lifecycle = services_of(router.context).lifecycle
    first, _, key = asked.after.partition(" ")
    for repository in place.repositories(PULL):
        if repository.name < first:
            continue
        policy = tried
        if tried and not place.repository:
            # One of its own stays in force.
            own = lifecycle.policies.get(repository_scope(repository), LIFECYCLE)
            policy = LifecyclePolicy.of(own.document) if own else tried
        made = lifecycle.preview(repository, at, policy)
        for verdict in made.verdicts() if made else ():
            is_new = repository.name != first or verdict.key > key
            if is_new and (verdict.goes or asked.kept):
                yield repository.name, verdict


def _run(place: _Place) -> RunOut:
    lifecycle, caller = services_of(router.context).lifecycle, caller_of(router.context)
    now = lifecycle.clock()
    outcomes: list[tuple[str, Outcome]] = []
    for repository in place.repositories(DELETE):
        outcome = lifecycle.run(repository, int(now), caller.actor, now + RUN_SECONDS)
        outcomes.append((repository.name, outcome))
        if not outcome.is_complete:
            break
    out = RunOut(
        gone=[_verdict(name, one) for name, outcome in outcomes for one in outcome.gone],
        left=[_verdict(name, one) for name, outcome in outcomes for one in outcome.left],
        complete=all(outcome.is_complete for _, outcome in outcomes),
    )
    caller.told["gone"], caller.told["left"] = len(out.gone), len(out.left)
    return out


def _out(scope: str, document: Any, *, inherited: bool = False) -> LifecyclePolicyOut:
    return LifecyclePolicyOut(scope=scope, inherited=inherited, rules=document["rules"])


def _verdict(repository: str, verdict: Verdict) -> VerdictOut:
    return VerdictOut(
        repository=repository,
        tag=verdict.tag or None,
        digest=verdict.digest,
        goes=verdict.goes,
        rule=verdict.rule,
        why=verdict.why,
    )
