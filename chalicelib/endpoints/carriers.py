"""Who carries the bytes of an upload: the function, S3 behind the edge, or the gateway.

Chosen when the upload is opened, by what the deployment has and by how the client is known to push.
"""

from __future__ import annotations

import re
from collections.abc import Set as AbstractSet
from typing import Final

from chalicelib.config import EDGE, FUNCTION, GATEWAY
from chalicelib.spec.errors import ErrorCode, RegistryError

# One PUT with a Content-Length, in the words of their User-Agent. Docker says what its image store is.
_ONE_PUT: Final = re.compile(
    r"containerd/|buildkit/|nerdctl/|oras-go|oras/|Helm/|regclient/|docker/.*containerd-client/.*storage-driver/"
)
# Those that can send a blob in small chunks; all others send it in one request, however long.
_CHUNKS: Final = re.compile(r"regclient/|python-requests/")
_PREFIXES: Final = {FUNCTION: "/u", GATEWAY: "/u", EDGE: "/s"}


def choose(user_agent: str, carriers: AbstractSet[str], *, refuse_streams: bool) -> str:
    """Raises DENIED (403), the one refusal that no client repeats, where only a function is left."""
    if EDGE in carriers and _ONE_PUT.search(user_agent):
        return EDGE
    if GATEWAY in carriers:
        return GATEWAY
    if refuse_streams and not _CHUNKS.search(user_agent):
        message = (
            "this client sends a layer in one request, and this registry takes 4.5 MiB in one: "
            "push with `ccr push`, or have an upload gateway deployed"
        )
        raise RegistryError(ErrorCode.DENIED, message)
    return FUNCTION


def prefix(carrier: str) -> str:
    """Of the upload's URL, by which the edge knows where to send it."""
    return _PREFIXES[carrier]
