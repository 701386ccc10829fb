"""The management API: function URL events in, JSON out; who asks, once for each key, and the audit trail.

https://docs.aws.amazon.com/powertools/python/latest/core/event_handler/api_gateway/
"""

from __future__ import annotations

import base64
import binascii
import functools
import hashlib
import json
import logging
import re
import string
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from typing import Any, Final
from urllib.parse import unquote

from aws_lambda_powertools.event_handler import LambdaFunctionUrlResolver, Response
from aws_lambda_powertools.event_handler.exceptions import NotFoundError
from aws_lambda_powertools.event_handler.middlewares import NextMiddleware
from aws_lambda_powertools.event_handler.openapi.exceptions import RequestValidationError
from pydantic import BaseModel

from chalicelib.identity.audit import Record
from chalicelib.identity.grants import Principal
from chalicelib.identity.refusals import RefusedError
from chalicelib.identity.sign_in import LockedError, SignedIn
from chalicelib.management import (
    checks,
    credentials,
    event_bus,
    forms,
    garbage,
    images,
    lifecycle,
    migrations,
    policies,
    quota,
    tenancy,
    undo,
    uploads,
    webhooks,
)
from chalicelib.management.document import openapi
from chalicelib.management.lifecycle_policy import rule_at
from chalicelib.management.problems import ProblemError, of_refusal, of_registry_error, problem
from chalicelib.management.services import Caller, ManagementServices
from chalicelib.observation.seen import Seen
from chalicelib.spec.errors import RegistryError

PREFIX: Final = "/api/v1"
BODY_LIMIT: Final = 64 * 1024
KEY_LIMIT: Final = 128
DEPTH_LIMIT: Final = 32
_LOG: Final = logging.getLogger(__name__)
_ESCAPE: Final = re.compile("%[0-9A-Fa-f]{2}")
_PLAIN: Final = frozenset(string.ascii_letters + string.digits + "-._~!$&'()*+,;=:@")
_DOCUMENT: Final = f"{PREFIX}/openapi.json"
_UPLOADS: Final = f"{PREFIX}/uploads"


_ROUTERS: Final = (
    tenancy.router,
    credentials.router,
    images.router,
    uploads.router,
    checks.router,
    quota.router,
    lifecycle.router,
    undo.router,
    policies.router,
    garbage.router,
    webhooks.router,
    event_bus.router,
    migrations.router,
)
_TURN: Final = threading.Lock()


