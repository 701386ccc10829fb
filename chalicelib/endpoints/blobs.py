"""Blobs by presigned redirect: end-2 and end-10."""

from __future__ import annotations

import re
from typing import Final

from chalicelib.endpoints.event import Request
from chalicelib.endpoints.responses import Response
from chalicelib.endpoints.services import Call, Services
from chalicelib.registry.stores import Link
from chalicelib.spec.digest import Digest
from chalicelib.spec.errors import ErrorCode, RegistryError

_RANGE: Final = re.compile(r"bytes=([0-9]{1,18})-([0-9]{0,18})")


def get(services: Services, call: Call) -> Response:
    """GET and HEAD, each with a URL presigned for it: S3 refuses HEAD on one made for GET."""
    digest = Digest.parse(call.parameters["digest"])
    link = services.adoption.find(call.repository, digest)
    _check_range(call.request, link)
    if call.request.method == "GET":
        call.request.seen.bytes_redirected = link.size
    return Response(
        307,
        {
            "Location": services.blobs.location(call.request.method, link),
            "Docker-Content-Digest": digest,
            "Cache-Control": "no-store",
        },
    )


def delete(services: Services, call: Call) -> Response:
    services.adoption.delete(call.repository, Digest.parse(call.parameters["digest"]), call.actor)
    return Response(202)


def _check_range(request: Request, link: Link) -> None:
    """S3 answers a range that ends before it starts with the whole object: refuse it here (416)."""
    match = _RANGE.fullmatch(request.headers.get("range", "").strip())
    if match is None:
        return
    first, last = int(match[1]), int(match[2] or link.size)
    if first >= link.size or last < first:
        raise RegistryError(
            ErrorCode.SIZE_INVALID,
            f"the blob has {link.size} bytes",
            status=416,
            headers={"Content-Range": f"bytes */{link.size}"},
        )
