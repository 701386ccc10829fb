"""The error table of OCI Distribution v1.1 and the one exception a client can see."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum


class ErrorCode(Enum):
    """Codes of the specification (`spec.md#error-codes`) with default message and status."""

    BLOB_UNKNOWN = ("blob unknown to registry", 404)
    BLOB_UPLOAD_INVALID = ("blob upload invalid", 400)
    BLOB_UPLOAD_UNKNOWN = ("blob upload unknown to registry", 404)
    DIGEST_INVALID = ("provided digest did not match uploaded content", 400)
    MANIFEST_BLOB_UNKNOWN = ("manifest references a manifest or blob unknown to registry", 400)
    MANIFEST_INVALID = ("manifest invalid", 400)
    MANIFEST_UNKNOWN = ("manifest unknown to registry", 404)
    NAME_INVALID = ("invalid repository name", 400)
    NAME_UNKNOWN = ("repository name not known to registry", 404)
    SIZE_INVALID = ("provided length did not match content length", 400)
    UNAUTHORIZED = ("authentication required", 401)
    DENIED = ("requested access to the resource is denied", 403)
    UNSUPPORTED = ("the operation is unsupported", 405)
    TOOMANYREQUESTS = ("too many requests", 429)

    @property
    def message(self) -> str:
        return str(self.value[0])

    @property
    def status(self) -> int:
        return int(self.value[1])


@dataclass(slots=True)
class RegistryError(Exception):
    """A refusal: one code, a message a person can act on, and one envelope entry per detail."""

    code: ErrorCode
    message: str = ""
    details: tuple[object, ...] = ()
    status: int = 0
    headers: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.message = self.message or self.code.message
        self.status = self.status or self.code.status
        Exception.__init__(self, f"{self.code.name}: {self.message}")

    def envelope(self) -> dict[str, list[dict[str, object]]]:
        """The JSON body of `spec.md#error-codes`: one entry for each detail, at least one."""
        entries: list[dict[str, object]] = [
            {"code": self.code.name, "message": self.message, "detail": detail}
            for detail in self.details or ({},)
        ]
        return {"errors": entries}