class ManagementApi:
    """Made once for a deployment: it compiles the routes."""

    def __init__(self, services: ManagementServices) -> None:
        self._services = services
        self._app = _resolver()

    def handle(self, event: Mapping[str, Any], seen: Seen | None = None) -> dict[str, Any]:
        """Answer one function URL event. Never raises."""
        http, seen = event["requestContext"]["http"], Seen() if seen is None else seen
        seen.operation = "api.read" if http["method"] in {"GET", "HEAD"} else "api.change"
        if http["method"] == "GET" and event["rawPath"] == _DOCUMENT:
            return _as_event(Response(200, "application/json", self._document))
        headers = {name.lower(): value for name, value in (event.get("headers") or {}).items()}
        address = str(http.get("sourceIp", ""))
        try:
            caller = self._caller(headers, address, event["rawPath"])
        except ProblemError as error:
            return _as_event(problem(error.status, error.detail, headers=error.headers))
        caller = replace(caller, seen=seen)
        seen.account, seen.actor = caller.credential.account, caller.credential.id
        status = 500
        try:
            answer = self._answer(event, headers, caller)
            status = answer["statusCode"]
        finally:
            self._tell(caller, http["method"], event["rawPath"], status)
        return answer

    def _answer(self, event: Mapping[str, Any], headers: Mapping[str, str], caller: Caller) -> dict[str, Any]:
        try:
            _check_media_type(event, headers)
            return self._once(event, headers, caller)
        except ProblemError as error:
            return _as_event(problem(error.status, error.detail, headers=error.headers))

    @functools.cached_property
    def _document(self) -> str:
        """OpenAPI 3.1. Made once: it takes 50 ms, and whoever asks has not logged in."""
        return json.dumps(openapi(self._app))

    def _caller(self, headers: Mapping[str, str], address: str, path: str) -> Caller:
        """Raises ProblemError (401, 429)."""
        authorization = headers.get("authorization", "")
        token = self._token(authorization) if _is_upload(path) else None
        try:
            signed_in = self._sign_in(authorization, token, address)
        except LockedError as error:
            raise ProblemError(429, error.message, {"Retry-After": str(error.seconds)}) from error
        if signed_in is None:
            raise _unknown(has_tried=bool(authorization))
        if_match = headers.get("if-match", "")
        return Caller(signed_in.credential, address, if_match, token, signed_in.secret)

    def _token(self, authorization: str) -> Principal | None:
        """A registry token speaks for repositories, and so opens uploads alone."""
        kind, _, value = authorization.partition(" ")
        return self._services.token_of(value.strip()) if kind.lower() == "bearer" else None

    def _sign_in(self, authorization: str, token: Principal | None, address: str) -> SignedIn | None:
        if token is not None:
            return self._services.sign_in.by_token(token, address)
        id_, secret = _basic(authorization)
        return self._services.sign_in.by_secret(id_, secret, address)

    def _once(self, event: Mapping[str, Any], headers: Mapping[str, str], caller: Caller) -> dict[str, Any]:
        """A create that carries an Idempotency-Key happens once; its repetition is answered as it was."""
        key = headers.get("idempotency-key", "")
        is_create = event["requestContext"]["http"]["method"] == "POST"
        # A presigned URL is stored nowhere, and to open an upload again does no harm.
        if not is_create or not key or _is_upload(event["rawPath"]):
            return self._resolve(event, caller)
        if len(key) > KEY_LIMIT or not key.isprintable():
            raise ProblemError(400, f"an Idempotency-Key has at most {KEY_LIMIT} printable characters")
        by = caller.credential
        name = hashlib.sha256(f"{by.account}\0{by.id}\0{by.generation}\0{key}".encode()).hexdigest()
        what = f"{event['rawPath']}\0{event.get('body') or ''}"
        fingerprint = hashlib.sha256(what.encode()).hexdigest()
        if not self._services.answers.begin(name, fingerprint):
            return self._repeated(name, fingerprint)
        return self._first(name, event, caller)

    def _first(self, name: str, event: Mapping[str, Any], caller: Caller) -> dict[str, Any]:
        try:
            answer = self._resolve(event, caller)
        except BaseException:
            self._services.answers.drop(name)
            raise
        if answer["statusCode"] < 300:
            self._services.answers.keep(name, json.dumps(_without_secret(answer)))
        else:
            self._services.answers.drop(name)
        return answer

    def _repeated(self, name: str, fingerprint: str) -> dict[str, Any]:
        kept = self._services.answers.get(name)
        if kept is not None and kept[0] != fingerprint:
            raise ProblemError(422, "this Idempotency-Key was used for another request")
        if kept is None or kept[1] is None:
            raise ProblemError(409, "a request with this Idempotency-Key is under way", {"Retry-After": "1"})
        answer: dict[str, Any] = json.loads(kept[1])
        answer["headers"]["Idempotency-Replayed"] = "true"
        return answer

    def _resolve(self, event: Mapping[str, Any], caller: Caller) -> dict[str, Any]:
        """One at a time: the resolver keeps the event and the context on itself.

        The routers are the process's, and answer for the deployment that asked last: they are told each time.
        """
        plain = {
            **event,
            "body": _body(event),
            "isBase64Encoded": False,
            "rawPath": _plain_path(event["rawPath"]),
        }
        is_change = event["requestContext"]["http"]["method"] not in {"GET", "HEAD"}
        with _TURN:
            caller = self._still(caller) if is_change else caller
            for router in _ROUTERS:
                router.api_resolver = self._app
            self._app.append_context(services=self._services, caller=caller)  # type: ignore[no-untyped-call]
            answer = self._app.resolve(plain, object())  # type: ignore[arg-type]
        return _worked(answer, caller.later[0]) if caller.later else answer

    def _still(self, caller: Caller) -> Caller:
        """As the credential is now: those before in the turn may have taken it away. Raises ProblemError."""
        before = caller.credential
        after = self._services.desk.store.get(before.id)
        is_same = after is not None and after.generation == before.generation
        if after is None or not is_same or not after.lives(self._services.sign_in.clock()):
            raise _unknown()
        return replace(caller, credential=after)

    def _tell(self, caller: Caller, method: str, path: str, status: int) -> None:
        credential = caller.credential
        result = "ok" if status < 400 else str(status)
        at = int(time.time() * 1000)
        record = Record(
            credential.account,
            at,
            credential.id,
            f"api {method}",
            path[:512],
            caller.address,
            result,
            caller.told,
        )
        self._services.trail.write(record)


