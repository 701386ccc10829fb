"""Lists of tags: complete, sorted, and in pages."""

from __future__ import annotations

from urllib.parse import parse_qs, urlsplit

import pytest
import requests

from tests.conformance.ways import EMBEDDED, ONCE
from tests.support.client import Client, refused
from tests.support.content import image

TAGS = ["A", "Z", "_x", "a", "latest", "v1", "v1.10", "v1.2", "v10", "v2"]


@pytest.fixture
def tagged(client: Client) -> Client:
    """A repository with `TAGS`, set in another order than theirs."""
    one = image()
    client.push(one)
    answer = client.put_manifest(one, one.digest, params={"tag": TAGS[::-1]})
    assert answer.status_code == 201
    return client


def _tags(client: Client, **params: str) -> list[str]:
    answer = client.get("tags/list", params=params)
    assert answer.status_code == 200
    assert answer.json()["name"] == client.repository
    return list(answer.json()["tags"])


def _next(answer: requests.Response) -> str:
    return str(answer.links.get("next", {}).get("url", ""))


def test_a_repository_never_pushed_to_is_unknown(client: Client) -> None:
    refused(client.get("tags/list"), 404, "NAME_UNKNOWN")


def test_a_list_has_every_tag_in_order(tagged: Client) -> None:
    answer = tagged.get("tags/list")
    assert answer.headers["Content-Type"] == "application/json"
    assert answer.json() == {"name": tagged.repository, "tags": TAGS}
    assert sorted(TAGS) == TAGS
    assert "Link" not in answer.headers


def test_a_repository_without_tags_has_an_empty_list(client: Client) -> None:
    client.push(image())
    assert _tags(client) == []


def test_a_tag_is_listed_once_however_often_it_is_pushed(client: Client) -> None:
    for layer in (b"one", b"two", b"two"):
        client.push(image(layer), "latest")
    assert _tags(client) == ["latest"]


@pytest.mark.parametrize("count", [1, 3, len(TAGS) - 1, len(TAGS), len(TAGS) + 1, 100_000])
def test_n_limits_a_page_and_a_link_leads_on(tagged: Client, count: int) -> None:
    answer = tagged.get("tags/list", params={"n": str(count)})
    assert answer.json()["tags"] == TAGS[:count]
    assert bool(_next(answer)) == (count < len(TAGS))


@pytest.mark.parametrize("count", [1, 3, 5])
def test_links_lead_through_the_whole_list(tagged: Client, count: int) -> None:
    answer = tagged.get("tags/list", params={"n": str(count)})
    collected = list(answer.json()["tags"])
    while url := _next(answer):
        parts = urlsplit(url)
        assert parts.path == tagged.of("tags/list")
        assert parse_qs(parts.query) == {"n": [str(count)], "last": [collected[-1]]}
        answer = tagged.call("GET", url)
        assert 0 < len(answer.json()["tags"]) <= count
        collected += answer.json()["tags"]
    assert collected == TAGS


def test_a_list_of_no_entries_leads_nowhere(tagged: Client) -> None:
    answer = tagged.get("tags/list", params={"n": "0"})
    assert answer.json() == {"name": tagged.repository, "tags": []}
    assert "Link" not in answer.headers


def test_last_leaves_out_what_sorts_up_to_it(tagged: Client) -> None:
    for last in (*TAGS, "0", "b", "v1.1", "zzz", "~"):
        assert _tags(tagged, last=last) == [tag for tag in TAGS if tag > last]
        assert _tags(tagged, last=last, n="2") == [tag for tag in TAGS if tag > last][:2]


@EMBEDDED
@pytest.mark.parametrize("count", ["-1", "x", "1.5", " ", "٣", "0x10"])
def test_a_count_that_is_none_is_400(tagged: Client, count: str) -> None:
    refused(tagged.get("tags/list", params={"n": count}), 400, "UNSUPPORTED")


def test_head_says_how_long_the_list_is(tagged: Client) -> None:
    head, answer = tagged.head("tags/list"), tagged.get("tags/list")
    assert (head.status_code, head.content) == (200, b"")
    assert head.headers["Content-Length"] == str(len(answer.content))


@ONCE
def test_more_tags_than_a_page_holds_are_all_listed(client: Client) -> None:
    one, wanted = image(), [f"t{number:04}" for number in range(1030)]
    client.push(one)
    for first in range(0, len(wanted), 30):
        answer = client.put_manifest(one, one.digest, params={"tag": wanted[first : first + 30]})
        assert answer.status_code == 201
    answer = client.get("tags/list")
    collected = list(answer.json()["tags"])
    assert len(collected) < len(wanted)
    while url := _next(answer):
        answer = client.call("GET", url)
        collected += answer.json()["tags"]
    assert collected == wanted
