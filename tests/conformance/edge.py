"""What the edge in front of a function URL does for a client, until the edge itself is deployed."""

from __future__ import annotations

from typing import Any

import requests
from requests.adapters import HTTPAdapter

REMAPPED = "x-amzn-Remapped-www-authenticate"
CHALLENGE = "WWW-Authenticate"


class Edge(HTTPAdapter):
    """Gives the challenge, which a function URL renames, its own name back."""

    def build_response(self, req: requests.PreparedRequest, resp: Any) -> requests.Response:
        response = super().build_response(req, resp)
        if REMAPPED in response.headers:
            response.headers[CHALLENGE] = response.headers.pop(REMAPPED)
        return response
