"""Whether clients can log in: the challenge, the token, and who answers with them."""

from __future__ import annotations

from typing import Final
from urllib.parse import urlsplit

import requests

from ccr.cli.doctor.findings import Check, Finding, ok, skipped, warning, wrong
from ccr.cli.doctor.visit import NOT_LOGGED_IN, Visit, codes, envelope, parameters, said
from ccr.cli.doctor.wire import DEFAULT_PORTS, addresses, origin

RENAMED: Final = ("x-amzn-remapped-www-authenticate", "x-ccr-challenge")
# A token that nobody signed; its claims are no reason for the edge to answer itself.
_FORGED: Final = "e30.e30.doctor"
_EDGE: Final = "on AWS the edge answers it: deploy infra/edge (viewer-request), and use the public name"
_ORIGIN_RESPONSE: Final = (
    "the distribution lacks infra/edge/origin-response.js at origin-response, which gives the header its "
    "name back: deploy it (docs/deploy.md, OriginResponseArn)"
)
_PUBLIC_URL: Final = (
    "set CCR_PUBLIC_URL to the URL that clients use, or have the proxy pass Host and X-Forwarded-Proto on"
)


def challenge(visit: Visit) -> Finding:
    answer = visit.get("/v2/")
    if answer.status_code == 200:
        return wrong(
            "/v2/ lets anybody in", "what answers is another registry, or a cache: check host and port"
        )
    if answer.status_code == 403 and "public name" in answer.text:
        return wrong(
            "this is the function behind the edge", "use the public name: the output Url of the stack"
        )
    if answer.status_code != 401:
        return wrong(
            f"/v2/ without a credential answers {said(answer)}", "a registry answers 401: look into its logs"
        )
    header = answer.headers.get("WWW-Authenticate", "")
    if not header:
        return _lost(answer, _EDGE)
    visit.challenge = parameters(header)
    return _judged(visit, header)


def _lost(answer: requests.Response, mend: str) -> Finding:
    name = next((one for one in RENAMED if one in answer.headers), "")
    if name:
        return wrong(f"WWW-Authenticate is missing, and there is {name}", mend)
    return wrong(
        "401 without WWW-Authenticate: no client can log in",
        "what stands in front takes it off: let it pass",
    )


def _judged(visit: Visit, header: str) -> Finding:
    realm, service = visit.challenge.get("realm", ""), visit.challenge.get("service", "")
    parts = urlsplit(realm)
    if not realm or not service:
        return wrong(
            f"{header[:200]!r} names no realm and service of Bearer", "something rewrites it: let it pass"
        )
    if parts.scheme not in DEFAULT_PORTS or not parts.hostname:
        return wrong(f"the realm {realm} is no URL", _PUBLIC_URL)
    if visit.is_secure and parts.scheme == "http":
        return wrong(
            f"the realm {realm} is http where the registry is https: secrets would go in clear text",
            _PUBLIC_URL,
        )
    addresses(parts.hostname, parts.port or DEFAULT_PORTS[parts.scheme])
    answer = visit.wire.ask("GET", realm, params={"service": service})
    if answer.status_code != 401:
        return wrong(
            f"the realm {realm} answers {answer.status_code} without a credential, not 401", _PUBLIC_URL
        )
    if origin(realm) != origin(visit.url):
        return warning(f"the realm {realm} is at another host than {visit.url}", _PUBLIC_URL)
    return ok(f"realm {realm}, service {service}")


def passed_on(visit: Visit) -> Finding:
    """Of the registry itself, which the edge does not answer for."""
    answer = visit.get("/v2/", headers={"Authorization": f"Bearer {_FORGED}"})
    if answer.status_code != 401:
        return wrong(
            f"a forged token is answered {said(answer)}", "a registry answers 401: look into its logs"
        )
    if not answer.headers.get("WWW-Authenticate"):
        return _lost(answer, _ORIGIN_RESPONSE)
    return ok("a token that is not good is challenged anew")


def errors(visit: Visit) -> Finding:
    answer = visit.get("/v2/")
    kind = answer.headers.get("Content-Type", "").partition(";")[0]
    if kind != "application/json" or not envelope(answer) or not envelope(answer)[0].get("message"):
        return wrong(
            f"a refusal of {answer.status_code} is {kind or 'of no type'} without code and message",
            "what stands in front answers in its own words: let bodies pass (CloudFront: no error pages)",
        )
    return ok(f"code {codes(answer)[0]}, with a message")


def login(visit: Visit) -> Finding:
    if visit.connection is None:
        return skipped(NOT_LOGGED_IN)
    realm = visit.challenge["realm"]
    if origin(realm) != origin(visit.url):
        return skipped(f"the realm {realm} is another host: the secret is not sent there")
    scope = {"scope": f"repository:{visit.repository}:pull,push,delete"} if visit.repository else {}
    asked = {"service": visit.challenge["service"], "account": visit.connection.username, **scope}
    answer = visit.wire.ask("GET", realm, params=asked, auth=visit.basic())
    if answer.status_code == 429:
        after = answer.headers.get("Retry-After", "some")
        return wrong(said(answer), f"wait {after} seconds; many logins failed, from here or for this id")
    if answer.status_code == 401:
        return wrong(
            f"{visit.connection.username}: {said(answer)}", "`ccr login URL -u ID` with a secret that is good"
        )
    token = _token(answer)
    if answer.status_code != 200 or not token:
        return wrong(f"the realm answers {said(answer)} and no token", "look into the logs of the registry")
    visit.token = token
    return ok(f"{visit.connection.username} gets a token")


def _token(answer: requests.Response) -> str:
    try:
        document = answer.json()
        return str(document.get("token") or document.get("access_token") or "")
    except (requests.exceptions.JSONDecodeError, AttributeError):
        return ""


def token(visit: Visit) -> Finding:
    answer = visit.get("/v2/", headers={"Authorization": f"Bearer {visit.token}"})
    if answer.status_code != 200:
        return wrong(
            f"its own token is answered {said(answer)}",
            "let Authorization pass; and give all functions the same CCR_TOKEN_KEY and CCR_SERVICE",
        )
    version = answer.headers.get("Docker-Distribution-API-Version", "")
    if version != "registry/2.0":
        return warning(
            f"accepted, but Docker-Distribution-API-Version is {version or 'missing'}",
            "let it pass: old clients look for it",
        )
    return ok(f"accepted, {version}")


CHECKS: Final = (
    Check(
        "challenge",
        "`/v2/` without a credential is 401 with a challenge that docker can follow",
        challenge,
        ("reachable",),
    ),
    Check(
        "challenge-behind",
        "a challenge of the registry behind the edge keeps its name",
        passed_on,
        ("challenge",),
    ),
    Check("errors", "refusals are the specification's envelope", errors, ("reachable",)),
    Check("login", "the stored credential gets a token", login, ("challenge",)),
    Check("token", "the token is accepted", token, ("login",)),
)
