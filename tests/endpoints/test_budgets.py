"""Backend calls a request makes, warm and by token: the budgets of the design, exactly."""

from __future__ import annotations

import base64
import json
import time
from collections.abc import Callable
from dataclasses import replace
from urllib.parse import urlencode

import pytest

from chalicelib.config import EDGE, FUNCTION
from chalicelib.spec.digest import Digest
from chalicelib.wiring import Deployment
from tests.endpoints.driver import PASSWORD, Driver, index_of, size_of
from tests.identity.callers import operations


@pytest.fixture
def warm(driver: Driver, monkeypatch: pytest.MonkeyPatch) -> Driver:
    """A driver to whose repository something was pushed before, and in whose process no time passes since."""
    driver.warm_up(monkeypatch)
    return driver


def test_token_takes_one_read_and_one_audit_entry(warm: Driver) -> None:
    basic = base64.b64encode(f"admin:{PASSWORD}".encode()).decode()
    scope = {"scope": "repository:dev/app:pull,push"}
    answer = warm.call("GET", "/token", scope, authorization=f"Basic {basic}")
    assert (answer.status, answer.calls) == (200, (2, 0))


@pytest.mark.parametrize("by", ["secret", "password grant", "refresh_token grant"])
def test_token_takes_one_dynamodb_read_whatever_is_shown(warm: Driver, by: str) -> None:
    """Of as many registries as are asked for; the other call is the audit entry."""
    basic = base64.b64encode(f"admin:{PASSWORD}".encode()).decode()
    scopes = " ".join(f"repository:dev/app{number}:pull,push" for number in range(50))
    offline = warm.call("GET", "/token", {"offline_token": "true"}, authorization=f"Basic {basic}")
    form = {
        "password grant": {"grant_type": "password", "username": "admin", "password": PASSWORD},
        "refresh_token grant": {
            "grant_type": "refresh_token",
            "refresh_token": offline.document["refresh_token"],
        },
    }.get(by)
    with operations(warm.deployment) as seen:
        if form is None:
            answer = warm.call("GET", "/token", {"scope": scopes}, authorization=f"Basic {basic}")
        else:
            answer = warm.call("POST", "/token", body=urlencode({**form, "scope": scopes}).encode())
    assert (answer.status, answer.calls) == (200, (2, 0))
    assert seen == {"BatchGetItem": 1, "PutItem": 1}


def test_checking_a_token_takes_none(warm: Driver) -> None:
    """Of a good one, and of one that is none."""
    assert warm.call("GET", "/v2/").status == 200
    with operations(warm.deployment) as seen:
        for _ in range(10):
            assert warm.call("GET", "/v2/").calls == (0, 0)
            forged = warm.call("GET", "/v2/", authorization=warm.authorization + "x")
            assert (forged.status, forged.calls) == (401, (0, 0))
    assert not seen


def test_failed_login_takes_one_read_two_counts_and_one_audit_entry(driver: Driver) -> None:
    form = b"grant_type=password&username=admin&password=wrong"
    assert driver.call("POST", "/token", body=form).calls == (4, 0)


def test_version_check_takes_none(warm: Driver) -> None:
    assert warm.call("GET", "/v2/").calls == (0, 0)


@pytest.mark.parametrize("by", ["tag", "digest"])
def test_head_manifest_takes_one_read_and_no_byte(warm: Driver, by: str) -> None:
    digest = warm.push_image("v1")
    answer = warm.call("HEAD", warm.of(f"manifests/{'v1' if by == 'tag' else digest}"))
    assert (answer.status, answer.calls, answer.body) == (200, (1, 0), b"")


@pytest.mark.parametrize(("by", "reads"), [("tag", 2), ("digest", 1)])
def test_get_manifest_takes_one_read_and_one_more_by_tag(warm: Driver, by: str, reads: int) -> None:
    """And a write once a day, which keeps when the manifest was pulled."""
    digest = warm.push_image("v1")
    path = warm.of(f"manifests/{'v1' if by == 'tag' else digest}")
    with operations(warm.deployment) as seen:
        first = warm.call("GET", path)
    assert (first.status, first.calls, seen["UpdateItem"]) == (200, (reads + 1, 0), 1)
    again = warm.call("GET", path)
    assert (again.status, again.calls) == (200, (reads, 0))


