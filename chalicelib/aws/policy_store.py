"""Policies of registries, repositories and projects: `registry.policies.PolicyStore` on DynamoDB."""

from __future__ import annotations

import json
from typing import Any

from pynamodb.exceptions import DeleteError, PutError

from chalicelib.aws.conditions import check_lost
from chalicelib.aws.reads import Reads
from chalicelib.aws.rows import policy_of
from chalicelib.aws.tables import Tables
from chalicelib.registry.policies import Policy, nearest, registry_scope, scopes
from chalicelib.spec.reference import Repository


class DynamoPolicyStore:
    """Reads are consistent."""

    def __init__(self, tables: Tables, reads: Reads) -> None:
        self._table: Any = tables.policies
        self._reads = reads

    def get(self, scope: str, kind: str) -> Policy | None:
        model = self._reads.get(self._table, scope, kind)
        return None if model is None else policy_of(model)

    def of(self, repository: Repository, kind: str) -> Policy | None:
        found = self._reads.get_many([(self._table, scope, kind) for scope in scopes(repository)])
        return nearest([policy_of(model) for model in found])

    def all(self, scope: str) -> list[Policy]:
        return [policy_of(model) for model in self._table.query(scope, consistent_read=True)]

    def scopes(self, account: str, registry: str) -> list[str]:
        below = self._table.scope.startswith(f"{registry_scope(account, registry)}/")
        found = self._table.scan(below, attributes_to_get=["scope"], consistent_read=True)
        return sorted({model.scope for model in found})

    def put(self, policy: Policy) -> bool:
        table = self._table
        model = table(policy.scope, policy.kind, document=json.dumps(policy.document), version=policy.version)
        is_first = policy.version == 1
        condition = table.scope.does_not_exist() if is_first else table.version == policy.version - 1
        try:
            model.save(condition=condition)
        except PutError as error:
            check_lost(error)
            # The engine may have written it, and only the answer was lost.
            return self.get(policy.scope, policy.kind) == policy
        return True

    def remove(self, policy: Policy) -> bool:
        try:
            self._table(policy.scope, policy.kind).delete(condition=self._table.version == policy.version)
        except DeleteError as error:
            check_lost(error)
            return False
        return True
