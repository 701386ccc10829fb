"""What a check finds, and in what order checks are made."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from ccr.cli.doctor.wire import BrokenError
from ccr.cli.exits import CliError

if TYPE_CHECKING:
    from ccr.cli.doctor.visit import Visit


class Result(StrEnum):
    OK = "ok"
    WARNING = "warning"
    WRONG = "wrong"
    SKIPPED = "skipped"


@dataclass(frozen=True, slots=True)
class Finding:
    """`seen` is what there was to see, or why nothing was looked at; `mend` is what to do about it."""

    result: Result
    seen: str
    mend: str = ""


@dataclass(frozen=True, slots=True)
class Check:
    """`what` completes "checks that …". It is skipped unless all that it `needs` were found well."""

    name: str
    what: str
    look: Callable[[Visit], Finding]
    needs: tuple[str, ...] = ()


def ok(seen: str) -> Finding:
    return Finding(Result.OK, seen)


def warning(seen: str, mend: str) -> Finding:
    return Finding(Result.WARNING, seen, mend)


def wrong(seen: str, mend: str) -> Finding:
    return Finding(Result.WRONG, seen, mend)


def skipped(why: str) -> Finding:
    return Finding(Result.SKIPPED, why)


def examine(visit: Visit, checks: Sequence[Check]) -> Iterator[tuple[Check, Finding]]:
    """Each check with what it found, in their order."""
    found: dict[str, Result] = {}
    for check in checks:
        lacking = [name for name in check.needs if found.get(name) not in {Result.OK, Result.WARNING}]
        finding = skipped(f"needs {lacking[0]}") if lacking else _looked(check, visit)
        found[check.name] = finding.result
        yield check, finding


def chosen(checks: Sequence[Check], names: Sequence[str]) -> list[Check]:
    """Those of `names` and all that they need; every one where nothing is named. Raises KeyError."""
    by_name = {check.name: check for check in checks}
    wanted: set[str] = set()
    left = list(names)
    while left:
        name = left.pop()
        wanted.add(name)
        left += by_name[name].needs
    return [check for check in checks if not names or check.name in wanted]


def _looked(check: Check, visit: Visit) -> Finding:
    try:
        return check.look(visit)
    except BrokenError as error:
        return wrong(error.seen, error.mend)
    except CliError as error:
        return wrong(error.message, "see what the message says")
    except (LookupError, TypeError, ValueError) as error:
        # Whatever stands in front may answer anything: that is a finding, and no end of the examination.
        seen = f"what answers is not what a registry says: {type(error).__name__} {error}"[:300]
        return wrong(seen, "look at what stands in front: it answers in place of the registry")
