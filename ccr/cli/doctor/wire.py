"""HTTP as it is on the wire: nothing is followed, repeated or added, and what breaks says how."""

from __future__ import annotations

import socket
import ssl
import time
from collections.abc import Mapping
from http.client import HTTPConnection, HTTPException, HTTPResponse, HTTPSConnection
from pathlib import Path
from typing import Any, Final
from urllib.parse import SplitResult, urlsplit

import requests
from requests.utils import DEFAULT_CA_BUNDLE_PATH

from ccr.cli.api import USER_AGENT, is_no_tls

# To connect, and between two pieces of an answer.
SECONDS: Final = (5, 30)
# Of a whole answer, whoever answers: its seconds, and its bytes once they are decoded.
ANSWER_SECONDS: Final = 60.0
ANSWER_LIMIT: Final = 8 * 1024 * 1024
DEFAULT_PORTS: Final = {"http": 80, "https": 443}
HELD_BACK_SECONDS: Final = 2.0
_BLOCK: Final = bytes(64 * 1024)


class BrokenError(Exception):
    """No answer came; `seen` says how that showed, `mend` what to do."""

    def __init__(self, seen: str, mend: str) -> None:
        super().__init__(seen)
        self.seen, self.mend = seen, mend


class Wire:
    """Keeps connections; has no credential but what a call gives."""

    def __init__(self) -> None:
        self._session = requests.Session()
        # Else ~/.netrc would add one.
        self._session.auth = _no_credential
        self._session.headers["User-Agent"] = f"{USER_AGENT} doctor"

    def ask(self, method: str, url: str, **options: Any) -> requests.Response:
        """Raises BrokenError."""
        host = urlsplit(url).netloc
        asked: dict[str, Any] = {"timeout": SECONDS, "allow_redirects": False, "stream": True, **options}
        try:
            return _read(host, self._session.request(method, url, **asked))
        except requests.exceptions.SSLError as error:
            raise tls_broken(host, error) from error
        except requests.exceptions.ConnectTimeout as error:
            raise BrokenError(
                f"{host} takes no connection within {SECONDS[0]} s",
                f"let a firewall between here and {host} through, or check that it runs",
            ) from error
        except requests.exceptions.Timeout as error:
            raise BrokenError(
                f"{host} sends nothing for {SECONDS[1]} s", f"look into the logs of {host}"
            ) from error
        except requests.exceptions.ConnectionError as error:
            raise _not_connected(host, error) from error
        except requests.exceptions.RequestException as error:
            raise BrokenError(
                f"{host} does not speak HTTP: {type(error).__name__}", "check the URL"
            ) from error


def origin(url: str) -> tuple[str, str, int]:
    """Scheme, host and port that a request goes to. Raises ValueError.

    As requests reads it, which asks what stands before a backslash; urlsplit takes what is behind it.
    """
    parts = urlsplit(requests.Request("GET", url).prepare().url or "")
    return parts.scheme, (parts.hostname or "").lower(), parts.port or DEFAULT_PORTS[parts.scheme]


def addresses(host: str, port: int) -> list[str]:
    """Raises BrokenError."""
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        raise BrokenError(
            f"{host} resolves to no address: {error}",
            f"make a record for {host} in DNS, or check the URL and the resolver of this machine",
        ) from error
    return list(dict.fromkeys(str(one[4][0]) for one in found))


def certificate_end(host: str, port: int) -> float:
    """When the certificate ends that is shown there, in seconds since 1970. Raises BrokenError."""
    try:
        with (
            socket.create_connection((host, port), timeout=SECONDS[0]) as plain,
            trusting().wrap_socket(plain, server_hostname=host) as secured,
        ):
            shown = secured.getpeercert() or {}
    except ssl.SSLError as error:
        raise tls_broken(f"{host}:{port}", error) from error
    except OSError as error:
        raise _not_connected(f"{host}:{port}", error) from error
    return float(ssl.cert_time_to_seconds(str(shown["notAfter"])))


def trusting() -> ssl.SSLContext:
    """Of the authorities that requests trusts, the environment's among them."""
    settings = requests.Session().merge_environment_settings("https://", {}, None, None, None)
    named = settings["verify"]
    place = Path(named if isinstance(named, str) else DEFAULT_CA_BUNDLE_PATH)
    if place.is_dir():
        return ssl.create_default_context(capath=place)
    return ssl.create_default_context(cafile=place)


def announced(
    method: str, url: str, length: int, headers: Mapping[str, str] | None = None
) -> tuple[int, bytes, bool]:
    """Announce a body of `length`, and send it only when nothing is answered to that alone.

    The status, the body, and whether it was answered before any byte. Raises BrokenError.
    """
    parts = urlsplit(url)
    connection = _connection(parts)
    try:
        connection.putrequest(method, f"{parts.path}?{parts.query}" if parts.query else parts.path)
        for name, value in {**(headers or {}), "Content-Length": str(length)}.items():
            connection.putheader(name, value)
        connection.endheaders()
        answer = _early(connection)
        is_early = answer is not None
        if answer is None:
            _send(connection, length)
            answer = connection.getresponse()
        return answer.status, answer.read(ANSWER_LIMIT), is_early
    except ssl.SSLError as error:
        raise tls_broken(parts.netloc, error) from error
    except (OSError, HTTPException) as error:
        raise BrokenError(
            f"{parts.netloc} breaks the connection over a body of {length} bytes: {type(error).__name__}",
            "a proxy in front has a limit of its own: raise it, or have it answer 413",
        ) from error
    finally:
        connection.close()


