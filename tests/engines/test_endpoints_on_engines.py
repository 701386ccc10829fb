"""Whole flows through the handler on real engines, with the budgets that moto shows."""

from __future__ import annotations

import itertools
import json
import os
from typing import Any

import pytest
import requests

from chalicelib.registry.parts import PART_SIZE
from chalicelib.spec.digest import Digest
from tests.endpoints.driver import Answer, Driver, index_of, size_of


def pulled(answer: Answer) -> bytes:
    """The bytes behind a redirect."""
    assert answer.status == 307, answer
    return requests.get(answer.headers["location"], timeout=60).content


def tags_of(driver: Driver, **query: Any) -> list[str]:
    return list(json.loads(driver.call("GET", driver.of("tags/list"), query).body)["tags"])


def test_image_is_pushed_and_pulled(driver: Driver) -> None:
    document = driver.image(3, seed="pushed")
    digest = Digest.of(json.dumps(document).encode())
    assert driver.put_manifest("v1", document).headers["docker-content-digest"] == digest
    for reference in ("v1", digest):
        answer = driver.call("GET", driver.of(f"manifests/{reference}"))
        assert (answer.status, json.loads(answer.body)) == (200, document)
    for named in [document["config"], *document["layers"]]:
        content = pulled(driver.call("GET", driver.of(f"blobs/{named['digest']}")))
        assert (Digest.of(content), len(content)) == (named["digest"], named["size"])
    head = driver.call("HEAD", driver.of(f"blobs/{document['config']['digest']}"))
    assert requests.head(head.headers["location"], timeout=60).headers["Content-Length"] == "2"


def test_chunks_become_one_blob_of_many_parts(driver: Driver) -> None:
    """Parts, a tail that is copied behind them, and an offset that is refused in between."""
    content = os.urandom(2 * PART_SIZE + 1000)
    cuts = [0, 1000, PART_SIZE + 10, 2 * PART_SIZE + 500, len(content)]
    location = driver.open_upload()
    for first, last in itertools.pairwise(cuts):
        wrong = driver.call("PATCH", location, body=b"x", content_range=f"{last + 7}-{last + 7}")
        assert wrong.status == 416
        body = content[first:last]
        answer = driver.call("PATCH", location, body=body, content_range=f"{first}-{last - 1}")
        assert (answer.status, answer.headers["range"]) == (202, f"0-{last - 1}")
        location = answer.headers["location"]
    digest = Digest.of(content)
    assert driver.call("PUT", location, {"digest": digest}).status == 201
    assert pulled(driver.call("GET", driver.of(f"blobs/{digest}"))) == content


def test_wrong_digest_leaves_nothing(driver: Driver) -> None:
    content = os.urandom(1000)
    location = driver.open_upload()
    answer = driver.call("PUT", location, {"digest": Digest.of(b"another")}, content)
    assert (answer.status, answer.codes) == (400, ["DIGEST_INVALID"])
    assert driver.call("GET", location).status == 404
    for one in (content, b"another"):
        assert driver.call("HEAD", driver.of(f"blobs/{Digest.of(one)}")).status == 404


def test_spilled_manifest_is_served_byte_for_byte(driver: Driver) -> None:
    document = {**driver.image(seed="spilled"), "annotations": {"large": "\N{SNOWMAN}" * 100_000}}
    digest = Digest(driver.put_manifest("large", document).headers["docker-content-digest"])
    answer = driver.call("GET", driver.of(f"manifests/{digest}"))
    assert Digest.of(answer.body) == digest
    assert driver.call("DELETE", driver.of(f"manifests/{digest}")).status == 202
    assert driver.call("GET", driver.of("manifests/large")).status == 404


def test_tags_are_listed_in_pages_and_moved_and_deleted(driver: Driver) -> None:
    first, second = driver.push_image("v1", seed="one"), driver.push_image("v2", seed="two")
    for tag in ("A", "a", "_", "10", "9"):
        driver.put_raw(tag, driver.call("GET", driver.of(f"manifests/{first}")).body)
    assert tags_of(driver) == ["10", "9", "A", "_", "a", "v1", "v2"]
    assert tags_of(driver, n=3, last="9") == ["A", "_", "a"]
    driver.put_raw("v2", driver.call("GET", driver.of(f"manifests/{first}")).body)
    assert driver.call("HEAD", driver.of("manifests/v2")).headers["docker-content-digest"] == first
    assert driver.call("GET", driver.of(f"manifests/{second}")).status == 200
    assert driver.call("DELETE", driver.of("manifests/_")).status == 202
    assert driver.call("DELETE", driver.of(f"manifests/{first}")).status == 202
    assert tags_of(driver) == []


