"""What docs/aws-facts.md says of AWS's front door, looked at over HTTP: function URL and CloudFront."""

from __future__ import annotations

import base64
import json
import os
from typing import Any, Final
from urllib.parse import urlsplit

from ccr.cli.api import Api
from ccr.cli.doctor.findings import Check, Finding, ok, skipped, warning, wrong
from ccr.cli.doctor.push import SIZE, sendable, storage_code
from ccr.cli.doctor.server import LARGE
from ccr.cli.doctor.visit import NO_REPOSITORY, Visit
from ccr.cli.doctor.wire import announced, unchanged
from ccr.cli.transfer.content import digest_of

# A function URL takes it: 5,592,408 bytes in base64.
SMALL: Final = 4 * 1024 * 1024
TOO_LARGE: Final = {"Message": "Request must be smaller than 6291456 bytes"}
_ZEROS: Final = "0" * 32
_NOBODY: Final = f"Basic {base64.b64encode(b'nobody:nothing').decode()}"
_DOC: Final = "change the row in docs/aws-facts.md and the place that it names"


def function_url(visit: Visit) -> Finding:
    if not _function_url(visit):
        return skipped("the stack has no output RegistryFunctionUrl")
    answer = visit.wire.ask("GET", f"{_function_url(visit)}/v2/", headers=_proof(visit))
    if answer.status_code != 401:
        return wrong(
            f"{_function_url(visit)} answers {answer.status_code}, not 401",
            "403 is a missing permission (both InvokeFunctionUrl and InvokeFunction), or another "
            "secret than the edge's; 502 an error of the function: its logs have it",
        )
    return ok(f"{_function_url(visit)} answers")


def event_limit(visit: Visit) -> Finding:
    """A form is refused by the registry at 64 KiB, in its own words: who speaks tells who has seen it."""
    url = f"{_function_url(visit)}/token"
    small, body, _ = announced("POST", url, SMALL, _proof(visit))
    if "errors" not in _json(body):
        return wrong(f"a body of {SMALL} bytes is answered {small} before the function", _DOC)
    large, body, _ = announced("POST", url, LARGE, _proof(visit))
    if large != 413 or "errors" in _json(body):
        return wrong(f"a body of {LARGE} bytes is answered {large}, by the function itself", _DOC)
    return ok(f"{SMALL} bytes reach the function, {LARGE} are answered 413 before it")


def limit_body(visit: Visit) -> Finding:
    status, body, _ = announced("POST", f"{_function_url(visit)}/token", LARGE, _proof(visit))
    if _json(body) != TOO_LARGE:
        return wrong(
            f"{status} {body[:200].decode(errors='replace')}",
            "put what was seen into `too_large` of chalicelib/gateway/events.py, for the emulation",
        )
    return ok(json.dumps(TOO_LARGE))


def renamed(visit: Visit) -> Finding:
    answer = visit.wire.ask("GET", f"{_function_url(visit)}/v2/", headers=_proof(visit))
    names = [one for one in answer.headers if "www-authenticate" in one.lower()]
    if [one.lower() for one in names] != ["x-amzn-remapped-www-authenticate"]:
        return wrong(
            f"{answer.status_code} with {', '.join(names) or 'no challenge'}",
            "see CHALLENGES of infra/edge/origin-response.js: it must have that name",
        )
    return ok(names[0])


def head_length(visit: Visit) -> Finding:
    """With the body there to count, which is what CCR_HEAD_BODY gives."""
    url = f"{_function_url(visit)}/v2/"
    got = visit.wire.ask("GET", url, headers=_proof(visit))
    head = visit.wire.ask("HEAD", url, headers=_proof(visit))
    length = head.headers.get("Content-Length", "none")
    if length != str(len(got.content)):
        return wrong(f"GET has {len(got.content)} bytes, and HEAD Content-Length {length}", _DOC)
    return ok(f"HEAD has Content-Length {length}, which GET has")


def raw_path(visit: Visit) -> Finding:
    """The registry refuses an encoded slash by what it sees; decoded, it would see none."""
    url = f"{_function_url(visit)}/v2/doctor%2Fprobe/tags/list"
    answer = visit.wire.ask("GET", url, headers={**_proof(visit), "Authorization": _NOBODY})
    if answer.status_code != 400 or "NAME_INVALID" not in answer.text:
        return wrong(f"an encoded slash is answered {answer.status_code}: rawPath is decoded", _DOC)
    return ok("rawPath has %2F as it was sent")