def unchanged(
    method: str, url: str, headers: Mapping[str, str], body: bytes | None = None
) -> tuple[int, Mapping[str, str], bytes]:
    """A request whose path stays as it is: requests would take dots out of it. Raises BrokenError."""
    parts = urlsplit(url)
    connection = _connection(parts)
    try:
        path = f"{parts.path}?{parts.query}" if parts.query else parts.path
        connection.request(method, path, body, dict(headers))
        answer = connection.getresponse()
        told = {name.lower(): value for name, value in answer.getheaders()}
        return answer.status, told, answer.read(ANSWER_LIMIT)
    except ssl.SSLError as error:
        raise tls_broken(parts.netloc, error) from error
    except (OSError, HTTPException) as error:
        raise _not_connected(parts.netloc, error) from error
    finally:
        connection.close()


def _read(host: str, answer: requests.Response) -> requests.Response:
    """With its body, which has an end. Raises BrokenError."""
    end, content = time.monotonic() + ANSWER_SECONDS, bytearray()
    with answer:
        for piece in answer.iter_content(len(_BLOCK)):
            content += piece
            if len(content) > ANSWER_LIMIT or time.monotonic() > end:
                raise BrokenError(
                    f"{host} sends more than {ANSWER_LIMIT} bytes, or for more than {ANSWER_SECONDS:.0f} s",
                    f"what answers is no registry: check the URL, and what stands before {host}",
                )
    answer._content = bytes(content)  # noqa: SLF001 - as `content` keeps what it has read itself
    return answer


def _connection(parts: SplitResult) -> HTTPConnection:
    if parts.scheme == "https":
        return HTTPSConnection(parts.netloc, timeout=SECONDS[1], context=trusting())
    return HTTPConnection(parts.netloc, timeout=SECONDS[1])


def tls_broken(host: str, error: Exception) -> BrokenError:
    """What is wrong with a certificate, where OpenSSL says it."""
    if is_no_tls(error):
        return BrokenError(f"{host} does not speak TLS", f"ask http://{host}, or put TLS in front of it")
    text = str(_cause(error))
    for sign, mend in {
        "has expired": "renew the certificate",
        "self-signed": "use a certificate of an authority that clients trust, or give them yours "
        "(here: REQUESTS_CA_BUNDLE; docker: /etc/docker/certs.d)",
        "unable to get local issuer": "send the intermediate certificates too, or give clients yours",
        "ostname mismatch": "use a certificate that has this host name (ACM: HostName and CertificateArn)",
        "not valid for": "use a certificate that has this host name (ACM: HostName and CertificateArn)",
        "not yet valid": "set the clock of this machine",
    }.items():
        if sign in text:
            return BrokenError(f"the certificate of {host} is not trusted: {_reason(text)}", mend)
    return BrokenError(f"no TLS connection to {host}: {_reason(text)}", "check what ends TLS there")


def _early(connection: HTTPConnection) -> HTTPResponse | None:
    """What is answered to the head alone, within a moment."""
    connection.sock.settimeout(HELD_BACK_SECONDS)
    try:
        return connection.getresponse()
    except TimeoutError:
        return None
    finally:
        if connection.sock is not None:
            connection.sock.settimeout(SECONDS[1])


def _send(connection: HTTPConnection, length: int) -> None:
    """As far as it is taken: who answers early may close behind the answer."""
    try:
        while length > 0:
            connection.send(_BLOCK[:length])
            length -= len(_BLOCK)
    except (BrokenPipeError, ConnectionResetError):
        return


def _not_connected(host: str, error: Exception) -> BrokenError:
    text = repr(error)
    if "NameResolutionError" in text or "gaierror" in text:
        return BrokenError(f"{host} resolves to no address", f"make a record for {host} in DNS")
    if "ConnectionRefused" in text or "NewConnectionError" in text:
        return BrokenError(
            f"nothing takes a connection at {host}", "check the port, and that the registry runs"
        )
    return BrokenError(f"the connection to {host} broke", f"look into the logs of what stands before {host}")


def _cause(error: BaseException) -> BaseException:
    """The innermost, which is OpenSSL's."""
    inner = next((one for one in error.args if isinstance(one, BaseException)), None)
    reason = getattr(error, "reason", None)
    below = inner or (reason if isinstance(reason, BaseException) else None)
    return _cause(below) if below is not None else error


def _reason(text: str) -> str:
    """Without the file and line of OpenSSL's source."""
    return text.partition("] ")[2].partition(" (_ssl.c")[0] or text


def _no_credential(request: requests.PreparedRequest) -> requests.PreparedRequest:
    return request