def test_a_pull_is_noted_again_a_day_later_and_not_before(
    warm: Driver, monkeypatch: pytest.MonkeyPatch
) -> None:
    digest = warm.push_image("v1")
    path, now, ahead = warm.of(f"manifests/{digest}"), int(time.time()), 0
    manifests = replace(warm.deployment.services.manifests, clock=lambda: now + ahead)
    monkeypatch.setattr(warm.deployment, "services", replace(warm.deployment.services, manifests=manifests))
    assert warm.call("GET", path).calls == (2, 0)
    ahead = 24 * 3600 - 1
    assert warm.call("GET", path).calls == (1, 0)
    ahead += 1
    assert warm.call("GET", path).calls == (2, 0)
    assert warm.call("GET", path).calls == (1, 0)


@pytest.mark.parametrize("head_carries_body", [True, False])
def test_head_is_no_pull(
    deploy: Callable[..., Deployment], monkeypatch: pytest.MonkeyPatch, *, head_carries_body: bool
) -> None:
    driver = Driver(deploy(head_carries_body=head_carries_body))
    driver.log_in()
    driver.warm_up(monkeypatch)
    digest = driver.push_image("v1")
    assert driver.call("HEAD", driver.of(f"manifests/{digest}")).calls == (1, 0)
    assert driver.call("GET", driver.of(f"manifests/{digest}")).calls == (2, 0)


def test_get_spilled_manifest_reads_s3_once(warm: Driver) -> None:
    document = {**warm.image(), "annotations": {"large": "x" * 300_000}}
    pushed = warm.put_manifest("large", document)
    assert (pushed.status, pushed.calls) == (201, (2, 1))
    assert warm.call("GET", warm.of("manifests/large")).calls == (3, 1)
    assert warm.call("GET", warm.of("manifests/large")).calls == (2, 1)


@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_blob_takes_one_read_and_no_byte(warm: Driver, method: str) -> None:
    digest = warm.push_blob(b"some bytes")
    answer = warm.call(method, warm.of(f"blobs/{digest}"))
    assert (answer.status, answer.calls, answer.body) == (307, (1, 0), b"")


def test_tag_list_takes_one_query_a_page(warm: Driver) -> None:
    for number in range(5):
        warm.push_image(f"v{number}")
    answer = warm.call("GET", warm.of("tags/list"), {"n": 3})
    assert (len(json.loads(answer.body)["tags"]), answer.calls) == (3, (1, 0))


def test_referrers_take_one_query(warm: Driver) -> None:
    digest = Digest.of(b"a subject")
    assert warm.call("GET", warm.of(f"referrers/{digest}")).calls == (1, 0)


def test_put_manifest_of_90_layers_takes_one_read_and_one_transaction(warm: Driver) -> None:
    """The first push to a repository, which names it too."""
    first = Driver(warm.deployment, "dev/first")
    first.log_in()
    answer = first.put_manifest("many", first.image(90))
    assert (answer.status, answer.calls) == (201, (2, 0))


def test_put_manifest_looks_once_a_minute_whether_the_registry_is_above_a_soft_limit(warm: Driver) -> None:
    documents = [warm.image(seed=str(number)) for number in range(2)]
    warm.deployment.soft_limits._seen.clear()
    calls = [warm.put_manifest(f"v{number}", one).calls for number, one in enumerate(documents)]
    assert calls == [(3, 0), (2, 0)]


def test_put_manifest_again_takes_one_read(warm: Driver) -> None:
    document = warm.image()
    warm.put_manifest("v1", document)
    assert warm.put_manifest("v1", document).calls == (1, 0)


def test_put_manifest_again_by_digest_notes_the_push_where_nothing_names_it(warm: Driver) -> None:
    document = warm.image(seed="without a tag")
    digest = Digest.of(json.dumps(document).encode())
    warm.put_manifest(digest, document)
    assert warm.put_manifest(digest, document).calls == (2, 0)
    warm.put_manifest("v1", document)
    assert warm.put_manifest(digest, document).calls == (1, 0)


def test_moving_a_tag_takes_one_read_and_one_transaction(warm: Driver) -> None:
    warm.push_image("moved", seed="first")
    assert warm.put_manifest("moved", warm.image(seed="second")).calls == (2, 0)


