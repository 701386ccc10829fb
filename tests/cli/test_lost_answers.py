"""Creates happen once, also where the answer is lost on its way."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from tests.cli.cutting_proxy import Proxy, hang_up, proxy_before, under_way
from tests.cli.terminal import Terminal

Fresh = Callable[[str], str]


@pytest.fixture
def proxy(terminal: Terminal) -> Iterator[Proxy]:
    """The terminal's way to the registry."""
    registry = terminal.registry
    with proxy_before(registry.url) as proxy:
        terminal.environ |= {"CCR_URL": proxy.url, "CCR_USERNAME": "admin", "CCR_PASSWORD": registry.password}
        yield proxy


@pytest.mark.parametrize("misdeed", [hang_up, under_way])
def test_a_create_is_sent_again_with_the_same_key(
    terminal: Terminal, proxy: Proxy, fresh: Fresh, misdeed: Callable[[object], None]
) -> None:
    proxy.misdeeds.append(misdeed)
    name = fresh("shop")
    assert terminal.ask("project", "create", name)["name"] == name
    assert len(proxy.keys) == 2
    assert len(set(proxy.keys)) == 1
    assert proxy.keys[0]


def test_two_creates_have_two_keys(terminal: Terminal, proxy: Proxy, fresh: Fresh) -> None:
    terminal.ccr("project", "create", fresh("shop"))
    terminal.ccr("project", "create", fresh("shop"))
    assert len(set(proxy.keys)) == 2


def test_a_secret_that_was_lost_is_said_to_be(terminal: Terminal, proxy: Proxy, fresh: Fresh) -> None:
    proxy.misdeeds.append(hang_up)
    id_ = fresh("ann")
    made = terminal.ccr("credential", "create-user", id_, "--role", "*=viewer", "--output", "json")
    assert made.document["secret"] is None
    assert f"ccr credential rotate {id_}" in made.err


def test_a_connection_that_keeps_breaking_is_given_up(terminal: Terminal, proxy: Proxy, fresh: Fresh) -> None:
    proxy.misdeeds += [hang_up, hang_up]
    ended = terminal.try_ccr("project", "create", fresh("shop"))
    assert (ended.exit_code, len(proxy.keys)) == (9, 2)
