"""What people write on the command line: durations and dates, grants, roles, claims."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, Final

import typer

from ccr.cli import durations

Limit = Annotated[
    int | None, typer.Option(min=1, help="At most so many; without it, all.", show_default=False)
]
Newest = Annotated[
    int | None,
    typer.Option(
        min=1,
        help="At most so many; without it a table ends at 100, JSON is all of the range.",
        show_default=False,
    ),
]
Force = Annotated[bool, typer.Option("--force", help="Also while it holds images: they are gone then.")]
IfMatch = Annotated[
    str,
    typer.Option(
        "--if-match",
        metavar="VERSION",
        help="Only if it still has this version, as `describe` shows it; else exit code 6.",
        show_default=False,
    ),
]


def is_later(moment: str) -> bool:
    """Than now; `moment` as `before_now` writes it."""
    return datetime.fromisoformat(moment) > datetime.now(UTC)


def seconds(text: str) -> int:
    """Raises BadParameter."""
    try:
        return durations.seconds(text)
    except ValueError as error:
        raise typer.BadParameter(str(error)) from error


def after_now(text: str) -> str:
    """A moment in RFC 3339, of a date or of a duration from now on. Raises BadParameter."""
    return _moment(text, 1)


def before_now(text: str) -> str:
    """A moment in RFC 3339, of a date or of a duration before now. Raises BadParameter."""
    return _moment(text, -1)


def grants(texts: Iterable[str]) -> list[dict[str, Any]]:
    """Of `dev/*:pull,push`. Raises BadParameter."""
    return [_grant(text) for text in texts]


def pairs(what: str, example: str) -> Callable[[Iterable[str]], dict[str, str]]:
    """A reader of several `key=value`, which raises BadParameter."""

    def read(texts: Iterable[str]) -> dict[str, str]:
        found: dict[str, str] = {}
        for text in texts:
            key, equals, value = text.partition("=")
            if not (key and equals and value):
                raise typer.BadParameter(f"{text!r} is no {what}: {example}")
            if found.setdefault(key, value) != value:
                raise typer.BadParameter(f"{key!r} is there twice")
        return found

    return read


roles: Final = pairs("role", "shop=developer, or '*=owner' for every project")
claims: Final = pairs("claim", "repository=acme/*")


def _grant(text: str) -> dict[str, Any]:
    pattern, colon, actions = text.rpartition(":")
    if not (pattern and colon and actions):
        raise typer.BadParameter(f"{text!r} is no grant: 'dev/*:pull,push'")
    return {"pattern": pattern, "actions": [one.strip() for one in actions.split(",")]}


def _moment(text: str, direction: int) -> str:
    try:
        when = datetime.now(UTC) + direction * timedelta(seconds=durations.seconds(text))
    except ValueError:
        when = _date(text)
    except OverflowError as error:
        raise typer.BadParameter(f"{text!r} is too long") from error
    return when.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _date(text: str) -> datetime:
    """UTC unless it says otherwise."""
    try:
        when = datetime.fromisoformat(text)
    except ValueError:
        raise typer.BadParameter(
            f"{text!r} is neither a duration (90d, 2h) nor a date (2027-01-31, 2027-01-31T12:00:00Z)"
        ) from None
    return when if when.tzinfo else when.replace(tzinfo=UTC)
