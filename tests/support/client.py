"""A small registry client on requests: it logs in as real ones do, and checks every refusal."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urljoin, urlsplit

import requests

from tests.support.content import Document, digest_of

CODES = {
    "BLOB_UNKNOWN",
    "BLOB_UPLOAD_INVALID",
    "BLOB_UPLOAD_UNKNOWN",
    "DIGEST_INVALID",
    "MANIFEST_BLOB_UNKNOWN",
    "MANIFEST_INVALID",
    "MANIFEST_UNKNOWN",
    "NAME_INVALID",
    "NAME_UNKNOWN",
    "SIZE_INVALID",
    "UNAUTHORIZED",
    "DENIED",
    "UNSUPPORTED",
    "TOOMANYREQUESTS",
}


@dataclass
class Client:
    """Speaks for one credential about one repository."""

    url: str
    username: str
    password: str
    repository: str = "test/app"
    session: requests.Session = field(default_factory=requests.Session)
    tokens: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.session.trust_env = False

    def about(self, repository: str) -> Client:
        """The same caller, about another repository."""
        return Client(self.url, self.username, self.password, repository)

    def call(self, method: str, path: str, **options: Any) -> requests.Response:
        """Answer a challenge once; send no credential outside `/v2/` or to another host."""
        url = urljoin(self.url, path)
        headers = dict(options.pop("headers", {}))
        ours = urlsplit(url).path.startswith("/v2/") and url.startswith(self.url)
        scope = f"repository:{self.repository}:pull,push,delete"
        if ours and scope in self.tokens:
            headers.setdefault("Authorization", f"Bearer {self.tokens[scope]}")
        options.setdefault("timeout", 60)
        answer = self.session.request(method, url, headers=headers, **options)
        if answer.status_code != 401 or not ours or "Authorization" in headers:
            return answer
        headers["Authorization"] = f"Bearer {self.token(answer.headers['WWW-Authenticate'])}"
        return self.session.request(method, url, headers=headers, **options)

    def token(self, challenge: str, *scopes: str) -> str:
        """What the challenge asks for; for our own repository everything at once."""
        parts = dict(re.findall(r'(\w+)="([^"]*)"', challenge))
        everything = f"repository:{self.repository}:pull,push,delete"
        asked = list(scopes) or [everything, *([parts["scope"]] if "scope" in parts else [])]
        answer = self.session.get(
            parts["realm"],
            params={"service": parts["service"], "scope": asked},
            auth=(self.username, self.password),
            timeout=30,
        )
        answer.raise_for_status()
        token = str(answer.json()["token"])
        if not scopes:
            self.tokens[everything] = token
        return token

    def of(self, path: str) -> str:
        return f"/v2/{self.repository}/{path}"

    def get(self, path: str, **options: Any) -> requests.Response:
        return self.call("GET", self.of(path), **options)

    def head(self, path: str, **options: Any) -> requests.Response:
        options.setdefault("allow_redirects", True)
        return self.call("HEAD", self.of(path), **options)

    def delete(self, path: str, **options: Any) -> requests.Response:
        return self.call("DELETE", self.of(path), **options)

    def open_upload(self, **params: str) -> str:
        answer = self.call("POST", self.of("blobs/uploads/"), params=params)
        assert answer.status_code == 202, answer.text
        return str(answer.headers["Location"])

    def push_blob(self, content: bytes, algorithm: str = "sha256") -> str:
        """POST, then PUT."""
        digest = digest_of(content, algorithm)
        answer = self.close_upload(self.open_upload(), digest, content)
        assert answer.status_code == 201, answer.text
        return digest

    def patch(self, location: str, content: Any, **headers: str) -> requests.Response:
        return self.call("PATCH", location, data=content, headers=_dashed(headers))

    def close_upload(
        self, location: str, digest: str, content: Any = b"", **headers: str
    ) -> requests.Response:
        return self.call("PUT", location, params={"digest": digest}, data=content, headers=_dashed(headers))

    def put_manifest(self, document: Document, reference: str = "", **options: Any) -> requests.Response:
        headers = {"Content-Type": document.media_type, **options.pop("headers", {})}
        path = self.of(f"manifests/{reference or document.digest}")
        return self.call("PUT", path, data=document.raw, headers=headers, **options)

    def push(self, document: Document, reference: str = "") -> str:
        """The blobs, then the manifest; returns its digest."""
        for blob in dict.fromkeys(document.blobs):
            if self.head(f"blobs/{digest_of(blob)}").status_code != 200:
                self.push_blob(blob)
        answer = self.put_manifest(document, reference)
        assert answer.status_code == 201, answer.text
        return document.digest


def refused(
    answer: requests.Response, status: int | set[int], code: str | set[str] = ""
) -> list[dict[str, Any]]:
    """Check that `answer` is a refusal in the specification's envelope; return its entries."""
    statuses = {status} if isinstance(status, int) else status
    assert answer.status_code in statuses, (answer.status_code, answer.text)
    assert answer.headers["Content-Type"].partition(";")[0] == "application/json"
    entries: list[dict[str, Any]] = answer.json()["errors"]
    assert entries
    for entry in entries:
        assert entry["code"] in CODES
        assert entry["message"]
    if code:
        codes = {code} if isinstance(code, str) else code
        assert {entry["code"] for entry in entries} <= codes, entries
    return entries


def _dashed(headers: dict[str, str]) -> dict[str, str]:
    return {name.replace("_", "-"): value for name, value in headers.items()}
