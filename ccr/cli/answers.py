"""What the management API answers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

Document = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Answer:
    """`version` is the ETag; `is_replayed` says that an earlier request did it, and its secret is gone."""

    document: Document
    version: str = ""
    is_replayed: bool = False
