"""What the operations of undo, deletion and their policies take and give."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

from pydantic import BaseModel, BeforeValidator, Field, StringConstraints

from chalicelib.management.forms import DIGEST, TAG, TAG_PATTERN, TAG_REFERENCE, as_whole
from chalicelib.management.models import Moment, PolicyIn, Strict

Tag = Annotated[str, StringConstraints(min_length=1, max_length=128, pattern=TAG)]
DigestText = Annotated[str, StringConstraints(max_length=135, pattern=DIGEST)]
TagPattern = Annotated[str, StringConstraints(min_length=1, max_length=128, pattern=TAG_PATTERN)]
Reference = Annotated[str, StringConstraints(min_length=1, max_length=264, pattern=TAG_REFERENCE)]


class TrashOut(BaseModel):
    digest: str
    media_type: str
    size: int
    tags: list[str] = Field(description="those that it had")
    subject: str | None = Field(description="what it refers to, of a signature or an SBOM")
    children: list[str] = Field(description="what it names, as an index")
    deleted: datetime
    deleted_by: str
    reason: str
    until: datetime = Field(description="it can be restored so long")
    gives_way: bool = Field(description="it is not counted, and goes before that where a push needs its room")


class RestorationIn(Strict):
    digest: DigestText
    tags: Annotated[list[Tag], Field(max_length=100)] | None = Field(
        default=None, description="which shall name it; without, those it had"
    )
    force: bool = Field(default=False, description="move tags that name something else by now")
    referrers: bool = Field(default=True, description="also the signatures and SBOMs deleted with it")


class RestoredOut(BaseModel):
    digest: str
    manifests: list[str] = Field(description="what came back, children first")
    tags: list[str] = Field(description="what names it again")
    left: dict[str, str] = Field(description="tags that name something else by now, and what")


class MoveOut(BaseModel):
    at: datetime
    digest: str | None = Field(description="what it came to name; null: it was deleted")
    previous: str | None
    actor: str
    action: str


class NamedOut(BaseModel):
    tag: str
    at: datetime
    digest: str | None = Field(description="null: it named nothing then")
    since: datetime | None = Field(description="null: from before the history begins")
    actor: str
    action: str
    state: str = Field(description="live, restorable, gone; '' where it named nothing")
    until: datetime | None = Field(description="of what is restorable")
    gives_way: bool = Field(description="of what is restorable: until a push needs its room, and no longer")


class RollbackIn(Strict):
    back: Annotated[int, Field(ge=1, le=1000), BeforeValidator(as_whole)] | None = Field(
        default=None,
        description="so many images before the one that it names, each counted once; 1, unless said",
    )
    digest: DigestText | None = None
    at: Moment | None = Field(default=None, description="what it named then")


class DeletionIn(Strict):
    references: Annotated[list[Reference], Field(max_length=500)] = Field(
        default_factory=list, description="tags, digests, or tag@digest: only while it names that"
    )
    pattern: TagPattern | None = Field(default=None, description="of tags, in which * is any text: pr-*")
    untagged: bool = Field(default=False, description="images that no tag and no index names")
    older_than: Annotated[int, Field(ge=0, le=10**9), BeforeValidator(as_whole)] | None = Field(
        default=None, description="seconds since the tag moved, or the untagged image was pushed"
    )
    images: bool = Field(default=False, description="with the pattern: also images with no other tag")
    dry_run: bool = Field(default=False, description="say what would go, and let it be")
    force: bool = Field(default=False, description="also immutable tags: takes the right to change those")


class DeletedOut(BaseModel):
    reference: str
    digest: str | None
    tags: list[str]
    image: bool = Field(description="the image itself, not its tags alone")
    why: str
    refused: str = Field(description="why it stays; '' for what goes")


class DeletionOut(BaseModel):
    dry_run: bool
    items: list[DeletedOut]
    more: int = Field(description="so many more were chosen: ask again")


class ImmutableTagsDocument(PolicyIn):
    patterns: Annotated[list[TagPattern], Field(min_length=1, max_length=50)] = Field(
        description="tags that stay what they are, in which * is any text: v*"
    )
    exceptions: Annotated[list[TagPattern], Field(max_length=50)] = Field(
        default_factory=list, alias="except", description="that move all the same: *-rc*"
    )


class ImmutableTagsOut(ImmutableTagsDocument):
    scope: str = Field(description="the registry or the repository that it is of")
    inherited: bool = Field(description="it is the registry's, and the repository has none of its own")


class RetentionDocument(PolicyIn):
    days: Annotated[int, Field(ge=0, le=365), BeforeValidator(as_whole)] = Field(
        description="how long what is deleted can be restored; 0: nothing is kept"
    )
    counted: bool | None = Field(
        default=None,
        description="false: what is kept gives way to pushes that the account has no other room for, the "
        "oldest first; null: as the deployment has it, CCR_RETENTION_COUNTED",
    )


class RetentionOut(RetentionDocument):
    scope: str = Field(description="the registry or the repository that it is of; empty: the deployment")
    inherited: bool = Field(description="there is none of its own")
