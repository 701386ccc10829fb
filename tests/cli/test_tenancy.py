"""Accounts, projects, members and registries, from making to deleting."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.cli.terminal import Terminal
from tests.support.client import Client
from tests.support.content import image

Fresh = Callable[[str], str]


def test_an_account_comes_with_an_owner_who_can_log_in(terminal: Terminal, fresh: Fresh) -> None:
    account, owner = fresh("acme"), fresh("owner")
    made = terminal.ask("account", "create", account, "--owner", owner, "--title", "Acme")
    assert made["secret"].startswith("ccr_")
    terminal.log_in(owner, made["secret"], "acme")
    assert terminal.ask("whoami")["account"] == account
    assert [one["id"] for one in terminal.ask("account", "list")] == [account]
    assert account in {one["id"] for one in terminal.ask("account", "list", "--profile", "default")}
    assert terminal.try_ccr("account", "create", fresh("x"), "--owner", "y").exit_code == 4
    assert terminal.ask("account", "change", account, "--title", "New")["title"] == "New"
    assert terminal.ask("account", "describe", account)["title"] == "New"
    for project in terminal.ask("project", "list"):
        terminal.ccr("project", "delete", project["name"])
    assert terminal.ask("account", "delete", account, "--profile", "default") == {"deleted": account}
    assert terminal.try_ccr("whoami").exit_code == 3


def test_the_owners_secret_is_shown_with_the_way_to_use_it(terminal: Terminal, fresh: Fresh) -> None:
    owner = fresh("owner")
    said = terminal.ccr("account", "create", fresh("acme"), "--owner", owner).out
    assert f"ccr login {terminal.registry.url} -u {owner}" in said


def test_an_operator_sets_what_an_account_may_store(terminal: Terminal, fresh: Fresh) -> None:
    account = fresh("acme")
    made = terminal.ask("account", "create", account, "--owner", fresh("owner"), "--limit", "1MiB")
    assert made["limit_bytes"] == 1024**2
    assert terminal.ask("account", "update", account, "--limit", "1.5 GB")["limit_bytes"] == 1_500_000_000
    shown = terminal.ask("quota", "show", account)
    assert (shown["used_bytes"], shown["used_percent"]) == (0, 0)
    assert terminal.try_ccr("account", "update", account, "--limit", "much").exit_code == 2
    assert terminal.try_ccr("account", "update", account).exit_code == 2
    assert terminal.ask("quota", "reconcile", account)["drift_bytes"] == 0


def test_soft_limits_are_set_shown_and_taken_away(terminal: Terminal, project: str, fresh: Fresh) -> None:
    registry = fresh("dev")
    terminal.ccr("registry", "create", registry, "--project", project)
    for what, name in (("registry", registry), ("project", project)):
        assert terminal.try_ccr(what, "limit", name).exit_code == 5
        assert terminal.ask(what, "limit", name, "--limit", "5GB")["bytes"] == 5 * 1000**3
        assert not terminal.ask(what, "limit", name)["above"]
        assert terminal.try_ccr(what, "limit", name, "--limit", "1", "--none").exit_code == 2
        terminal.ccr(what, "limit", name, "--none")
        assert terminal.try_ccr(what, "limit", name).exit_code == 5
    assert terminal.ask("quota", "show")["limit_bytes"] > 0


def test_a_project_lives(terminal: Terminal, fresh: Fresh) -> None:
    name = fresh("shop")
    assert terminal.ask("project", "create", name, "--title", "Shop")["title"] == "Shop"
    assert name in {one["name"] for one in terminal.ask("project", "list")}
    assert terminal.ask("project", "update", name, "--title", "Store")["title"] == "Store"
    assert terminal.ask("project", "describe", name)["title"] == "Store"
    terminal.ccr("project", "delete", name)
    assert terminal.try_ccr("project", "describe", name).exit_code == 5


def test_members_come_change_and_go(terminal: Terminal, project: str, fresh: Fresh) -> None:
    ann = fresh("ann")
    terminal.ccr("credential", "create-user", ann, "--role", f"{project}=viewer")
    assert terminal.ask("project", "member", "set", project, ann, "maintainer") == {
        "user": ann,
        "role": "maintainer",
    }
    assert {"user": ann, "role": "maintainer"} in terminal.ask("project", "member", "list", project)
    assert terminal.try_ccr("project", "member", "set", project, ann, "king").exit_code == 7
    terminal.ccr("project", "member", "remove", project, ann)
    assert ann not in {one["user"] for one in terminal.ask("project", "member", "list", project)}


def test_a_registry_comes_with_a_robot_of_its_name(
    terminal: Terminal, project: str, fresh: Fresh, client: Client
) -> None:
    name = fresh("dev")
    said = terminal.ccr("registry", "create", name, "--project", project).out
    secret = next(line.split()[1] for line in said.splitlines() if line.startswith("secret"))
    assert f"docker login {terminal.registry.host} -u {name} --password-stdin" in said
    robot = Client(client.url, name, secret, f"{name}/app")
    robot.push(image(b"layer"), "1.0")
    assert secret not in terminal.ccr("registry", "describe", name, "-o", "json").out


def test_a_registry_moves_to_another_project(terminal: Terminal, dev: str, fresh: Fresh) -> None:
    other = fresh("other")
    terminal.ccr("project", "create", other)
    changed = terminal.ask("registry", "change", dev, "--project", other, "--title", "Moved")
    assert (changed["project"], changed["title"]) == (other, "Moved")
    assert [one["name"] for one in terminal.ask("registry", "list", "--project", other)] == [dev]


@pytest.mark.parametrize("what", ["registry", "repository"])
def test_what_holds_images_is_deleted_by_force_alone(
    terminal: Terminal, dev: str, client: Client, what: str
) -> None:
    client.about(f"{dev}/team/app").push(image(b"layer"), "1.0")
    name = dev if what == "registry" else f"{dev}/team/app"
    assert terminal.try_ccr(what, "delete", name).exit_code == 6
    assert terminal.ask(what, "delete", name, "--force") == {"deleted": name}
    assert terminal.try_ccr(what, "describe", name).exit_code == 5
