"""`ccr doctor` on a deployment that is well, and on one that is broken in each way that it looks for."""

from __future__ import annotations

import json
import socket
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import pytest

from ccr.cli.doctor import server, wire
from ccr.cli.doctor.checks import CHECKS
from ccr.cli.doctor.server import NEEDED
from chalicelib.management.api import PREFIX, document
from tests.cli.faulty_proxy import Fault, FaultyProxy, Passing, faulty_proxy
from tests.cli.terminal import Ended, Terminal
from tests.conformance.tls_proxy import self_signed, tls_proxy
from tests.support.client import Client
from tests.support.process import ROOT, RegistryProcess

REPOSITORY = "doctors/app"
PAGE = (ROOT / "docs" / "doctor.md").read_text()


@pytest.fixture(scope="module")
def proxy(served: RegistryProcess) -> Iterator[FaultyProxy]:
    with faulty_proxy(served.host) as proxy:
        yield proxy


@pytest.fixture
def patient(
    stranger: Terminal, served: RegistryProcess, proxy: FaultyProxy, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Terminal]:
    """The administrator, whose registry is behind the proxy.

    It takes a body of any length, and answers when it has it: neither is waited for, nor sent, at length.
    """
    monkeypatch.setattr(wire, "HELD_BACK_SECONDS", 0.01)
    monkeypatch.setattr(server, "LARGE", 1024)
    stranger.environ |= {"CCR_URL": proxy.url, "CCR_USERNAME": "admin", "CCR_PASSWORD": served.password}
    yield stranger
    proxy.heal()


def examined(terminal: Terminal, *arguments: str) -> tuple[Ended, dict[str, dict[str, Any]]]:
    """By check."""
    ended = terminal.try_ccr("doctor", *arguments, "--output", "json")
    return ended, {one["check"]: one for one in ended.document["checks"]}


def results(found: dict[str, dict[str, Any]]) -> dict[str, str]:
    return {name: one["result"] for name, one in found.items()}


def test_a_deployment_that_is_well_has_no_finding(patient: Terminal, client: Client) -> None:
    ended, found = examined(patient, "--repository", REPOSITORY)
    assert [one for one in found.values() if one["result"] == "wrong"] == []
    assert ended.exit_code == 0
    everything = {check.name: "ok" for check in CHECKS}
    assert results(found) == everything | {"tls": "skipped", "push-edge": "skipped"}
    own = client.about(REPOSITORY)
    assert own.get("tags/list").json()["tags"] == []
    assert patient.ask("trash", "list", REPOSITORY) == []
    assert ended.document["left"] == [f"3 blobs of 1024 bytes in {REPOSITORY}, until they are collected"]


def test_without_a_repository_nothing_is_written(patient: Terminal, proxy: FaultyProxy) -> None:
    ended, found = examined(patient)
    assert ended.exit_code == 0
    assert found["push"]["result"] == "skipped"
    assert "--repository" in found["push"]["seen"]
    assert {one.method for one in proxy.asked} == {"GET", "PUT"}
    # The PUT is the one that nobody opened an upload for.
    assert [one.path.split("/")[2] for one in proxy.asked if one.method == "PUT"] == ["doctor.doctor"]


def test_who_is_not_logged_in_sees_what_can_be_seen_without(stranger: Terminal, proxy: FaultyProxy) -> None:
    ended, found = examined(stranger, "--url", proxy.url)
    assert ended.exit_code == 0
    assert found["challenge"]["result"] == "ok"
    assert "ccr login" in found["login"]["seen"]
    assert found["management"]["seen"] == "needs login"


def test_a_table_says_what_to_do(patient: Terminal, proxy: FaultyProxy) -> None:
    proxy.back = without("WWW-Authenticate")
    ended = patient.try_ccr("doctor", "--check", "login")
    assert ended.exit_code == 1
    assert "what stands in front takes it off: let it pass" in ended.out
    assert ended.err == "ccr: 1 of 4 checks found something wrong\n"


def only(fault: Fault, *parts: str, method: str = "") -> Fault:
    """Of requests whose path has one of `parts`."""

    def chosen(passing: Passing) -> None:
        if any(part in passing.path for part in parts) and method in {"", passing.method}:
            fault(passing)

    return chosen


