"""Names of repositories: long ones, deep ones, and those outside the grammar."""

from __future__ import annotations

import os
from dataclasses import replace

import pytest

from tests.conformance.ways import EMBEDDED
from tests.support.client import Client, refused
from tests.support.content import UNKNOWN, digest_of, image

LIMIT = 255


def _unique() -> str:
    return os.urandom(4).hex()


@pytest.mark.parametrize(
    "name",
    [
        "{}",
        "{}/b/c/d/e/f/g/h",
        "a/b/c/d/e/f/g/h/i/j/k/l/m/n/o/p/{}",
        "a.b_c__d-e---f/{}",
        "0/1/{}",
        "{}/blobs/uploads",
        "{}/manifests/x",
        "{}/tags/list",
        "{}/referrers",
        "v2/{}/v2",
        "u/{}/blobs/uploads/x",
    ],
)
def test_an_image_lives_under_any_name_of_the_grammar(client: Client, name: str) -> None:
    client = replace(client, repository=name.format(_unique()), tokens={})
    one = image(b"layer")
    client.push(one, "latest")
    assert client.get("manifests/latest").content == one.raw
    assert client.get(f"blobs/{digest_of(b'layer')}").content == b"layer"
    assert client.get("tags/list").json() == {"name": client.repository, "tags": ["latest"]}
    assert client.get(f"referrers/{one.digest}").json()["manifests"] == []
    assert client.delete("manifests/latest").status_code == 202


def test_a_name_may_have_255_characters_and_no_more(client: Client) -> None:
    name = f"long/{_unique()}/"
    longest = replace(client, repository=name + "a" * (LIMIT - len(name)), tokens={})
    longest.push(image(), "latest")
    assert longest.get("tags/list").json()["name"] == longest.repository

    too_long = replace(client, repository=longest.repository + "a", tokens={})
    refused(too_long.call("POST", too_long.of("blobs/uploads/")), 400, "NAME_INVALID")
    refused(too_long.get("tags/list"), 400, "NAME_INVALID")


@EMBEDDED
@pytest.mark.parametrize(
    "name",
    ["Upper", "a/B", "-a", "a-", "a..b", "a._b", "a___b", "_a", "a//b", "a b", "é", "a/-b", "a@b", "a:b"],
)
def test_a_name_outside_the_grammar_is_refused_everywhere(client: Client, name: str) -> None:
    client = replace(client, repository=name, tokens={})
    requests_ = [
        ("POST", "blobs/uploads/"),
        ("GET", f"blobs/{UNKNOWN}"),
        ("GET", "manifests/latest"),
        ("PUT", "manifests/latest"),
        ("DELETE", "manifests/latest"),
        ("GET", "tags/list"),
        ("GET", f"referrers/{UNKNOWN}"),
    ]
    basic = (client.username, client.password)
    for method, path in requests_:
        answer = client.session.request(method, client.url + client.of(path), auth=basic, timeout=30)
        refused(answer, 400, "NAME_INVALID")


@EMBEDDED
@pytest.mark.parametrize("name", ["a%2Fb", "a%5Cb", "a%00b", "a%252fb"])
def test_a_name_that_hides_another_is_refused(client: Client, name: str) -> None:
    url = f"{client.url}/v2/{name}/tags/list"
    refused(client.session.get(url, auth=(client.username, client.password), timeout=30), 400, "NAME_INVALID")
