"""What lifecycle policies look at: `registry.lifecycle_run.StateStore` on DynamoDB."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from chalicelib.aws.content_store import manifest_models, tag_models
from chalicelib.aws.rows import microseconds
from chalicelib.aws.tables import Tables
from chalicelib.registry.lifecycle import ManifestState, TagState
from chalicelib.registry.policies import LIFECYCLE
from chalicelib.registry.stores import LIVE
from chalicelib.spec.digest import Digest
from chalicelib.spec.reference import Repository

_BARE: Final = ("digest", "state", "subject", "holds", "tags", "parents", "pushed", "pulled", "left")


class DynamoLifecycleStore:
    """Queries are consistent, and leave the bytes out of the answer."""

    def __init__(self, tables: Tables) -> None:
        self._tables = tables

    def tags(self, repository: Repository) -> Iterator[TagState]:
        for model in tag_models(self._tables, repository):
            moved = microseconds(model.moved) if model.moved else 0
            yield TagState(model.tag, Digest(model.digest), moved)

    def manifests(self, repository: Repository) -> Iterator[ManifestState]:
        return map(_state, manifest_models(self._tables, repository, _BARE))

    def scopes(self) -> Iterator[str]:
        """Of every lifecycle policy; there are few policies, so all of them are read."""
        table: Any = self._tables.policies
        results = table.scan(table.kind == LIFECYCLE, attributes_to_get=["scope"], consistent_read=True)
        return (model.scope for model in results)


def _state(model: Any) -> ManifestState:
    holds = (model.holds or "").splitlines()
    return ManifestState(
        digest=Digest(model.digest),
        pushed_at=microseconds(model.pushed) if model.pushed else 0,
        pulled=int(model.pulled or 0),
        left=int(model.left or 0),
        tags=int(model.tags or 0),
        parents=int(model.parents or 0),
        subject=Digest(model.subject) if model.subject else None,
        children=tuple(Digest(line[1:]) for line in holds if line[0] == "m"),
        is_live=model.state == LIVE,
    )