def without(name: str) -> Fault:
    return lambda passing: passing.set(name, None)


def renamed(passing: Passing) -> None:
    """As a function URL does."""
    if challenge := passing.get("WWW-Authenticate"):
        passing.set("WWW-Authenticate", None)
        passing.set("x-amzn-Remapped-www-authenticate", challenge)


def renamed_for_tokens(passing: Passing) -> None:
    """The edge answers whoever shows nothing; what the registry says loses its name."""
    if any(value.startswith("Bearer") for name, value in passing.headers if name == "Authorization"):
        renamed(passing)


def realm(text: str) -> Fault:
    def changed(passing: Passing) -> None:
        if passing.get("WWW-Authenticate"):
            passing.set("WWW-Authenticate", text)

    return changed


def skewed(seconds: int) -> Fault:
    def changed(passing: Passing) -> None:
        moment = datetime.now(UTC) + timedelta(seconds=seconds)
        passing.set("Date", format_datetime(moment, usegmt=True))

    return changed


def says(status: int, document: Any, **headers: str) -> Fault:
    return lambda passing: passing.say(status, document, **headers)


def as_html(passing: Passing) -> None:
    if passing.status >= 400:
        passing.body = b"<html>error</html>"
        passing.set("Content-Type", "text/html")
        passing.set("Content-Length", str(len(passing.body)))


def decoded(passing: Passing) -> None:
    """As nginx does with a path in proxy_pass."""
    path, mark, query = passing.path.partition("?")
    passing.path = unquote(path) + mark + query


def encoded_twice(passing: Passing) -> None:
    path, mark, query = passing.path.partition("?")
    passing.path = path.replace("%", "%25") + mark + query


def decoded_query(passing: Passing) -> None:
    path, mark, query = passing.path.partition("?")
    if "artifactType" in query:
        passing.path = path + mark + unquote(query)


def no_range(passing: Passing) -> None:
    passing.headers = [one for one in passing.headers if one[0] != "Range"]


def shorter(passing: Passing) -> None:
    passing.body = passing.body[1:]
    passing.set("Content-Length", str(len(passing.body)))


