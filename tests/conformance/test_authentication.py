"""Logging in: the challenge, the token it leads to, Basic, and what neither opens."""

from __future__ import annotations

import base64
import re
from typing import Any

import pytest
import requests

from tests.conformance.ways import EMBEDDED
from tests.support.client import Client, refused
from tests.support.content import UNKNOWN, digest_of, image


def _challenge(answer: requests.Response) -> dict[str, str]:
    kind, _, parameters = answer.headers["WWW-Authenticate"].partition(" ")
    assert kind == "Bearer"
    return dict(re.findall(r'(\w+)="([^"]*)"', parameters))


def _bare(client: Client, method: str, path: str, **options: Any) -> requests.Response:
    return client.session.request(method, client.url + path, timeout=30, **options)


def _token(client: Client, challenge: dict[str, str]) -> str:
    """Exactly what the challenge asks for, as suites and simple clients do."""
    params = {key: challenge[key] for key in ("service", "scope") if key in challenge}
    credential = (client.username, client.password)
    answer = client.session.get(challenge["realm"], params=params, auth=credential, timeout=30)
    assert answer.status_code == 200
    return str(answer.json()["token"])


def _following(client: Client, method: str, path: str, **options: Any) -> requests.Response:
    """Each request refused first, then repeated with a token for its own challenge alone."""
    refusal = _bare(client, method, path, **options)
    refused(refusal, 401, "UNAUTHORIZED") if method != "HEAD" else None
    headers = {
        **options.pop("headers", {}),
        "Authorization": f"Bearer {_token(client, _challenge(refusal))}",
    }
    return _bare(client, method, path, headers=headers, **options)


def _basic(client: Client) -> dict[str, str]:
    text = base64.b64encode(f"{client.username}:{client.password}".encode()).decode()
    return {"Authorization": f"Basic {text}"}


@pytest.mark.parametrize("path", ["/v2/", "/v2"])
def test_the_version_check_challenges_then_answers(client: Client, path: str) -> None:
    answer = _bare(client, "GET", path, allow_redirects=False)
    refused(answer, 401, "UNAUTHORIZED")
    challenge = _challenge(answer)
    assert challenge["realm"] == f"{client.url}/token"
    assert challenge["service"]
    assert "scope" not in challenge

    headers = {"Authorization": f"Bearer {_token(client, challenge)}"}
    for method in ("GET", "HEAD"):
        answer = _bare(client, method, path, headers=headers)
        assert answer.status_code == 200
        assert answer.headers["Docker-Distribution-API-Version"] == "registry/2.0"


@EMBEDDED
@pytest.mark.parametrize(
    ("method", "path", "actions"),
    [
        ("GET", "manifests/latest", "pull"),
        ("GET", f"blobs/{UNKNOWN}", "pull"),
        ("GET", "tags/list", "pull"),
        ("GET", f"referrers/{UNKNOWN}", "pull"),
        ("PUT", "manifests/latest", "pull,push"),
        ("POST", "blobs/uploads/", "pull,push"),
        ("DELETE", "manifests/latest", "delete"),
        ("DELETE", f"blobs/{UNKNOWN}", "delete"),
    ],
)
def test_a_challenge_asks_for_what_its_request_needs(
    client: Client, method: str, path: str, actions: str
) -> None:
    answer = _bare(client, method, client.of(path))
    refused(answer, 401, "UNAUTHORIZED")
    assert _challenge(answer)["scope"] == f"repository:{client.repository}:{actions}"


def test_tokens_for_the_challenges_alone_suffice_to_push_pull_and_delete(client: Client) -> None:
    _exercise(client, _following)


def test_basic_suffices_to_push_pull_and_delete(client: Client) -> None:
    def call(client: Client, method: str, path: str, **options: Any) -> requests.Response:
        headers = {**options.pop("headers", {}), **_basic(client)}
        return _bare(client, method, path, headers=headers, **options)

    _exercise(client, call)


