"""Manifest rows read many at a time, and the referrers of a subject in pages."""

from __future__ import annotations

from dataclasses import replace

from chalicelib.aws.manifest_store import PAGE_BYTES
from chalicelib.registry.changes import Change, PutLink, PutManifest, PutReferrer, PutTag, RemoveReferrer
from chalicelib.registry.stores import RELEASING, Held, Survey
from chalicelib.spec.digest import Digest
from chalicelib.spec.reference import Repository
from chalicelib.wiring import Deployment
from tests.stores.rows import a_digest, a_link, a_manifest, a_tag, write

SUBJECT, OTHER = Digest.of(b"a subject"), Digest.of(b"another subject")


def test_missing_manifest_is_none(deployment: Deployment, repository: Repository) -> None:
    assert deployment.services.manifests.rows.get(repository, SUBJECT) is None


def test_manifest_is_of_its_repository_alone(deployment: Deployment, repository: Repository) -> None:
    row = a_manifest()
    write(deployment, PutManifest(repository, row))
    neighbour = Repository(repository.account, f"{repository.name}/below")
    assert deployment.services.manifests.rows.get(neighbour, row.digest) is None


def test_survey_of_nothing_is_empty(deployment: Deployment, repository: Repository) -> None:
    found = deployment.services.manifests.rows.survey(repository, SUBJECT, ["v1"], [a_digest()], [OTHER])
    assert found == Survey()


def test_survey_finds_each_of_more_rows_than_a_batch_holds(
    deployment: Deployment, repository: Repository
) -> None:
    links = [a_link() for _ in range(130)]
    children = [a_manifest(raw=None) for _ in range(110)]
    tags = [a_tag(f"v{number}", SUBJECT) for number in range(20)]
    own = a_manifest(SUBJECT, raw=None, tags=20, holds=(Held(OTHER, is_manifest=False),), held=1)
    changes: list[Change] = [PutLink(repository, link) for link in links]
    changes += [PutManifest(repository, row) for row in [*children, own]]
    changes += [PutTag(repository, tag, None) for tag in tags]
    write(deployment, *changes)
    found = deployment.services.manifests.rows.survey(
        repository,
        SUBJECT,
        [*(tag.tag for tag in tags), "absent"],
        [*(link.digest for link in links), a_digest()],
        [*(row.digest for row in children), a_digest()],
    )
    assert found.manifest == own
    assert found.tags == {tag.tag: tag for tag in tags}
    assert {one: replace(link, idle=0) for one, link in found.links.items()} == {
        link.digest: link for link in links
    }
    assert found.manifests == {row.digest: row for row in children}


def test_survey_shows_rows_on_their_way_out(deployment: Deployment, repository: Repository) -> None:
    row = a_manifest(state=RELEASING, raw=None, held=0)
    write(deployment, PutManifest(repository, row))
    rows = deployment.services.manifests.rows
    assert rows.survey(repository, row.digest, [], [], []).manifest == row
    assert rows.survey(repository, OTHER, [], [], [row.digest]).manifests == {row.digest: row}


def test_survey_reads_rows_larger_together_than_one_answer(
    deployment: Deployment, repository: Repository
) -> None:
    """A hundred rows with their bytes are more than the 16 MB of a BatchGetItem: it leaves some over."""
    rows = [a_manifest(raw=bytes(200_000)) for _ in range(90)]
    for first in range(0, len(rows), 15):
        write(deployment, *(PutManifest(repository, row) for row in rows[first : first + 15]))
    found = deployment.services.manifests.rows.survey(repository, SUBJECT, [], [], [r.digest for r in rows])
    assert found.manifests == {row.digest: replace(row, raw=None) for row in rows}


def test_referrers_of_nothing_are_an_empty_page(deployment: Deployment, repository: Repository) -> None:
    assert deployment.services.manifests.rows.referrers(repository, SUBJECT, "") == ([], "")


def test_referrers_are_of_one_subject_and_no_manifest(deployment: Deployment, repository: Repository) -> None:
    first, second = {"digest": a_digest(), "size": 1}, {"digest": a_digest(), "size": 2}
    write(deployment, PutReferrer(repository, SUBJECT, first["digest"], first))
    write(deployment, PutReferrer(repository, OTHER, second["digest"], second))
    write(deployment, PutManifest(repository, a_manifest()))
    assert deployment.services.manifests.rows.referrers(repository, SUBJECT, "") == ([first], "")


def test_removed_referrer_is_not_listed(deployment: Deployment, repository: Repository) -> None:
    digest = a_digest()
    write(deployment, PutReferrer(repository, SUBJECT, digest, {"digest": digest}))
    write(deployment, RemoveReferrer(repository, SUBJECT, digest))
    assert deployment.services.manifests.rows.referrers(repository, SUBJECT, "") == ([], "")


def test_pages_of_referrers_are_sorted_and_leave_none_out(
    deployment: Deployment, repository: Repository
) -> None:
    entries = _put_large_referrers(deployment, repository)
    listed, pages = [], 0
    after = "begin"
    while after:
        page, after = deployment.services.manifests.rows.referrers(
            repository, SUBJECT, "" if after == "begin" else after
        )
        listed += page
        pages += 1
    assert listed == sorted(entries, key=lambda entry: str(entry["digest"]))
    assert pages >= 3


def test_page_of_referrers_goes_on_after_one_that_was_removed(
    deployment: Deployment, repository: Repository
) -> None:
    entries = _put_large_referrers(deployment, repository)
    rows = deployment.services.manifests.rows
    first, after = rows.referrers(repository, SUBJECT, "")
    write(deployment, RemoveReferrer(repository, SUBJECT, Digest(after)))
    second, _ = rows.referrers(repository, SUBJECT, after)
    known = sorted(str(entry["digest"]) for entry in entries)
    assert [entry["digest"] for entry in second] == known[len(first) : len(first) + len(second)]


def _put_large_referrers(deployment: Deployment, repository: Repository) -> list[dict[str, object]]:
    """More than two pages of them."""
    size = PAGE_BYTES // 8
    entries: list[dict[str, object]] = [
        {"digest": str(a_digest()), "annotations": {"a": "x" * size}} for _ in range(20)
    ]
    for entry in entries:
        digest = Digest(str(entry["digest"]))
        write(deployment, PutReferrer(repository, SUBJECT, digest, entry))
    return entries
