"""A small image into the named repository, a blob by each way that the deployment has; and out again."""

from __future__ import annotations

import json
import os
import time
from typing import Final
from urllib.parse import quote, urljoin, urlsplit

import requests

from ccr.cli.api import Api
from ccr.cli.doctor.findings import Check, Finding, ok, skipped, warning, wrong
from ccr.cli.doctor.visit import NO_REPOSITORY, Visit, codes, said
from ccr.cli.doctor.wire import origin
from ccr.cli.exits import CliError, Exit
from ccr.cli.transfer.content import digest_of
from ccr.cli.transfer.manifests import OCI_IMAGE

SIZE: Final = 1024
EMPTY: Final = b"{}"
# With a plus sign in it, which a query has to carry.
ARTIFACT: Final = "application/vnd.ccr.doctor+json"
# As the registry knows who sends chunks, and who sends a blob in one PUT.
CHUNKS: Final = {"User-Agent": "ccr-cli doctor python-requests/2"}
ONE_PUT: Final = {"User-Agent": "ccr-cli doctor containerd/2"}
_VERIFY_SECONDS: Final = 30
_GRANT: Final = "use a credential with a grant like 'dev/*:pull,push,delete', for a registry that is there"


def one_put(visit: Visit) -> Finding:
    """As docker does it: POST, then all of it in PUT, or in PATCH and PUT."""
    if not visit.repository:
        return skipped(NO_REPOSITORY)
    content = os.urandom(SIZE)
    opened = _open(visit, CHUNKS)
    if isinstance(opened, Finding):
        return opened
    answer = _close(visit, opened, content, content)
    return _published(visit, answer, content, "PUT")


def chunks(visit: Visit) -> Finding:
    content = os.urandom(SIZE)
    location = _open(visit, CHUNKS)
    if isinstance(location, Finding):
        return location
    half = SIZE // 2
    for first in (0, half):
        headers = {"Content-Range": f"{first}-{first + half - 1}", "Content-Type": "application/octet-stream"}
        piece = content[first : first + half]
        answer = visit.wire.ask(
            "PATCH", location, data=piece, headers={**_credential(visit, location), **headers}
        )
        if answer.status_code != 202 or "Location" not in answer.headers:
            return wrong(f"PATCH of bytes {first} on is answered {said(answer)}", _refused(answer))
        following = _led(visit, location, answer)
        if isinstance(following, Finding):
            return following
        location = following
    return _published(visit, _close(visit, location, content, b""), content, "PATCH, PATCH, PUT")


def edge(visit: Visit) -> Finding:
    """S3 itself takes the PUT, where the edge sends it there: other bytes first, which it has to refuse."""
    content = os.urandom(SIZE)
    location = _open(visit, ONE_PUT)
    if isinstance(location, Finding):
        return location
    if not urlsplit(location).path.startswith("/s/"):
        visit.wire.ask("DELETE", location, headers=_credential(visit, location))
        return skipped("the deployment has no uploads that S3 takes at the edge (CCR_UPLOADS)")
    refused = _close(visit, location, content, os.urandom(SIZE))
    if (refused.status_code, codes(refused)) != (400, ["DIGEST_INVALID"]):
        return wrong(
            f"bytes of another digest are answered {said(refused)}, not 400 DIGEST_INVALID",
            "deploy the functions of infra/edge again: x-amz-checksum-sha256 does not reach S3 signed, or "
            "origin-response is missing; until then leave `edge` out of CCR_UPLOADS",
        )
    return _published(visit, _close(visit, location, content, content), content, "PUT that S3 takes")