def test_single_put_upload_takes_three_calls_and_one_object(warm: Driver) -> None:
    content = b"a small blob"
    opened = warm.call("POST", warm.of("blobs/uploads/"))
    closed = warm.call("PUT", opened.headers["location"], {"digest": Digest.of(content)}, content)
    assert (opened.calls, closed.calls) == ((1, 0), (2, 1))


def test_streamed_upload_takes_two_calls_a_request(warm: Driver) -> None:
    """PATCH keeps progress between two requests: one call to take the session, one to put it back."""
    content = b"a blob by PATCH and PUT"
    patched = warm.call("PATCH", warm.open_upload(), body=content)
    closed = warm.call("PUT", patched.headers["location"], {"digest": Digest.of(content)})
    assert (patched.calls, closed.calls) == ((2, 1), (2, 0))


def test_mount_takes_one_read_and_one_transaction(warm: Driver) -> None:
    digest = warm.push_blob(b"to be mounted")
    other = Driver(warm.deployment, "dev/other")
    warm.log_in("repository:dev/app:pull repository:dev/other:push")
    other.authorization = warm.authorization
    answer = other.call("POST", other.of("blobs/uploads/"), {"mount": digest, "from": "dev/app"})
    assert (answer.status, answer.calls) == (201, (2, 0))


def test_deleting_a_tag_takes_one_read_and_one_transaction(warm: Driver) -> None:
    warm.push_image("gone", seed="gone")
    assert warm.call("DELETE", warm.of("manifests/gone")).calls == (2, 0)


def test_deleting_a_manifest_reads_it_what_is_kept_of_it_and_for_how_long(warm: Driver) -> None:
    """With tags, those too and whether they are immutable."""
    digest = warm.push_image("gone", seed="gone")
    warm.call("DELETE", warm.of("manifests/gone"))
    assert warm.call("DELETE", warm.of(f"manifests/{digest}")).calls == (4, 0)
    assert warm.push_image("gone", seed="gone") == digest
    assert warm.call("DELETE", warm.of(f"manifests/{digest}")).calls == (6, 0)


def test_put_index_takes_one_read_and_one_transaction(warm: Driver) -> None:
    document = warm.image(seed="child")
    warm.put_manifest("child", document)
    child = Digest.of(json.dumps(document).encode())
    answer = warm.put_manifest("index", index_of((child, size_of(document))))
    assert (answer.status, answer.calls) == (201, (2, 0))


@pytest.fixture
def behind_edge(deploy: Callable[..., Deployment], monkeypatch: pytest.MonkeyPatch) -> Driver:
    """Where a blob may wait in S3 to be adopted."""
    driver = Driver(deploy(uploads=frozenset({FUNCTION, EDGE})))
    driver.log_in()
    driver.warm_up(monkeypatch)
    return driver


@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_a_blob_that_is_there_costs_the_same_behind_the_edge(behind_edge: Driver, method: str) -> None:
    digest = behind_edge.push_blob(b"some bytes")
    answer = behind_edge.call(method, behind_edge.of(f"blobs/{digest}"))
    assert (answer.status, answer.calls) == (307, (1, 0))


def test_a_blob_that_is_not_there_takes_one_list_and_a_second_look_behind_the_edge_alone(
    warm: Driver, behind_edge: Driver
) -> None:
    path = warm.of(f"blobs/{Digest.of(b'not there')}")
    assert (warm.call("HEAD", path).status, warm.call("HEAD", path).calls) == (404, (1, 0))
    assert (behind_edge.call("HEAD", path).status, behind_edge.call("HEAD", path).calls) == (404, (2, 1))


def test_a_manifest_whose_blobs_are_there_costs_the_same_behind_the_edge(behind_edge: Driver) -> None:
    answer = behind_edge.put_manifest("v1", behind_edge.image(3, seed="more"))
    assert (answer.status, answer.calls) == (201, (2, 0))


def test_a_manifest_takes_one_list_and_one_look_more_for_each_blob_it_misses(behind_edge: Driver) -> None:
    document = behind_edge.image(1)
    unknown = {"mediaType": "application/vnd.oci.image.layer.v1.tar", "size": 1}
    document["layers"] += [{**unknown, "digest": Digest.of(str(number).encode())} for number in range(3)]
    answer = behind_edge.put_manifest("v1", document)
    assert (answer.status, answer.calls) == (400, (4, 3))
