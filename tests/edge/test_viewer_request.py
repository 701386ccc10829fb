"""The viewer-request function, run by Node.js: what it answers itself, and what it makes of the rest."""

from __future__ import annotations

import base64
import time
from typing import Any

import pytest

from ccr.edge.cloudfront import checked_request, normalized
from ccr.edge.node import EdgeFunctions
from chalicelib.identity.capability import LIFETIME_SECONDS
from chalicelib.spec.digest import Digest
from tests.edge.events import (
    BLOB,
    HEX,
    OLD_KEY,
    SECRET,
    SESSION,
    event,
    issued,
    put,
    refusal,
    token,
    upload_path,
)

STRANGE_HOSTS = (
    'registry.test"',
    'registry.test",service="x',
    "registry.test/x",
    "a b",
    "user@registry.test",
    "",
)
FIVE_GIB = 5 * 1024**3
# As many bytes as an event of a function URL has room for.
FUNCTION_LIMIT = 6_291_456 * 3 // 4


def called(functions: EdgeFunctions, asked: dict[str, Any]) -> dict[str, Any]:
    return functions.call("viewer-request", asked).result


def test_a_put_goes_to_s3_with_the_checksum_of_its_digest(functions: EdgeFunctions) -> None:
    asked = put(upload_path(issued()), authorization="Basic leaked", content_type="text/html")
    outcome = functions.call("viewer-request", asked)
    request = checked_request(asked, outcome.result)
    assert outcome.origin == ""
    assert request["uri"] == f"/staged/acme/dev/app/{HEX}/{SESSION}"
    assert request["querystring"] == {}
    assert request["headers"] == {
        "host": {"value": "registry.test"},
        "content-length": {"value": "6"},
        "content-type": {"value": "application/octet-stream"},
        "if-none-match": {"value": "*"},
        "x-amz-checksum-sha256": {"value": base64.b64encode(bytes.fromhex(HEX)).decode()},
    }


@pytest.mark.parametrize(
    "name",
    [
        "x-amz-copy-source",
        "x-amz-acl",
        "x-amz-tagging",
        "x-amz-content-sha256",
        "x-amz-checksum-crc32",
        "content-encoding",
        "cache-control",
        "if-match",
        "authorization",
        "cookie",
    ],
)
def test_nothing_of_the_clients_own_is_signed_for_s3(functions: EdgeFunctions, name: str) -> None:
    request = called(functions, put(upload_path(issued()), **{name: "mine"}))
    assert request["uri"].startswith("/staged/")
    assert name not in request["headers"]


def test_a_digest_may_be_sent_encoded(functions: EdgeFunctions) -> None:
    encoded = BLOB.replace(":", "%3A")
    assert called(functions, put(upload_path(issued()), encoded))["uri"].startswith("/staged/")


def test_a_key_being_rotated_out_still_verifies(functions: EdgeFunctions) -> None:
    assert called(functions, put(upload_path(issued(key=OLD_KEY))))["uri"].startswith("/staged/")


def _forged() -> str:
    bearer, _, mac = issued().partition(".")
    return f"{bearer}.{'A' if mac[0] != 'A' else 'B'}{mac[1:]}"


def _of_another_account() -> str:
    bearer = base64.urlsafe_b64encode(b'["other","ci",3,9999999999]').decode().rstrip("=")
    return f"{bearer}.{issued().partition('.')[2]}"


BAD_CAPABILITIES = {
    "forged": lambda: upload_path(_forged()),
    "of another account": lambda: upload_path(_of_another_account()),
    "signed by a key nobody has": lambda: upload_path(issued(key=b"x" * 32)),
    "expired": lambda: upload_path(issued(at=time.time() - LIFETIME_SECONDS - 1)),
    "cut short": lambda: upload_path(issued()[:-1]),
    "longer": lambda: upload_path(issued() + "A"),
    "without its second half": lambda: upload_path(issued().partition(".")[0]),
    "empty": lambda: upload_path("."),
    "for another repository": lambda: upload_path(issued(), "dev/other"),
    "for another session": lambda: upload_path(issued(), session="f" * 32),
    "with a session that is none": lambda: upload_path(issued(session="short"), session="short"),
    "with a name that climbs": lambda: upload_path(issued(), "dev/app/../../other"),
    "with an encoded name": lambda: upload_path(issued(), "dev%2Fapp"),
}