def direct(visit: Visit) -> Finding:
    """As `ccr push` does it: a presigned PUT."""
    if visit.connection is None:
        return skipped("needs a login")
    content = os.urandom(SIZE)
    digest = digest_of(content)
    api = Api(visit.connection)
    asked = {"repository": visit.repository, "digest": digest, "size": len(content)}
    opened = api.post("/uploads", asked).document
    host = urlsplit(opened["url"]).netloc
    answer = visit.wire.ask("PUT", opened["url"], data=content, headers=sendable(opened["headers"]))
    if answer.status_code != 200:
        return wrong(
            f"{host} answers a presigned PUT with {answer.status_code} {storage_code(answer)}".strip(),
            "set the clock of the registry; or its role lacks s3:PutObject, or a proxy changes headers",
        )
    state = _completed(api, opened["session"])
    if state != "published":
        return wrong(
            f"an upload by a presigned URL is {state} after {_VERIFY_SECONDS} s, not published",
            "look into the logs of the function that verifies (CCR_VERIFIER_FUNCTION)",
        )
    visit.pushed.blobs[digest] = content
    visit.pushed.ways[digest] = "presigned PUT"
    return ok(f"{SIZE} bytes to {host} by a presigned PUT")


def _completed(api: Api, session: str) -> str:
    document = api.post(f"/uploads/{session}/completion").document
    end = time.monotonic() + _VERIFY_SECONDS
    while document["state"] == "verifying" and time.monotonic() < end:
        time.sleep(0.2)
        document = api.get(f"/uploads/{session}").document
    return str(document["state"])


def manifest(visit: Visit) -> Finding:
    """An image of all blobs, by a tag of its own; it refers to another, which need not be there."""
    pushed = visit.pushed
    if not pushed.blobs:
        return skipped("no blob was pushed")
    pushed.subject = digest_of(os.urandom(SIZE))
    pushed.manifest = _image(visit)
    pushed.digest = digest_of(pushed.manifest)
    headers = {"Content-Type": OCI_IMAGE}
    answer = visit.of("PUT", f"manifests/{pushed.tag}", data=pushed.manifest, headers=headers)
    if answer.status_code != 201:
        return wrong(f"a manifest is answered {said(answer)}", _refused(answer))
    return ok(f"{visit.repository}:{pushed.tag}, {len(pushed.blobs)} blobs")


def _image(visit: Visit) -> bytes:
    described = [
        {"mediaType": "application/octet-stream", "digest": digest, "size": len(content)}
        for digest, content in visit.pushed.blobs.items()
    ]
    document = {
        "schemaVersion": 2,
        "mediaType": OCI_IMAGE,
        "artifactType": ARTIFACT,
        "config": {**described[0], "mediaType": ARTIFACT},
        "layers": described,
        "subject": {"mediaType": OCI_IMAGE, "digest": visit.pushed.subject, "size": SIZE},
    }
    return json.dumps(document).encode()


def _open(visit: Visit, agent: dict[str, str]) -> str | Finding:
    answer = visit.of("POST", "blobs/uploads/", headers=agent)
    if answer.status_code == 403 and "ccr push" in answer.text:
        return skipped("the deployment refuses clients that send a layer in one request (CCR_REFUSE_STREAMS)")
    if answer.status_code != 202:
        return wrong(f"an upload is answered {said(answer)}", _refused(answer))
    return _led(visit, answer.url, answer)


def _led(visit: Visit, url: str, answer: requests.Response) -> str | Finding:
    """Where the upload goes on: at the registry itself, or the token would go to somebody else."""
    location = urljoin(url, answer.headers.get("Location", ""))
    if origin(location) != origin(visit.url):
        return wrong(
            f"an upload leads to {origin(location)[1]}, which clients do not follow",
            "have the proxy leave Location as it is",
        )
    return location


def _close(visit: Visit, location: str, content: bytes, last: bytes) -> requests.Response:
    """PUT of the last bytes, with the digest encoded as docker encodes it."""
    joint = "&" if urlsplit(location).query else "?"
    url = f"{location}{joint}digest={quote(digest_of(content), safe='')}"
    headers = {**_credential(visit, location), "Content-Type": "application/octet-stream"}
    return visit.wire.ask("PUT", url, data=last, headers=headers)


