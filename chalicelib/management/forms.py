"""The forms of names, titles and times as patterns, which a JSON schema can say and a client can check.

The domain has the last word; these are its grammars, written for the document.
"""

from __future__ import annotations

import re
from typing import Final

_INNER: Final = "[a-z0-9]([a-z0-9-]*[a-z0-9])?"
_COMPONENT: Final = r"[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*"
_PATH: Final = f"{_COMPONENT}(/{_COMPONENT})*"
_TAG: Final = r"[a-zA-Z0-9_][a-zA-Z0-9._-]{0,127}"
_DIGEST: Final = r"(sha256:[a-f0-9]{64}|sha512:[a-f0-9]{128})"
_TIME: Final = re.compile(r"\d{4}-\d{2}-\d{2}[Tt ].+")

NAME: Final = f"^{_INNER}$"
REGISTRY_NAME: Final = f"^{_COMPONENT}$"
REPOSITORY_NAME: Final = f"^{_PATH}$"
SHA256: Final = "^sha256:[a-f0-9]{64}$"
DIGEST: Final = f"^{_DIGEST}$"
CREDENTIAL_ID: Final = "^[a-z0-9]([a-z0-9._+@-]*[a-z0-9])?$"
PROJECT_OF_ROLE: Final = rf"^(\*|{_INNER})$"
GRANT_PATTERN: Final = rf"^{_COMPONENT}(/[a-z0-9._*-]+)*$"
SOURCE: Final = f"^{_PATH}(:{_TAG}|@{_DIGEST})?$"
TARGET: Final = f"^{_PATH}(:{_TAG})?$"
TAG: Final = f"^{_TAG}$"
TAG_REFERENCE: Final = f"^({_TAG}(@{_DIGEST})?|{_DIGEST})$"
MOVE_CURSOR: Final = "^([0-9]{1,15}-[0-9]{1,9})?$"
ISSUER: Final = r"^(https://|http://127\.0\.0\.1:|http://localhost:)"
# Without a *, or with a name beyond the first separator before it.
SUBJECT: Final = r"^[^*]+$|^[^*:/|]*[:/|]+[^*:/|]"
# In both, * is any text.
TAG_PATTERN: Final = r"^[a-zA-Z0-9._*-]+$"
AFTER: Final = r"^[1-9][0-9]{0,3}[hdw]$"
# Of a credential: no control characters, and no others that change how a line looks.
TITLE: Final = r"^[^\x00-\x1f\x7f-\xa0\xad\u2000-\u200f\u2028-\u202f\u2066-\u206f\ufeff]*$"

# Of event types, and of repositories: * is any text.
EVENT_PATTERN: Final = r"^[a-z.*-]+$"
REPOSITORY_PATTERN: Final = r"^[a-z0-9._/*-]+$"
WEBHOOK_URL: Final = r"^https?://[!-~]+$"
EVENT_ID: Final = "^[0-9]{17}-[0-9a-f]{16}$"
EVENT_CURSOR: Final = "^([0-9]{17}-[0-9a-f]{16})?$"

_WORDS: Final = {
    EVENT_PATTERN: "takes an event type, in which * is any text: ccr.manifest.*",
    REPOSITORY_PATTERN: "takes a repository, in which * is any text: prod/*",
    WEBHOOK_URL: "takes an https:// URL",
    EVENT_ID: "takes the id of an event, as the dead view shows it",
    EVENT_CURSOR: "takes the `next` of the page before",
    NAME: "takes a-z, 0-9 and - (inside), at most 63",
    REGISTRY_NAME: "takes a-z, 0-9 and . _ - (inside), at most 63, and no slash",
    REPOSITORY_NAME: "takes segments of a-z, 0-9 and . _ - (inside) with slashes between",
    SHA256: "takes sha256: and 64 of 0-9 and a-f",
    DIGEST: "takes sha256: and 64, or sha512: and 128 of 0-9 and a-f",
    CREDENTIAL_ID: "takes a-z, 0-9 and . _ + @ - (inside), at most 128",
    PROJECT_OF_ROLE: "takes the name of a project, or * for all",
    GRANT_PATTERN: "takes a registry's name and, after a slash, a repository in which * is any text: prod/*",
    SOURCE: "takes a repository with a tag or a digest: prod/app:1.0",
    TARGET: "takes a repository, and a tag unless the source's is kept: prod/app:1.0",
    TAG: "takes a-z, A-Z, 0-9 and . _ -, at most 128",
    TAG_REFERENCE: "takes a tag, a digest, or tag@digest",
    MOVE_CURSOR: "takes the `next` of the page before",
    ISSUER: "takes an https:// URL",
    SUBJECT: "takes a text that is not all *",
    TAG_PATTERN: "takes a pattern of tags, in which * is any text: v1.*",
    AFTER: "takes hours, days or weeks: 12h, 30d, 8w",
    TITLE: "takes one line of printable characters",
}


def in_words(pattern: str) -> str:
    """What has not the form of `pattern` is told."""
    return _WORDS.get(pattern, "has another form: see the OpenAPI document")


def as_whole(value: object) -> object:
    """JSON has one kind of number: 60.0 is 60."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


def as_written(value: object) -> object:
    """Only text of RFC 3339 is a time: 0.5 is not, though Python could read it as one."""
    if isinstance(value, str) and not _TIME.fullmatch(value):
        raise ValueError("a time is written as 2027-01-31T12:00:00Z")
    if isinstance(value, int | float):
        raise ValueError("a time is written as 2027-01-31T12:00:00Z")  # noqa: TRY004 - pydantic's own way to refuse
    return value
