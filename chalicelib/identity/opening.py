"""Registries that come into being with the first push, where a deployment wants that."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from chalicelib.identity.credentials import Kind
from chalicelib.identity.grants import CATALOG, PUSH, Scope
from chalicelib.identity.names import check_registry_name
from chalicelib.identity.refusals import RefusedError
from chalicelib.identity.roles import WRITE_REGISTRY
from chalicelib.identity.sign_in import SignedIn
from chalicelib.identity.tenancy import Registry, Tenancy
from chalicelib.spec.errors import RegistryError
from chalicelib.spec.reference import check_name


@dataclass(frozen=True, slots=True)
class Opening:
    """Only for those who may make registries in every project, and only when they ask to push."""

    tenancy: Tenancy
    is_open: bool

    def opened(self, signed_in: SignedIn, scopes: Sequence[Scope]) -> Mapping[str, Registry]:
        """The registries that signing in found, and those made now, in the project `default`."""
        found = dict(signed_in.registries)
        credential = signed_in.credential
        if not self.is_open or credential.kind is not Kind.USER or not credential.may(WRITE_REGISTRY):
            return found
        for scope in scopes:
            wanted = scope.is_repository and {PUSH, CATALOG} & set(scope.actions)
            if wanted and scope.registry not in found:
                made = self._make(credential.account, scope)
                if made is not None:
                    found[scope.registry] = made
        return found

    def _make(self, account: str, scope: Scope) -> Registry | None:
        """None for what is no name, or another's by now."""
        try:
            check_name(scope.name)
            check_registry_name(scope.registry)
        except (RegistryError, RefusedError):
            return None
        try:
            project = self.tenancy.default_project(account)
            # Those of every project are of who asks.
            return self.tenancy.create_registry(project, scope.registry, may_follow=lambda _: True)
        except RefusedError:
            # Another push of the same moment may have made it.
            return self.tenancy.store.registry(scope.registry)