def past_the_edge(visit: Visit) -> Finding:
    """Where there is a secret, who does not say it is refused."""
    if not visit.stack or not visit.stack.origin_secret:
        return skipped("the stack has no output OriginSecretSecret")
    answer = visit.wire.ask("GET", f"{_function_url(visit)}/v2/")
    if answer.status_code != 403:
        return wrong(
            f"the function URL answers {answer.status_code} to who comes past the edge",
            "deploy the functions with CCR_ORIGIN_SECRET_SECRET",
        )
    return ok("403 to who comes past the edge")


def early(visit: Visit) -> Finding:
    """At the public name, of an upload that a function would take: CloudFront's function sees the length."""
    url = f"{visit.url}/v2/doctor/probe/blobs/uploads/{_ZEROS}"
    status, body, is_early = announced("PUT", url, LARGE, {"Authorization": _NOBODY})
    if status != 413 or b"ccr push" not in body:
        return wrong(
            f"a body of {LARGE} bytes is answered {status}",
            "deploy viewer-request of infra/edge; where it is there, content-length is not shown to it",
        )
    if not is_early:
        return warning(
            "413 with what to do, but only after the body", "clients send a layer before they hear of it"
        )
    return ok("413 with what to do, before the body is sent")


def as_it_came(visit: Visit) -> Finding:
    """A PUT by a path that is one of S3's once it is normalized, and is not as it came."""
    url = f"{visit.url}/doctor/../s/{_ZEROS}"
    status, _, body = unchanged("PUT", url, {"Authorization": _NOBODY}, b"nothing")
    entries = _json(body).get("errors") or [{}]
    if (status, entries[0].get("code")) != (404, "UNSUPPORTED"):
        return wrong(
            f"PUT /doctor/../s/… is answered {status} {body[:100].decode(errors='replace')}",
            "see `forward` of infra/edge/viewer-request.js: the function does not get the path as it came",
        )
    return ok("functions and origins get /doctor/../s/ as it came")


def _function_url(visit: Visit) -> str:
    return visit.stack.function_url if visit.stack else ""


def _proof(visit: Visit) -> dict[str, str]:
    """To the function alone, by TLS; on this machine without."""
    secret = visit.stack.origin_secret if visit.stack else ""
    return {"x-ccr-edge": secret} if secret and urlsplit(_function_url(visit)).scheme == "https" else {}


def _json(body: bytes) -> dict[str, Any]:
    try:
        document = json.loads(body)
    except ValueError:
        return {}
    return document if isinstance(document, dict) else {}


def signed_length(visit: Visit) -> Finding:
    """A byte less than the URL was signed for; the session is cancelled."""
    if not visit.repository or visit.connection is None:
        return skipped(NO_REPOSITORY)
    content = os.urandom(SIZE)
    api = Api(visit.connection)
    asked = {"repository": visit.repository, "digest": digest_of(content), "size": SIZE}
    opened = api.post("/uploads", asked).document
    try:
        headers = {
            name: value for name, value in opened["headers"].items() if name.lower() != "content-length"
        }
        answer = visit.wire.ask("PUT", opened["url"], data=content[:-1], headers=sendable(headers))
    finally:
        api.delete(f"/uploads/{opened['session']}")
    if answer.status_code != 403:
        return wrong(f"a byte less than was signed for is answered {answer.status_code}", _DOC)
    return ok(f"a byte less than was signed for is answered 403 {storage_code(answer)}")


FACTS: Final = (
    Check("aws-function-url", "the function URL may be called, as both its permissions allow", function_url),
    Check(
        "aws-event-limit",
        "a function URL takes 4 MiB, and answers 413 to 5 MiB before the function",
        event_limit,
        ("aws-function-url",),
    ),
    Check(
        "aws-413-body",
        "the body of that 413 is the one that the emulation has",
        limit_body,
        ("aws-function-url",),
    ),
    Check(
        "aws-renamed-challenge", "a function URL renames `WWW-Authenticate`", renamed, ("aws-function-url",)
    ),
    Check(
        "aws-head-length",
        "HEAD has the length of the body that the function gave",
        head_length,
        ("aws-function-url",),
    ),
    Check("aws-raw-path", "`rawPath` is the path as it was sent", raw_path, ("aws-function-url",)),
    Check(
        "aws-past-the-edge",
        "the function URL refuses who comes past the edge",
        past_the_edge,
        ("aws-function-url",),
    ),
    Check("aws-signed-length", "a presigned PUT takes the length that it was signed for", signed_length),
    Check("aws-early-413", "the edge refuses a large body by its announced length", early, ("reachable",)),
    Check(
        "aws-path-as-it-came",
        "functions and origins get a path as it came, not normalized",
        as_it_came,
        ("reachable",),
    ),
)
