"""Promotion: an image from one repository to another of the account, by digest; no byte moves."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from chalicelib.registry.blobs import Blobs
from chalicelib.registry.manifests import Manifests, Push, Stored, unknown_manifest
from chalicelib.registry.stores import Actor, ManifestStore
from chalicelib.spec.digest import Digest
from chalicelib.spec.errors import RegistryError
from chalicelib.spec.manifest import Manifest, parse_manifest
from chalicelib.spec.reference import Repository

DEPTH_LIMIT: Final = 8


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

        Raises MANIFEST_UNKNOWN (404) when the source has no such reference.
        """
        stored = self.manifests.get(source, reference)
        copied = list(self._tree(source, stored, DEPTH_LIMIT))
        for manifest, digest in copied:
            self._copy(source, target, manifest, digest, actor)
        count = len(copied) + self._copy_referrers(source, target, stored.digest, actor)
        manifest = _parsed(stored)
        self.manifests.put(Push(target, manifest, stored.digest, tags, actor))
        return Promoted(stored.digest, count)

    def _tree(self, source: Repository, stored: Stored, depth: int) -> Iterator[tuple[Manifest, Digest]]:
        """The manifest after everything below it."""
        manifest = _parsed(stored)
        for child in (*manifest.children, *manifest.unclear):
            below = self._found(source, child.digest)
            if below is not None and depth:
                yield from self._tree(source, below, depth - 1)
        yield manifest, stored.digest

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
        self.manifests.put(Push(target, manifest, digest, actor=actor))

    def _copy_referrers(self, source: Repository, target: Repository, subject: Digest, actor: Actor) -> int:
        count, after = 0, ""
        while True:
            entries, after = self.rows.referrers(source, subject, after)
            for entry in entries:
                referrer = self._found(source, Digest(entry["digest"]))
                if referrer is not None:
                    self._copy(source, target, _parsed(referrer), referrer.digest, actor)
                    count += 1
            if not after:
                return count


def _parsed(stored: Stored) -> Manifest:
    if stored.raw is None:
        raise unknown_manifest(stored.digest)
    return parse_manifest(stored.raw, stored.media_type)
