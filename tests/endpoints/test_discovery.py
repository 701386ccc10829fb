"""Lists: tags, referrers and the catalog, page by page, and queries that are none."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest

from chalicelib.registry.changes import NOBODY
from chalicelib.spec.digest import Digest
from chalicelib.spec.reference import Repository
from chalicelib.wiring import Deployment
from tests.endpoints.conftest import SETTINGS
from tests.endpoints.driver import IMAGE, INDEX, Driver
from tests.endpoints.refusals import nothing_left_behind, refused

TAGS = ["1.0", "V1", "a", "a-b", "z"]
SUBJECT = Digest.of(b"a subject")


@pytest.fixture
def tagged(driver: Driver) -> Driver:
    raw = b"{}"
    assert driver.put_raw(Digest.of(raw), raw, query={"tag": TAGS}).status == 201
    return driver


def pages(driver: Driver, path: str, query: dict[str, Any]) -> Iterator[Any]:
    """Every page, by its Link."""
    while True:
        answer = driver.call("GET", path, query)
        assert answer.status == 200
        yield answer
        if "link" not in answer.headers:
            return
        target, _, rel = answer.headers["link"].partition(">; ")
        assert rel == 'rel="next"'
        parts = urlsplit(target.removeprefix("<"))
        assert parts.path == path
        query = dict(parse_qsl(parts.query))


def test_tags_are_sorted(tagged: Driver) -> None:
    """end-8a."""
    answer = tagged.call("GET", tagged.of("tags/list"))
    assert answer.document == {"name": "dev/app", "tags": TAGS}
    assert "link" not in answer.headers


@pytest.mark.parametrize("n", [1, 2, 3, 5])
def test_pages_of_tags_are_all_tags_once(tagged: Driver, n: int) -> None:
    """end-8b."""
    found = [page.document["tags"] for page in pages(tagged, tagged.of("tags/list"), {"n": n})]
    assert [tag for page in found for tag in page] == TAGS
    assert {len(page) for page in found[:-1]} <= {n}


@pytest.mark.parametrize(
    ("query", "tags"),
    [
        ({"n": "0"}, []),
        ({"n": "99999999999"}, TAGS),
        ({"n": "9" * 5000}, TAGS),
        ({"n": "0000000000003"}, TAGS[:3]),
        ({"n": ""}, TAGS),
        ({"last": "a"}, TAGS[3:]),
        ({"last": "zzz"}, []),
        ({"last": ""}, TAGS),
        ({"last": "a" * 5000}, TAGS[4:]),
        ({"last": "\0"}, TAGS),
        ({"last": "é"}, []),
        ({"n": ["2", "5"]}, TAGS[:2]),
        ({"unknown": "x"}, TAGS),
    ],
)
def test_odd_queries_have_an_answer(tagged: Driver, query: dict[str, Any], tags: list[str]) -> None:
    answer = tagged.call("GET", tagged.of("tags/list"), query)
    assert (answer.status, answer.document["tags"]) == (200, tags)


@pytest.mark.parametrize("n", ["-1", "abc", "1.5", "1e3", "0x10", " 1", "\u0663", "1,2", "+1"])
@pytest.mark.parametrize("path", ["/v2/dev/app/tags/list", "/v2/_catalog"])
def test_a_number_of_entries_that_is_none_is_refused(tagged: Driver, path: str, n: str) -> None:
    tagged.log_in("repository:dev/app:pull registry:catalog:*")
    with nothing_left_behind():
        refused(tagged.call("GET", path, {"n": n}), 400, "UNSUPPORTED", "number of entries")


@pytest.mark.parametrize(
    "text", ["&&&", "=", "%", "%zz=1", "n", "n=1&n=2&&", "%6e=1", "a=%00", "\\", "?n=1", ";n=1", "+"]
)
def test_a_query_that_is_none_is_not_fatal(tagged: Driver, text: str) -> None:
    event = tagged.event("GET", tagged.of("tags/list"), {}, b"", {})
    event["rawQueryString"] = text
    assert tagged.deliver(event).status == 200


def test_tags_of_a_repository_that_never_was_are_404(driver: Driver) -> None:
    entries = refused(driver.call("GET", driver.of("tags/list")), 404, "NAME_UNKNOWN")
    assert entries[0]["detail"] == {"name": "dev/app"}


def refer(driver: Driver, count: int, **more: Any) -> list[str]:
    digests = []
    for number in range(count):
        document = {
            "schemaVersion": 2,
            "mediaType": IMAGE,
            "artifactType": f"type/{number % 2}",
            "annotations": {"number": str(number)},
            "subject": {"mediaType": IMAGE, "digest": SUBJECT, "size": 9},
            **more,
        }
        answer = driver.put_manifest(f"r{number}", document)
        assert (answer.status, answer.headers["oci-subject"]) == (201, SUBJECT)
        digests.append(answer.headers["docker-content-digest"])
    return sorted(digests)


def test_referrers_are_an_index_even_of_nothing(driver: Driver) -> None:
    """end-12a."""
    answer = driver.call("GET", driver.of(f"referrers/{SUBJECT}"))
    assert (answer.status, answer.headers["content-type"]) == (200, INDEX)
    assert answer.document == {"schemaVersion": 2, "mediaType": INDEX, "manifests": []}


def test_referrers_by_artifact_type(driver: Driver) -> None:
    """end-12b."""
    refer(driver, 3)
    answer = driver.call("GET", driver.of(f"referrers/{SUBJECT}"), {"artifactType": "type/0"})
    assert answer.headers["oci-filters-applied"] == "artifactType"
    assert {entry["annotations"]["number"] for entry in answer.document["manifests"]} == {"0", "2"}


def test_pages_of_referrers_are_all_referrers_once(driver: Driver) -> None:
    digests = refer(driver, 6, large="", annotations={"large": "x" * 200_000})
    digests = sorted({*digests})
    found = list(pages(driver, driver.of(f"referrers/{SUBJECT}"), {}))
    assert [entry["digest"] for page in found for entry in page.document["manifests"]] == digests


@pytest.mark.parametrize("digest", ["latest", "sha256:short", "md5:" + "a" * 32, "..", "%F0%9F%90%B3"])
def test_referrers_of_what_is_no_digest_are_400(driver: Driver, digest: str) -> None:
    refused(driver.call("GET", driver.of(f"referrers/{digest}")), 400, "DIGEST_INVALID")


@pytest.mark.parametrize("last", ["x", "sha256:short", "a" * 5000, "\0"])
def test_referrers_after_what_is_no_digest_are_400(driver: Driver, last: str) -> None:
    answer = driver.call("GET", driver.of(f"referrers/{SUBJECT}"), {"last": last})
    refused(answer, 400, "DIGEST_INVALID")


def test_the_catalog_lists_what_may_be_pulled(driver: Driver) -> None:
    for name in ("b/app", "a/app", "a/deep/er/app"):
        other = Driver(driver.deployment, name)
        other.log_in()
        other.put_raw("v1", b"{}")
    driver.log_in("registry:catalog:*")
    found = [page.document["repositories"] for page in pages(driver, "/v2/_catalog", {"n": 2})]
    assert found == [["a/app", "a/deep/er/app"], ["b/app"]]
    driver.log_in("repository:a/app:pull")
    refused(driver.call("GET", "/v2/_catalog"), 401, "UNAUTHORIZED")


@pytest.mark.parametrize("last", ["a" * 5000, "\0", "é", ".."])
def test_a_catalog_after_odd_names_has_an_answer(driver: Driver, last: str) -> None:
    driver.log_in("registry:catalog:*")
    assert driver.call("GET", "/v2/_catalog", {"last": last}).status == 200


def listed(deployment: Deployment) -> list[str]:
    driver = Driver(deployment)
    driver.log_in("registry:catalog:*")
    return list(driver.call("GET", "/v2/_catalog").document["repositories"])


def test_a_repository_that_another_process_emptied_is_listed_again_by_the_next_push(driver: Driver) -> None:
    raw = b"{}"
    assert driver.put_raw(Digest.of(raw), raw).status == 201
    other = Deployment(SETTINGS)
    repository = Repository(SETTINGS.account, driver.repository)
    other._emptying.empty(repository, NOBODY)
    assert listed(driver.deployment) == []
    assert driver.put_raw(Digest.of(raw), raw).status == 201
    assert listed(driver.deployment) == [driver.repository]


def test_a_push_beside_the_emptying_of_its_repository_is_listed(
    driver: Driver, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It found the repository named, and then it was not."""
    raw, emptying = b"{}", driver.deployment._emptying
    repository = Repository(SETTINGS.account, driver.repository)
    forget = type(emptying.content).forget

    def push_then_forget(content: Any, forgotten: Repository) -> None:
        assert driver.put_raw(Digest.of(raw), raw).status == 201
        forget(content, forgotten)

    assert driver.put_raw(Digest.of(raw), raw).status == 201
    monkeypatch.setattr(type(emptying.content), "forget", push_then_forget)
    emptying.empty(repository, NOBODY)
    assert listed(driver.deployment) == [driver.repository]
