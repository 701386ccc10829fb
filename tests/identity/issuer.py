"""A real OpenID Connect issuer on 127.0.0.1: a discovery document, a key set, signed ID tokens."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from jwt.algorithms import ECAlgorithm, OKPAlgorithm, RSAAlgorithm

from tests.support.in_thread import in_thread

DISCOVERY = "/.well-known/openid-configuration"
JWKS = "/keys"
AUDIENCE = "https://registry.test"


@dataclass(frozen=True)
class SigningKey:
    """One of an issuer's, and the algorithm it signs with."""

    id: str
    private: Any
    algorithm: str

    def public(self) -> dict[str, Any]:
        maker = {"RS": RSAAlgorithm, "PS": RSAAlgorithm, "ES": ECAlgorithm, "Ed": OKPAlgorithm}[
            self.algorithm[:2]
        ]
        own = maker.to_jwk(self.private.public_key(), as_dict=True)
        return {**own, "kid": self.id, "use": "sig", "alg": self.algorithm}


def rsa_key(id_: str = "rsa", algorithm: str = "RS256") -> SigningKey:
    return SigningKey(id_, rsa.generate_private_key(public_exponent=65537, key_size=2048), algorithm)


def ec_key(id_: str = "ec") -> SigningKey:
    return SigningKey(id_, ec.generate_private_key(ec.SECP256R1()), "ES256")


def ed_key(id_: str = "ed") -> SigningKey:
    return SigningKey(id_, ed25519.Ed25519PrivateKey.generate(), "EdDSA")


Reply = Callable[[BaseHTTPRequestHandler], None]


@dataclass
class Issuer:
    """`replies` take the place of a document, to misbehave; `asked` are the paths in the order they came."""

    url: str
    keys: list[SigningKey]
    discovery: dict[str, Any] = field(default_factory=dict)
    extra_keys: list[Any] = field(default_factory=list)
    replies: dict[str, Reply] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)

    @property
    def fetches(self) -> int:
        return self.asked.count(DISCOVERY)

    def document(self, path: str) -> dict[str, Any] | None:
        return {
            DISCOVERY: {"issuer": self.url, "jwks_uri": self.url + JWKS, **self.discovery},
            JWKS: {"keys": [*self.extra_keys, *(key.public() for key in self.keys)]},
        }.get(path)

    def claims(self, **changes: Any) -> dict[str, Any]:
        """Those of nobody in particular; what is changed to None is left out."""
        now = int(time.time())
        claims = {
            "iss": self.url,
            "aud": AUDIENCE,
            "sub": "someone",
            "iat": now,
            "nbf": now,
            "exp": now + 300,
        }
        return {name: value for name, value in {**claims, **changes}.items() if value is not None}

    def token(
        self, key: SigningKey | None = None, header: dict[str, Any] | None = None, **changes: Any
    ) -> str:
        chosen = key or self.keys[0]
        headers = {"kid": chosen.id, **(header or {})}
        payload = json.dumps(self.claims(**changes)).encode()
        return jwt.PyJWS().encode(payload, chosen.private, chosen.algorithm, headers=headers)


@contextmanager
def running_issuer(*keys: SigningKey) -> Iterator[Issuer]:
    """Serves until left."""
    issuer = Issuer("", list(keys))

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            issuer.asked.append(self.path)
            reply = issuer.replies.get(self.path)
            if reply is not None:
                reply(self)
                return
            document = issuer.document(self.path)
            send(self, json.dumps(document).encode(), 200 if document else 404)

        def log_message(self, *_: object) -> None:
            """Tests say what they asked."""

    class Server(ThreadingHTTPServer):
        daemon_threads = True

        def handle_error(self, *_: object) -> None:
            """A client that hung up in the middle is what some tests are about."""

    with in_thread(Server(("127.0.0.1", 0), Handler)) as address:
        issuer.url = f"http://{address}"
        yield issuer


def send(handler: BaseHTTPRequestHandler, body: bytes, status: int = 200, **headers: str) -> None:
    handler.send_response(status)
    for name, value in {
        "Content-Type": "application/json",
        "Content-Length": str(len(body)),
        **headers,
    }.items():
        handler.send_header(name.replace("_", "-"), value)
    handler.end_headers()
    handler.wfile.write(body)