@pytest.mark.parametrize("why", BAD_CAPABILITIES)
def test_a_capability_that_is_not_good_here_is_refused(functions: EdgeFunctions, why: str) -> None:
    assert refusal(called(functions, put(BAD_CAPABILITIES[why]()))) == (404, "BLOB_UPLOAD_UNKNOWN")


ELSEWHERE = {
    "PATCH": event("PATCH", "{path}", {}, {"content-length": "6"}),
    "PATCH with the digest of a PUT before it": event(
        "PATCH", "{path}", {"digest": BLOB}, {"content-length": "6"}
    ),
    "GET": event("GET", "{path}"),
    "DELETE": event("DELETE", "{path}"),
    "the PUT that closes": put("{path}", length=0),
    "a PUT of unknown length": event("PUT", "{path}", {"digest": BLOB}, {"transfer-encoding": "chunked"}),
    "a PUT without a digest": event("PUT", "{path}", {}, {"content-length": "6"}),
    "a PUT with an algorithm that S3 does not check": put("{path}", Digest.of(b"a blob", "sha512")),
    "a PUT with a digest that is none": put("{path}", "sha256:short"),
    "a PUT with half an encoding": put("{path}", "sha256%3"),
}


@pytest.mark.parametrize("what", ELSEWHERE)
def test_what_s3_cannot_take_goes_where_uploads_go(
    functions: EdgeFunctions, functions_with_gateway: EdgeFunctions, what: str
) -> None:
    capability = issued()
    for one, origin in ((functions, "registry"), (functions_with_gateway, "gateway")):
        asked = _at(ELSEWHERE[what], upload_path(capability))
        outcome = one.call("viewer-request", asked)
        assert outcome.origin == origin
        request = checked_request(asked, outcome.result)
        assert request["uri"] == upload_path(capability).replace("/s/", "/u/", 1)
        assert request["querystring"] == asked["request"]["querystring"]
        assert request["headers"]["x-ccr-edge"] == {"value": SECRET}


def test_two_digests_are_for_the_registry_to_refuse(functions: EdgeFunctions) -> None:
    asked = put(upload_path(issued()))
    both = {"value": BLOB, "multiValue": [{"value": BLOB}, {"value": Digest.of(b"other")}]}
    asked["request"]["querystring"]["digest"] = both
    assert functions.call("viewer-request", asked).origin == "registry"


def test_more_than_s3_takes_in_one_put_goes_to_the_gateway_or_is_refused(
    functions: EdgeFunctions, functions_with_gateway: EdgeFunctions
) -> None:
    path = upload_path(issued())
    assert called(functions, put(path, length=FIVE_GIB))["uri"].startswith("/staged/")
    assert refusal(called(functions, put(path, length=FIVE_GIB + 1))) == (413, "SIZE_INVALID")
    assert functions_with_gateway.call("viewer-request", put(path, length=FIVE_GIB + 1)).origin == "gateway"


@pytest.mark.parametrize("path", ["/u/capability/v2/dev/app/blobs/uploads/1", "/v2/dev/app/blobs/uploads/1"])
def test_more_than_a_function_takes_is_refused_before_it_is_sent(
    functions: EdgeFunctions, functions_with_gateway: EdgeFunctions, path: str
) -> None:
    headers = {"authorization": "Basic some", "content-length": str(FUNCTION_LIMIT + 1)}
    asked = event("PATCH", path, {}, headers)
    assert refusal(called(functions, asked)) == (413, "SIZE_INVALID")
    fits = event("PATCH", path, {}, {**headers, "content-length": str(FUNCTION_LIMIT)})
    assert called(functions, fits)["uri"] == path
    if path.startswith("/u/"):
        assert called(functions_with_gateway, asked)["uri"] == path


def test_what_the_edge_vouches_for_is_not_the_clients_to_say(functions: EdgeFunctions) -> None:
    mine = dict.fromkeys(("x-ccr-edge", "x-ccr-viewer", "x-ccr-host", "x-ccr-proto"), "mine")
    asked = event("GET", "/token", {}, {**mine, "cloudfront-forwarded-proto": "http"})
    headers = checked_request(asked, called(functions, asked))["headers"]
    told = {name: headers[name]["value"] for name in mine}
    assert told == {
        "x-ccr-edge": SECRET,
        "x-ccr-viewer": "203.0.113.7",
        "x-ccr-host": "registry.test",
        "x-ccr-proto": "http",
    }


