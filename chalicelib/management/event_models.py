"""What events say, as it is published: docs/schemas/events.json is made of this."""

from __future__ import annotations

from typing import Any, Final, Literal

from pydantic import BaseModel, ConfigDict, Field

from chalicelib.spec.cloud_events import EventType

SCHEMA_ID: Final = "https://registry.example.id/schemas/events.json"


class _Data(BaseModel):
    model_config = ConfigDict(extra="forbid")

    account: str


class _OfRepository(_Data):
    registry: str
    repository: str
    actor: str = Field(description="the id of a credential, `lifecycle`, or nothing")
    digest: str


class TagMove(BaseModel):
    model_config = ConfigDict(extra="forbid")

    tag: str
    previous: str | None = Field(description="the digest that it named before; null: it is new")


class ManifestPushed(_OfRepository):
    """A manifest is there that was not, or a tag names another: `tags` are those that moved."""

    action: Literal["push", "tag", "restore", "rollback"]
    tags: list[TagMove]
    media_type: str
    size: int = Field(description="bytes of the manifest")
    source: str = Field(description="the repository that it was promoted from; empty for others")


class ManifestPulled(_OfRepository):
    """A GET of a manifest; which of them are told is a setting."""

    tags: list[str] = Field(description="the tag that was asked for, or none")
    media_type: str
    size: int


class ManifestDeleted(_OfRepository):
    """A manifest or tags are gone; `reason` names the rule of a lifecycle policy where one was."""

    tags: list[str]
    reason: str


class BlobDeleted(_OfRepository):
    """A blob that no manifest named is out of a repository."""


class QuotaReached(_Data):
    """What an account uses has reached a share of its limit."""

    target: str
    threshold: int = Field(description="percent")
    used: int = Field(description="bytes")
    limit: int = Field(description="bytes")


class SoftLimitExceeded(_Data):
    """A registry or project uses more than its soft limit."""

    target: str
    used: int = Field(description="bytes")
    limit: int = Field(description="bytes")


class CredentialTold(_Data):
    """Never with a secret, or with what it may do."""

    credential: str
    kind: str
    actor: str


class WebhookTest(_Data):
    webhook: str
    actor: str


DATA: Final[dict[EventType, type[BaseModel]]] = {
    EventType.MANIFEST_PUSHED: ManifestPushed,
    EventType.MANIFEST_PROMOTED: ManifestPushed,
    EventType.TAG_MOVED: ManifestPushed,
    EventType.MANIFEST_PULLED: ManifestPulled,
    EventType.MANIFEST_DELETED: ManifestDeleted,
    EventType.MANIFEST_EXPIRED: ManifestDeleted,
    EventType.MANIFEST_PURGED: ManifestDeleted,
    EventType.TAG_DELETED: ManifestDeleted,
    EventType.TAG_EXPIRED: ManifestDeleted,
    EventType.BLOB_DELETED: BlobDeleted,
    EventType.QUOTA_REACHED: QuotaReached,
    EventType.SOFT_LIMIT_EXCEEDED: SoftLimitExceeded,
    EventType.CREDENTIAL_CREATED: CredentialTold,
    EventType.CREDENTIAL_CHANGED: CredentialTold,
    EventType.CREDENTIAL_ROTATED: CredentialTold,
    EventType.CREDENTIAL_DELETED: CredentialTold,
    EventType.WEBHOOK_TEST: WebhookTest,
}


def schema() -> dict[str, Any]:
    """JSON Schema 2020-12 of the whole CloudEvent; `data` by its type."""
    definitions: dict[str, Any] = {}
    for model in dict.fromkeys(DATA.values()):
        made = model.model_json_schema(ref_template="#/$defs/{model}")
        definitions |= made.pop("$defs", {})
        definitions[model.__name__] = made
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": SCHEMA_ID,
        "title": "Events",
        "description": "CloudEvents 1.0 in structured JSON, as webhooks and EventBridge (`detail`) get them.",
        "type": "object",
        "required": ["specversion", "id", "source", "type", "subject", "time", "partitionkey", "data"],
        "properties": {
            "specversion": {"const": "1.0"},
            "id": {"type": "string", "pattern": "^[0-9]{17}-[0-9a-f]{16}$"},
            "source": {"type": "string", "pattern": "^urn:ccr:"},
            "type": {"enum": [str(one) for one in DATA]},
            "subject": {"type": "string", "minLength": 1},
            "time": {"type": "string", "format": "date-time"},
            "datacontenttype": {"const": "application/json"},
            "partitionkey": {"type": "string", "description": "events of one are in order"},
            "sequence": {"type": "string", "description": "and this sorts as they are"},
            "data": {"type": "object"},
        },
        "unevaluatedProperties": False,
        "allOf": [_when(type_, model) for type_, model in DATA.items()],
        "$defs": definitions,
    }


def _when(type_: EventType, model: type[BaseModel]) -> dict[str, Any]:
    return {
        "if": {"properties": {"type": {"const": str(type_)}}, "required": ["type"]},
        "then": {"properties": {"data": {"$ref": f"#/$defs/{model.__name__}"}}},
    }
