"""What a route of the management API has to work with."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final, Protocol

from aws_lambda_powertools.event_handler import Response, content_types
from pydantic import BaseModel

from chalicelib.events.dead import DeadDeliveries
from chalicelib.events.webhook_desk import WebhookDesk
from chalicelib.identity.audit import Trail
from chalicelib.identity.credential_desk import CredentialDesk
from chalicelib.identity.credentials import Credential, Secret
from chalicelib.identity.grants import Principal
from chalicelib.identity.opening import Opening
from chalicelib.identity.refusals import stale
from chalicelib.identity.sign_in import SignIn
from chalicelib.identity.tenancy import Registry, Tenancy
from chalicelib.management.problems import ProblemError
from chalicelib.management.seals import Seals
from chalicelib.observation.seen import Seen
from chalicelib.registry.changes import Actor
from chalicelib.registry.collection import Report
from chalicelib.registry.deletion import BulkDeletion
from chalicelib.registry.direct import DirectUploads
from chalicelib.registry.discovery import Discovery
from chalicelib.registry.emptying import Emptying
from chalicelib.registry.fsck import Fsck
from chalicelib.registry.holders import Holders
from chalicelib.registry.lifecycle_run import Lifecycle
from chalicelib.registry.manifests import Manifests
from chalicelib.registry.migrations import Migrations
from chalicelib.registry.policies import PolicyStore
from chalicelib.registry.promotion import Promotion
from chalicelib.registry.quota import Quota
from chalicelib.registry.reconcile import Drift
from chalicelib.registry.soft_limits import SoftLimits
from chalicelib.registry.undo import Undo
from chalicelib.spec.reference import Repository

PAGE_LIMIT: Final = 100
_ETAG: Final = re.compile(r'(?:W/)?"(\d+)"')


class AnswerStore(Protocol):
    def begin(self, key: str, fingerprint: str) -> bool: ...
    def get(self, key: str) -> tuple[str, str | None] | None: ...
    def keep(self, key: str, answer: str) -> None: ...
    def drop(self, key: str) -> None: ...


class Repositories(Protocol):
    def in_registry(self, account: str, registry: str, after: str, limit: int) -> list[str]: ...
    def exists(self, repository: Repository) -> bool: ...


@dataclass(frozen=True, slots=True)
class ManagementServices:
    sign_in: SignIn
    desk: CredentialDesk
    tenancy: Tenancy
    trail: Trail
    manifests: Manifests
    discovery: Discovery
    promotion: Promotion
    emptying: Emptying
    repositories: Repositories
    answers: AnswerStore
    direct: DirectUploads
    opening: Opening
    quota: Quota
    soft_limits: SoftLimits
    reconcile: Callable[[str], Drift]
    lifecycle: Lifecycle
    undo: Undo
    deletion: BulkDeletion
    policies: PolicyStore
    holders: Holders
    # Of an account, for so many seconds, on behalf of somebody.
    collect: Callable[[str, float, Actor], Report]
    token_of: Callable[[str], Principal | None]
    webhooks: WebhookDesk
    dead: DeadDeliveries
    # Its name; '' where there is none.
    event_bus: str
    fsck: Fsck
    migrations: Migrations
    seals: Seals


@dataclass(frozen=True, slots=True)
class Caller:
    """Who asks, from where, which version they think they change, and with what token or secret."""

    credential: Credential
    address: str
    if_match: str = ""
    token: Principal | None = None
    secret: Secret | None = None
    # What the audit trail is to say of the operation.
    told: dict[str, Any] = field(default_factory=dict, compare=False)
    # What takes long, and needs nothing of the request: it is done once the next request has its turn, and
    # what it makes is the body of the answer.
    later: list[Callable[[], BaseModel]] = field(default_factory=list, compare=False)
    # What its line in the log is to say.
    seen: Seen = field(default_factory=Seen, compare=False)

    @property
    def actor(self) -> Actor:
        return Actor(self.credential.id, self.address)

    def actions_on(self, name: str, registry: Registry | None) -> frozenset[str]:
        """A token allows no more than its credential has now."""
        actions = self.credential.actions_on(name, registry)
        if self.token is None:
            return actions
        return frozenset(action for action in actions if self.token.allows(action, name))

    def check_version(self, what: str, name: str, version: int) -> None:
        """`If-Match` of RFC 9110. Raises RefusedError (STALE)."""
        if self.if_match in {"", "*"}:
            return
        found = {int(match[1]) for match in _ETAG.finditer(self.if_match)}
        if version not in found:
            raise stale(what, name)


def caller_of(context: Mapping[str, Any]) -> Caller:
    caller = context["caller"]
    assert isinstance(caller, Caller)  # noqa: S101 - set before any route runs
    return caller


def services_of(context: Mapping[str, Any]) -> ManagementServices:
    services = context["services"]
    assert isinstance(services, ManagementServices)  # noqa: S101 - set before any route runs
    return services


def answered(model: BaseModel, *, status: int = 200, version: int | None = None) -> Response[Any]:
    """`version` becomes the ETag."""
    headers = {} if version is None else {"ETag": f'"{version}"'}
    return Response(status, content_types.APPLICATION_JSON, model, headers=headers)


def moment(seconds: int) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)


def epoch(when: datetime | None) -> int | None:
    """Raises ProblemError (422) for a time without its zone."""
    if when is None:
        return None
    if when.tzinfo is None:
        raise ProblemError(422, "a time has a zone: 2027-01-31T12:00:00Z")
    try:
        seconds = int(when.timestamp())
        moment(seconds)
    except (OverflowError, ValueError) as error:
        raise ProblemError(422, "that time is out of range") from error
    return seconds


def pages(items: list[Any], name: str, limit: int) -> tuple[list[Any], str]:
    """`items` may hold one more than `limit`, which says that more follow."""
    kept = items[:limit]
    return kept, str(getattr(kept[-1], name)) if len(items) > limit else ""
