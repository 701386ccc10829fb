"""What a manifest keeps alive: all of it named, found, counted once."""

from __future__ import annotations

import json
from typing import Any

import pytest

from chalicelib.registry.changes import CountLink, CountManifest
from chalicelib.registry.holding import (
    HOLDS_BYTES,
    check_count,
    count_changes,
    held_by,
    hold_changes,
    missing_content,
)
from chalicelib.registry.stores import LIVE, RELEASING, STAGING, Held, Link, ManifestRow, Survey
from chalicelib.spec.digest import Digest
from chalicelib.spec.errors import ErrorCode, RegistryError
from chalicelib.spec.manifest import OCI_IMAGE, OCI_INDEX, Manifest, parse_manifest
from chalicelib.spec.reference import Repository

REPOSITORY = Repository("account", "dev/app")
A, B, C = (Digest.of(text) for text in (b"a", b"b", b"c"))
OCTETS = "application/octet-stream"


def named(digest: Digest, size: int = 1, media_type: str = OCTETS) -> dict[str, Any]:
    return {"digest": digest, "size": size, "mediaType": media_type}


def image(*layers: dict[str, Any]) -> Manifest:
    return parse_manifest(json.dumps({"layers": layers}).encode(), OCI_IMAGE)


def index(*entries: dict[str, Any]) -> Manifest:
    return parse_manifest(json.dumps({"manifests": entries}).encode(), OCI_INDEX)


def link(digest: Digest, size: int = 1) -> Link:
    return Link(digest, size, f"key of {digest}")


def row(digest: Digest, size: int = 1, state: str = LIVE) -> ManifestRow:
    return ManifestRow(digest, OCI_IMAGE, size, state)


def survey(links: list[Link] | None = None, manifests: list[ManifestRow] | None = None) -> Survey:
    return Survey(
        links={one.digest: one for one in links or []},
        manifests={one.digest: one for one in manifests or []},
    )


def refusal(manifest: Manifest, found: Survey) -> RegistryError:
    with pytest.raises(RegistryError) as refused:
        missing_content(manifest, found)
    return refused.value


def test_everything_that_is_missing_is_named_once() -> None:
    error = refusal(image(named(A), named(B), named(A), named(C)), survey([link(B)]))
    assert error.code is ErrorCode.MANIFEST_BLOB_UNKNOWN
    assert [detail["digest"] for detail in error.details] == [A, C]  # type: ignore[index]


def test_what_is_missing_is_told_before_what_lies() -> None:
    assert refusal(image(named(A, 2), named(B)), survey([link(A)])).code is ErrorCode.MANIFEST_BLOB_UNKNOWN


def test_every_lie_about_a_size_is_told_with_the_truth() -> None:
    error = refusal(image(named(A, 2), named(B, 1), named(C, 3)), survey([link(A), link(B), link(C)]))
    assert error.code is ErrorCode.SIZE_INVALID
    assert error.details == ({**named(A, 2), "stored": 1}, {**named(C, 3), "stored": 1})


@pytest.mark.parametrize("state", [STAGING, RELEASING])
def test_a_child_that_cannot_be_pulled_is_missing(state: str) -> None:
    manifest = index(named(A, media_type=OCI_IMAGE))
    assert refusal(manifest, survey(manifests=[row(A, state=state)])).code is ErrorCode.MANIFEST_BLOB_UNKNOWN
    missing_content(manifest, survey(manifests=[row(A)]))


def test_a_blob_is_no_child_and_a_manifest_no_layer() -> None:
    assert refusal(index(named(A, media_type=OCI_IMAGE)), survey([link(A)])).details
    assert refusal(image(named(A)), survey(manifests=[row(A)])).details


@pytest.mark.parametrize("found", [survey([link(A)]), survey(manifests=[row(A)])])
def test_an_entry_of_an_unknown_type_may_be_either(found: Survey) -> None:
    missing_content(index(named(A, media_type="application/vnd.example+json")), found)


def test_an_entry_that_is_both_may_have_either_size() -> None:
    manifest = index(named(A, 2, "application/vnd.example+json"))
    missing_content(manifest, survey([link(A, 1)], [row(A, 2)]))
    assert refusal(manifest, survey([link(A, 1)], [row(A, 3)])).code is ErrorCode.SIZE_INVALID


def test_what_is_held_is_in_an_order_of_its_own() -> None:
    one = held_by(image(named(A), named(B), named(C)), survey([link(A), link(B), link(C)]))
    other = held_by(image(named(C), named(B), named(A)), survey([link(C), link(A), link(B)]))
    assert one == other
    assert {held.digest for held in one} == {A, B, C}


def test_an_entry_that_is_both_is_held_as_both() -> None:
    held = held_by(index(named(A, media_type="application/vnd.example+json")), survey([link(A)], [row(A)]))
    assert held == [Held(A, is_manifest=False), Held(A, is_manifest=True)]


def test_a_manifest_that_names_more_than_a_row_holds_is_413() -> None:
    digests = [Digest.of(str(number).encode()) for number in range(HOLDS_BYTES // 73 + 1)]
    check_count(image(*map(named, digests[:3000])))
    with pytest.raises(RegistryError) as refused:
        check_count(image(*map(named, digests)))
    assert (refused.value.code, refused.value.status) == (ErrorCode.MANIFEST_INVALID, 413)
    assert "split it" in refused.value.message


def test_holding_and_letting_go_are_opposites_with_one_change_a_row() -> None:
    holds = [Held(A, is_manifest=False), Held(B, is_manifest=True)]
    up = hold_changes(REPOSITORY, holds, tags={B: 1, C: -1})
    assert up == [
        CountLink(REPOSITORY, A, 1),
        *sorted(
            [CountManifest(REPOSITORY, B, tags=1, parents=1), CountManifest(REPOSITORY, C, tags=-1)],
            key=lambda change: change.digest,
        ),
    ]
    assert hold_changes(REPOSITORY, holds, step=-1) == [
        CountLink(REPOSITORY, A, -1),
        CountManifest(REPOSITORY, B, parents=-1),
    ]


def test_counting_nothing_changes_nothing() -> None:
    assert count_changes(REPOSITORY, tags={}) == []
    assert hold_changes(REPOSITORY, []) == []
