"""Manifests: end-3, end-7a, end-7b, end-9."""

from __future__ import annotations

from typing import Final

from chalicelib.endpoints.event import Request
from chalicelib.endpoints.responses import INERT, Response
from chalicelib.endpoints.services import Call, Services
from chalicelib.registry.manifests import Precondition, Push, Stored
from chalicelib.spec.digest import Digest
from chalicelib.spec.errors import ErrorCode, RegistryError
from chalicelib.spec.manifest import SIZE_LIMIT, parse_manifest
from chalicelib.spec.reference import check_tag, parse_reference

TAGS_LIMIT: Final = 32


def get(services: Services, call: Call) -> Response:
    """GET and HEAD. Content is never converted: what was pushed is what is pulled."""
    reference = parse_reference(call.parameters["reference"])
    bare = call.request.method == "HEAD" and not services.settings.head_carries_body
    read = services.manifests.describe if bare else services.manifests.get
    stored = read(call.repository, reference)
    if call.request.method == "GET":
        services.manifests.note_pull(call.repository, stored)
        services.pulls.note(call.repository, reference, stored, call.actor)
    headers = {
        "Content-Type": stored.media_type,
        "Content-Length": str(stored.size),
        "Docker-Content-Digest": stored.digest,
        "ETag": f'"{stored.digest}"',
        **INERT,
    }
    if _is_known(call.request, stored):
        del headers["Content-Type"], headers["Content-Length"]
        return Response(304, headers)
    return Response(200, headers, stored.raw or b"")


def put(services: Services, call: Call) -> Response:
    """By tag, or by digest with any number of `?tag=` up to `TAGS_LIMIT`."""
    request = call.request
    if (request.content_length() or 0) > SIZE_LIMIT:
        message = f"a manifest has at most {SIZE_LIMIT} bytes"
        raise RegistryError(ErrorCode.MANIFEST_INVALID, message, status=413)
    reference = parse_reference(call.parameters["reference"])
    more = [check_tag(tag) for tag in dict.fromkeys(request.every("tag"))]
    raw = request.body()
    _check_length(request, raw)
    manifest = parse_manifest(raw, request.headers.get("content-type", ""))
    digest = _digest(reference, raw)
    tags = more if isinstance(reference, Digest) else list(dict.fromkeys([reference, *more]))
    if len(tags) > TAGS_LIMIT:
        message = f"at most {TAGS_LIMIT} tags in one request"
        raise RegistryError(ErrorCode.MANIFEST_INVALID, message, status=413)
    services.manifests.put(
        Push(call.repository, manifest, digest, tuple(tags), call.actor, _precondition(request))
    )
    headers = {
        "Location": f"/v2/{call.repository.name}/manifests/{digest}",
        "Docker-Content-Digest": digest,
        "ETag": f'"{digest}"',
    }
    if manifest.subject is not None:
        headers["OCI-Subject"] = manifest.subject.digest
    if more:
        headers["OCI-Tag"] = ", ".join(more)
    if warning := services.soft_limits.warning(call.repository):
        headers["Warning"] = f'299 - "{warning}"'
    return Response(201, headers)


def delete(services: Services, call: Call) -> Response:
    """A tag alone, or a manifest with every tag that names it."""
    reference, precondition = parse_reference(call.parameters["reference"]), _precondition(call.request)
    if isinstance(reference, Digest):
        services.manifests.delete(call.repository, reference, call.actor, precondition)
    else:
        services.manifests.untag(call.repository, reference, call.actor, precondition)
    return Response(202)


def _digest(reference: Digest | str, raw: bytes) -> Digest:
    if not isinstance(reference, Digest):
        return Digest.of(raw)
    found = Digest.of(raw, reference.algorithm)
    if found != reference:
        message = f"the manifest hashes to {found}, not to {reference}"
        raise RegistryError(ErrorCode.DIGEST_INVALID, message, ({"digest": reference, "computed": found},))
    return found


def _check_length(request: Request, raw: bytes) -> None:
    length = request.content_length()
    if length is not None and length != len(raw):
        message = f"Content-Length says {length} bytes, {len(raw)} came"
        raise RegistryError(ErrorCode.SIZE_INVALID, message)


def _precondition(request: Request) -> Precondition:
    """If-Match and If-None-Match of RFC 9110: no update of a tag is lost."""
    wanted = request.headers.get("if-match")
    matches = tuple(_etags(wanted or ""))
    if wanted is not None and not matches:
        raise RegistryError(
            ErrorCode.MANIFEST_INVALID, "If-Match names no ETag: it takes them in quotes, or *"
        )
    return Precondition(matches, absent=request.headers.get("if-none-match", "").strip() == "*")


def _is_known(request: Request, stored: Stored) -> bool:
    known = _etags(request.headers.get("if-none-match", ""))
    return stored.digest in known or "*" in known


def _etags(header: str) -> list[str]:
    return [part.strip().removeprefix("W/").strip('"') for part in header.split(",") if part.strip()]
