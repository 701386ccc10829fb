"""What a handler has to work with: the domain, and the call it answers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from chalicelib.config import Settings
from chalicelib.endpoints.event import Request
from chalicelib.events.pulls import PullEvents
from chalicelib.identity.audit import Trail
from chalicelib.identity.capability import Capabilities
from chalicelib.identity.credential_desk import CredentialStore
from chalicelib.identity.grants import Principal
from chalicelib.identity.opening import Opening
from chalicelib.identity.revocations import Revocations
from chalicelib.identity.sign_in import SignIn
from chalicelib.identity.tenancy import Tenancy
from chalicelib.identity.tokens import Tokens
from chalicelib.registry.adoption import Adoption
from chalicelib.registry.blobs import Blobs
from chalicelib.registry.changes import Actor
from chalicelib.registry.discovery import Discovery
from chalicelib.registry.manifests import Manifests
from chalicelib.registry.soft_limits import SoftLimits
from chalicelib.registry.uploads import Uploads
from chalicelib.spec.reference import Repository


class UploadServices(Protocol):
    """What an upload takes once it is open, wherever it is served."""

    @property
    def uploads(self) -> Uploads: ...
    @property
    def capabilities(self) -> Capabilities: ...


@dataclass(frozen=True, slots=True)
class Services:
    settings: Settings
    blobs: Blobs
    uploads: Uploads
    adoption: Adoption
    manifests: Manifests
    discovery: Discovery
    credentials: CredentialStore
    sign_in: SignIn
    opening: Opening
    revocations: Revocations
    tenancy: Tenancy
    trail: Trail
    tokens: Tokens
    capabilities: Capabilities
    soft_limits: SoftLimits
    pulls: PullEvents
    is_throttled: Callable[[BaseException], bool]
    is_ready: Callable[[], bool]


@dataclass(frozen=True, slots=True)
class Call:
    """One request that has found its route; `repository` has been checked where the route names one."""

    request: Request
    principal: Principal
    parameters: dict[str, str]
    repository: Repository

    @property
    def actor(self) -> Actor:
        return Actor(self.principal.id, self.request.source_ip)
