"""What lifecycle policies look at, and where they are kept, in memory."""

from __future__ import annotations

from collections.abc import Iterator

from chalicelib.registry.lifecycle import ManifestState, TagState
from chalicelib.registry.policies import Policy, registry_scope, repository_scope
from chalicelib.registry.stores import LIVE
from chalicelib.spec.reference import Repository
from tests.properties.memory_stores import Memory


class MemoryLifecycleStore:
    """`StateStore`, a row at a time, as pages come from DynamoDB."""

    def __init__(self, memory: Memory) -> None:
        self._memory = memory

    def tags(self, repository: Repository) -> Iterator[TagState]:
        for key, row in sorted(self._memory.tags.items()):
            if key[0] == repository.name:
                yield TagState(row.tag, row.digest, self._memory.moved[key])

    def manifests(self, repository: Repository) -> Iterator[ManifestState]:
        for key, row in sorted(self._memory.manifests.items()):
            if key[0] == repository.name:
                yield ManifestState(
                    digest=row.digest,
                    pushed_at=round(self._memory.pushed[key] * 1_000_000),
                    pulled=row.pulled,
                    left=self._memory.left.get(key, 0),
                    tags=row.tags,
                    parents=row.parents,
                    subject=row.subject,
                    children=tuple(one.digest for one in row.holds if one.is_manifest),
                    is_live=row.state == LIVE,
                )


class MemoryPolicyStore:
    """`PolicyStore`."""

    def __init__(self) -> None:
        self._policies: dict[tuple[str, str], Policy] = {}

    def get(self, scope: str, kind: str) -> Policy | None:
        return self._policies.get((scope, kind))

    def of(self, repository: Repository, kind: str) -> Policy | None:
        outer = registry_scope(repository.account, repository.registry)
        return self.get(repository_scope(repository), kind) or self.get(outer, kind)

    def put(self, policy: Policy) -> bool:
        before = self.get(policy.scope, policy.kind)
        if policy.version != (before.version + 1 if before else 1):
            return False
        self._policies[policy.scope, policy.kind] = policy
        return True

    def remove(self, policy: Policy) -> bool:
        if self.get(policy.scope, policy.kind) != policy:
            return False
        del self._policies[policy.scope, policy.kind]
        return True
