"""From a request to its answer: match, authenticate, authorise by the route's action, call."""

from __future__ import annotations

import logging
from typing import Final

from chalicelib.endpoints import health, routes
from chalicelib.endpoints.authenticate import Challenge, authorise, base_url, scope_for, stands
from chalicelib.endpoints.event import Request
from chalicelib.endpoints.responses import Response, refusal
from chalicelib.endpoints.routes import Endpoint
from chalicelib.endpoints.services import Call, Services
from chalicelib.identity.grants import PULL, PUSH, Principal
from chalicelib.registry.blobs import busy, unknown_upload
from chalicelib.spec.errors import ErrorCode, RegistryError
from chalicelib.spec.reference import Repository, check_name, is_name

_LOG: Final = logging.getLogger(__name__)


def answer(services: Services, request: Request) -> Response:
    """Never raises: a refusal is an envelope, anything else is logged and a 500 that says nothing."""
    try:
        response = _answer(services, request)
    except RegistryError as error:
        request.seen.error = error.code.name
        response = refusal(error)
    except Exception as error:  # noqa: BLE001 - the last line: nothing unlisted reaches a client
        response = refusal(_hidden(services, error))
    if request.method == "HEAD" and not services.settings.head_carries_body:
        response.headers.setdefault("Content-Length", str(len(response.body)))
        response.body = b""
    return response


def _answer(services: Services, request: Request) -> Response:
    path = request.path()
    if health.is_asked(path):
        return health.answer(request, path, services.is_ready)
    endpoints, parameters = routes.match(path)
    if not endpoints:
        if path.startswith("/v2/"):
            _authorised(services, request, "", "")
        raise RegistryError(ErrorCode.UNSUPPORTED, "no such endpoint", ({"path": path[:200]},), status=404)
    endpoint = _by_method(endpoints, request.method)
    name = parameters.get("name", "")
    request.seen.operation, request.seen.route = endpoint.operation, endpoint.path
    request.seen.repository = name if is_name(name) else ""
    principal = _principal(services, request, endpoint, parameters)
    request.seen.account, request.seen.actor = principal.account, principal.id
    if name:
        check_name(name)
    call = Call(
        request=request,
        principal=principal,
        parameters=parameters,
        repository=Repository(principal.account, name),
    )
    return endpoint.handler(services, call)


def _by_method(endpoints: tuple[Endpoint, ...], method: str) -> Endpoint:
    for endpoint in endpoints:
        if method in endpoint.methods:
            return endpoint
    allowed = ", ".join(sorted({one for endpoint in endpoints for one in endpoint.methods}))
    message = f"{method} is not possible here; {allowed} are"
    raise RegistryError(ErrorCode.UNSUPPORTED, message, status=405, headers={"Allow": allowed})


def _principal(
    services: Services, request: Request, endpoint: Endpoint, parameters: dict[str, str]
) -> Principal:
    if endpoint.action is None:
        return Principal("", "")
    name, capability = parameters.get("name", ""), parameters.get("capability")
    if capability is None:
        return _authorised(services, request, endpoint.action, name)
    bearer = services.capabilities.verify(capability, name, parameters["session"])
    if bearer is None or not stands(services, bearer, name):
        raise unknown_upload()
    return bearer


def _authorised(services: Services, request: Request, action: str, name: str) -> Principal:
    scope = scope_for(action, name) if _is_quotable(name) else ""
    source = request.first("from") if action == PUSH and request.first("mount") else ""
    if source and _is_quotable(source):
        scope += f" {scope_for(PULL, source)}"
    challenge = Challenge(f"{base_url(services, request)}/token", services.settings.service, scope)
    return authorise(services, request, action, name, challenge)


def _is_quotable(name: str) -> bool:
    """Whether a header can carry the name: the grammar decides the rest once the caller is known."""
    return name.isascii() and name.isprintable() and '"' not in name and "\\" not in name


def _hidden(services: Services, error: Exception) -> RegistryError:
    if services.is_throttled(error):
        return busy()
    _LOG.error("unexpected error", exc_info=error)
    message = "the registry failed to answer; what was being written is not visible, so try again"
    return RegistryError(ErrorCode.UNSUPPORTED, message, status=500)
