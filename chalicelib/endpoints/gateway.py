"""The endpoints of an upload gateway: `/u/*` of the specification's uploads, and its health."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from chalicelib.endpoints import health, routes, uploads
from chalicelib.endpoints.event import Request
from chalicelib.endpoints.forwarding import Registry
from chalicelib.endpoints.responses import Response, refusal
from chalicelib.endpoints.services import Call
from chalicelib.identity.capability import Capabilities
from chalicelib.registry.blobs import busy, unknown_upload
from chalicelib.registry.uploads import Uploads
from chalicelib.spec.digest import Digest
from chalicelib.spec.errors import ErrorCode, RegistryError
from chalicelib.spec.reference import Repository, check_name

_LOG: Final = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class GatewayServices:
    """No key that signs tokens, no row but the session's: `registry` publishes."""

    uploads: Uploads
    capabilities: Capabilities
    registry: Registry
    is_ready: Callable[[], bool]
    is_throttled: Callable[[BaseException], bool]


def answer(services: GatewayServices, request: Request) -> Response:
    """Never raises."""
    try:
        return _answer(services, request)
    except RegistryError as error:
        request.seen.error = error.code.name
        return refusal(error)
    except Exception as error:  # noqa: BLE001 - the last line: nothing unlisted reaches a client
        if services.is_throttled(error):
            return refusal(busy())
        _LOG.exception("unexpected error")
        message = "the gateway failed to answer; ask for the status of the upload and go on from there"
        return refusal(RegistryError(ErrorCode.UNSUPPORTED, message, status=500))


def _answer(services: GatewayServices, request: Request) -> Response:
    path = request.path()
    if health.is_asked(path):
        return health.answer(request, path, services.is_ready)
    call = _call(services, request, path)
    match request.method:
        case "PATCH":
            return uploads.append(services, call)
        case "PUT":
            return _close(services, call)
        case "GET" | "HEAD":
            return uploads.status(services, call)
        case "DELETE":
            return uploads.cancel(services, call)
    message = f"{request.method} is not possible here"
    headers = {"Allow": "DELETE, GET, HEAD, PATCH, PUT"}
    raise RegistryError(ErrorCode.UNSUPPORTED, message, status=405, headers=headers)


def _call(services: GatewayServices, request: Request, path: str) -> Call:
    """Whoever has the capability, for the session that it names. Raises BLOB_UPLOAD_UNKNOWN (404)."""
    endpoints, parameters = routes.match(path)
    if "capability" not in parameters or not any(endpoint.is_upload for endpoint in endpoints):
        message = "an upload gateway serves the uploads that a registry has opened, and nothing else"
        raise RegistryError(ErrorCode.UNSUPPORTED, message, status=404)
    name = parameters["name"]
    operation = {"PATCH": "append", "PUT": "close", "DELETE": "cancel"}.get(request.method, "status")
    request.seen.operation, request.seen.route = f"uploads.{operation}", endpoints[0].path
    bearer = services.capabilities.verify(parameters["capability"], name, parameters["session"])
    if bearer is None:
        raise unknown_upload()
    repository = Repository(bearer.account, check_name(name))
    request.seen.account, request.seen.actor = bearer.account, bearer.id
    request.seen.repository = name
    return Call(request=request, principal=bearer, parameters=parameters, repository=repository)


def _close(services: GatewayServices, call: Call) -> Response:
    digest = Digest.parse(call.request.first("digest"))
    chunk = uploads.chunk_of(call.request)
    try:
        services.uploads.verify(call.repository, call.parameters["session"], digest, chunk)
    except RegistryError as error:
        # A session that is gone may have been published: the registry knows, and an empty PUT may ask it.
        if error.code is not ErrorCode.BLOB_UPLOAD_UNKNOWN or chunk.length != 0:
            raise
    return services.registry.publish(call.request, digest)
