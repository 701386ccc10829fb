"""Pages of lists: some items and the cursor of what follows."""

from __future__ import annotations

from typing import Annotated, Generic, TypeVar

from aws_lambda_powertools.event_handler.openapi.params import Query
from pydantic import BaseModel, Field

Item = TypeVar("Item")
PageLimit = Annotated[int, Query(ge=1, le=100)]


class Page(BaseModel, Generic[Item]):
    items: list[Item]
    next: str = Field(description="give it as `after` for what follows; empty at the end")
