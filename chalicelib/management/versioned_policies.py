"""Policies of any kind, set and taken away at the version that the caller knows; the audit trail is told."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from chalicelib.identity.refusals import Reason, RefusedError, stale
from chalicelib.management.services import caller_of, services_of
from chalicelib.registry.policies import Policy
from chalicelib.spec.reference import Repository


@dataclass(frozen=True, slots=True)
class VersionedPolicy:
    """Of one kind and scope; `name` is that of its registry or repository, `context` of the router."""

    context: Mapping[str, Any]
    scope: str
    kind: str
    name: str

    @property
    def what(self) -> str:
        return f"{self.kind} policy"

    def find(self) -> Policy | None:
        return services_of(self.context).policies.get(self.scope, self.kind)

    def in_force(self) -> Policy | None:
        """This one, or that of the registry for a repository that has none of its own; one read."""
        account = caller_of(self.context).credential.account
        return services_of(self.context).policies.of(Repository(account, self.name), self.kind)

    def found(self) -> Policy:
        """Raises RefusedError (NOT_FOUND)."""
        policy = self.find()
        if policy is None:
            raise RefusedError(Reason.NOT_FOUND, f"{self.name} has no {self.what} of its own")
        return policy

    def put(self, document: Any) -> int:
        """Its new version. Raises RefusedError (STALE)."""
        caller, before = caller_of(self.context), self.find()
        version = before.version if before else 0
        caller.check_version(self.what, self.name, version)
        self._tell(before, document)
        policy = Policy(self.scope, self.kind, document, version + 1)
        if not services_of(self.context).policies.put(policy):
            raise stale(self.what, self.name)
        return version + 1

    def remove(self) -> None:
        """Raises RefusedError (NOT_FOUND, STALE)."""
        before = self.found()
        caller_of(self.context).check_version(self.what, self.name, before.version)
        self._tell(before, None)
        if not services_of(self.context).policies.remove(before):
            raise stale(self.what, self.name)

    def _tell(self, before: Policy | None, document: Any) -> None:
        told = {"policy": self.kind, "of": self.name, "document": document}
        caller_of(self.context).told.update(told, before=before.document if before else None)
