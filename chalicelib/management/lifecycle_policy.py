"""The form of a lifecycle policy: models, and the JSON Schema that is published of them."""

from __future__ import annotations

from typing import Annotated, Any, Final, Literal

from pydantic import BeforeValidator, Field, StringConstraints

from chalicelib.management.forms import AFTER, TAG_PATTERN, TITLE, as_whole
from chalicelib.management.models import PolicyIn, Strict

SCHEMA_ID: Final = "https://registry.example.id/schemas/lifecycle-policy.json"
RULES_LIMIT: Final = 50

RuleName = Annotated[str, StringConstraints(min_length=1, max_length=100, pattern=TITLE)]
Priority = Annotated[int, Field(ge=0, le=1000), BeforeValidator(as_whole)]
TagPattern = Annotated[str, StringConstraints(min_length=1, max_length=128, pattern=TAG_PATTERN)]
Tags = Annotated[list[TagPattern], Field(min_length=1, max_length=20)]
After = Annotated[str, StringConstraints(pattern=AFTER)]

NAMED: Final = "what previews, the audit trail and the trash call it"
FIRST: Final = "the rule with the highest decides first; of two with the same, the first in the list"
MATCHED: Final = "patterns of which one matches; in them * is any text"
LONG: Final = "hours, days or weeks: 12h, 30d, 8w"


class ProtectRule(Strict):
    """These tags never expire, whatever else says so."""

    name: RuleName = Field(description=NAMED)
    action: Literal["protect"]
    tags: Tags = Field(description=MATCHED)


class KeepNewestRule(Strict):
    """Of these tags, those that moved last stay, and the others expire."""

    name: RuleName = Field(description=NAMED)
    action: Literal["keep-newest"]
    priority: Priority = Field(description=FIRST)
    tags: Tags = Field(description=MATCHED)
    count: Annotated[int, Field(ge=1, le=100_000), BeforeValidator(as_whole)] = Field(
        description="how many stay, of those that no rule before has decided"
    )


class ExpireTagsRule(Strict):
    """These tags expire so long after they last moved."""

    name: RuleName = Field(description=NAMED)
    action: Literal["expire-tags"]
    priority: Priority = Field(description=FIRST)
    tags: Tags = Field(description=MATCHED)
    after: After = Field(description=LONG)


class ExpireUnpulledRule(Strict):
    """What nobody pulled for so long expires; a push, and a move of the tag, counts as a pull."""

    name: RuleName = Field(description=NAMED)
    action: Literal["expire-unpulled"]
    priority: Priority = Field(description=FIRST)
    tags: Tags | None = Field(
        default=None, description=f"{MATCHED}; without any, all tags and what has no tag"
    )
    after: After = Field(description=LONG)


class ExpireUntaggedRule(Strict):
    """Manifests that no tag and no index names, and that refer to none, expire so long after the last did."""

    name: RuleName = Field(description=NAMED)
    action: Literal["expire-untagged"]
    priority: Priority = Field(description=FIRST)
    after: After = Field(description=LONG)


Rule = Annotated[
    ProtectRule | KeepNewestRule | ExpireTagsRule | ExpireUnpulledRule | ExpireUntaggedRule,
    Field(discriminator="action"),
]


class LifecyclePolicyIn(PolicyIn):
    """Says what of a repository expires, and when."""

    rules: Annotated[list[Rule], Field(min_length=1, max_length=RULES_LIMIT)]

    def document(self) -> dict[str, Any]:
        return self.model_dump(mode="json", exclude_none=True)


def schema() -> dict[str, Any]:
    """JSON Schema 2020-12."""
    made = LifecyclePolicyIn.model_json_schema()
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": SCHEMA_ID,
        **made,
        "title": "Lifecycle policy",
    }


def rule_at(body: object, place: tuple[object, ...]) -> str:
    """How a message names the rule and the field in which an error is; '' for one that is in none."""
    if "rules" not in place or place.index("rules") + 1 == len(place):
        return ""
    at = place.index("rules")
    policy: Any = body
    try:
        for step in place[1:at]:
            policy = policy[step]
        rule = policy["rules"][place[at + 1]]
    except (KeyError, IndexError, TypeError):
        return ""
    named = rule.get("name") if isinstance(rule, dict) else None
    number = place[at + 1]
    said = f"rule {named!r}" if isinstance(named, str) and named else f"rule {number}"
    # After the number comes the action, by which the form was chosen.
    fields = [str(one) for one in place[at + 3 :]]
    return f"{said}, {'.'.join(fields)}: " if fields else f"{said}: "