def _published(visit: Visit, answer: requests.Response, content: bytes, way: str) -> Finding:
    digest = digest_of(content)
    if answer.status_code != 201:
        return wrong(f"the end of an upload is answered {said(answer)}", _refused(answer))
    told = answer.headers.get("Docker-Content-Digest", digest)
    if told != digest:
        return wrong(
            f"{digest} was sent, and {told} is said to be there", "look into the logs of the registry"
        )
    there = visit.of("HEAD", f"blobs/{digest}")
    if there.status_code not in {200, 307}:
        return wrong(
            f"the blob is answered 201, and then {there.status_code}",
            "look into the logs of the registry: what S3 took at the edge is not adopted",
        )
    visit.pushed.blobs[digest] = content
    visit.pushed.ways[digest] = way
    return ok(f"{SIZE} bytes by {way}")


def _credential(visit: Visit, location: str) -> dict[str, str]:
    """A capability in the path takes no other credential, and S3 refuses a second one."""
    is_own = urlsplit(location).path.startswith("/v2/")
    return {"Authorization": f"Bearer {visit.token}"} if is_own else {}


def sendable(headers: dict[str, str]) -> dict[str, str]:
    return {name: value for name, value in headers.items() if name.lower() != "host"}


def _refused(answer: requests.Response) -> str:
    """What to do about it, by its status."""
    if answer.status_code in {401, 403}:
        return _GRANT
    if answer.status_code == 404:
        if "BLOB_UPLOAD_UNKNOWN" in codes(answer):
            return "the keys of registry, gateway and edge differ: run open.sh again"
        return "`ccr registry create` makes the registry"
    if answer.status_code == 413:
        return "raise the limit of what stands in front (nginx: client_max_body_size 0)"
    if answer.status_code in {502, 503, 504}:
        return "start the upload gateway, or what else takes uploads behind the edge"
    return "look into the logs of the registry"


def storage_code(answer: requests.Response) -> str:
    return answer.text.partition("<Code>")[2].partition("</Code>")[0]


def clean_up(visit: Visit) -> None:
    """Delete the manifest with its tag, and what is kept of it; note what that leaves. Raises BrokenError."""
    pushed = visit.pushed
    if pushed.blobs and not visit.left:
        visit.left.append(
            f"{len(pushed.blobs)} blobs of {SIZE} bytes in {visit.repository}, until they are collected"
        )
    if not pushed.digest:
        return
    image, pushed.digest = f"{visit.repository}@{pushed.digest}", ""
    visit.left.insert(0, f"{image}, tag {pushed.tag}")
    answer = visit.of("DELETE", f"manifests/{image.partition('@')[2]}")
    if answer.status_code == 404:
        del visit.left[0]
        return
    if answer.status_code != 202:
        visit.left[0] += f": deleting it is answered {said(answer)}"
        return
    kept = _kept(visit, image)
    visit.left[:1] = [f"{image} in the trash, until its retention is over: {kept}"] if kept else []


def _kept(visit: Visit, image: str) -> str:
    """Why it could not be released at once; '' where it was, or nothing is kept."""
    repository, digest = (quote(one, safe="") for one in image.split("@"))
    if visit.connection is None:
        return "not logged in"
    try:
        Api(visit.connection).delete(f"/repositories/{repository}/trash/{digest}")
    except CliError as error:
        return "" if error.exit_code == Exit.NOT_FOUND else error.message
    return ""


def cleaned(visit: Visit) -> Finding:
    clean_up(visit)
    left = "; ".join(visit.left)
    if any("deleting it" in one for one in visit.left):
        return warning(f"left: {left}", "delete it as somebody who may: `ccr image delete`")
    return ok(f"left: {left}" if left else "nothing was pushed")


PUSHES: Final = (
    Check("push", "POST and one PUT push a blob", one_put, ("token",)),
    Check("push-chunks", "two PATCH and a PUT push a blob", chunks, ("push",)),
    Check(
        "push-edge",
        "a PUT that the edge sends to S3 pushes a blob, and other bytes are refused",
        edge,
        ("push",),
    ),
    Check(
        "push-direct",
        "a presigned URL of S3 takes a blob, as `ccr push` sends it",
        direct,
        ("push", "management"),
    ),
    Check("push-manifest", "a manifest of these blobs is taken", manifest, ("push",)),
)
CLEAN: Final = Check("clean", "what was pushed is deleted again", cleaned, ("push",))
