"""Lifecycle policies: a policy, what a repository holds and a moment give what goes, and why the rest stays.

The newest tag is the one that moved last: that was pushed, or came to name another manifest.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from fnmatch import fnmatchcase
from typing import Any, Final

from chalicelib.spec.digest import Digest

HOUR: Final = 3600
DAY: Final = 24 * HOUR
_UNITS: Final = {"h": HOUR, "d": DAY, "w": 7 * DAY}
# What an expired manifest held is let go of at once, or by the collector within this time.
_SLACK: Final = HOUR
# As cosign names what belongs to another manifest: sha256-<hex>.sig.
_ATTACHED: Final = re.compile(r"(sha256)-([0-9a-f]{64})(\.[a-z0-9._-]+)?")
_REASON: Final = "lifecycle: "


class Action(StrEnum):
    PROTECT = "protect"
    KEEP_NEWEST = "keep-newest"
    EXPIRE_TAGS = "expire-tags"
    EXPIRE_UNPULLED = "expire-unpulled"
    EXPIRE_UNTAGGED = "expire-untagged"


@dataclass(frozen=True, slots=True)
class Rule:
    """`tags` are patterns, in which `*` is any text; `after` is in seconds.

    `expire-unpulled` without `tags` is about every tag, and about manifests without tags.
    """

    name: str
    action: Action
    priority: int = 0
    tags: tuple[str, ...] = ()
    count: int = 0
    after: int = 0

    def matches(self, tag: str) -> bool:
        is_for_all = self.action is Action.EXPIRE_UNPULLED and not self.tags
        return is_for_all or any(fnmatchcase(tag, pattern) for pattern in self.tags)


@dataclass(frozen=True, slots=True)
class LifecyclePolicy:
    """Those that protect come first, then by priority, the highest first, then as written."""

    rules: tuple[Rule, ...]

    @classmethod
    def of(cls, document: Mapping[str, Any]) -> LifecyclePolicy:
        """Of one that has the form of docs/schemas/lifecycle-policy.json."""
        rules = [_rule(one) for one in document["rules"]]
        return cls(tuple(sorted(rules, key=lambda one: (one.action is not Action.PROTECT, -one.priority))))


def _rule(document: Mapping[str, Any]) -> Rule:
    return Rule(
        name=document["name"],
        action=Action(document["action"]),
        priority=document.get("priority", 0),
        tags=tuple(document.get("tags") or ()),
        count=document.get("count", 0),
        after=_seconds(document["after"]) if "after" in document else 0,
    )


def _seconds(text: str) -> int:
    return int(text[:-1]) * _UNITS[text[-1]]


@dataclass(frozen=True, slots=True)
class ManifestState:
    """Times are epoch seconds, 0 for never; `left` is when a tag or an index last let go of it. `pushed_at`
    is when it was last pushed, in epoch microseconds.

    `tags` and `parents` are the counts of the row. `is_live`: it is neither on its way in nor out.
    """

    digest: Digest
    pushed_at: int
    pulled: int = 0
    left: int = 0
    tags: int = 0
    parents: int = 0
    subject: Digest | None = None
    children: tuple[Digest, ...] = ()
    is_live: bool = True

    @property
    def pushed(self) -> int:
        return self.pushed_at // 1_000_000


@dataclass(frozen=True, slots=True)
class TagState:
    """`moved` in epoch microseconds."""

    tag: str
    digest: Digest
    moved: int


@dataclass(frozen=True, slots=True)
class Gone:
    """A manifest that was deleted, and is still known."""

    digest: Digest
    deleted: int
    reason: str = ""
    children: tuple[Digest, ...] = ()


@dataclass(frozen=True, slots=True)
class State:
    """What a repository holds. `immutable`: the pattern that makes a tag so, or ''."""

    manifests: Sequence[ManifestState] = ()
    tags: Sequence[TagState] = ()
    gone: Sequence[Gone] = ()
    immutable: Callable[[str], str] = lambda _: ""


@dataclass(frozen=True, slots=True)
class Verdict:
    """Of one tag, or of a manifest where `tag` is ''; `rule` is the one that decided, or ''."""

    digest: Digest
    goes: bool
    why: str
    rule: str = ""
    tag: str = ""

    @property
    def key(self) -> str:
        """Tags before manifests, each in their order."""
        return f"0 {self.tag}" if self.tag else f"1 {self.digest}"


@dataclass(frozen=True, slots=True)
class Plan:
    """`order`: the manifests that go, each after all of `holders` that hold it."""

    tags: Mapping[str, Verdict]
    manifests: Mapping[Digest, Verdict]
    order: tuple[Digest, ...] = ()
    holders: Mapping[Digest, tuple[Digest, ...]] = field(default_factory=dict)

    def verdicts(self) -> Iterator[Verdict]:
        yield from (self.tags[tag] for tag in sorted(self.tags))
        yield from (self.manifests[digest] for digest in sorted(self.manifests))


def reason_of(rule: str) -> str:
    """As the trash and the audit trail keep it."""
    return f"{_REASON}{rule}"


def is_lifecycle_reason(reason: str) -> bool:
    """Whether a rule of a policy was the reason."""
    return reason.startswith(_REASON)


def plan(policy: LifecyclePolicy, state: State, moment: int) -> Plan:
    """What goes at `moment` (epoch seconds), and why each of the others stays."""
    return _Planner(policy, state, moment).plan()


def _subject_of(tag: TagState) -> Digest | None:
    """The other manifest that a tag of cosign's scheme belongs to."""
    found = _ATTACHED.fullmatch(tag.tag)
    subject = Digest(f"{found[1]}:{found[2]}") if found else None
    return None if subject == tag.digest else subject


