"""The registry's own API, /v2: manifests in and out, and where the bytes of a blob are."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final
from urllib.parse import urljoin

import requests
import urllib3

from ccr.cli.api import USER_AGENT, tls_problem
from ccr.cli.connection import LOG_IN, Connection
from ccr.cli.exits import CliError, Exit, PassingError, of_status
from ccr.cli.transfer import manifests
from ccr.cli.transfer.content import DamagedError, digest_of, verified
from ccr.cli.transfer.manifests import LIMIT, Descriptor, Manifest
from ccr.cli.transfer.retry import Patience

_SECONDS: Final = (10, 60)
_ACCEPT: Final = ", ".join(manifests.TYPES)


@dataclass(frozen=True, slots=True)
class Location:
    """Of a blob. The headers have a secret in them where the registry itself sends the bytes."""

    url: str
    headers: Mapping[str, str] = field(repr=False)


class Distribution:
    """One repository, by Basic: the few requests of a transfer are not worth a token."""

    def __init__(self, connection: Connection, repository: str, patience: Patience) -> None:
        self._connection, self._repository, self._patience = connection, repository, patience
        self._threads = threading.local()

    def manifest(self, reference: str) -> Manifest:
        """Verified where `reference` is a digest. Raises CliError, DamagedError."""
        try:
            answer, raw = self._document(f"manifests/{reference}", Accept=_ACCEPT)
        except CliError as error:
            if error.exit_code in {Exit.NOT_FOUND, Exit.FORBIDDEN}:
                raise self._absent(reference) from error
            raise
        digest = reference if ":" in reference else digest_of(raw)
        media_type = answer.headers.get("Content-Type", "").partition(";")[0].strip()
        return manifests.parse(verified(raw, digest, "a manifest"), digest, media_type)

    def _absent(self, reference: str) -> CliError:
        """The same for what is not there and for what may not be pulled, as the management API has it."""
        name = f"{self._repository}{'@' if ':' in reference else ':'}{reference}"
        return CliError(f"there is no image {name!r} that you may see", Exit.NOT_FOUND)

    def fetch(self, wanted: Descriptor) -> bytes:
        """A manifest or a small blob, by its digest."""
        if wanted.is_manifest:
            return self.manifest(wanted.digest).raw
        return self._document(f"blobs/{wanted.digest}", follows=True)[1]

    def put(self, manifest: Manifest, reference: str) -> None:
        """Raises CliError."""
        headers = {"Content-Type": manifest.media_type}
        self._send("PUT", f"manifests/{reference}", data=manifest.raw, headers=headers)

    def delete(self, reference: str) -> None:
        """A tag; or with its digest, a manifest and all tags of it. Raises CliError."""
        try:
            self._send("DELETE", f"manifests/{reference}")
        except CliError as error:
            if error.exit_code is Exit.NOT_FOUND:
                raise self._absent(reference) from error
            raise

    def locate(self, digest: str) -> Location:
        """Raises CliError."""
        path = f"blobs/{digest}"
        answer = self._send("GET", path, headers={"Range": "bytes=0-0"}, stream=True)
        answer.close()
        if answer.is_redirect:
            return Location(urljoin(answer.url, answer.headers["Location"]), {})
        request = requests.Request("GET", self._url(path), auth=_login(self._connection)).prepare()
        return Location(self._url(path), {"Authorization": str(request.headers["Authorization"])})

    def _url(self, path: str) -> str:
        return f"{self._connection.url}/v2/{self._repository}/{path}"

    def _document(
        self, path: str, *, follows: bool = False, **headers: str
    ) -> tuple[requests.Response, bytes]:
        """Raises DamagedError for more bytes than a manifest has."""
        # Compressed, a few bytes would be any number.
        asked = {**headers, "Accept-Encoding": "identity"}

        def read() -> tuple[requests.Response, bytes]:
            with self._once("GET", path, follows=follows, headers=asked, stream=True) as answer:
                raw = self._bytes(answer)
            if len(raw) > LIMIT:
                raise DamagedError(f"a document of more than {LIMIT} bytes arrives; no manifest has them")
            return answer, raw

        return self._patience.again(read)

    def _bytes(self, answer: requests.Response) -> bytes:
        """Not more of it than tells that it is too long."""
        raw = b""
        try:
            while block := answer.raw.read(LIMIT + 1 - len(raw), decode_content=False):
                raw += block
        except urllib3.exceptions.HTTPError as error:
            raise PassingError(
                f"the connection to {self._connection.host} broke", Exit.UNREACHABLE
            ) from error
        return raw

    def _send(self, method: str, path: str, *, follows: bool = False, **options: Any) -> requests.Response:
        return self._patience.again(lambda: self._once(method, path, follows=follows, **options))

    def _once(self, method: str, path: str, *, follows: bool, **options: Any) -> requests.Response:
        try:
            answer = self._session().request(
                method, self._url(path), timeout=_SECONDS, allow_redirects=follows, **options
            )
        except requests.exceptions.SSLError as error:
            raise self._unreachable(tls_problem(self._connection, error)) from error
        except (requests.exceptions.ConnectionError, requests.exceptions.Timeout) as error:
            raise PassingError(
                f"the connection to {self._connection.host} broke", Exit.UNREACHABLE
            ) from error
        except requests.exceptions.RequestException as error:
            raise self._unreachable("it does not speak HTTP") from error
        if answer.status_code < 300 or (answer.is_redirect and method == "GET"):
            return answer
        raise _refusal(answer, self._connection.host)

    def _unreachable(self, why: str) -> CliError:
        return CliError(f"cannot reach a registry at {self._connection.url}: {why}", Exit.UNREACHABLE)

    def _session(self) -> requests.Session:
        session: requests.Session | None = getattr(self._threads, "session", None)
        if session is None:
            session = self._threads.session = requests.Session()
            session.auth = _login(self._connection)
            session.headers["User-Agent"] = USER_AGENT
        return session


def _login(connection: Connection) -> Any:
    """As bytes: requests would encode text as Latin-1."""
    return connection.username.encode(), connection.password.encode()


def _refusal(answer: requests.Response, host: str) -> CliError:
    message = "; ".join(_messages(answer)) or f"{host} answers {answer.status_code}"
    if answer.status_code == 401:
        message = f"{message}: check the id and the secret, then {LOG_IN}"
    if answer.status_code in {429, 500, 502, 503, 504}:
        error = PassingError(message, of_status(answer.status_code))
        after = answer.headers.get("Retry-After", "")
        error.wait = float(after) if after.isdigit() else 0
        return error
    return CliError(message, of_status(answer.status_code))


def _messages(answer: requests.Response) -> list[str]:
    """Of the specification's envelope."""
    try:
        entries = answer.json()["errors"]
        return [f"{one['message']}{_detail(one.get('detail'))}" for one in entries]
    except (requests.exceptions.JSONDecodeError, LookupError, TypeError):
        return []


def _detail(detail: Any) -> str:
    return f": {detail}" if isinstance(detail, str) and detail else ""
