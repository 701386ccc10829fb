"""Upload sessions: end-4a, end-4b, end-5, end-6, end-11, end-13, end-14."""

from __future__ import annotations

import re
from typing import Final

from chalicelib.config import GATEWAY
from chalicelib.endpoints import carriers
from chalicelib.endpoints.event import Request
from chalicelib.endpoints.responses import Response
from chalicelib.endpoints.services import Call, Services, UploadServices
from chalicelib.identity.grants import PULL
from chalicelib.identity.tenancy import ACTIVE
from chalicelib.registry.stores import UploadRow
from chalicelib.registry.uploads import SESSION, Chunk, content_range
from chalicelib.spec.digest import Digest
from chalicelib.spec.errors import ErrorCode, RegistryError
from chalicelib.spec.reference import Repository, check_name

# `start-end` of the specification, or the `bytes start-end/total` of RFC 9110 that some clients send.
_RANGE: Final = re.compile(r"(?:bytes[ =])?([0-9]{1,18})-([0-9]{1,18})(?:/(?:[0-9]+|\*))?")


def start(services: Services, call: Call) -> Response:
    """POST: mount, or take the whole blob at once, or open a session."""
    request = call.request
    mount = request.first("mount")
    if mount and _mount(services, call, Digest.parse(mount)):
        return _created(call.repository, Digest.parse(mount))
    digest = request.first("digest")
    checked = Digest.parse(digest) if digest and not mount else None
    if algorithm := request.first("digest-algorithm"):
        _check_algorithm(algorithm)
    if checked is None:
        return _opened(services, call)
    chunk = chunk_of(request)
    row = services.uploads.open(call.repository, chunk.announced or 0, checked)
    services.uploads.close(call.repository, row.session, checked, chunk)
    request.seen.uploads_opened = request.seen.uploads_closed = 1
    return _created(call.repository, checked)


def append(services: UploadServices, call: Call) -> Response:
    """PATCH, with or without Content-Range."""
    row = services.uploads.append(call.repository, call.parameters["session"], chunk_of(call.request))
    return _session(services, call, row, 202)


def close(services: Services, call: Call) -> Response:
    """PUT with `?digest=`, with or without the last bytes."""
    digest, chunk = Digest.parse(call.request.first("digest")), chunk_of(call.request)
    try:
        services.uploads.close(call.repository, call.parameters["session"], digest, chunk)
    except RegistryError as error:
        if not _is_repeated(services, call, error, chunk, digest):
            raise
    else:
        call.request.seen.uploads_closed = 1
    return _created(call.repository, digest)


def _is_repeated(services: Services, call: Call, error: RegistryError, chunk: Chunk, digest: Digest) -> bool:
    """Whether an empty PUT asks for what an earlier one did, whose answer may have been lost."""
    is_session = SESSION.fullmatch(call.parameters["session"]) is not None
    is_gone = is_session and error.code is ErrorCode.BLOB_UPLOAD_UNKNOWN and chunk.length == 0
    return is_gone and services.blobs.links.get(call.repository, digest) is not None


def status(services: UploadServices, call: Call) -> Response:
    return _session(services, call, services.uploads.status(call.repository, call.parameters["session"]), 204)


def cancel(services: UploadServices, call: Call) -> Response:
    services.uploads.cancel(call.repository, call.parameters["session"])
    return Response(204)


def location(services: UploadServices, call: Call, row: UploadRow, carrier: str = GATEWAY) -> str:
    """Relative, on the registry's own host: some clients refuse any other. See ADR 7.

    Once bytes have come, S3 alone can no longer take the rest, whatever the client.
    """
    name = row.repository.name
    capability = services.capabilities.issue(call.principal, name, row.session)
    return f"{carriers.prefix(carrier)}/{capability}/v2/{name}/blobs/uploads/{row.session}"


def _opened(services: Services, call: Call) -> Response:
    settings, agent = services.settings, call.request.headers.get("user-agent", "")
    carrier = carriers.choose(agent, settings.uploads, refuse_streams=settings.refuse_streams)
    row = services.uploads.open(call.repository)
    call.request.seen.uploads_opened = 1
    return _session(services, call, row, 202, carrier)


def _mount(services: Services, call: Call, digest: Digest) -> bool:
    """A repository that the caller may not pull from is as good as one without the blob."""
    source = call.request.first("from")
    if source:
        check_name(source)
    if not source:
        wide = PULL in call.principal.everywhere
        return wide and services.adoption.mount(call.repository, digest, None)
    if not _may_pull(services, call, source):
        return False
    return services.adoption.mount(call.repository, digest, Repository(call.repository.account, source))


def _may_pull(services: Services, call: Call, source: str) -> bool:
    """By the token, or because the caller may pull everywhere in the source's account.

    Not by one from before the source's registry was moved or deleted.
    """
    principal, name = call.principal, source.partition("/")[0]
    if not services.revocations.reach(name, principal.issued):
        return False
    if principal.allows(PULL, source):
        return True
    if PULL not in principal.everywhere:
        return False
    registry = services.tenancy.store.registry(name)
    return registry is not None and registry.account == principal.account and registry.state == ACTIVE


def _check_algorithm(algorithm: str) -> None:
    if algorithm not in {"sha256", "sha512"}:
        raise RegistryError(ErrorCode.DIGEST_INVALID, f"{algorithm} is not supported; use sha256 or sha512")


def _session(
    services: UploadServices, call: Call, row: UploadRow, status_code: int, carrier: str = GATEWAY
) -> Response:
    headers = {
        "Location": location(services, call, row, carrier),
        "Range": content_range(row),
        "Docker-Upload-UUID": row.session,
    }
    return Response(status_code, headers)


def _created(repository: Repository, digest: Digest) -> Response:
    location_ = f"/v2/{repository.name}/blobs/{digest}"
    return Response(201, {"Location": location_, "Docker-Content-Digest": digest})


def chunk_of(request: Request) -> Chunk:
    text = request.headers.get("content-range")
    length = request.content_length()
    if text is None:
        return Chunk(request.blocks, length)
    match = _RANGE.fullmatch(text.strip())
    if match is None:
        message = "Content-Range looks like <first byte>-<last byte>"
        raise RegistryError(ErrorCode.BLOB_UPLOAD_INVALID, message, status=416)
    first, last = int(match[1]), int(match[2])
    if length is not None and last - first + 1 != length and not _is_empty(first, last, length):
        message = f"Content-Range {text} is not as long as the Content-Length, {length}"
        raise RegistryError(ErrorCode.SIZE_INVALID, message)
    return Chunk(request.blocks, length, first, None if _is_empty(first, last, length) else last)


def _is_empty(first: int, last: int, length: int | None) -> bool:
    """An empty body has no range of its own: clients write 0-0, or one that ends before it starts."""
    return length == 0 and last <= first
