"""/migrations: how far the tables are, and one more stretch of what is left; for operators alone."""

from __future__ import annotations

from datetime import datetime
from typing import Final, Literal

from aws_lambda_powertools.event_handler import Response
from aws_lambda_powertools.event_handler.api_gateway import Router
from pydantic import BaseModel, Field

from chalicelib.identity.refusals import Reason, RefusedError
from chalicelib.management.models import Strict
from chalicelib.management.services import answered, caller_of, moment, services_of
from chalicelib.registry.migrations import Migrations, Progress, Schema

router = Router()  # type: ignore[no-untyped-call]
# Within what an edge waits for.
SECONDS: Final = 20


class MigrateIn(Strict):
    again: bool = Field(
        default=False,
        description="begin with the first one again, in 15 minutes: an older release has run in between",
    )


class MigrationOut(BaseModel):
    number: int
    name: str
    meaning: str
    state: Literal["done", "running", "waiting"]


class MigrationsOut(BaseModel):
    applied: int = Field(description="the last migration that is done; 0: none")
    known: int = Field(description="the last one that this release has")
    minimum: int = Field(description="code that knows no schema of this number or later does not start")
    complete: bool
    changed: int = Field(description="rows, by this call")
    next_at: datetime | None = Field(
        description="the next one may run from then on, when no older code does any more"
    )
    migrations: list[MigrationOut]


@router.get("/migrations", tags=["migrations"])
def read_migrations() -> MigrationsOut:
    """How far the tables are. Changes nothing."""
    _require_operator()
    migrations = services_of(router.context).migrations
    return _told(migrations, migrations.progress())


@router.post("/migrations", tags=["migrations"], responses={201: {"description": "has run"}})
def run_migrations(asked: MigrateIn) -> Response[MigrationsOut]:
    """Go on with what is left, for 20 seconds at the most; beside everything that uses the tables."""
    _require_operator()
    migrations, caller = services_of(router.context).migrations, caller_of(router.context)

    def migrate() -> MigrationsOut:
        if asked.again:
            return _told(migrations, migrations.again())
        return _told(migrations, migrations.run(migrations.clock() + SECONDS))

    # Nobody waits for their turn meanwhile; the answer is of what is done then.
    caller.later.append(migrate)
    return answered(_told(migrations, Progress(Schema(), 0, is_complete=False, next_at=0)), status=201)


def _told(migrations: Migrations, progress: Progress) -> MigrationsOut:
    schema = progress.schema
    return MigrationsOut(
        applied=schema.applied,
        known=len(migrations.known),
        minimum=schema.minimum,
        complete=progress.is_complete,
        changed=progress.changed,
        next_at=moment(progress.next_at) if progress.next_at else None,
        migrations=[
            MigrationOut(
                number=number,
                name=one.name,
                meaning=one.meaning,
                state=_state(number, schema.applied, schema.place),
            )
            for number, one in enumerate(migrations.known, 1)
        ],
    )


def _state(number: int, applied: int, place: str) -> Literal["done", "running", "waiting"]:
    if number <= applied:
        return "done"
    return "running" if number == applied + 1 and place else "waiting"


def _require_operator() -> None:
    if not caller_of(router.context).credential.is_operator:
        message = "the tables are of the whole deployment: this takes an operator's credential"
        raise RefusedError(Reason.FORBIDDEN, message)
