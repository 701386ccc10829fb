"""Promotion: an image from one repository to another of the account, by digest; no byte moves."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from chalicelib.registry.blobs import Blobs
from chalicelib.registry.changes import Actor
from chalicelib.registry.manifests import Manifests, Push, Stored, unknown_manifest
from chalicelib.registry.stores import ManifestStore
from chalicelib.spec.digest import Digest
from chalicelib.spec.errors import ErrorCode, RegistryError
from chalicelib.spec.manifest import Manifest, parse_manifest
from chalicelib.spec.reference import Repository

# Of one promotion, all of them: each is a transaction, and others wait for the answer.
MANIFESTS_LIMIT: Final = 500


@dataclass(frozen=True, slots=True)
class Promoted:
    """What is in the target now: the digest, and how many manifests came along with it."""

    digest: Digest
    manifests: int


@dataclass(frozen=True, slots=True)
class Promotion:
    """Children first, then the manifest itself, then what refers to it (signatures, SBOMs)."""

    manifests: Manifests
    blobs: Blobs
    rows: ManifestStore

    def promote(
        self,
        source: Repository,
        reference: Digest | str,
        target: Repository,
        *,
        tags: tuple[str, ...],
        actor: Actor,
    ) -> Promoted:
        """The tags move last: until then nothing in the target names what is not there.

        Raises MANIFEST_UNKNOWN (404) when the source has no such reference, and DENIED (422) when more
        than `MANIFESTS_LIMIT` manifests would come along.
        """
        stored = self.manifests.get(source, reference)
        copied = self._tree(source, stored)
        referrers = self._referrers(source, stored.digest, MANIFESTS_LIMIT - len(copied))
        for manifest, digest in copied:
            self._copy(source, target, manifest, digest, actor)
        count = len(copied) + sum(self._copy_found(source, target, one, actor) for one in referrers)
        manifest = _parsed(stored)
        self.manifests.put(Push(target, manifest, stored.digest, tags, actor, source=source.name))
        return Promoted(stored.digest, count)

    def _tree(self, source: Repository, stored: Stored) -> list[tuple[Manifest, Digest]]:
        """Each manifest once, after everything below it. On many paths to one, only the first is walked."""
        root = _parsed(stored)
        seen, ordered = {stored.digest}, []
        path = [(root, stored.digest, _below(root))]
        while path:
            manifest, digest, below = path[-1]
            child = next((one for one in below if one not in seen), None)
            if child is None:
                ordered.append((manifest, digest))
                path.pop()
                continue
            seen.add(child)
            found = self._found(source, child)
            if found is not None:
                if len(ordered) + len(path) == MANIFESTS_LIMIT:
                    raise _too_many()
                parsed = _parsed(found)
                path.append((parsed, child, _below(parsed)))
        return ordered

    def _found(self, source: Repository, digest: Digest) -> Stored | None:
        try:
            return self.manifests.get(source, digest)
        except RegistryError:
            return None

    def _copy(
        self, source: Repository, target: Repository, manifest: Manifest, digest: Digest, actor: Actor
    ) -> None:
        for descriptor in (*manifest.blobs, *manifest.unclear):
            self.blobs.mount(target, descriptor.digest, source)
        self.manifests.put(Push(target, manifest, digest, actor=actor, source=source.name))

    def _copy_found(self, source: Repository, target: Repository, digest: Digest, actor: Actor) -> bool:
        found = self._found(source, digest)
        if found is not None:
            self._copy(source, target, _parsed(found), digest, actor)
        return found is not None

    def _referrers(self, source: Repository, subject: Digest, limit: int) -> list[Digest]:
        """Before anything is copied, so that a promotion is refused whole."""
        found: list[Digest] = []
        after = ""
        while True:
            entries, after = self.rows.referrers(source, subject, after)
            found += [Digest(entry["digest"]) for entry in entries]
            if len(found) > limit:
                raise _too_many()
            if not after:
                return found


def _below(manifest: Manifest) -> Iterator[Digest]:
    return (one.digest for one in (*manifest.children, *manifest.unclear))


def _too_many() -> RegistryError:
    message = f"a promotion copies {MANIFESTS_LIMIT} manifests at the most: promote its parts one by one"
    return RegistryError(ErrorCode.DENIED, message, status=422)


def _parsed(stored: Stored) -> Manifest:
    if stored.raw is None:
        raise unknown_manifest(stored.digest)
    return parse_manifest(stored.raw, stored.media_type)
