"""Requests as CloudFront hands them to its functions, and uploads with capabilities of our own."""

from __future__ import annotations

import base64
import json
import time
from collections.abc import Mapping
from typing import Any

from chalicelib.config import EDGE, FUNCTION, Settings
from chalicelib.identity.capability import Capabilities, derive_key
from chalicelib.identity.grants import Principal
from chalicelib.spec.digest import Digest

KEY, OLD_KEY = b"the key of the tests".ljust(32), b"one before it".ljust(32)
SECRET = "what only the edge knows"
SETTINGS = Settings(
    token_keys=(KEY, OLD_KEY),
    uploads=frozenset({FUNCTION, EDGE}),
    origin_secrets=(SECRET,),
    create_on_push=True,
)
SESSION = "0123456789abcdef0123456789abcdef"
BLOB = Digest.of(b"a blob")
HEX = BLOB.partition(":")[2]
CI = Principal("ci", "acme", generation=3)


def issued(
    *, repository: str = "dev/app", session: str = SESSION, key: bytes = KEY, at: float | None = None
) -> str:
    """A capability as the registry makes them."""
    now = time.time() if at is None else at
    return Capabilities([derive_key(key, "capability")], lambda: now).issue(CI, repository, session)


def upload_path(capability: str, repository: str = "dev/app", session: str = SESSION) -> str:
    return f"/s/{capability}/v2/{repository}/blobs/uploads/{session}"


def event(
    method: str, uri: str, query: Mapping[str, str] | None = None, headers: Mapping[str, str] | None = None
) -> dict[str, Any]:
    """Header names in lower case; values of the query as they were sent."""
    named = {"host": "registry.test", **(headers or {})}
    return {
        "version": "1.0",
        "context": {"eventType": "viewer-request"},
        "viewer": {"ip": "203.0.113.7"},
        "request": {
            "method": method,
            "uri": uri,
            "querystring": {name: {"value": value} for name, value in (query or {}).items()},
            "headers": {name: {"value": value} for name, value in named.items()},
            "cookies": {},
        },
    }


def put(path: str, digest: str = BLOB, length: int = 6, **headers: str) -> dict[str, Any]:
    """One that S3 could take."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return event("PUT", path, {"digest": digest}, {"content-length": str(length), **named})


def token(expires: float) -> str:
    """A bearer token by its shape: the edge looks at the date alone."""
    parts = ({"alg": "HS256"}, {"exp": int(expires)})
    return (
        ".".join(base64.urlsafe_b64encode(json.dumps(one).encode()).decode().rstrip("=") for one in parts)
        + ".x"
    )


def refusal(result: Mapping[str, Any]) -> tuple[int, str]:
    """Status and code of an answer in the specification's envelope."""
    (entry,) = json.loads(result["body"]["data"])["errors"]
    assert entry["message"]
    assert result["headers"]["content-type"] == {"value": "application/json"}
    return result["statusCode"], entry["code"]