def _worked(answer: dict[str, Any], work: Callable[[], BaseModel]) -> dict[str, Any]:
    """With what is done while others have their turn."""
    try:
        return {**answer, "body": work().model_dump_json()}
    except Exception:  # noqa: BLE001 - as the resolver answers it
        _LOG.exception("unexpected error")
        return _as_event(_failed())


def document() -> dict[str, Any]:
    """The OpenAPI document, of no deployment in particular."""
    return openapi(_resolver())


def _resolver() -> LambdaFunctionUrlResolver:
    app = LambdaFunctionUrlResolver(enable_validation=True)
    app.use(middlewares=[_refuse_unknown_parameters])
    for router in _ROUTERS:
        app.include_router(router, prefix=PREFIX)

    @app.exception_handler(RequestValidationError)  # type: ignore[untyped-decorator]
    def invalid(error: RequestValidationError) -> Response[str]:
        body = _document_of(app)
        entries = [
            {"at": list(one["loc"]), "detail": f"{rule_at(body, tuple(one['loc']))}{_in_words(one)}"}
            for one in error.errors()
        ]
        return problem(422, "the request is not what this operation takes", errors=entries)

    @app.exception_handler(RefusedError)  # type: ignore[untyped-decorator]
    def refused(error: RefusedError) -> Response[str]:
        return of_refusal(error)

    @app.exception_handler(RegistryError)  # type: ignore[untyped-decorator]
    def refused_by_registry(error: RegistryError) -> Response[str]:
        return of_registry_error(error)

    @app.exception_handler(ProblemError)  # type: ignore[untyped-decorator]
    def found_by_transport(error: ProblemError) -> Response[str]:
        return problem(error.status, error.detail, headers=error.headers)

    @app.not_found
    def no_route(_error: NotFoundError) -> Response[str]:
        methods = _methods(app)
        if not methods:
            return problem(404, "no such operation")
        allowed = ", ".join(methods)
        return problem(405, f"here you can {allowed}", headers={"Allow": allowed})

    @app.exception_handler(Exception)  # type: ignore[untyped-decorator]
    def unexpected(error: Exception) -> Response[str]:
        _LOG.error("unexpected error", exc_info=error)
        return _failed()

    return app


def _failed() -> Response[str]:
    return problem(500, "the registry failed to answer; try again")


def _document_of(app: LambdaFunctionUrlResolver) -> object:
    try:
        return app.current_event.json_body
    except ValueError:
        return None


def _in_words(error: Mapping[str, Any]) -> str:
    """A person is told the form, not the regular expression of it."""
    if error.get("type") == "string_pattern_mismatch":
        return forms.in_words(str(error.get("ctx", {}).get("pattern", "")))
    return str(error["msg"])


def _methods(app: LambdaFunctionUrlResolver) -> list[str]:
    """What can be asked of the path of the event."""
    path = app.current_event.path
    routes = [*app._static_routes, *app._dynamic_routes]  # noqa: SLF001 - there is no other list of them
    return sorted({route.method for route in routes if route.rule.match(path)})