def test_index_keeps_its_children_and_referrers_follow_their_subject(driver: Driver) -> None:
    document = driver.image(seed="child")
    child = Digest(driver.put_manifest("child", document).headers["docker-content-digest"])
    index = index_of((child, size_of(document)))
    answer = driver.put_manifest("index", index)
    pushed = Digest(answer.headers["docker-content-digest"])
    assert driver.call("DELETE", driver.of(f"manifests/{child}")).status == 405
    subject = {"mediaType": document["mediaType"], "digest": child, "size": size_of(document)}
    signed = driver.put_manifest("signature", {**document, "artifactType": "a/signature", "subject": subject})
    assert signed.headers["oci-subject"] == child
    listed = json.loads(driver.call("GET", driver.of(f"referrers/{child}")).body)["manifests"]
    assert [one["digest"] for one in listed] == [signed.headers["docker-content-digest"]]
    for digest in (pushed, child, signed.headers["docker-content-digest"]):
        assert driver.call("DELETE", driver.of(f"manifests/{digest}")).status == 202
    assert json.loads(driver.call("GET", driver.of(f"referrers/{child}")).body)["manifests"] == []


def test_blob_in_use_is_not_deleted_and_one_that_is_not_is(driver: Driver) -> None:
    document = driver.image(1, seed="in use")
    digest = driver.put_manifest("v1", document).headers["docker-content-digest"]
    blob = document["layers"][0]["digest"]
    assert driver.call("DELETE", driver.of(f"blobs/{blob}")).status == 405
    assert driver.call("DELETE", driver.of(f"manifests/{digest}")).status == 202
    assert driver.call("DELETE", driver.of(f"blobs/{blob}")).status == 202
    assert driver.call("HEAD", driver.of(f"blobs/{blob}")).status == 404


def test_missing_content_is_named_one_by_one(driver: Driver) -> None:
    document = driver.image(1, seed="partly")
    absent = [Digest.of(bytes([number])) for number in range(3)]
    document["layers"] += [{**document["layers"][0], "digest": digest} for digest in absent]
    answer = driver.put_manifest("v1", document)
    assert (answer.status, answer.codes) == (400, ["MANIFEST_BLOB_UNKNOWN"] * 3)
    assert driver.call("GET", driver.of("tags/list")).status == 404


def test_image_of_127_layers_is_staged_and_deleted(driver: Driver) -> None:
    document = driver.image(127, seed="many")
    digest = driver.put_manifest("many", document).headers["docker-content-digest"]
    assert driver.put_manifest("again", document).status == 201
    assert driver.call("DELETE", driver.of(f"blobs/{document['layers'][100]['digest']}")).status == 405
    assert driver.call("DELETE", driver.of(f"manifests/{digest}")).status == 202
    assert tags_of(driver) == []
    assert driver.call("DELETE", driver.of(f"blobs/{document['layers'][100]['digest']}")).status == 202


def test_budgets_are_those_of_moto(driver: Driver, monkeypatch: pytest.MonkeyPatch) -> None:
    """DynamoDB and S3 calls of each request, as in `tests/endpoints/test_budgets.py`."""
    driver.warm_up(monkeypatch)
    content = b"a small blob"
    opened = driver.call("POST", driver.of("blobs/uploads/"))
    closed = driver.call("PUT", opened.headers["location"], {"digest": Digest.of(content)}, content)
    patched = driver.call("PATCH", driver.open_upload(), body=b"by PATCH")
    ended = driver.call("PUT", patched.headers["location"], {"digest": Digest.of(b"by PATCH")})
    document = driver.image(seed="budget")
    put = driver.put_manifest("v1", document)
    digest = put.headers["docker-content-digest"]
    other = Driver(driver.deployment, f"{driver.repository}/other")
    driver.log_in(f"repository:{driver.repository}:pull,push,delete repository:{other.repository}:push")
    other.authorization = driver.authorization
    mount = {"mount": Digest.of(content), "from": driver.repository}
    calls = {
        "open": opened.calls,
        "close": closed.calls,
        "patch": patched.calls,
        "end": ended.calls,
        "put manifest": put.calls,
        "put again": driver.put_manifest("v1", document).calls,
        "head by tag": driver.call("HEAD", driver.of("manifests/v1")).calls,
        "head by digest": driver.call("HEAD", driver.of(f"manifests/{digest}")).calls,
        "get by tag": driver.call("GET", driver.of("manifests/v1")).calls,
        "get by digest": driver.call("GET", driver.of(f"manifests/{digest}")).calls,
        "blob": driver.call("GET", driver.of(f"blobs/{Digest.of(content)}")).calls,
        "tags": driver.call("GET", driver.of("tags/list")).calls,
        "referrers": driver.call("GET", driver.of(f"referrers/{digest}")).calls,
        "mount": other.call("POST", other.of("blobs/uploads/"), mount).calls,
        "untag": driver.call("DELETE", driver.of("manifests/v1")).calls,
        "delete": driver.call("DELETE", driver.of(f"manifests/{digest}")).calls,
    }
    assert calls == {
        "open": (1, 0),
        "close": (2, 1),
        "patch": (2, 1),
        "end": (2, 0),
        "put manifest": (2, 0),
        "put again": (1, 0),
        "head by tag": (1, 0),
        "head by digest": (1, 0),
        # The third notes the pull, which it does once a day.
        "get by tag": (3, 0),
        "get by digest": (1, 0),
        "blob": (1, 0),
        "tags": (1, 0),
        "referrers": (1, 0),
        "mount": (2, 0),
        "untag": (2, 0),
        # What is kept of it already, and for how long it shall be, are asked too.
        "delete": (4, 0),
    }