class _Planner:
    def __init__(self, policy: LifecyclePolicy, state: State, moment: int) -> None:
        self._policy, self._state, self._moment = policy, state, moment
        self._manifests = {one.digest: one for one in state.manifests}
        self._gone = {one.digest: one for one in state.gone}
        self._gone_parents = {child: one for one in state.gone for child in one.children}
        self._tags_of: dict[Digest, list[TagState]] = {}
        for tag in state.tags:
            self._tags_of.setdefault(tag.digest, []).append(tag)
        self._parents, self._subjects = self._edges()
        self._held: dict[Digest, list[Digest]] = {}
        for digest in self._manifests:
            for holder in self._holders(digest):
                self._held.setdefault(holder, []).append(digest)
        self._used = self._last_used()
        self._open = {tag.tag: tag for tag in state.tags}
        self._due: dict[str, tuple[int, Rule]] = {}
        self._verdicts: dict[str, Verdict] = {}
        self._judged: dict[Digest, Verdict] = {}

    def plan(self) -> Plan:
        self._decide_tags()
        staying, going = self._decide_alone()
        # What hold only each other are held by nothing: each is judged on its own.
        reached = self._reached({*staying, *going})
        for digest in self._manifests.keys() - reached:
            verdict = self._untagged(self._manifests[digest])
            self._judged[digest] = verdict
            (going if verdict.goes else staying).append(digest)
        stays = self._spread(staying, {}, "stays")
        gone = self._spread([one for one in going if one not in stays], stays, "goes")
        self._decide_attached(stays, gone)
        manifests = {digest: stays.get(digest) or gone[digest] for digest in self._manifests}
        return Plan(self._verdicts, manifests, *self._order(gone))

    def _edges(self) -> tuple[dict[Digest, list[Digest]], dict[Digest, list[Digest]]]:
        """Of those that are here: the indexes and the subjects of each."""
        parents: dict[Digest, list[Digest]] = {}
        subjects: dict[Digest, list[Digest]] = {}
        for one in self._state.manifests:
            for child in dict.fromkeys(one.children):
                parents.setdefault(child, []).append(one.digest)
            if one.subject in self._manifests:
                subjects.setdefault(one.digest, []).append(one.subject)
        for tag in self._state.tags:
            subject = _subject_of(tag)
            if subject in self._manifests:
                subjects.setdefault(tag.digest, []).append(subject)
        return parents, subjects

    def _holders(self, digest: Digest) -> list[Digest]:
        return list(dict.fromkeys((*self._parents.get(digest, ()), *self._subjects.get(digest, ()))))

    def _last_used(self) -> dict[Digest, int]:
        """Of an index, what is in it counts too. A pull is noted once a day: it may be as much younger."""
        used = {
            one.digest: max(one.pushed, one.pulled + DAY if one.pulled else 0)
            for one in self._state.manifests
        }
        for digest in list(used):
            work = [digest]
            while work:
                child = work.pop()
                for parent in self._parents.get(child, ()):
                    if used[parent] < used[child]:
                        used[parent] = used[child]
                        work.append(parent)
        return used

    def _decide_tags(self) -> None:
        """Each rule has what none before it has decided; then the rest stays."""
        for tag in self._state.tags:
            pattern = self._state.immutable(tag.tag)
            if pattern:
                self._decide(tag, f"it is immutable (pattern {pattern})")
        for rule in self._policy.rules:
            self._apply(rule)
        for tag in list(self._open.values()):
            subject = _subject_of(tag)
            if subject is None:
                self._decide(tag, self._not_yet(self._due.get(tag.tag)))
            elif subject not in self._manifests:
                self._decide_orphan(tag, subject)

    def _apply(self, rule: Rule) -> None:
        """What belongs to another manifest can be protected, and lives with that otherwise."""
        matching = [tag for tag in self._open.values() if rule.matches(tag.tag)]
        if rule.action is Action.PROTECT:
            for tag in matching:
                self._decide(tag, "it is protected", rule)
            return
        own = [tag for tag in matching if _subject_of(tag) is None]
        if rule.action is Action.KEEP_NEWEST:
            self._keep_newest(rule, own)
        elif rule.action is not Action.EXPIRE_UNTAGGED:
            self._expire(rule, own)

    def _decide(self, tag: TagState, why: str, rule: Rule | None = None, *, goes: bool = False) -> None:
        del self._open[tag.tag]
        self._verdicts[tag.tag] = Verdict(tag.digest, goes, why, rule.name if rule else "", tag.tag)

    def _keep_newest(self, rule: Rule, matching: list[TagState]) -> None:
        """Of two that moved at once, the later by name is newer."""
        newest = sorted(matching, key=lambda tag: (tag.moved, tag.tag), reverse=True)
        for place, tag in enumerate(newest, 1):
            goes = place > rule.count
            kept = f"it is among the {rule.count} newest"
            why = f"newer ones: {place - 1}; to be kept: {rule.count}" if goes else kept
            self._decide(tag, why, rule, goes=goes)

    def _expire(self, rule: Rule, matching: list[TagState]) -> None:
        for tag in matching:
            since = tag.moved // 1_000_000 or self._used.get(tag.digest, self._moment)
            told = f"it last moved at {_time(since)}"
            if rule.action is Action.EXPIRE_UNPULLED:
                used = self._used.get(tag.digest, self._moment)
                if used > since:
                    since, told = used, f"it was last used before {_time(used)}"
            end = since + rule.after
            if end <= self._moment:
                self._decide(tag, told, rule, goes=True)
            elif tag.tag not in self._due or end < self._due[tag.tag][0]:
                self._due[tag.tag] = end, rule

    def _not_yet(self, due: tuple[int, Rule] | None) -> str:
        return f"{due[1].name!r} lets it go at {_time(due[0])}" if due else "no rule lets it go"

    def _decide_orphan(self, tag: TagState, subject: Digest) -> None:
        """What it belongs to is not here."""
        manifest = self._manifests.get(tag.digest)
        since = max(tag.moved // 1_000_000, manifest.pushed if manifest else 0)
        verdict = self._orphan(tag.digest, subject, since, manifest)
        self._verdicts[tag.tag] = Verdict(tag.digest, verdict.goes, verdict.why, verdict.rule, tag.tag)

    def _decide_alone(self) -> tuple[list[Digest], list[Digest]]:
        """Those that stay and that go whatever becomes of what holds them; the rest is as that is."""
        staying: list[Digest] = []
        going: list[Digest] = []
        for manifest in self._state.manifests:
            verdict = self._alone(manifest)
            if verdict is not None:
                self._judged[manifest.digest] = verdict
                (going if verdict.goes else staying).append(manifest.digest)
        return staying, going

    def _alone(self, manifest: ManifestState) -> Verdict | None:
        digest = manifest.digest
        tags = self._tags_of.get(digest, [])
        if not manifest.is_live:
            return Verdict(digest, goes=False, why="it is being pushed or deleted")
        if manifest.tags > len(tags) or manifest.parents > len(self._parents.get(digest, ())):
            return Verdict(digest, goes=False, why="it changed while it was looked at")
        verdicts = [self._verdicts[tag.tag] for tag in tags if tag.tag in self._verdicts]
        kept = next((one for one in verdicts if not one.goes), None)
        if kept is not None:
            return Verdict(digest, goes=False, why=f"the tag {kept.tag} names it", rule=kept.rule)
        if verdicts:
            # With its own tags: it goes unless something holds it.
            expired = min(verdicts, key=lambda one: self._rank(one.rule))
            return Verdict(digest, goes=True, why=f"its tag {expired.tag} goes", rule=expired.rule)
        return None if self._holders(digest) else self._untagged(manifest)

    def _rank(self, rule: str) -> int:
        return next((rank for rank, one in enumerate(self._policy.rules) if one.name == rule), 0)

    def _untagged(self, manifest: ManifestState) -> Verdict:
        """Nothing here names it."""
        since = max(manifest.pushed, manifest.left)
        return self._orphan(manifest.digest, manifest.subject, since, manifest)

    def _orphan(
        self, digest: Digest, subject: Digest | None, since: int, manifest: ManifestState | None
    ) -> Verdict:
        left_over = self._left_over(manifest, subject) if manifest else None
        if left_over is not None:
            return left_over
        gone = self._gone.get(subject) if subject and subject not in self._manifests else None
        if gone is not None:
            since = max(since, gone.deleted)
        told = "its subject is not here" if subject and subject not in self._manifests else "nothing names it"
        soonest: tuple[int, Rule] | None = None
        for rule in self._policy.rules:
            if rule.action is Action.EXPIRE_UNTAGGED:
                end, why = since + rule.after, f"{told} since {_time(since)}"
            elif rule.action is Action.EXPIRE_UNPULLED and not rule.tags:
                used = self._used.get(digest, self._moment)
                end, why = used + rule.after, f"{told}, and it was last used before {_time(used)}"
            else:
                continue
            if end <= self._moment:
                return Verdict(digest, goes=True, why=why, rule=rule.name)
            if soonest is None or end < soonest[0]:
                soonest = end, rule
        return Verdict(digest, goes=False, why=f"{told}; {self._not_yet(soonest)}")

    def _left_over(self, manifest: ManifestState, subject: Digest | None) -> Verdict | None:
        """It was to go with what held it, by a run that did not get that far."""
        holders = (self._gone_parents.get(manifest.digest), self._gone.get(subject) if subject else None)
        for gone in holders:
            if gone is None or gone.digest in self._manifests or not is_lifecycle_reason(gone.reason):
                continue
            is_untouched = max(manifest.pushed, manifest.pulled) <= gone.deleted
            if is_untouched and manifest.left <= gone.deleted + _SLACK:
                why = f"it was part of {gone.digest}, which went at {_time(gone.deleted)}"
                return Verdict(manifest.digest, goes=True, why=why, rule=gone.reason.removeprefix(_REASON))
        return None

    def _reached(self, roots: set[Digest]) -> set[Digest]:
        seen, work = set(roots), list(roots)
        while work:
            for held in self._held.get(work.pop(), ()):
                if held not in seen:
                    seen.add(held)
                    work.append(held)
        return seen

    def _spread(
        self, roots: Iterable[Digest], beside: Mapping[Digest, Verdict], does: str
    ) -> dict[Digest, Verdict]:
        """The verdicts of `roots`, and of what they hold that is not in `beside`."""
        found = {digest: self._judged[digest] for digest in roots}
        work = deque(found)
        while work:
            holder = work.popleft()
            for held in self._held.get(holder, ()):
                if held in found or held in beside:
                    continue
                told = "it is in the index" if holder in self._parents.get(held, ()) else "it refers to"
                goes = does == "goes"
                rule = found[holder].rule if goes else ""
                found[held] = Verdict(held, goes, f"{told} {holder}, which {does}", rule)
                work.append(held)
        return found

    def _decide_attached(self, stays: Mapping[Digest, Verdict], gone: Mapping[Digest, Verdict]) -> None:
        for tag in self._state.tags:
            subject = _subject_of(tag)
            if tag.tag in self._verdicts or subject is None:
                continue
            goes = subject not in stays
            why = f"it belongs to {subject}, which {'goes' if goes else 'stays'}"
            rule = gone[subject].rule if goes else ""
            self._verdicts[tag.tag] = Verdict(tag.digest, goes, why, rule, tag.tag)

    def _order(
        self, gone: Mapping[Digest, Verdict]
    ) -> tuple[tuple[Digest, ...], dict[Digest, tuple[Digest, ...]]]:
        """An index before its children, a subject before what refers to it: see ADR 19."""
        holders = {one: tuple(self._holders(one)) for one in gone}
        waits = {one: len(holders[one]) for one in gone}
        parents = {one: len(self._parents.get(one, ())) for one in gone}
        ready = deque(sorted(one for one in gone if not waits[one]))
        order: dict[Digest, None] = {}
        left = dict.fromkeys(sorted(gone))
        while left:
            # An index that refers to its own child: it goes first.
            digest = ready.popleft() if ready else next(one for one in left if not parents[one])
            if digest in order:
                continue
            order[digest] = None
            left.pop(digest, None)
            for held in self._held.get(digest, ()):
                if held not in left:
                    continue
                waits[held] -= 1
                parents[held] -= digest in self._parents.get(held, ())
                if not waits[held]:
                    ready.append(held)
        return tuple(order), holders


def _time(seconds: int) -> str:
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%SZ}"
