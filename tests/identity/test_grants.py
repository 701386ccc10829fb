"""Patterns of grants against a naive reading of their rules; scopes as clients write them."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chalicelib.identity.grants import ACTIONS, Grant, Principal, Scope, parse_scopes
from chalicelib.identity.refusals import Reason, RefusedError

PULL = frozenset({"pull"})
SEGMENT = st.text("ab-._", min_size=1, max_size=4)
NAME = st.text("ab/.-_", max_size=14)
REST = st.text("ab*/.-_", min_size=1, max_size=12)


def naive(pattern: str, name: str) -> bool:
    """`*` is any text; the rest is itself. By the table of dynamic programming, without a regex."""
    reached = [True, *[False] * len(name)]
    for sign in pattern:
        if sign == "*":
            reached = [any(reached[: place + 1]) for place in range(len(reached))]
        else:
            steps = (reached[place] and name[place] == sign for place in range(len(name)))
            reached = [False, *steps]
    return reached[-1]


@given(REST, NAME)
@settings(max_examples=500, deadline=None)
def test_a_pattern_matches_what_its_rules_say(rest: str, name: str) -> None:
    grant = Grant(f"dev/{rest}", PULL)
    for whole in (name, f"dev/{name}", f"dev{name}"):
        assert grant.allows("pull", whole) == naive(grant.pattern, whole)


@given(REST, st.text(max_size=14))
@settings(deadline=None)
def test_a_pattern_never_leaves_its_registry(rest: str, name: str) -> None:
    grant = Grant(f"dev/{rest}", PULL)
    assert not grant.allows("pull", name) or name.startswith("dev/")


@pytest.mark.parametrize(
    ("pattern", "name", "holds"),
    [
        ("dev", "dev", True),
        ("dev", "dev/app", False),
        ("dev", "devil", False),
        ("dev/*", "dev/app", True),
        ("dev/*", "dev/team/app", True),
        ("dev/*", "dev", False),
        ("dev/*", "develop/app", False),
        ("dev/*", "prod/dev/app", False),
        ("dev/*", "DEV/app", False),
        ("dev/*", "dev/app\n", True),
        ("dev/app", "dev/app\n", False),
        ("dev/a.c", "dev/abc", False),
        ("dev/app-*", "dev/app-", True),
        ("dev/app-*", "dev/app", False),
        ("dev/*-api", "dev/team/my-api", True),
        ("dev/**", "dev/a", True),
    ],
)
def test_patterns_in_examples(pattern: str, name: str, *, holds: bool) -> None:
    assert Grant(pattern, PULL).allows("pull", name) is holds


def test_a_pattern_of_many_stars_takes_no_longer_than_its_length_says() -> None:
    """The naive oracle counts steps; a matcher that backtracks would not end in this lifetime."""
    pattern = "dev/" + "*a" * 125
    grant = Grant.parse(pattern, PULL)
    assert grant.allows("pull", "dev/" + "a" * 251)
    assert not grant.allows("pull", "dev/" + "a" * 250 + "b")
    assert not grant.allows("pull", "dev/" + "ab" * 120 + "b")


@pytest.mark.parametrize(
    "pattern",
    [
        "",
        "*",
        "*/*",
        "**",
        "d*/app",
        "dev*",
        "/dev",
        "/",
        "dev/",
        "dev//app",
        "dev/a b",
        "dev/[ab]",
        "dev/a?",
        "dev/!a",
        "dev/A",
        "DEV/app",
        "dev/caf\u00e9",
        "d\u0435v/app",
        "dev/app\n",
        "dev\n/app",
        "dev/a,b",
        "dev/a:b",
        "dev/a\\b",
        "dev/\0",
        "..",
        "../*",
        "dev/" + "a" * 252,
        "a" * 64,
    ],
)
def test_a_pattern_that_could_widen_is_refused(pattern: str) -> None:
    with pytest.raises(RefusedError) as refused:
        Grant.parse(pattern, PULL)
    assert refused.value.reason is Reason.INVALID


@pytest.mark.parametrize(
    "actions", [[], ["*"], ["pull", "*"], ["PULL"], ["pull "], [""], ["pull,push"], ["admin"]]
)
def test_a_grant_names_known_actions(actions: list[str]) -> None:
    with pytest.raises(RefusedError, match="pull, push, delete"):
        Grant.parse("dev/*", actions)


def test_a_grant_is_for_its_actions_alone() -> None:
    grant = Grant.parse("dev/*", ["pull"])
    assert [action for action in ACTIONS if grant.allows(action, "dev/app")] == ["pull"]
    assert not grant.allows("*", "dev/app")


@pytest.mark.parametrize(
    ("texts", "scopes"),
    [
        ([], []),
        (["repository:dev/app:pull"], [Scope("repository", "dev/app", ("pull",))]),
        (
            ["repository:dev/app:pull,push registry:catalog:*", "repository:c:pull"],
            [
                Scope("repository", "dev/app", ("pull", "push")),
                Scope("registry", "catalog", ("*",)),
                Scope("repository", "c", ("pull",)),
            ],
        ),
        (["repository(plugin):dev/app:pull"], [Scope("repository(plugin)", "dev/app", ("pull",))]),
        (["repository:host:5000/app:pull"], [Scope("repository", "host:5000/app", ("pull",))]),
        (["  repository:a:pull\t\n"], [Scope("repository", "a", ("pull",))]),
        (["", "x", "repository:a", "repository::pull", ":::", "repository"], []),
    ],
)
def test_scopes_come_in_several_parameters_or_in_one(texts: list[str], scopes: list[Scope]) -> None:
    found = parse_scopes(texts)
    assert [one for one in found if one.kind] == scopes


@given(st.lists(st.text(max_size=40), max_size=5))
@settings(deadline=None)
def test_any_text_is_read_as_scopes_or_left_out(texts: list[str]) -> None:
    for scope in parse_scopes(texts):
        assert scope.name
        assert parse_scopes([str(scope)]) == [scope]


def test_a_name_in_a_token_is_no_pattern() -> None:
    principal = Principal("ci", "account", (Scope("repository", "dev/*", ("pull",)),))
    assert principal.allows("pull", "dev/*")
    assert not principal.allows("pull", "dev/app")
    assert not principal.allows("push", "dev/*")


def test_only_the_scope_of_the_catalog_lists() -> None:
    def lists(*scopes: Scope) -> bool:
        return Principal("ci", "account", scopes).may_list

    assert lists(Scope("registry", "catalog", ("*",)))
    assert not lists(Scope("registry", "catalog", ("pull",)))
    assert not lists(Scope("repository", "catalog", ("*",)))
    assert not lists()
