"""The endpoints of the specification (`spec.md#endpoints`) as rows, and the one that a path is."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final
from urllib.parse import unquote

from chalicelib.endpoints import blobs, discovery, manifests, token, uploads
from chalicelib.endpoints.responses import Response
from chalicelib.endpoints.services import Call, Services
from chalicelib.identity.grants import DELETE, PULL, PUSH

Handler = Callable[[Services, Call], Response]

CATALOG_SCOPE: Final = "registry:catalog:*"


@dataclass(frozen=True, slots=True)
class Endpoint:
    """`action` is what the caller needs on the repository; '' a login alone; None nothing."""

    id: str
    methods: tuple[str, ...]
    path: str
    handler: Handler
    action: str | None
    is_upload: bool = False

    @property
    def operation(self) -> str:
        """Its name in logs and metrics: `blobs.get`."""
        return f"{self.handler.__module__.rpartition('.')[2]}.{self.handler.__name__}"


_UPLOAD: Final = "<upload>/blobs/uploads/<session>"

ENDPOINTS: Final = (
    Endpoint("end-1", ("GET", "HEAD"), "/v2/", discovery.version, ""),
    Endpoint("end-2", ("GET", "HEAD"), "/v2/<name>/blobs/<digest>", blobs.get, PULL),
    Endpoint("end-3", ("GET", "HEAD"), "/v2/<name>/manifests/<reference>", manifests.get, PULL),
    Endpoint(
        "end-4a, end-4b, end-11", ("POST",), "/v2/<name>/blobs/uploads/", uploads.start, PUSH, is_upload=True
    ),
    Endpoint("end-5", ("PATCH",), _UPLOAD, uploads.append, PUSH, is_upload=True),
    Endpoint("end-6", ("PUT",), _UPLOAD, uploads.close, PUSH, is_upload=True),
    Endpoint("end-7a, end-7b", ("PUT",), "/v2/<name>/manifests/<reference>", manifests.put, PUSH),
    Endpoint("end-8a, end-8b", ("GET", "HEAD"), "/v2/<name>/tags/list", discovery.tag_list, PULL),
    Endpoint("end-9", ("DELETE",), "/v2/<name>/manifests/<reference>", manifests.delete, DELETE),
    Endpoint("end-10", ("DELETE",), "/v2/<name>/blobs/<digest>", blobs.delete, DELETE),
    Endpoint("end-12a, end-12b", ("GET", "HEAD"), "/v2/<name>/referrers/<digest>", discovery.referrers, PULL),
    Endpoint("end-13", ("GET", "HEAD"), _UPLOAD, uploads.status, PUSH),
    Endpoint("end-14", ("DELETE",), _UPLOAD, uploads.cancel, PUSH),
    Endpoint("catalog", ("GET", "HEAD"), "/v2/_catalog", discovery.catalog, CATALOG_SCOPE),
    Endpoint("token", ("GET", "POST"), "/token", token.issue, None),
)

_SEGMENTS: Final = {
    "<upload>": r"(?:/u/(?P<capability>[^/]+))?/v2/(?P<name>.+)",
    "<name>": r"(?P<name>.+)",
    "<digest>": r"(?P<digest>[^/]+)",
    "<reference>": r"(?P<reference>[^/]+)",
    "<session>": r"(?P<session>[^/]+)",
}


def _compile(path: str) -> re.Pattern[str]:
    pattern = re.sub("<[a-z]+>", lambda segment: _SEGMENTS[segment[0]], path)
    return re.compile(pattern.removesuffix("/") + ("/?" if path.endswith("/") else ""), re.DOTALL)


def _by_path() -> tuple[tuple[re.Pattern[str], tuple[Endpoint, ...]], ...]:
    """Paths once each; uploads first, since `uploads` would do as a blob's digest."""
    paths = sorted({e.path for e in ENDPOINTS}, key=lambda path: ("uploads/" not in path, path))
    return tuple((_compile(path), tuple(e for e in ENDPOINTS if e.path == path)) for path in paths)


_ROUTES: Final = _by_path()


def match(path: str) -> tuple[tuple[Endpoint, ...], dict[str, str]]:
    """Every endpoint at `path`, one for each set of methods, and what the path names."""
    for pattern, endpoints in _ROUTES:
        found = pattern.fullmatch(path)
        if found is not None:
            return endpoints, {key: value for key, value in found.groupdict().items() if value is not None}
    return (), {}


def carries_upload(method: str, path: str) -> bool:
    """Whether the body of such a request is blob bytes, to be streamed."""
    endpoints, _ = match(unquote(path, errors="replace"))
    return any(e.is_upload and method in e.methods for e in endpoints)