def _refuse_unknown_parameters(
    app: LambdaFunctionUrlResolver, next_middleware: NextMiddleware
) -> Response[Any]:
    """An error of typing, as an unknown field of a body is. Raises RequestValidationError."""
    if app.current_event.http_method not in _methods(app):
        return next_middleware(app)
    app.context["caller"].seen.route = app.context["_route"].path
    known = {one.alias for one in app.context["_route"].dependant.query_params}
    unknown = set(app.current_event.query_string_parameters) - known
    if unknown:
        raise RequestValidationError(
            [{"loc": ("query", name), "msg": "there is no such parameter"} for name in sorted(unknown)]
        )
    return next_middleware(app)


def _check_media_type(event: Mapping[str, Any], headers: Mapping[str, str]) -> None:
    """Raises ProblemError (415)."""
    media_type = headers.get("content-type", "").partition(";")[0].strip().lower()
    if event.get("body") and media_type not in {"", "application/json"}:
        raise ProblemError(415, "a body is application/json")


def _is_upload(path: str) -> bool:
    return _plain_path(path).startswith(_UPLOADS)


def _basic(header: str) -> tuple[str, str]:
    kind, _, value = header.partition(" ")
    if kind.lower() != "basic":
        return "", ""
    try:
        id_, _, secret = base64.b64decode(value.strip(), validate=True).decode().partition(":")
    except (binascii.Error, UnicodeDecodeError, ValueError):
        return "", ""
    return id_, secret


def _plain_path(path: str) -> str:
    """With what a segment may hold as it is decoded, as RFC 3986 would have it: %40 and @ are one id."""
    return _ESCAPE.sub(lambda found: one if (one := unquote(found[0])) in _PLAIN else found[0], path)


def _body(event: Mapping[str, Any]) -> str:
    """Raises ProblemError (413, 400)."""
    text = event.get("body") or ""
    try:
        body = base64.b64decode(text).decode() if event.get("isBase64Encoded") else str(text)
    except (binascii.Error, UnicodeDecodeError) as error:
        raise ProblemError(400, "the body is not UTF-8") from error
    if len(body) > BODY_LIMIT:
        raise ProblemError(413, f"a body has at most {BODY_LIMIT} bytes")
    _check_readable(body)
    return body


def _check_readable(body: str) -> None:
    """What is no JSON at all is left to the resolver, which says where. Raises ProblemError (400)."""
    try:
        level = [json.loads(body)] if body else []
    except json.JSONDecodeError:
        return
    except (ValueError, RecursionError) as error:
        raise ProblemError(400, "the body has a number too long, or lists too deep, to be read") from error
    for _ in range(DEPTH_LIMIT):
        level = [child for one in level for child in _children(one)]
    if level:
        raise ProblemError(400, f"the body nests more than {DEPTH_LIMIT} deep")


def _children(value: object) -> Iterable[object]:
    if isinstance(value, dict):
        return value.values()
    return value if isinstance(value, list) else ()


def _unknown(*, has_tried: bool = True) -> ProblemError:
    challenge = {"WWW-Authenticate": 'Basic realm="ccr"'}
    wrong = "wrong id or secret" if has_tried else "log in with the id and secret of a credential"
    return ProblemError(401, wrong, challenge)


def _without_secret(answer: dict[str, Any]) -> dict[str, Any]:
    """A secret is shown once and stored nowhere: who lost the answer rotates it."""
    document = json.loads(answer["body"]) if answer.get("body") else None
    for name in ("secret", "authorization"):
        if isinstance(document, dict) and name in document:
            document[name] = None
    return {**answer, "body": json.dumps(document) if document is not None else ""}


def _as_event(response: Response[str]) -> dict[str, Any]:
    headers = {"Content-Type": response.content_type or "", **response.headers}
    return {
        "statusCode": response.status_code,
        "headers": headers,
        "body": response.body or "",
        "isBase64Encoded": False,
    }
