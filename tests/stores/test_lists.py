"""Tags and repositories in pages, sorted by code point."""

from __future__ import annotations

import pytest

from chalicelib.registry.changes import NameRepository, PutTag, RemoveTag
from chalicelib.spec.digest import Digest
from chalicelib.spec.reference import Repository
from chalicelib.wiring import Deployment
from tests.stores.rows import a_digest, a_tag, write

# Where code points, dictionaries and numbers would each sort in another way.
TAGS = ["1.0", "1.10", "1.2", "A", "B", "Z", "_", "a", "a-b", "a.b", "a_b", "aa", "b", "z" * 128]
D, E = Digest.of(b"d"), Digest.of(b"e")


@pytest.fixture
def tagged(deployment: Deployment, repository: Repository) -> Repository:
    """Pushed in another order than they are listed in, beside a repository with tags of its own."""
    write(deployment, *(PutTag(repository, a_tag(tag, D), None) for tag in reversed(TAGS)))
    neighbour = Repository(repository.account, f"{repository.name}-2")
    write(deployment, PutTag(neighbour, a_tag("neighbour", D), None))
    return repository


def test_tags_are_sorted_by_code_point(deployment: Deployment, tagged: Repository) -> None:
    assert deployment.services.discovery.tags.page(tagged, "", 1000) == sorted(TAGS) == TAGS


@pytest.mark.parametrize("limit", [1, 3, 5, 13, 14, 15])
def test_pages_of_tags_follow_each_other(deployment: Deployment, tagged: Repository, limit: int) -> None:
    tags, listed = deployment.services.discovery.tags, list[str]()
    while page := tags.page(tagged, listed[-1] if listed else "", limit):
        assert len(page) <= limit
        listed += page
    assert listed == TAGS


@pytest.mark.parametrize(
    ("after", "following"), [("0", "1.0"), ("1.1", "1.10"), ("C", "Z"), ("a-", "a-b"), ("a" * 128, "b")]
)
def test_page_begins_after_a_tag_that_is_not_there(
    deployment: Deployment, tagged: Repository, after: str, following: str
) -> None:
    assert deployment.services.discovery.tags.page(tagged, after, 1) == [following]


def test_page_after_the_last_tag_is_empty(deployment: Deployment, tagged: Repository) -> None:
    assert deployment.services.discovery.tags.page(tagged, TAGS[-1], 10) == []


def test_removed_tag_leaves_the_list(deployment: Deployment, tagged: Repository) -> None:
    write(deployment, RemoveTag(tagged, "A", D))
    assert "A" not in deployment.services.discovery.tags.page(tagged, "", 1000)


def test_missing_tag_is_none(deployment: Deployment, tagged: Repository) -> None:
    assert deployment.services.discovery.tags.get(tagged, "absent") is None


def test_every_tag_that_names_a_digest_is_found_and_no_other(
    deployment: Deployment, repository: Repository
) -> None:
    named = [f"n{number:03}" for number in range(40)]
    write(deployment, *(PutTag(repository, a_tag(tag, D), None) for tag in named))
    write(deployment, *(PutTag(repository, a_tag(f"o{number}", E), None) for number in range(10)))
    tags = deployment.services.discovery.tags
    assert sorted(tags.naming(repository, D)) == named
    assert tags.naming(repository, a_digest()) == []
    write(deployment, PutTag(repository, a_tag("n000", E, 2), D), RemoveTag(repository, "n001", D))
    assert sorted(tags.naming(repository, D)) == named[2:]


def test_repository_exists_once_it_is_named(deployment: Deployment, repository: Repository) -> None:
    repositories = deployment.services.discovery.repositories
    assert not repositories.exists(repository)
    write(deployment, NameRepository(repository))
    assert repositories.exists(repository)
    assert not repositories.exists(Repository(repository.account, f"{repository.name}/below"))


def test_repositories_of_an_account_are_listed_in_pages(
    deployment: Deployment, repository: Repository
) -> None:
    account, registry = repository.account, repository.registry
    names = sorted(f"{registry}{place}" for place in ["/b", "/a/z", "/a", "-2/a", "/a-b", "/a0"])
    for name in names:
        write(deployment, NameRepository(Repository(account, name)))
    write(deployment, NameRepository(Repository(f"{account}-2", f"{registry}-other/a")))
    repositories = deployment.services.discovery.repositories
    listed: list[str] = []
    while page := repositories.page(account, listed[-1] if listed else "", 4):
        listed += page
    assert listed == names
