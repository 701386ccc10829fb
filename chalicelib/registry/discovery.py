"""Listing: tags of a repository, referrers of a subject, repositories of an account."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from chalicelib.registry.stores import ManifestStore, RepositoryStore, TagStore
from chalicelib.spec.digest import Digest
from chalicelib.spec.errors import ErrorCode, RegistryError
from chalicelib.spec.reference import Repository

PAGE_LIMIT: Final = 1000


@dataclass(frozen=True, slots=True)
class Page:
    """Some entries, sorted, and the last of them when more follow."""

    entries: list[str]
    last: str = ""


@dataclass(frozen=True, slots=True)
class Discovery:
    """Each list is one query a page, at most `PAGE_LIMIT` entries long."""

    manifests: ManifestStore
    tags: TagStore
    repositories: RepositoryStore

    def tag_list(self, repository: Repository, after: str, limit: int) -> Page:
        """Raises NAME_UNKNOWN (404) for a repository that holds nothing and never did."""
        limit = min(limit, PAGE_LIMIT)
        tags = self.tags.page(repository, after, limit + 1)
        if not tags and not self.repositories.exists(repository):
            message = "no such repository, or nothing was ever pushed to it"
            raise RegistryError(ErrorCode.NAME_UNKNOWN, message, ({"name": repository.name},))
        return _page(tags, limit)

    def catalog(self, account: str, after: str, limit: int, may_see: Callable[[str], bool]) -> Page:
        """The repositories that `may_see` lets through."""
        limit = min(limit, PAGE_LIMIT)
        seen: list[str] = []
        while len(seen) <= limit:
            names = self.repositories.page(account, after, PAGE_LIMIT)
            seen += [name for name in names if may_see(name)]
            if len(names) < PAGE_LIMIT:
                break
            after = names[-1]
        return _page(seen[: limit + 1], limit)

    def referrers(
        self, repository: Repository, subject: Digest, artifact_type: str, after: str
    ) -> tuple[list[dict[str, Any]], str]:
        """Descriptors of what names `subject`, and where the next page begins, or ''."""
        entries, following = self.manifests.referrers(repository, subject, after)
        if artifact_type:
            entries = [entry for entry in entries if entry.get("artifactType") == artifact_type]
        return entries, following


def _page(entries: list[str], limit: int) -> Page:
    """`entries` may hold one more than `limit`, which says that more follow."""
    kept = entries[:limit]
    return Page(kept, kept[-1] if kept and len(entries) > limit else "")
