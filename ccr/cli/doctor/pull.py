"""Out again: manifests with their length, blobs by redirect, ranges, and what refers to what."""

from __future__ import annotations

from typing import Final
from urllib.parse import quote, urljoin, urlsplit

import requests

from ccr.cli.doctor.findings import Check, Finding, ok, wrong
from ccr.cli.doctor.push import ARTIFACT, CLEAN
from ccr.cli.doctor.visit import Visit, said
from ccr.cli.doctor.wire import BrokenError
from ccr.cli.transfer.content import digest_of
from ccr.cli.transfer.manifests import OCI_IMAGE

_FIRST, _LAST = 100, 199
_STORAGE: Final = (
    "let clients reach S3 (CCR_S3_PUBLIC_ENDPOINT names it as they do), or have the registry stream blobs: "
    "CCR_BLOB_REDIRECT=off"
)


def manifest(visit: Visit) -> Finding:
    path = f"manifests/{visit.pushed.tag}"
    head = visit.of("HEAD", path, headers={"Accept": OCI_IMAGE})
    got = visit.of("GET", path, headers={"Accept": OCI_IMAGE})
    if got.status_code != 200 or digest_of(got.content) != visit.pushed.digest:
        return wrong(
            f"the manifest that was pushed is answered {said(got)}, {len(got.content)} bytes",
            "what stands in front changes or keeps answers: let bodies pass, and cache nothing of /v2/",
        )
    length, size = head.headers.get("Content-Length", "none"), len(visit.pushed.manifest)
    if head.status_code != 200 or length != str(size):
        return wrong(
            f"HEAD of a manifest of {size} bytes is {head.status_code}, Content-Length {length}",
            "containerd cannot pull: set CCR_HEAD_BODY=on behind a function URL; let proxies pass HEAD on",
        )
    return ok(f"HEAD and GET say {size} bytes")


def blobs(visit: Visit) -> Finding:
    """Each of them, since each went another way."""
    places: set[str] = set()
    for digest, content in visit.pushed.blobs.items():
        answer, place = _fetched(visit, "GET", digest)
        places.add(place)
        way = visit.pushed.ways[digest]
        if answer.status_code != 200:
            return _not_given(answer, place, f"the blob pushed by {way}")
        if answer.content != content:
            return wrong(
                f"the blob pushed by {way} comes back as {digest_of(answer.content)}",
                "what stands in front changes bodies: let them pass as they are; then `ccr fsck`",
            )
    return ok(f"{len(visit.pushed.blobs)} blobs, right to the last byte, from {', '.join(sorted(places))}")


def head(visit: Visit) -> Finding:
    digest, content = next(iter(visit.pushed.blobs.items()))
    answer, place = _fetched(visit, "HEAD", digest)
    length = answer.headers.get("Content-Length", "none")
    if answer.status_code != 200:
        return _not_given(answer, place, "HEAD of a blob")
    if length != str(len(content)):
        return wrong(
            f"HEAD of a blob of {len(content)} bytes has Content-Length {length}, from {place}",
            "what stands in front takes it off: have it pass HEAD on as it is",
        )
    return ok(f"Content-Length {length}, from {place}")


def ranges(visit: Visit) -> Finding:
    digest, content = next(iter(visit.pushed.blobs.items()))
    asked = {"Range": f"bytes={_FIRST}-{_LAST}", "Accept-Encoding": "identity"}
    answer, place = _fetched(visit, "GET", digest, asked)
    if answer.status_code != 206 or answer.content != content[_FIRST : _LAST + 1]:
        return wrong(
            f"bytes {_FIRST} to {_LAST} are {answer.status_code}, {len(answer.content)} bytes, by {place}",
            "let Range pass: without it a pull that broke off begins anew",
        )
    return ok(f"206 with those bytes, from {place}")


def referrers(visit: Visit) -> Finding:
    kind = quote(ARTIFACT, safe="")
    answer = visit.of("GET", f"referrers/{visit.pushed.subject}?artifactType={kind}")
    if answer.status_code != 200:
        return wrong(f"referrers are answered {said(answer)}", "let /v2/<name>/referrers/ pass")
    if visit.pushed.digest not in answer.text:
        return wrong(
            f"{ARTIFACT} refers to a digest, and is not listed by artifactType={kind}",
            "what stands in front decodes the query: have it pass the query as it came",
        )
    return ok("a filter with %2F and %2B in the query finds what it should")


def _fetched(
    visit: Visit, method: str, digest: str, headers: dict[str, str] | None = None
) -> tuple[requests.Response, str]:
    """From where the registry sends one, and its host. No credential goes there. Raises BrokenError."""
    answer = visit.of(method, f"blobs/{digest}", headers=headers or {})
    if not answer.is_redirect:
        return answer, visit.url.partition("://")[2]
    target = urljoin(answer.url, answer.headers["Location"])
    place = urlsplit(target)
    if visit.is_secure and place.scheme == "http":
        raise BrokenError(f"a blob is at http://{place.netloc}, and the registry at https", _STORAGE)
    try:
        return visit.wire.ask(method, target, headers=headers or {}), place.netloc
    except BrokenError as error:
        raise BrokenError(f"a blob is at {place.netloc}: {error.seen}", _STORAGE) from error


def _not_given(answer: requests.Response, place: str, what: str) -> Finding:
    code = answer.text.partition("<Code>")[2].partition("</Code>")[0]
    mend = (
        "set the clock of the registry; or its role lacks s3:GetObject, or a proxy changes the host"
        if answer.status_code in {401, 403}
        else "see whether the bucket is the one of CCR_BUCKET, and run `ccr fsck`"
    )
    return wrong(f"{what} is answered {answer.status_code} {code} by {place}".replace("  ", " "), mend)


CHECKS: Final = (
    Check(
        "pull-manifest",
        "HEAD of a manifest has its Content-Length, and GET its bytes",
        manifest,
        ("push-manifest",),
    ),
    Check(
        "pull-blob", "every blob comes back by the redirect, with the bytes of its digest", blobs, ("push",)
    ),
    Check("head-blob", "HEAD of a blob has its Content-Length", head, ("push",)),
    Check("range", "a part of a blob can be had", ranges, ("push",)),
    Check("referrers", "a `+` in a query arrives", referrers, ("push-manifest",)),
    CLEAN,
)
