"""The catalog: the repositories of an account, sorted and in pages."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.conformance.ways import EMBEDDED
from tests.support.client import Client, refused
from tests.support.content import image


@pytest.fixture
def shelf(client: Client) -> list[str]:
    """Three repositories next to each other."""
    names = [f"{client.repository}/{letter}" for letter in "abc"]
    for name in reversed(names):
        replace(client, repository=name, tokens={}).push(image(), "latest")
    return names


def _catalog(client: Client, **params: str) -> tuple[list[str], str]:
    answer = replace(client, tokens={}).call("GET", "/v2/_catalog", params=params)
    assert answer.status_code == 200
    return answer.json()["repositories"], answer.links.get("next", {}).get("url", "")


def test_every_repository_is_listed_in_order(client: Client, shelf: list[str]) -> None:
    names, _ = _catalog(client)
    assert [name for name in names if name in shelf] == shelf
    assert names == sorted(names)


def test_pages_lead_through_the_catalog(client: Client, shelf: list[str]) -> None:
    before = client.repository + "/"
    names, url = _catalog(client, n="2", last=before)
    assert names == shelf[:2]
    following = replace(client, tokens={}).call("GET", url).json()["repositories"]
    assert following[0] == shelf[2]
    assert len(following) <= 2


def test_a_catalog_of_no_entries_leads_nowhere(client: Client, shelf: list[str]) -> None:
    assert _catalog(client, n="0") == ([], "")


@EMBEDDED
def test_a_count_that_is_none_is_400(client: Client) -> None:
    refused(client.call("GET", "/v2/_catalog", params={"n": "x"}), 400, "UNSUPPORTED")


def test_a_repository_that_only_began_an_upload_is_not_listed(client: Client) -> None:
    client.open_upload()
    assert client.repository not in _catalog(client)[0]


def test_nobody_lists_the_catalog_without_a_credential(client: Client) -> None:
    answer = client.session.get(client.url + "/v2/_catalog", timeout=30)
    refused(answer, 401, "UNAUTHORIZED")
    assert 'scope="registry:catalog:*"' in answer.headers["WWW-Authenticate"]


def test_a_token_for_something_else_does_not_open_the_catalog(client: Client) -> None:
    challenge = client.session.get(client.url + "/v2/", timeout=30).headers["WWW-Authenticate"]
    token = client.token(challenge, f"repository:{client.repository}:pull")
    headers = {"Authorization": f"Bearer {token}"}
    refused(client.call("GET", "/v2/_catalog", headers=headers), 401, "UNAUTHORIZED")
