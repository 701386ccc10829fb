"""Lifecycle policies: policy x repository -> what goes. Read as documentation: days are counted from day 0.

A manifest is `name` or `name>child,child` (an index) or `name^subject` (a referrer), with the day of its
push after `@`, and what else is known of it: `~12` last pulled on day 12, `-12` let go of on day 12. A tag is
written `tag=name@day`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

import pytest

from chalicelib.registry.lifecycle import (
    DAY,
    Gone,
    LifecyclePolicy,
    ManifestState,
    Plan,
    State,
    TagState,
    plan,
)
from chalicelib.spec.digest import Digest

TODAY = 100
FORM = re.compile(
    r"(?P<name>[\w]+)(>(?P<children>[\w,]+))?(\^(?P<subject>\w+))?@(?P<pushed>\d+)(~(?P<pulled>\d+))?(-(?P<left>\d+))?"
)


def digest(name: str) -> Digest:
    return Digest.of(name.encode())


def state(text: str, gone: tuple[Gone, ...] = (), immutable: str = "") -> State:
    manifests, tags = [], []
    for word in text.split():
        tag, equals, rest = word.partition("=")
        if equals:
            name, _, day = rest.partition("@")
            tags.append(TagState(tag, digest(name), int(day) * DAY * 1_000_000))
        else:
            manifests.append(_manifest(word))
    counts = [one.digest for one in tags]
    named = [child for one in manifests for child in one.children]
    counted = [
        ManifestState(
            digest=one.digest,
            pushed_at=one.pushed * 1_000_000,
            pulled=one.pulled,
            left=one.left,
            tags=counts.count(one.digest),
            parents=named.count(one.digest),
            subject=one.subject,
            children=one.children,
        )
        for one in manifests
    ]
    return State(counted, tags, gone, lambda tag: immutable if tag == immutable else "")


def _manifest(word: str) -> ManifestState:
    found = FORM.fullmatch(word)
    assert found is not None, word
    return ManifestState(
        digest=digest(found["name"]),
        pushed_at=int(found["pushed"]) * DAY * 1_000_000,
        pulled=int(found["pulled"] or 0) * DAY,
        left=int(found["left"] or 0) * DAY,
        subject=digest(found["subject"]) if found["subject"] else None,
        children=tuple(map(digest, found["children"].split(","))) if found["children"] else (),
    )


def rule(action: str, name: str = "", priority: int = 1, **more: Any) -> dict[str, Any]:
    return {
        "name": name or action,
        "action": action,
        **({} if action == "protect" else {"priority": priority}),
        **more,
    }


def judged(found: State, *rules: dict[str, Any], today: float = TODAY) -> Plan:
    return plan(LifecyclePolicy.of({"rules": rules}), found, int(today * DAY))


def going(made: Plan, text: str) -> set[str]:
    """Tags by name, manifests by the names that `text` uses."""
    names = {digest(name): name for name in re.findall(r"\b([a-zA-Z]\w*)", text)}
    tags = {tag for tag, verdict in made.tags.items() if verdict.goes}
    return tags | {names[one] for one, verdict in made.manifests.items() if verdict.goes}


@dataclass(frozen=True)
class Case:
    """`goes`: the tags and manifests, in any order."""

    about: str
    rules: tuple[dict[str, Any], ...]
    holds: str
    goes: str = ""


KEEP_2 = rule("keep-newest", tags=["v*"], count=2)
UNTAGGED = rule("expire-untagged", after="7d")
UNPULLED = rule("expire-unpulled", after="30d")
OLD = rule("expire-tags", tags=["pr-*"], after="14d")
PROTECT = rule("protect", tags=["v1", "pr-1"])

CASES = (
    Case("nothing goes by no rule", (), "a@1 b@1 v1=a@1"),
    Case(
        "the newest two stay, and an image goes with its last tag",
        (KEEP_2,),
        "a@1 b@2 c@3 v1=a@1 v2=b@2 v3=c@3",
        "v1 a",
    ),
    Case(
        "newest is who moved last, not who was pushed last",
        (KEEP_2,),
        "a@1 b@2 c@3 v1=a@9 v2=b@2 v3=c@3",
        "v2 b",
    ),
    Case("of tags that moved at once, the later name is newer", (KEEP_2,), "a@1 v1=a@1 v2=a@1 v3=a@1", "v1"),
    Case(
        "an image with a tag that stays loses the others alone", (KEEP_2,), "a@1 v1=a@1 v2=a@2 v3=a@3", "v1"
    ),
    Case("tags that do not match are not counted", (KEEP_2,), "a@1 v1=a@1 v2=a@2 latest=a@3"),
    Case("untagged for longer than the time", (UNTAGGED,), "a@92 b@93 c@94", "a b"),
    Case("what lost its tag on day 95 is untagged since then", (UNTAGGED,), "a@1-95 b@1-93", "b"),
    Case("what has a tag is not untagged", (UNTAGGED,), "a@1 latest=a@1"),
    Case("never pulled counts from the push", (UNPULLED,), "a@70 b@71 x=a@70 y=b@71", "x a"),
    Case(
        "a pull is noted once a day, so one of day 69 lasts to day 100",
        (UNPULLED,),
        "a@1~69 b@1~70 x=a@1 y=b@1",
        "x a",
    ),
    Case("a tag that moved to an old image counts from there", (UNPULLED,), "a@1 x=a@90"),
    Case("untagged and not pulled either", (UNPULLED,), "a@70 b@1~80", "a"),
    Case(
        "of some tags alone: untagged manifests are not its concern",
        (rule("expire-unpulled", tags=["x"], after="30d"),),
        "a@1 b@1 c@1 x=a@1 y=b@1",
        "x a",
    ),
    Case("tags of an age", (OLD,), "a@1 b@1 pr-1=a@86 pr-2=b@87 v1=b@1", "pr-1 a"),
    Case("what is protected stays whatever else is said", (PROTECT, KEEP_2, OLD), "a@1 v1=a@1 pr-1=a@1"),
    Case(
        "what is protected takes no place among the newest",
        (PROTECT, KEEP_2),
        "a@1 b@1 c@1 d@1 v1=a@9 v2=b@2 v3=c@3 v4=d@4",
        "v2 b",
    ),
    Case(
        "the higher priority decides first: kept",
        (rule("keep-newest", tags=["v*"], count=1, priority=9), rule("expire-tags", tags=["*"], after="1d")),
        "a@1 b@1 v1=a@1 x=b@1",
        "x b",
    ),
    Case(
        "the higher priority decides first: expired, and not counted by the lower",
        (rule("keep-newest", tags=["*"], count=1), rule("expire-tags", tags=["v2"], after="1d", priority=9)),
        "a@1 b@1 v1=a@1 v2=b@2",
        "v2 b",
    ),
    Case("a signature lives as long as its subject", (UNTAGGED,), "a@1 sig^a@1 v1=a@1"),
    Case("and goes with it", (KEEP_2,), "a@1 sig^a@1 sbom^sig@1 b@2 v1=a@1 v2=b@2 v3=b@3", "v1 a sig sbom"),
    Case(
        "one with a tag that stays stays",
        (KEEP_2,),
        "a@1 sig^a@1 b@2 v1=a@1 v2=b@2 v3=b@3 mine=sig@1",
        "v1 a",
    ),
    Case(
        "one with a tag that goes lives with its subject on", (OLD,), "a@1 sig^a@1 v1=a@1 pr-1=sig@1", "pr-1"
    ),
    Case(
        "one whose subject is not there goes like what is untagged", (UNTAGGED,), "sig^a@92 sbom^a@95", "sig"
    ),
    Case("children stay with their index", (UNTAGGED, UNPULLED), "i>a,b@80 a@1 b@1 v1=i@80"),
    Case(
        "children of an expired index go with it",
        (KEEP_2,),
        "i>a,b@1 a@1 b@1 c@2 v1=i@1 v2=c@2 v3=c@3",
        "v1 i a b",
    ),
    Case(
        "unless another index, or a tag, has them",
        (KEEP_2,),
        "i>a,b,c@1 j>a@1 a@1 b@1 c@1 v1=i@1 v2=j@2 v3=j@3 mine=b@1",
        "v1 i c",
    ),
    Case("an index in an index", (UNTAGGED,), "o>i@1 i>a@1 a@1 sig^a@99", "o i a sig"),
    Case("a pull of a child is one of its index", (UNPULLED,), "i>a@1 a@1~90 x=i@1"),
    Case("an image's tag goes, its index keeps the image", (OLD,), "i>a@1 a@1 v1=i@1 pr-1=a@1", "pr-1"),
)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.about)
def test_what_goes(case: Case) -> None:
    assert going(judged(state(case.holds), *case.rules), case.holds) == set(case.goes.split())


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.about)
def test_an_index_goes_before_its_children_and_a_subject_before_its_referrers(case: Case) -> None:
    found = state(case.holds)
    made = judged(found, *case.rules)
    assert set(made.order) == {one for one, verdict in made.manifests.items() if verdict.goes}
    assert len(set(made.order)) == len(made.order)
    for one in found.manifests:
        for first, then in [*((one.digest, child) for child in one.children), (one.subject, one.digest)]:
            if first in made.order:
                assert then not in made.order or made.order.index(first) < made.order.index(then)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.about)
def test_each_verdict_says_why_and_each_that_goes_names_its_rule(case: Case) -> None:
    verdicts = list(judged(state(case.holds), *case.rules).verdicts())
    names = {one["name"] for one in case.rules}
    assert all(one.why for one in verdicts)
    assert all(one.rule in names for one in verdicts if one.goes)


def test_an_immutable_tag_stays_and_takes_no_place_among_the_newest() -> None:
    holds = "a@1 b@1 c@1 v1=a@1 v2=b@2 v3=c@3"
    made = judged(state(holds, immutable="v1"), rule("keep-newest", tags=["*"], count=1))
    assert going(made, holds) == {"v2", "b"}
    assert made.tags["v1"].why == "it is immutable (pattern v1)"


def test_the_subject_of_a_referrer_is_gone_since_it_was_deleted() -> None:
    holds = "sig^a@1"
    for deleted, goes in ((94, set()), (93, {"sig"})):
        found = state(holds, gone=(Gone(digest("a"), deleted * DAY),))
        assert going(judged(found, UNTAGGED), holds) == goes


@pytest.mark.parametrize(
    ("holds", "goes"),
    [
        ("child@1-100 sig^i@1", {"child", "sig"}),
        # Pushed, pulled or let go of since: they are judged anew.
        ("child@101 sig^i@101", set()),
        ("child@1~101 sig^i@1~101", set()),
        ("child@1-101", set()),
    ],
)
def test_what_a_run_did_not_get_to_goes_in_the_next(holds: str, goes: set[str]) -> None:
    gone = Gone(digest("i"), 100 * DAY, "lifecycle: keep-newest", (digest("child"),))
    assert going(judged(state(holds, gone=(gone,)), KEEP_2, today=102), holds) == goes


def test_what_somebody_deleted_takes_nothing_with_it() -> None:
    gone = Gone(digest("i"), 100 * DAY, "", (digest("child"),))
    holds = "child@1-100 sig^i@1"
    assert going(judged(state(holds, gone=(gone,)), KEEP_2, today=102), holds) == set()


def _attached(name: str, suffix: str = ".sig") -> str:
    return digest(name).replace(":", "-") + suffix


def test_a_tag_of_cosign_lives_and_goes_with_what_it_names_and_is_not_counted() -> None:
    mine, other = _attached("a"), _attached("c", ".sbom")
    holds = f"a@1 b@2 c@3 sigA@50 sigC@50 v1=a@1 v2=b@2 v3=c@3 {mine}=sigA@50 {other}=sigC@50"
    made = judged(state(holds), rule("keep-newest", tags=["*"], count=2))
    assert going(made, "a b c sigA sigC") == {"v1", "a", "sigA", mine}


def test_a_tag_of_cosign_whose_image_is_gone_goes_after_the_time_of_what_is_untagged() -> None:
    holds = f"old@1 new@1 {_attached('x')}=old@92 {_attached('y')}=new@95"
    made = judged(state(holds), UNTAGGED, rule("expire-tags", tags=["*"], after="1h"))
    assert going(made, "old new") == {"old", _attached("x")}


def test_what_holds_only_each_other_is_judged_like_what_is_untagged() -> None:
    """An index that refers to its own child."""
    holds = "i>a^a@1 a@1"
    assert going(judged(state(holds), KEEP_2), holds) == set()
    made = judged(state(holds), UNTAGGED)
    assert going(made, holds) == {"i", "a"}
    assert made.order == (digest("i"), digest("a"))


@pytest.mark.parametrize("more", [{"tags": 1}, {"parents": 1}, {"is_live": False}])
def test_what_changes_while_it_is_read_stays(more: dict[str, Any]) -> None:
    manifest = ManifestState(digest=digest("a"), pushed_at=DAY * 1_000_000, **more)
    made = judged(State([manifest]), UNTAGGED)
    assert not made.manifests[digest("a")].goes


def test_what_stays_says_until_when() -> None:
    made = judged(state("a@1 pr-1=a@99"), OLD)
    assert made.tags["pr-1"].why == "'expire-tags' lets it go at 1970-04-24T00:00:00Z"


def test_deep_nesting_is_no_trouble() -> None:
    depth = 5000
    holds = " ".join(f"m{number}>m{number + 1}@1" for number in range(depth)) + f" m{depth}@1 v1=m0@1"
    made = judged(state(holds), rule("expire-tags", tags=["*"], after="1d"))
    assert len(made.order) == depth + 1
