"""What an answer comes to: allowed, forbidden, not let in, or the same as about what does not exist."""

from __future__ import annotations

from dataclasses import dataclass, field

from tests.access.caller import Caller, Reply
from tests.access.operations import Request
from tests.access.remembered_reads import Snapshot
from tests.access.table import ALLOWED, FORBIDDEN, HIDDEN, NOBODY


def absent(name: str) -> tuple[str, ...]:
    """Names as long that nothing has: in the same registry, and in a registry that is not there."""
    registry, slash, rest = name.partition("/")
    return (f"{name[:-2]}qq", f"{registry[:-1]}q/{rest}") if slash else (f"{name[:-2]}qq",)


@dataclass
class Judge:
    """Of one caller. What is allowed is undone; what is not must have changed nothing.

    `known` keeps answers to what is asked again and again: lists, and about what does not exist.
    """

    caller: Caller
    lives: bool
    snapshot: Snapshot
    known: dict[str, Reply] = field(default_factory=dict)

    def verdict(self, request: Request, *, success: int, of: str, listed: bool = False) -> str:
        """A cell of the table, or what is wrong. `of`: the name of what it is about, '' for nothing."""
        reply = self._known(request) if listed else request.said_by(self.caller)
        has_written = not self.snapshot.holds
        self.snapshot.restore()
        if reply.status == success and (not listed or f'"{of}"'.encode() in reply.body):
            return ALLOWED
        if has_written:
            return f"{reply.status}, but something was written"
        if listed and reply.status == 200:
            return HIDDEN
        if reply.status not in {401, 403, 404}:
            return f"{reply.status} {reply.body[:200]!r}"
        if reply.status == 401 and "www-authenticate" not in reply.headers:
            return "401 without a challenge"
        return self._refusal(request, reply, of)

    def _refusal(self, request: Request, reply: Reply, of: str) -> str:
        """By what is answered about what does not exist."""
        for other in absent(of) if of else ():
            twin = self._known(request.about(of, other))
            if twin != reply.about(of, other):
                return FORBIDDEN if reply.status == 403 else f"{reply} is not {twin}"
        if reply.status == 401 and (request.is_api or not self.lives):
            return NOBODY
        return HIDDEN if of else FORBIDDEN

    def _known(self, request: Request) -> Reply:
        key = str(request)
        if key not in self.known:
            self.known[key] = request.said_by(self.caller)
        return self.known[key]