@pytest.mark.parametrize("uri", ["/token", "/api/v1/me", "/", "/v3/", "/u/capability/v2/a/blobs/uploads/1"])
def test_elsewhere_than_in_v2_nobody_is_challenged(functions: EdgeFunctions, uri: str) -> None:
    assert called(functions, event("GET", uri))["uri"] == uri


@pytest.mark.parametrize("authorization", ["Basic YTpi", "Bearer none", "Bearer a.b.c", "Digest x"])
def test_whoever_proves_something_is_judged_by_the_registry(
    functions: EdgeFunctions, authorization: str
) -> None:
    asked = event("GET", "/v2/", {}, {"authorization": authorization})
    assert called(functions, asked)["headers"]["authorization"] == {"value": authorization}


def test_a_token_is_good_until_it_expires(functions: EdgeFunctions) -> None:
    good = event("GET", "/v2/", {}, {"authorization": f"Bearer {token(time.time() + 60)}"})
    assert called(functions, good)["uri"] == "/v2/"
    late = event("GET", "/v2/", {}, {"authorization": f"bearer {token(time.time() - 1)}"})
    answer = called(functions, late)
    assert refusal(answer) == (401, "UNAUTHORIZED")
    assert answer["headers"]["www-authenticate"]["value"].endswith('error="invalid_token"')


@pytest.mark.parametrize(
    "uri",
    [
        "/x/../s/account/y",
        "/staged/acme/dev/app/../../../../s/y",
        "/v2/../s/y",
        "/u/../s/y",
        "/./s/y",
        "/%73/y",
        "/x/%2e%2e/s/y",
    ],
)
def test_what_only_the_behaviour_takes_for_an_upload_does_not_reach_s3(
    functions: EdgeFunctions, functions_with_gateway: EdgeFunctions, uri: str
) -> None:
    """CloudFront matches behaviours by the normalized path, and would sign the path as it came for S3."""
    assert normalized(uri).startswith("/s/")
    for one in (functions, functions_with_gateway):
        asked = event("PUT", uri, {}, {"authorization": "Basic some", "content-length": "6"})
        outcome = one.call("viewer-request", asked)
        is_of_gateway = one is functions_with_gateway and uri.startswith("/u/")
        assert outcome.origin == ("gateway" if is_of_gateway else "registry")


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("/v2/a/../../../s/./b", "/s/b"),
        ("/%73/%2E%2e/u/", "/u/"),
        ("/s%2fx", "/s%2fx"),
        ("/a//s/", "/a//s/"),
        ("/..", "/"),
        ("/S/x", "/S/x"),
    ],
)
def test_behaviours_are_matched_by_the_normalized_path(path: str, expected: str) -> None:
    assert normalized(path) == expected


def _at(asked: dict[str, Any], path: str) -> dict[str, Any]:
    return {**asked, "request": {**asked["request"], "uri": path}}


def test_the_management_api_is_a_function_of_its_own(functions: EdgeFunctions) -> None:
    for path, origin in (
        ("/api/v1/whoami", "management"),
        ("/x/../api/v1", "registry"),
        ("/apis", "registry"),
    ):
        assert functions.call("viewer-request", event("GET", path)).origin == origin


@pytest.mark.parametrize("host", STRANGE_HOSTS)
def test_a_host_that_no_realm_can_name_is_the_registrys_to_refuse(
    functions: EdgeFunctions, host: str
) -> None:
    outcome = functions.call("viewer-request", event("GET", "/v2/", headers={"host": host}))
    assert "statusCode" not in outcome.result
    assert outcome.origin == "registry"


@pytest.mark.parametrize("host", ["registry.test:8443", "[2001:db8::1]:8443", "10.0.0.1"])
def test_any_other_host_is_the_realms(functions: EdgeFunctions, host: str) -> None:
    answer = called(functions, event("GET", "/v2/", headers={"host": host}))
    assert f'realm="https://{host}/token"' in answer["headers"]["www-authenticate"]["value"]
