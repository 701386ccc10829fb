"""A client of the management API: problems become exit codes, lists page through, creates happen once."""

from __future__ import annotations

import time
import uuid
from collections.abc import Iterator, Mapping
from typing import Any, Final

import requests

from ccr.cli.answers import Answer, Document
from ccr.cli.connection import LOG_IN, Connection
from ccr.cli.exits import CliError, Exit, PassingError, of_status

PREFIX: Final = "/api/v1"
PAGE: Final = 100
USER_AGENT: Final = "ccr-cli"
_SECONDS: Final = (10, 300)
_LONGEST_WAIT: Final = 10
# What OpenSSL says of an answer that is none of TLS; its versions differ.
_NO_TLS: Final = ("WRONG_VERSION_NUMBER", "record layer failure", "PACKET_LENGTH_TOO_LONG")
_PASSING: Final = frozenset({429, 500, 502, 503, 504})
_WHAT_TO_DO: Final[Mapping[int, str]] = {
    401: f"check the id and the secret, then {LOG_IN}",
    403: "ask an owner of the account for a role that may",
    412: "its version, as `describe` shows it, is for --if-match",
}


class Api:
    """Speaks for one credential."""

    def __init__(self, connection: Connection) -> None:
        self.connection = connection
        self._session = requests.Session()
        # As bytes: requests would encode text as Latin-1.
        self._session.auth = (connection.username.encode(), connection.password.encode())  # type: ignore[assignment]
        self._session.headers["User-Agent"] = USER_AGENT

    def get(self, path: str, **params: str) -> Answer:
        return self._answer(self._send("GET", path, params=params))

    def pages(self, path: str, limit: int | None = None, **params: str) -> Iterator[Document]:
        """Every item up to `limit`, as many requests as it takes."""
        left, after = limit, ""
        while left is None or left > 0:
            size = PAGE if left is None else min(PAGE, left)
            asked = {**params, "limit": str(size), **({"after": after} if after else {})}
            page = self.get(path, **asked).document
            yield from page["items"]
            left = None if left is None else left - len(page["items"])
            after = page["next"]
            if not after:
                return

    def create(self, path: str, body: Document, version: str = "") -> Answer:
        """Once, also where the connection breaks before the answer is here."""
        headers = {"Idempotency-Key": uuid.uuid4().hex, **_if_match(version)}
        try:
            answer = self._send("POST", path, body=body, headers=headers)
        except _LostError:
            answer = self._send("POST", path, body=body, headers=headers)
        if answer.status_code == 409 and "Retry-After" in answer.headers:
            time.sleep(min(_seconds(answer), _LONGEST_WAIT))
            answer = self._send("POST", path, body=body, headers=headers)
        return self._answer(answer)

    def post(self, path: str, body: Document | None = None) -> Answer:
        """For what may happen twice. Raises PassingError where it is worth another try."""
        return self._answer(self._send("POST", path, body=body or {}))

    def change(self, path: str, body: Document, version: str = "") -> Answer:
        return self._answer(self._send("PATCH", path, body=body, headers=_if_match(version)))

    def put(self, path: str, body: Document, version: str = "") -> Answer:
        return self._answer(self._send("PUT", path, body=body, headers=_if_match(version)))

    def delete(self, path: str, version: str = "", **params: str) -> None:
        self._answer(self._send("DELETE", path, params=params, headers=_if_match(version)))

    def _send(
        self,
        method: str,
        path: str,
        *,
        params: Mapping[str, str] | None = None,
        body: Document | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> requests.Response:
        """Raises CliError (UNREACHABLE). Follows no redirect: a secret goes where it was sent."""
        url = f"{self.connection.url}{PREFIX}{path}"
        options: dict[str, Any] = {"params": params, "json": body, "headers": headers, "timeout": _SECONDS}
        try:
            return self._session.request(method, url, allow_redirects=False, **options)
        except requests.exceptions.SSLError as error:
            raise _unreachable(self.connection, tls_problem(self.connection, error)) from error
        except requests.exceptions.ConnectTimeout as error:
            raise _unreachable(self.connection, "it does not answer in time") from error
        except requests.exceptions.ConnectionError as error:
            refused = "NewConnectionError" in repr(error) or "NameResolutionError" in repr(error)
            kind = CliError if refused else _LostError
            why = "nothing answers there" if refused else "the connection broke"
            raise _unreachable(self.connection, why, kind) from error
        except requests.exceptions.Timeout as error:
            raise _unreachable(self.connection, "it does not answer in time", _LostError) from error
        except requests.exceptions.RequestException as error:
            raise _unreachable(self.connection, "it does not speak HTTP") from error

    def _answer(self, answer: requests.Response) -> Answer:
        """Raises CliError for a problem."""
        document = _document(answer)
        if answer.status_code < 300 and document is not None:
            version = answer.headers.get("ETag", "").removeprefix("W/").strip('"')
            return Answer(document, version, "Idempotency-Replayed" in answer.headers)
        if document is None or "detail" not in document:
            raise self._stranger(answer)
        busy = answer.status_code == 409 and "Retry-After" in answer.headers
        kind = PassingError if busy or answer.status_code in _PASSING else CliError
        error = kind(_message(answer, document), of_status(answer.status_code), document)
        if isinstance(error, PassingError) and "Retry-After" in answer.headers:
            error.wait = _seconds(answer)
        raise error

    def _stranger(self, answer: requests.Response) -> CliError:
        if 300 <= answer.status_code < 400:
            target = answer.headers.get("Location", "elsewhere")
            return _unreachable(self.connection, f"it sends on to {target[:200]!r}: log in there")
        if answer.status_code >= 500:
            return PassingError(f"{self.connection.host} answers {answer.status_code}: try again")
        return _unreachable(
            self.connection, f"what answers ({answer.status_code}) is no CCR with a management API"
        )


def tls_problem(connection: Connection, error: Exception) -> str:
    """Whether the other side has a certificate that is not trusted, or no TLS at all."""
    if is_no_tls(error):
        return f"it does not speak TLS: try http://{connection.host}"
    return "its TLS certificate is not one that this machine trusts"


def is_no_tls(error: Exception) -> bool:
    """Whether what answered is none of TLS."""
    return any(sign in repr(error) for sign in _NO_TLS)


class _LostError(PassingError):
    """The request may have arrived."""


def _document(answer: requests.Response) -> Document | None:
    if answer.status_code == 204:
        return {}
    try:
        document = answer.json()
    except requests.exceptions.JSONDecodeError:
        return None
    return document if isinstance(document, dict) else None


def _message(answer: requests.Response, problem: Document) -> str:
    """One line: what the registry says, where in the request, and what to do."""
    parts = [str(problem["detail"])]
    for entry in problem.get("errors", []):
        where = ".".join(str(one) for one in entry["at"] if one != "body")
        parts.append(f"{where}: {entry['detail']}")
    # What says itself what to do, say of an account without room, is not about rights.
    hint = "" if "; " in parts[0] else _WHAT_TO_DO.get(answer.status_code, "")
    after = answer.headers.get("Retry-After", "")
    if answer.status_code == 429 and after and f"{after} seconds" not in parts[0]:
        hint = f"try again in {after} seconds"
    return "; ".join([*parts, *([hint] if hint else [])]).replace("\n", " ")


def _unreachable(connection: Connection, why: str, kind: type[CliError] = CliError) -> CliError:
    return kind(f"cannot reach a registry at {connection.url}: {why}", Exit.UNREACHABLE)


def _if_match(version: str) -> dict[str, str]:
    return {"If-Match": f'"{version}"'} if version else {}


def _seconds(answer: requests.Response) -> float:
    text = answer.headers["Retry-After"]
    return float(text) if text.isdigit() else 1.0
