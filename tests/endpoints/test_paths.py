"""Names, tags and paths outside the grammar: each is refused by name, whoever asks, and touches nothing."""

from __future__ import annotations

import base64

import pytest

from tests.endpoints.driver import PASSWORD, Driver
from tests.endpoints.refusals import nothing_left_behind, refused

BAD_NAMES = [
    pytest.param("..", id="parent"),
    pytest.param("a/../b", id="parent inside"),
    pytest.param("a/..", id="parent at the end"),
    pytest.param(".", id="here"),
    pytest.param("./a", id="here before"),
    pytest.param("a//b", id="empty part"),
    pytest.param("/a", id="slash before"),
    pytest.param("a/", id="slash behind"),
    pytest.param("A", id="upper case"),
    pytest.param("a_", id="underscore at the end"),
    pytest.param("a..b", id="two dots"),
    pytest.param("a___b", id="three underscores"),
    pytest.param("-a", id="dash before"),
    pytest.param("a b", id="space"),
    pytest.param("a:b", id="colon"),
    pytest.param("a*", id="star"),
    pytest.param("a@b", id="at"),
    pytest.param("a\\b", id="backslash"),
    pytest.param("a%20b", id="encoded space"),
    pytest.param("a%0ab", id="encoded newline"),
    pytest.param("a%0d%0aX-Evil:1", id="encoded header"),
    pytest.param("%2e%2e", id="encoded parent"),
    pytest.param("a%2fb", id="encoded slash"),
    pytest.param("a%2Fb", id="encoded slash in upper case"),
    pytest.param("a%5cb", id="encoded backslash"),
    pytest.param("a%00b", id="encoded NUL"),
    pytest.param("a\0b", id="NUL"),
    pytest.param("%252e%252e", id="encoded twice"),
    pytest.param("a%25%32%66b", id="encoded twice, mixed"),
    pytest.param("caf\u00e9", id="accent"),
    pytest.param("caf%C3%A9", id="encoded accent"),
    pytest.param("\u0430pp", id="letter that looks like another"),
    pytest.param("\uff41pp", id="wide letter"),
    pytest.param("%c0%ae%c0%ae", id="overlong UTF-8"),
    pytest.param("%ff", id="no UTF-8"),
    pytest.param("a" * 256, id="256 characters"),
    pytest.param("a/" * 200 + "a", id="many parts"),
    pytest.param("a" * 6000, id="6000 characters"),
]

REQUESTS = [
    ("GET", "manifests/v1"),
    ("PUT", "manifests/v1"),
    ("DELETE", "manifests/v1"),
    ("GET", "blobs/sha256:" + "a" * 64),
    ("POST", "blobs/uploads/"),
    ("GET", "tags/list"),
    ("GET", "referrers/sha256:" + "a" * 64),
]


@pytest.fixture
def trusted(driver: Driver) -> Driver:
    """Speaks by Basic, so that the name alone is in question."""
    driver.authorization = "Basic " + base64.b64encode(f"admin:{PASSWORD}".encode()).decode()
    return driver


@pytest.mark.parametrize("name", BAD_NAMES)
def test_a_name_outside_the_grammar_is_refused_at_every_endpoint(trusted: Driver, name: str) -> None:
    with nothing_left_behind():
        for method, path in REQUESTS:
            body = b"{}" if method == "PUT" else b""
            answer = trusted.call(method, f"/v2/{name}/{path}", body=body)
            refused(answer, 400, "NAME_INVALID")
            assert len(answer.body) < 10_000


@pytest.mark.parametrize("name", BAD_NAMES)
def test_a_name_outside_the_grammar_is_challenged_without_a_scope_that_breaks_the_header(
    driver: Driver, name: str
) -> None:
    driver.authorization = ""
    answer = driver.call("GET", f"/v2/{name}/tags/list")
    assert answer.status in {400, 401}
    for value in answer.headers.values():
        assert value.isprintable()
        assert value.isascii()


@pytest.mark.parametrize(
    "tag",
    [
        ".",
        "..",
        ".a",
        "-a",
        "a" * 129,
        "a b",
        "a%20b",
        "%2e%2e",
        "caf\u00e9",
        "a*",
        "a%0a",
        "a@b",
        "a+b",
        "~a",
    ],
)
@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE"])
def test_a_tag_outside_the_grammar_is_refused(driver: Driver, method: str, tag: str) -> None:
    body = b"{}" if method == "PUT" else b""
    with nothing_left_behind():
        answer = driver.call(method, driver.of(f"manifests/{tag}"), body=body)
        refused(answer, 400, "MANIFEST_INVALID", "a tag has 1 to 128")


@pytest.mark.parametrize("tag", [".", "a b", "a" * 129, "", "sha256:x", "../x"])
def test_a_tag_in_the_query_must_be_one(driver: Driver, tag: str) -> None:
    with nothing_left_behind():
        answer = driver.put_raw("v1", b"{}", query={"tag": tag})
        refused(answer, 400, "MANIFEST_INVALID", "a tag has 1 to 128")


@pytest.mark.parametrize("tag", ["a%2fb", "a%00", "a%252f", "a%5c"])
def test_a_reference_that_hides_its_shape_is_refused(driver: Driver, tag: str) -> None:
    with nothing_left_behind():
        answer = driver.call("PUT", driver.of(f"manifests/{tag}"), body=b"{}")
        refused(answer, 400, "NAME_INVALID", "send names as they are")


@pytest.mark.parametrize("reference", ["sha256:x", "md5:" + "a" * 32, "a:b", ":", "sha256:" + "a" * 9000])
@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE"])
def test_a_reference_with_a_colon_must_be_a_digest(driver: Driver, method: str, reference: str) -> None:
    body = b"{}" if method == "PUT" else b""
    with nothing_left_behind():
        answer = driver.call(method, driver.of(f"manifests/{reference}"), body=body)
        refused(answer, 400, "DIGEST_INVALID")


@pytest.mark.parametrize("name", ["a", "a/b", "a/manifests/b", "blobs/uploads", "v2/token", "a/" + "b" * 253])
def test_names_of_the_grammar_are_taken_whatever_words_are_in_them(driver: Driver, name: str) -> None:
    own = Driver(driver.deployment, name)
    own.log_in()
    digest = own.push_image("v1")
    assert own.call("GET", own.of(f"manifests/{digest}")).status == 200
    assert own.call("GET", own.of("tags/list")).document == {"name": name, "tags": ["v1"]}
