"""What the management API takes and gives, as pydantic models; the OpenAPI document is made of them."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Final, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, StringConstraints

from chalicelib.management.forms import (
    CREDENTIAL_ID,
    GRANT_PATTERN,
    ISSUER,
    NAME,
    PROJECT_OF_ROLE,
    REGISTRY_NAME,
    REPOSITORY_NAME,
    SHA256,
    SOURCE,
    SUBJECT,
    TARGET,
    TITLE,
    as_whole,
    as_written,
)

Name = Annotated[str, StringConstraints(min_length=1, max_length=63, pattern=NAME)]
RegistryName = Annotated[str, StringConstraints(min_length=1, max_length=63, pattern=REGISTRY_NAME)]
CredentialId = Annotated[str, StringConstraints(min_length=1, max_length=128, pattern=CREDENTIAL_ID)]
ProjectOfRole = Annotated[str, StringConstraints(min_length=1, max_length=63, pattern=PROJECT_OF_ROLE)]
Title = Annotated[str, StringConstraints(max_length=200, pattern=TITLE)]
# Strict mode knows only datetime itself, and the lax one takes numbers too.
Moment = Annotated[datetime, Field(strict=False), BeforeValidator(as_written)]
# Whatever reads JSON has this number as it was written (RFC 8259, section 6).
LimitBytes = Annotated[int, Field(ge=0, le=2**53 - 1), BeforeValidator(as_whole)]
RepositoryName = Annotated[str, StringConstraints(min_length=1, max_length=255, pattern=REPOSITORY_NAME)]
RoleName = Literal["viewer", "developer", "maintainer", "owner"]
Action = Literal["pull", "push", "delete"]
AS_TOLD: Final = "as GET tells it; not looked at: the address says of what this is the policy"


class Strict(BaseModel):
    """A field that is not known is an error of typing, so it is refused."""

    model_config = ConfigDict(extra="forbid", strict=True)


class PolicyIn(Strict):
    """Takes what GET tells beside a policy, so that one can be fetched, changed and put back as it is."""

    scope: str = Field(default="", exclude=True, description=AS_TOLD)
    inherited: bool = Field(default=False, exclude=True, description=AS_TOLD)


class AccountIn(Strict):
    id: Name
    title: Title = ""
    limit_bytes: LimitBytes | None = Field(default=None, description="what it may store; 10 GiB unless said")
    owner: CredentialId = Field(description="id of the first user, an owner of the account")


class AccountChange(Strict):
    title: Title | None = None
    limit_bytes: LimitBytes | None = Field(
        default=None, description="for operators; below what is used, pushes are refused and pulls served"
    )


class AccountOut(BaseModel):
    id: str
    title: str
    limit_bytes: int
    used_bytes: int
    used_percent: int = Field(description="of the limit, rounded down; above 100 after the limit was lowered")
    gives_way_bytes: int | None = Field(
        default=None,
        description="of what is used: deleted images that go where a push needs their room; null in lists, "
        "for it takes a look at each of them",
    )
    created: datetime


class AccountMade(AccountOut):
    owner: str
    secret: str | None = Field(description="of the owner; shown this once")


class SoftLimitIn(Strict):
    bytes: LimitBytes


class SoftLimitOut(BaseModel):
    bytes: int
    used_bytes: int | None = Field(description="as it was measured last; null before that")
    above: bool
    measured: datetime | None


class ReconciliationOut(BaseModel):
    account: str
    counted_bytes: int = Field(description="what usage said")
    stored_bytes: int | None = Field(description="what the blobs add up to; null while pushes never paused")
    drift_bytes: int | None = Field(description="counted less stored; 0 is as it should be")
    limit_bytes: int
    blobs: int
    repaired: bool = Field(description="usage says what is stored now")
    objects: int = Field(description="in the bucket, of blobs and of uploads")
    object_bytes: int
    unnamed_objects: int = Field(description="of uploads under way, or to be collected")
    unnamed_bytes: int
    missing_objects: int = Field(description="which blobs name and the bucket has not")
    missing: list[str] = Field(description="their keys, 20 at most")


class ProjectIn(Strict):
    name: Name
    title: Title = ""


class ProjectChange(Strict):
    title: Title


class ProjectOut(BaseModel):
    name: str
    account: str
    title: str
    created: datetime


class MemberIn(Strict):
    role: RoleName


class MemberOut(BaseModel):
    user: str
    role: str


class RegistryIn(Strict):
    name: RegistryName
    project: Name
    title: Title = ""


class RegistryChange(Strict):
    title: Title | None = None
    project: Name | None = None


class RegistryOut(BaseModel):
    name: str
    project: str
    title: str
    state: str
    created: datetime


class RegistryMade(RegistryOut):
    credential: str | None = Field(description="a robot named after the registry, which may pull and push")
    secret: str | None = Field(description="of that robot; shown this once")


class RepositoryOut(BaseModel):
    name: str
    registry: str


class TagOut(BaseModel):
    tag: str
    digest: str
    media_type: str
    size: int


class GrantModel(Strict):
    pattern: Annotated[str, StringConstraints(min_length=1, max_length=255, pattern=GRANT_PATTERN)] = Field(
        description="a registry's name, and after a slash a repository in which * is any text: prod/*"
    )
    actions: Annotated[list[Action], Field(min_length=1, max_length=3)]


class TrustModel(Strict):
    issuer: Annotated[str, StringConstraints(min_length=1, max_length=512, pattern=ISSUER)]
    audience: Annotated[str, StringConstraints(min_length=1, max_length=512)]
    subject: Annotated[str, StringConstraints(min_length=1, max_length=512, pattern=SUBJECT)] = Field(
        description="in which * is any text, once it has said whose: repo:acme/app:ref:refs/heads/*"
    )
    claims: Annotated[dict[str, str], Field(max_length=20)] = Field(default_factory=dict)


class UserIn(Strict):
    kind: Literal["user"]
    id: CredentialId
    title: Title = ""
    roles: dict[ProjectOfRole, RoleName] = Field(description="by project; the project * is all of them")


class RobotIn(Strict):
    kind: Literal["robot"]
    id: CredentialId
    title: Title = ""
    project: Name
    grants: Annotated[list[GrantModel], Field(min_length=1, max_length=50)]
    expires: Moment | None = Field(default=None, description="within a year; none is never")


class TrustIn(Strict):
    kind: Literal["trust"]
    id: CredentialId
    title: Title = ""
    project: Name
    grants: Annotated[list[GrantModel], Field(min_length=1, max_length=50)]
    trust: TrustModel
    expires: Moment | None = None


class CredentialChange(Strict):
    title: Title | None = None
    disabled: bool | None = None
    grants: Annotated[list[GrantModel], Field(min_length=1, max_length=50)] | None = None
    expires: Moment | None = None


class SecretOut(BaseModel):
    expires: datetime | None = Field(description="of one that was rotated away")


class CredentialOut(BaseModel):
    id: str
    kind: str
    title: str
    project: str
    roles: dict[str, str]
    grants: list[GrantModel]
    trust: TrustModel | None
    disabled: bool
    expires: datetime | None
    expires_soon: bool
    secrets: list[SecretOut]
    created: datetime
    created_by: str
    used: datetime | None
    used_from: str


class CredentialMade(CredentialOut):
    secret: str | None = Field(description="shown this once")


class RotationIn(Strict):
    overlap_seconds: Annotated[int, Field(ge=0, le=604_800), BeforeValidator(as_whole)] = Field(
        default=3600, description="how long the secret before this one lives on"
    )


class PromotionIn(Strict):
    source: Annotated[str, StringConstraints(min_length=3, max_length=512, pattern=SOURCE)] = Field(
        description="a repository with a :tag or @digest"
    )
    target: Annotated[str, StringConstraints(min_length=1, max_length=384, pattern=TARGET)] = Field(
        description="a repository, and a :tag unless the source's is kept"
    )


class PromotionOut(BaseModel):
    source: str
    target: str
    digest: str
    manifests: int


class UploadIn(Strict):
    repository: RepositoryName
    digest: Annotated[str, StringConstraints(pattern=SHA256)] = Field(description="sha256:<hex>")
    size: Annotated[int, Field(ge=0, le=5 * 1024**4), BeforeValidator(as_whole)]
    mount_from: Annotated[list[RepositoryName], Field(max_length=20)] = Field(
        default_factory=list, description="repositories that may have it already"
    )


class UploadedPartOut(BaseModel):
    number: int
    size: int
    sha256: str | None = Field(description="in base64; null where the engine keeps none")


class UploadOut(BaseModel):
    state: Literal["present", "mounted", "open", "verifying", "published", "refused"]
    session: str | None = None
    repository: str
    digest: str
    size: int
    method: Literal["put", "multipart"] | None = None
    part_size: int = 0
    parts: int = 0
    expires: datetime | None = None
    url: str | None = Field(default=None, description="of the one PUT, to be sent with exactly these headers")
    headers: dict[str, str] = Field(default_factory=dict)
    uploaded: list[UploadedPartOut] = Field(default_factory=list, description="the parts that S3 has")
    verified: int = Field(default=0, description="bytes hashed so far")
    detail: str = Field(default="", description="why it was refused")


class PartIn(Strict):
    number: Annotated[int, Field(ge=1, le=10_000), BeforeValidator(as_whole)]
    size: Annotated[int, Field(ge=1, le=5 * 1024**3), BeforeValidator(as_whole)]
    sha256: Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9+/]{43}=$")] = Field(
        description="in base64"
    )


class PartsIn(Strict):
    parts: Annotated[list[PartIn], Field(min_length=1, max_length=500)]


class PartUrlOut(BaseModel):
    number: int
    url: str
    headers: dict[str, str]


class PartUrlsOut(BaseModel):
    parts: list[PartUrlOut]


class AuditOut(BaseModel):
    id: str
    at: datetime
    actor: str
    action: str
    target: str
    address: str
    result: str
    detail: dict[str, object]


class CallerOut(BaseModel):
    id: str
    account: str
    kind: str
    operator: bool
    roles: dict[str, str]
    grants: list[GrantModel]


class CheckIn(Strict):
    account: Name | None = Field(default=None, description="for operators: of another account")
    repository: RepositoryName | None = Field(default=None, description="of this repository alone")
    cursor: str = Field(default="", max_length=60_000, description="of the answer before")


class MendModel(Strict):
    """A write to one row: `put` where it has all of `expect`, a deletion without `put`."""

    row: Annotated[list[str], Field(min_length=3, max_length=3)]
    expect: dict[str, int | str | None] | None
    put: dict[str, int | str | None] | None
    check: bool


class FindingModel(Strict):
    code: str
    table: str
    scope: str
    key: str
    message: str
    found: dict[str, int | str | None]
    should: dict[str, int | str | None]
    mends: list[MendModel] = Field(description="the writes that mend it; none: nothing here can")
    seal: str = Field(description="no other finding can be applied than one that was found")


class CheckOut(BaseModel):
    findings: list[FindingModel]
    unsettled: int = Field(description="rows that changed each time they were looked at")
    cursor: str = Field(description="for the next call; empty at the end")


class RepairIn(Strict):
    findings: Annotated[list[FindingModel], Field(min_length=1, max_length=100)]


class RepairOut(BaseModel):
    code: str
    table: str
    scope: str
    key: str
    result: Literal["mended", "stale", "not-mendable"]


class RepairsOut(BaseModel):
    repairs: list[RepairOut]
