"""What the edge says of a request that came through it, and what it must be told of the answer.

The edge is infra/edge: it alone knows the secret, so what it says beside it is believed.
"""

from __future__ import annotations

import base64
import hmac
import json
from collections.abc import Mapping, Sequence
from typing import Any, Final

from chalicelib.config import Settings
from chalicelib.identity.capability import capability_keys
from chalicelib.spec.errors import ErrorCode, RegistryError

PROOF: Final = "x-ccr-edge"
VIEWER: Final = "x-ccr-viewer"
HOST: Final = "x-ccr-host"
SCHEME: Final = "x-ccr-proto"
# A function URL renames `WWW-Authenticate`, and CloudFront may hide the other name from its functions.
CHALLENGE: Final = "x-ccr-challenge"


def behind_edge(event: Mapping[str, Any], secrets: Sequence[str]) -> Mapping[str, Any]:
    """The event as the edge got it. Raises DENIED (403) for one that came another way."""
    if not secrets:
        return event
    headers = {name.lower(): value for name, value in (event.get("headers") or {}).items()}
    shown = headers.pop(PROOF, "").encode()
    if not any(hmac.compare_digest(shown, secret.encode()) for secret in secrets):
        message = "this registry is reached by its public name, through its edge"
        raise RegistryError(ErrorCode.DENIED, message)
    context = event["requestContext"]
    http = {**context["http"], "sourceIp": headers.pop(VIEWER, context["http"].get("sourceIp", ""))}
    for name, told in (("host", HOST), ("x-forwarded-proto", SCHEME)):
        if told in headers:
            headers[name] = headers.pop(told)
    return {**event, "headers": headers, "requestContext": {**context, "http": http}}


def for_edge(answer: dict[str, Any]) -> dict[str, Any]:
    """With the challenge under a name that survives the way."""
    headers = answer.get("headers") or {}
    for name, value in list(headers.items()):
        if name.lower() == "www-authenticate":
            headers[CHALLENGE] = value
    return answer


def denied(error: RegistryError) -> dict[str, Any]:
    """Of whatever function it came to."""
    body = base64.b64encode(json.dumps(error.envelope()).encode()).decode()
    headers = {"Content-Type": "application/json"}
    return {"statusCode": error.status, "headers": headers, "body": body, "isBase64Encoded": True}


def known_to_the_edge(settings: Settings, *, has_gateway: bool) -> dict[str, Any]:
    """What its key value store has under `edge`. The keys are those of capabilities alone."""
    return {
        "keys": [key.hex() for key in capability_keys(settings.token_keys)],
        "service": settings.service,
        "secret": settings.origin_secrets[0] if settings.origin_secrets else "",
        "url": settings.public_url,
        "gateway": has_gateway,
    }