def _exercise(client: Client, call: Any) -> None:
    one = image(b"layer")
    for blob in one.blobs:
        params = {"digest": digest_of(blob)}
        pushed = call(client, "POST", client.of("blobs/uploads/"), params=params, data=blob)
        assert pushed.status_code == 201
    opened = call(client, "POST", client.of("blobs/uploads/"))
    assert _bare(client, "DELETE", opened.headers["Location"]).status_code == 204
    headers = {"Content-Type": one.media_type}
    put = call(client, "PUT", client.of("manifests/latest"), headers=headers, data=one.raw)
    assert put.status_code == 201
    assert call(client, "HEAD", client.of("manifests/latest")).status_code == 200
    assert call(client, "GET", client.of(f"blobs/{digest_of(b'layer')}")).content == b"layer"
    for path in ("manifests/latest", f"manifests/{one.digest}", f"blobs/{digest_of(b'layer')}"):
        assert call(client, "DELETE", client.of(path)).status_code == 202


def test_a_token_answer_has_what_clients_read(client: Client) -> None:
    params = {"service": "ccr", "scope": f"repository:{client.repository}:pull,push"}
    answer = _bare(client, "GET", "/token", params=params, headers=_basic(client))
    said = answer.json()
    assert said["token"] == said["access_token"]
    assert said["expires_in"] >= 60
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", said["issued_at"])
    assert answer.headers["Cache-Control"] == "no-store"


def test_a_password_can_be_posted_as_oauth_has_it(client: Client) -> None:
    form = {
        "grant_type": "password",
        "username": client.username,
        "password": client.password,
        "service": "ccr",
        "client_id": "test",
        "scope": f"repository:{client.repository}:pull,push",
    }
    answer = _bare(client, "POST", "/token", data=form)
    assert answer.status_code == 200
    headers = {"Authorization": f"Bearer {answer.json()['access_token']}"}
    assert _bare(client, "POST", client.of("blobs/uploads/"), headers=headers).status_code == 202
    refused(_bare(client, "POST", "/token", data={**form, "password": "wrong"}), 401, "UNAUTHORIZED")
    other = {**form, "grant_type": "client_credentials"}
    refused(_bare(client, "POST", "/token", data=other), 400, "UNSUPPORTED")


@EMBEDDED
@pytest.mark.parametrize(
    "authorization",
    [
        "Bearer nonsense",
        "Bearer ",
        "Bearer eyJhbGciOiJub25lIn0.eyJzdWIiOiJhZG1pbiJ9.",
        "Basic " + base64.b64encode(b"admin:wrong").decode(),
        "Basic " + base64.b64encode(b"nobody:wrong").decode(),
        "Basic " + base64.b64encode(b"no colon").decode(),
        "Basic ***",
        "Digest x",
        "",
    ],
)
def test_a_credential_that_is_none_opens_nothing(client: Client, authorization: str) -> None:
    headers = {"Authorization": authorization}
    for path in ("/v2/", client.of("tags/list")):
        answer = _bare(client, "GET", path, headers=headers)
        refused(answer, 401, "UNAUTHORIZED")
        assert _challenge(answer)["realm"]
    refused(_bare(client, "GET", "/token", headers=headers), 401, "UNAUTHORIZED")


def test_a_token_opens_only_what_it_was_asked_for(client: Client, other: Client) -> None:
    token = _token(client, {"realm": f"{client.url}/token", "scope": f"repository:{client.repository}:pull"})
    headers = {"Authorization": f"Bearer {token}"}
    assert _bare(client, "GET", client.of(f"referrers/{UNKNOWN}"), headers=headers).status_code == 200
    for method, path in (
        ("POST", client.of("blobs/uploads/")),
        ("DELETE", client.of("manifests/latest")),
        ("GET", other.of("tags/list")),
    ):
        answer = _bare(client, method, path, headers=headers)
        refused(answer, 401, "UNAUTHORIZED")
        assert _challenge(answer)["error"] == "insufficient_scope"
