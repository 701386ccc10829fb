"""What a manifest keeps alive: the content it names, found here, of the size it says."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from chalicelib.registry.changes import Change, CountLink, CountManifest
from chalicelib.registry.stores import LIVE, Held, Survey
from chalicelib.spec.digest import Digest
from chalicelib.spec.errors import ErrorCode, RegistryError
from chalicelib.spec.manifest import Descriptor, Manifest
from chalicelib.spec.reference import Repository

# A row holds 400 KB, and names everything that its manifest holds.
HOLDS_BYTES: Final = 250_000


def check_count(manifest: Manifest) -> None:
    """Before anything is looked up: what no row could hold is refused. Raises MANIFEST_INVALID (413)."""
    # What is unclear may be held as a blob and as a manifest.
    named = (*manifest.blobs, *manifest.children, *manifest.unclear, *manifest.unclear)
    if sum(len(descriptor.digest) + 2 for descriptor in named) > HOLDS_BYTES:
        message = f"the manifest names {len(named)} pieces of content, more than a row can hold; split it"
        raise RegistryError(ErrorCode.MANIFEST_INVALID, message, status=413)


def missing_content(manifest: Manifest, survey: Survey) -> None:
    """Raises MANIFEST_BLOB_UNKNOWN naming everything that is not here, SIZE_INVALID for a lie."""
    missing, wrong = [], []
    for descriptor, sizes in _found(manifest, survey):
        if not sizes:
            missing.append(_detail(descriptor))
        elif descriptor.size not in sizes:
            wrong.append({**_detail(descriptor), "stored": sizes[0]})
    if missing:
        message = "the manifest names content that this repository has not; push or mount it first"
        raise RegistryError(ErrorCode.MANIFEST_BLOB_UNKNOWN, message, tuple(missing))
    if wrong:
        message = "the manifest gives a size that is not the stored one"
        raise RegistryError(ErrorCode.SIZE_INVALID, message, tuple(wrong))


def held_by(manifest: Manifest, survey: Survey) -> list[Held]:
    """Everything to hold, in an order that does not change."""
    blobs = {d.digest for d in (*manifest.blobs, *manifest.unclear) if d.digest in survey.links}
    children = {d.digest for d in (*manifest.children, *manifest.unclear) if _is_live(survey, d.digest)}
    holds = [Held(digest, is_manifest=False) for digest in sorted(blobs)]
    holds += [Held(digest, is_manifest=True) for digest in sorted(children)]
    return holds


def hold_changes(
    repository: Repository,
    holds: Sequence[Held],
    step: int = 1,
    tags: Mapping[Digest, int] | None = None,
) -> list[Change]:
    """Count `holds` up or down, and `tags` with them: one change a row."""
    links = [CountLink(repository, held.digest, step) for held in holds if not held.is_manifest]
    parents = {held.digest: step for held in holds if held.is_manifest}
    return [*links, *count_changes(repository, tags=tags or {}, parents=parents)]


def count_changes(
    repository: Repository, *, tags: Mapping[Digest, int], parents: Mapping[Digest, int] | None = None
) -> list[CountManifest]:
    parents = parents or {}
    return [
        CountManifest(repository, digest, tags=tags.get(digest, 0), parents=parents.get(digest, 0))
        for digest in sorted({*tags, *parents})
    ]


def _found(manifest: Manifest, survey: Survey) -> Iterable[tuple[Descriptor, list[int]]]:
    """Each descriptor with the sizes under which its digest is stored here."""
    for descriptor in manifest.blobs:
        yield descriptor, _link_sizes(survey, descriptor.digest)
    for descriptor in manifest.children:
        yield descriptor, _manifest_sizes(survey, descriptor.digest)
    for descriptor in manifest.unclear:
        digest = descriptor.digest
        yield descriptor, _link_sizes(survey, digest) + _manifest_sizes(survey, digest)


def _link_sizes(survey: Survey, digest: Digest) -> list[int]:
    link = survey.links.get(digest)
    return [link.size] if link else []


def _manifest_sizes(survey: Survey, digest: Digest) -> list[int]:
    return [survey.manifests[digest].size] if _is_live(survey, digest) else []


def _is_live(survey: Survey, digest: Digest) -> bool:
    row = survey.manifests.get(digest)
    return row is not None and row.state == LIVE


def _detail(descriptor: Descriptor) -> dict[str, object]:
    return {"digest": descriptor.digest, "mediaType": descriptor.media_type, "size": descriptor.size}