def nobody() -> str:
    """Where nothing listens."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        return f"127.0.0.1:{server.getsockname()[1]}"


def lacking_trash(passing: Passing) -> None:
    told = json.loads(passing.body)
    del told["paths"][f"{PREFIX}/repositories/{{repository}}/trash"]
    passing.say(200, told)


def forgotten(passing: Passing) -> None:
    """Garbage that has been due since yesterday."""
    yesterday = (datetime.now(UTC) - timedelta(days=1)).isoformat()
    if "/collections/next" in passing.path:
        item = {"kind": "blob", "what": "sha256:" + "0" * 64, "bytes": 1, "since": yesterday}
        passing.say(200, {"items": [item], "more": False})
    elif "/holders/" in passing.path:
        passing.say(200, {"goes_at": yesterday, "waiting": []})


BACK: dict[str, tuple[Fault, str, str, str]] = {
    "elsewhere": (
        says(302, {}, Location="https://elsewhere.example.id/v2/"),
        *(
            "reachable",
            "sends on to https://elsewhere.example.id/v2/",
            "https://elsewhere.example.id as the URL",
        ),
    ),
    "a gateway without a registry": (says(502, {}), "reachable", "answers 502", "look into its logs"),
    "no registry": (says(404, {}), "reachable", "404", "is no registry"),
    "clock behind": (skewed(-600), "clock", "behind this machine", "NTP"),
    "clock ahead": (skewed(3600), "clock", "ahead of this machine", "NTP"),
    "stripped": (without("WWW-Authenticate"), "challenge", "without WWW-Authenticate", "takes it off"),
    "renamed": (renamed, "challenge", "x-amzn-remapped-www-authenticate", "infra/edge"),
    "renamed behind the edge": (
        renamed_for_tokens,
        *("challenge-behind", "x-amzn-remapped-www-authenticate", "origin-response"),
    ),
    "anybody": (only(says(200, {}), "/v2/"), "challenge", "lets anybody in", "another registry"),
    "behind the edge": (
        says(403, {"errors": [{"code": "DENIED", "message": "this registry is reached by its public name"}]}),
        *("challenge", "function behind the edge", "the output Url"),
    ),
    "wrong realm": (
        realm('Bearer realm="http://nowhere.invalid/token",service="ccr"'),
        *("challenge", "nowhere.invalid resolves to no address", "DNS"),
    ),
    "realm without a registry": (
        realm(f'Bearer realm="http://{nobody()}/token",service="ccr"'),
        *("challenge", "nothing takes a connection", "check the port"),
    ),
    "realm of no scheme": (
        realm('Bearer realm="/token",service="ccr"'),
        "challenge",
        "is no URL",
        "CCR_PUBLIC_URL",
    ),
    "basic": (realm('Basic realm="ccr"'), "challenge", "no realm and service", "rewrites it"),
    "no service": (
        realm('Bearer realm="http://127.0.0.1/token"'),
        "challenge",
        "no realm and service",
        "rewrites",
    ),
    "error pages": (as_html, "errors", "text/html without code and message", "let bodies pass"),
    "wrong password": (
        only(says(401, {"errors": [{"code": "UNAUTHORIZED", "message": "wrong"}]}), "account="),
        *("login", "admin: 401 UNAUTHORIZED wrong", "ccr login"),
    ),
    "locked": (
        only(says(429, {"errors": []}, **{"Retry-After": "77"}), "account="),
        *("login", "429", "wait 77 seconds"),
    ),
    "no token": (only(says(200, {}), "account="), "login", "no token", "logs of the registry"),
    "no management": (only(says(404, {}), "/whoami"), "management", "404", "management function"),
    "no document": (only(says(404, {}), "openapi"), "version", "404", "management function"),
    "no gateway": (only(says(502, {}), "/u/"), "uploads", "502", "GatewayTarget"),
    "another limit": (
        only(says(413, {"message": "too large"}), "/u/", method="PUT"),
        *("large-body", "413", "client_max_body_size"),
    ),
}


@pytest.mark.parametrize("name", BACK)
def test_what_answers_suffer_is_named_with_its_remedy(
    patient: Terminal, proxy: FaultyProxy, name: str
) -> None:
    proxy.back, check, seen, mend = BACK[name]
    ended, found = examined(patient, "--check", check)
    assert ended.exit_code == 1
    assert found[check]["result"] == "wrong"
    assert seen in found[check]["seen"]
    assert mend in found[check]["mend"]


def authorised(spy: FaultyProxy) -> list[str]:
    return [one.path for one in spy.asked if any(name == "Authorization" for name, _ in one.headers)]


def test_no_spelling_of_the_realm_sends_the_secret_to_another_host(
    patient: Terminal, proxy: FaultyProxy, served: RegistryProcess
) -> None:
    """`requests` asks the host before the backslash, `urlsplit` says the one behind it."""
    with faulty_proxy(served.host) as spy:
        spy.back = says(401, {})
        hosts = f"{spy.url}\\@{proxy.url.partition('://')[2]}"
        proxy.back = realm(f'Bearer realm="{hosts}/token",service="ccr"')
        _, found = examined(patient, "--check", "login")
        assert spy.asked
        assert authorised(spy) == []
    assert found["challenge"]["result"] == "warning"
    assert "the secret is not sent there" in found["login"]["seen"]


def test_an_upload_that_goes_on_elsewhere_does_not_take_the_token_along(
    patient: Terminal, proxy: FaultyProxy, served: RegistryProcess
) -> None:
    with faulty_proxy(served.host) as spy:
        there = location(lambda _: f"{spy.url}/v2/doctors/app/blobs/uploads/x", "uploads/", method="PATCH")
        proxy.back = there
        _, found = examined(patient, "--repository", REPOSITORY, "--check", "push-chunks")
        assert authorised(spy) == []
    assert found["push-chunks"]["result"] == "wrong"
    assert "leads to 127.0.0.1" in found["push-chunks"]["seen"]


def test_an_answer_without_end_is_not_read_to_it(
    patient: Terminal, proxy: FaultyProxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(wire, "ANSWER_LIMIT", 10_000)
    proxy.back = only(says(200, {"paths": "x" * 20_000}), "openapi")
    _, found = examined(patient, "--check", "version")
    assert "sends more than 10000 bytes" in found["version"]["seen"]
    monkeypatch.setattr(wire, "ANSWER_SECONDS", -1.0)
    _, found = examined(patient, "--check", "reachable")
    assert found["reachable"]["result"] == "wrong"


WARNINGS: dict[str, tuple[Fault, str, str, str]] = {
    "clock": (skewed(90), "clock", "ahead of this machine", "NTP"),
    "no version": (without("Docker-Distribution-API-Version"), "token", "missing", "let it pass"),
    "older": (
        only(lacking_trash, "openapi"),
        "version",
        "lacks /repositories/{repository}/trash",
        "`ccr trash`",
    ),
    "no collector": (forgotten, "collector", "garbage is due since", "CCR_COLLECT_SECONDS"),
}


@pytest.mark.parametrize("name", WARNINGS)
def test_what_works_for_now_is_a_warning(patient: Terminal, proxy: FaultyProxy, name: str) -> None:
    proxy.back, check, seen, mend = WARNINGS[name]
    ended, found = examined(patient, "--check", check)
    assert ended.exit_code == 0
    assert found[check]["result"] == "warning"
    assert seen in found[check]["seen"]
    assert mend in found[check]["mend"]


FORWARD: dict[str, tuple[Fault, str, str, str]] = {
    "no authorization": (
        only(lambda one: setattr(one, "headers", [h for h in one.headers if "Bearer" not in h[1]]), "/v2/"),
        *("token", "401", "let Authorization pass"),
    ),
    "decoded": (decoded, "paths", "an encoded slash", "decodes the path"),
    "decoded for management": (only(decoded, "/api/"), "paths", "as another path", "decodes the path"),
    "encoded twice": (encoded_twice, "paths", "sha256%3A…", "encodes the path a second time"),
}


@pytest.mark.parametrize("name", FORWARD)
def test_what_requests_suffer_is_named_with_its_remedy(
    patient: Terminal, proxy: FaultyProxy, name: str
) -> None:
    proxy.forward, check, seen, mend = FORWARD[name]
    ended, found = examined(patient, "--check", check)
    assert ended.exit_code == 1
    assert found[check]["result"] == "wrong"
    assert seen in found[check]["seen"]
    assert mend in found[check]["mend"]


def location(change: Callable[[str], str], *parts: str, method: str = "GET") -> Fault:
    return only(lambda one: one.set("Location", change(one.get("Location"))), *parts, method=method)


def elsewhere(url: str) -> str:
    return f"http://{nobody()}/{url.split('/', 3)[3]}"


WRITING: dict[str, tuple[Fault, str, str, str]] = {
    "may not push": (
        only(says(401, {"errors": [{"code": "DENIED", "message": "no"}]}), "uploads/", method="POST"),
        *("push", "401 DENIED no", "dev/*:pull,push,delete"),
    ),
    "leads elsewhere": (location(elsewhere, "uploads/", method="POST"), "push", "leads to", "leave Location"),
    "no gateway": (
        only(says(503, {}), "/u/", method="PATCH"),
        "push-chunks",
        "503",
        "start the upload gateway",
    ),
    "other keys": (
        only(
            says(404, {"errors": [{"code": "BLOB_UPLOAD_UNKNOWN", "message": "no"}]}), "/u/", method="PATCH"
        ),
        *("push-chunks", "BLOB_UPLOAD_UNKNOWN", "open.sh"),
    ),
    "a limit": (only(says(413, {}), "/u/", method="PATCH"), "push-chunks", "413", "client_max_body_size"),
    "no direct uploads": (
        only(says(403, {"title": "", "detail": "not you"}), "/api/v1/uploads"),
        *("push-direct", "not you", "message"),
    ),
    "an answer that is none": (
        only(says(200, {}), "/api/v1/uploads"),
        *("push-direct", "not what a registry says: KeyError 'url'", "in place of the registry"),
    ),
    "no manifest": (
        only(
            says(403, {"errors": [{"code": "DENIED", "message": "immutable"}]}), "/manifests/", method="PUT"
        ),
        *("push-manifest", "immutable", "grant"),
    ),
    "no length": (
        only(without("Content-Length"), "/manifests/", method="HEAD"),
        *("pull-manifest", "Content-Length none", "CCR_HEAD_BODY"),
    ),
    "another manifest": (
        only(shorter, "/manifests/", method="GET"),
        "pull-manifest",
        "bytes",
        "cache nothing",
    ),
    "unreachable storage": (
        location(elsewhere, "/blobs/"),
        "pull-blob",
        "a blob is at",
        "CCR_BLOB_REDIRECT=off",
    ),
    "a signature of another clock": (
        location(lambda url: url.replace("X-Amz-Signature=", "X-Amz-Signature=0"), "/blobs/"),
        *("pull-blob", "403", "clock"),
    ),
    "other bytes": (only(says(200, {}), "/blobs/sha256", method="GET"), "pull-blob", "comes back as", "fsck"),
    "no length of a blob": (
        only(says(200, {}), "/blobs/sha256", method="HEAD"),
        "head-blob",
        "has Content-Length 2",
        "HEAD",
    ),
}


@pytest.mark.parametrize("name", WRITING)
def test_what_a_round_trip_suffers_is_named_with_its_remedy(
    patient: Terminal, proxy: FaultyProxy, client: Client, name: str
) -> None:
    proxy.back, check, seen, mend = WRITING[name]
    ended, found = examined(patient, "--repository", REPOSITORY, "--check", check)
    assert ended.exit_code == 1
    assert found[check]["result"] == "wrong"
    assert seen in found[check]["seen"]
    assert mend in found[check]["mend"]
    tags = client.about(REPOSITORY).get("tags/list")
    assert tags.status_code == 404 or tags.json()["tags"] == []


def at_the_edge(passing: Passing) -> None:
    """An upload of a client that sends one PUT goes to S3, as its URL says; and S3 checks nothing."""
    agents = [value for name, value in passing.headers if name == "User-Agent"]
    if passing.method == "POST" and any("containerd" in one for one in agents):
        passing.set("Location", passing.get("Location").replace("/u/", "/s/"))
    elif passing.path.startswith("/s/"):
        passing.say(201, {})


def test_an_edge_whose_storage_checks_nothing_is_found(patient: Terminal, proxy: FaultyProxy) -> None:
    proxy.back = at_the_edge
    _, found = examined(patient, "--repository", REPOSITORY, "--check", "push-edge")
    assert found["push-edge"]["result"] == "wrong"
    assert "bytes of another digest are answered 201" in found["push-edge"]["seen"]
    assert "x-amz-checksum-sha256" in found["push-edge"]["mend"]


def test_an_edge_upload_that_nobody_adopts_is_found(patient: Terminal, proxy: FaultyProxy) -> None:
    answers = iter([400, 201])

    def unadopted(passing: Passing) -> None:
        at_the_edge(passing)
        if passing.path.startswith("/s/"):
            passing.say(next(answers), {"errors": [{"code": "DIGEST_INVALID", "message": "other bytes"}]})

    proxy.back = unadopted
    _, found = examined(patient, "--repository", REPOSITORY, "--check", "push-edge")
    assert found["push-edge"]["seen"] == "the blob is answered 201, and then 404"
    assert "is not adopted" in found["push-edge"]["mend"]


def test_a_plus_that_becomes_a_space_is_named(patient: Terminal, proxy: FaultyProxy) -> None:
    proxy.forward = decoded_query
    _, found = examined(patient, "--repository", REPOSITORY, "--check", "referrers")
    assert found["referrers"]["result"] == "wrong"
    assert "decodes the query" in found["referrers"]["mend"]


def test_what_cannot_be_deleted_is_said(patient: Terminal, proxy: FaultyProxy, client: Client) -> None:
    refusal = {"errors": [{"code": "DENIED", "message": "immutable"}]}
    proxy.back = only(says(403, refusal), "/manifests/", method="GET")
    proxy.forward = only(lambda one: setattr(one, "method", "GET"), "/manifests/", method="DELETE")
    ended, found = examined(patient, "--repository", REPOSITORY)
    assert found["clean"]["result"] == "warning"
    assert "ccr image delete" in found["clean"]["mend"]
    tag = ended.document["left"][0].partition("tag ")[2].partition(":")[0]
    assert client.about(REPOSITORY).delete(f"manifests/{tag}").status_code == 202


def test_a_name_that_is_nowhere_ends_the_examination_early(stranger: Terminal) -> None:
    ended, found = examined(stranger, "--url", "https://nowhere.invalid")
    assert ended.exit_code == 1
    assert "make a record for nowhere.invalid" in found["name"]["mend"]
    assert set(results(found).values()) == {"wrong", "skipped"}


def test_nothing_that_listens_is_named(stranger: Terminal) -> None:
    ended, found = examined(stranger, "--url", f"http://{nobody()}")
    assert ended.exit_code == 1
    assert "nothing takes a connection" in found["reachable"]["seen"]


def test_the_secret_goes_to_no_other_host(
    patient: Terminal, proxy: FaultyProxy, served: RegistryProcess
) -> None:
    """The registry itself is another port than the proxy."""
    proxy.back = realm(f'Bearer realm="{served.url}/token",service="ccr"')
    ended, found = examined(patient, "--check", "login")
    assert ended.exit_code == 0
    assert found["challenge"]["result"] == "warning"
    assert found["login"]["result"] == "skipped"
    assert "is not sent there" in found["login"]["seen"]


def test_a_credential_that_may_only_pull_is_told_of_its_grant(
    terminal: Terminal, dev: str, project: str, fresh: Callable[[str], str]
) -> None:
    robot = terminal.ask(
        *("credential", "create-robot", fresh("reader"), "--project", project, "--grant", f"{dev}/*:pull")
    )
    terminal.environ |= {"CCR_USERNAME": robot["id"], "CCR_PASSWORD": robot["secret"]}
    ended, found = examined(terminal, "--url", terminal.registry.url, "--repository", f"{dev}/app")
    assert ended.exit_code == 1
    assert [name for name, one in found.items() if one["result"] == "wrong"] == ["push"]
    assert "dev/*:pull,push,delete" in found["push"]["mend"]
    assert found["collector"]["result"] == "skipped"
    assert found["large-body"]["result"] == "ok"


def test_a_check_that_is_none_is_refused_with_those_that_are(patient: Terminal) -> None:
    ended = patient.try_ccr("doctor", "--check", "nonsense")
    assert ended.exit_code == 2
    assert "challenge-behind" in " ".join(ended.err.split())


def test_every_check_is_in_the_page() -> None:
    assert [check.name for check in CHECKS if f"| `{check.name}` |" not in PAGE] == []


def test_what_commands_need_is_there() -> None:
    assert {f"{PREFIX}{path}" for path in NEEDED} <= set(document()["paths"])


@pytest.fixture(scope="module")
def pem(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return self_signed(tmp_path_factory.mktemp("tls"))


def test_a_certificate_that_nobody_trusts_is_named(
    stranger: Terminal, served: RegistryProcess, pem: Path
) -> None:
    with tls_proxy(pem, lambda: address(served.host)) as url:
        ended, found = examined(stranger, "--url", url, "--check", "tls")
    assert ended.exit_code == 1
    assert "not trusted: certificate verify failed: self-signed certificate" in found["tls"]["seen"]
    assert "REQUESTS_CA_BUNDLE" in found["tls"]["mend"]


def test_a_certificate_that_ends_soon_is_a_warning_and_a_realm_without_tls_is_wrong(
    stranger: Terminal, served: RegistryProcess, pem: Path
) -> None:
    """The proxy does not say X-Forwarded-Proto."""
    stranger.environ["REQUESTS_CA_BUNDLE"] = str(pem)
    with tls_proxy(pem, lambda: address(served.host)) as url:
        ended, found = examined(stranger, "--url", url, "--check", "tls", "--check", "challenge")
    assert ended.exit_code == 1
    assert found["tls"]["result"] == "warning"
    assert "ends in 1.0 hours" in found["tls"]["seen"]
    assert "is http where the registry is https" in found["challenge"]["seen"]
    assert "X-Forwarded-Proto" in found["challenge"]["mend"]


def test_https_where_there_is_none_is_named(stranger: Terminal, served: RegistryProcess) -> None:
    _, found = examined(stranger, "--url", f"https://{served.host}", "--check", "tls", "--check", "reachable")
    assert "does not speak TLS" in found["tls"]["seen"]
    assert f"ask http://{served.host}" in found["reachable"]["mend"]


def address(host: str) -> tuple[str, int]:
    name, _, port = host.partition(":")
    return name, int(port)
