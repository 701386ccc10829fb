"""Users, robots and trusts, rotation, and warnings before they expire."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import requests

from tests.cli.terminal import Terminal
from tests.support.client import Client
from tests.support.content import image
from tests.support.process import running_registry

Fresh = Callable[[str], str]


def status(terminal: Terminal, id_: str, secret: str) -> int:
    url = f"{terminal.registry.url}/api/v1/whoami"
    return requests.get(url, auth=(id_, secret), timeout=30).status_code


def robot(terminal: Terminal, project: str, id_: str, *grants: str, expires: str = "") -> str:
    """Its secret."""
    asked = [word for grant in grants for word in ("--grant", grant)]
    asked += ["--expires", expires] if expires else []
    made = terminal.ask("credential", "create-robot", id_, "--project", project, *asked)
    return str(made["secret"])


def test_a_robot_may_do_what_its_grants_say_and_nothing_else(
    terminal: Terminal, *, project: str, dev: str, prod: str, fresh: Fresh, client: Client
) -> None:
    ci = fresh("ci")
    secret = robot(terminal, project, ci, f"{dev}/*:pull,push", f"{prod}/*:pull")
    Client(client.url, ci, secret, f"{dev}/app").push(image(b"layer"), "1.0")
    terminal.ccr("promote", f"{dev}/app:1.0", f"{prod}/app")
    pulling = Client(client.url, ci, secret, f"{prod}/app")
    assert pulling.get("manifests/1.0").status_code == 200
    assert pulling.put_manifest(image(), "2.0").status_code == 401


def test_a_user_may_do_what_its_role_allows(terminal: Terminal, project: str, dev: str, fresh: Fresh) -> None:
    ann = fresh("ann")
    made = terminal.ask("credential", "create-user", ann, "--role", f"{project}=developer", "--title", "Ann")
    assert made["roles"] == {project: "developer"}
    terminal.log_in(ann, made["secret"], "ann")
    assert [one["name"] for one in terminal.ask("registry", "list")] == [dev]
    assert terminal.try_ccr("registry", "delete", dev).exit_code == 4


@pytest.mark.parametrize("form", ["{}@example.id", "{}+ci", "{}.x_y"])
def test_an_id_may_look_like_an_address(terminal: Terminal, fresh: Fresh, form: str) -> None:
    id_ = form.format(fresh("ann"))
    made = terminal.ask("credential", "create-user", id_, "--role", "*=viewer")
    assert terminal.ask("credential", "describe", id_)["id"] == id_
    terminal.log_in(id_, made["secret"], "ann")
    assert terminal.ask("whoami")["id"] == id_


@pytest.mark.parametrize("id_", ["a/rotation", "a?force=true", "a#b", "a%2Fb", "Ä"])
def test_an_id_is_one_segment_whatever_is_in_it(terminal: Terminal, id_: str) -> None:
    assert terminal.try_ccr("credential", "describe", id_).exit_code in {5, 7}


def test_a_trust_has_no_secret(terminal: Terminal, project: str, dev: str, fresh: Fresh) -> None:
    made = terminal.ask(
        *("credential", "create-trust", fresh("github"), "--project", project, "--grant", f"{dev}/*:push"),
        *("--issuer", "https://issuer.example.id", "--audience", "https://registry.example.id"),
        *("--subject", "repo:acme/app:*", "--claim", "ref=refs/heads/*", "--claim", "environment=prod"),
    )
    assert (made["kind"], made["secret"], made["secrets"]) == ("trust", None, [])
    assert made["trust"]["claims"] == {"ref": "refs/heads/*", "environment": "prod"}
    assert "secret " not in terminal.ccr("credential", "describe", made["id"]).out.replace("secrets ", "")


@pytest.mark.parametrize("form", ["duration", "date", "time"])
def test_an_expiry_is_a_duration_or_a_date(
    terminal: Terminal, project: str, dev: str, fresh: Fresh, form: str
) -> None:
    when = (datetime.now(UTC) + timedelta(days=90)).replace(microsecond=0)
    text = {"duration": "90d", "date": f"{when:%Y-%m-%d}", "time": when.isoformat()}[form]
    id_ = fresh("ci")
    robot(terminal, project, id_, f"{dev}/*:pull", expires=text)
    expires = datetime.fromisoformat(terminal.ask("credential", "describe", id_)["expires"])
    assert abs(expires - when) <= timedelta(days=1)
    assert form != "time" or expires == when


def test_a_rotation_keeps_the_secret_before_for_a_while(
    terminal: Terminal, project: str, dev: str, fresh: Fresh
) -> None:
    ci = fresh("ci")
    first = robot(terminal, project, ci, f"{dev}/*:pull")
    second = terminal.ask("credential", "rotate", ci, "--overlap", "1h")["secret"]
    assert (status(terminal, ci, first), status(terminal, ci, second)) == (200, 200)
    third = terminal.ask("credential", "rotate", ci, "--overlap", "0s")["secret"]
    assert (status(terminal, ci, second), status(terminal, ci, third)) == (401, 200)


def test_who_rotates_its_own_secret_stays_logged_in(
    terminal: Terminal, project: str, dev: str, fresh: Fresh
) -> None:
    ci = fresh("ci")
    terminal.log_in(ci, robot(terminal, project, ci, f"{dev}/*:pull"), "ci")
    rotated = terminal.ccr("credential", "rotate", ci, "--overlap", "0s", "-o", "json")
    assert "goes on with the new secret" in rotated.err
    assert terminal.ask("whoami")["id"] == ci
    assert terminal.stored()["profiles"]["ci"]["password"] == rotated.document["secret"]


def test_a_credential_is_disabled_enabled_and_deleted(
    terminal: Terminal, project: str, dev: str, fresh: Fresh
) -> None:
    ci = fresh("ci")
    secret = robot(terminal, project, ci, f"{dev}/*:pull")
    assert terminal.ask("credential", "disable", ci)["disabled"] is True
    assert status(terminal, ci, secret) == 401
    assert terminal.ask("credential", "enable", ci)["disabled"] is False
    assert status(terminal, ci, secret) == 200
    assert terminal.ask("credential", "describe", ci)["used_from"] == "127.0.0.1"
    changed = terminal.ask("credential", "change", ci, "--grant", f"{dev}/app:pull", "--title", "One")
    assert changed["grants"] == [{"pattern": f"{dev}/app", "actions": ["pull"]}]
    assert terminal.ask("credential", "delete", ci) == {"deleted": ci}
    assert ci not in {one["id"] for one in terminal.ask("credential", "list")}


def test_a_secret_is_shown_once(terminal: Terminal, project: str, dev: str, fresh: Fresh) -> None:
    ci = fresh("ci")
    said = terminal.ccr("credential", "create-robot", ci, "-p", project, "--grant", f"{dev}/*:pull")
    assert "shown this once" in said.out
    secret = next(line.split()[1] for line in said.out.splitlines() if line.startswith("secret "))
    assert status(terminal, ci, secret) == 200
    later = terminal.ccr("credential", "describe", ci, "-o", "json").out
    assert secret not in later + terminal.ccr("credential", "list", "-o", "json").out


def test_what_expires_soon_is_warned_of_on_standard_error(
    terminal: Terminal, project: str, dev: str, fresh: Fresh
) -> None:
    soon, later, off = fresh("soon"), fresh("later"), fresh("off")
    secret = robot(terminal, project, soon, f"{dev}/*:pull", expires="3d")
    robot(terminal, project, later, f"{dev}/*:pull", expires="90d")
    robot(terminal, project, off, f"{dev}/*:pull", expires="3d")
    terminal.ccr("credential", "disable", off)
    listed = terminal.ccr("credential", "list", "-o", "json")
    assert f"{soon!r} expires" in listed.err
    assert later not in listed.err
    assert off not in listed.err
    assert f"{soon!r} expires" in terminal.ccr("credential", "describe", soon).err
    terminal.log_in(soon, secret, "soon")
    for command in (("whoami",), ("registry", "list")):
        ended = terminal.ccr(*command, "-o", "json")
        assert ended.err.count(f"{soon!r} expires") == 1
        assert ended.document


def test_a_second_rotation_within_the_overlap_says_that_the_first_secret_ends(
    terminal: Terminal, project: str, dev: str, fresh: Fresh
) -> None:
    ci = fresh("ci")
    first = robot(terminal, project, ci, f"{dev}/*:pull")
    assert terminal.ccr("credential", "rotate", ci, "--overlap", "1h").err == ""
    again = terminal.ccr("credential", "rotate", ci, "--overlap", "1h")
    assert "ends now" in again.err
    assert status(terminal, ci, first) == 401


@pytest.mark.parametrize(
    ("grant", "said"),
    [
        ("{}:pull", "'{}/*' is all of the registry"),
        ("{}/*:push", "push without pull"),
        ("{}/*:pull,push", ""),
        ("{}/app:pull,delete", ""),
    ],
)
def test_a_grant_that_hardly_means_what_it_says_is_warned_of(  # noqa: PLR0917 - fixtures
    terminal: Terminal, project: str, dev: str, fresh: Fresh, grant: str, said: str
) -> None:
    arguments = ("credential", "create-robot", fresh("ci"), "-p", project, "--grant", grant.format(dev))
    err = terminal.ccr(*arguments).err
    assert said.format(dev) in err
    assert bool(said) is ("warning" in err)


def test_the_name_of_a_credential_that_one_may_see_is_said_to_be_there(
    terminal: Terminal, project: str, dev: str
) -> None:
    arguments = ("credential", "create-robot", dev, "-p", project, "--grant", f"{dev}/*:pull")
    ended = terminal.try_ccr(*arguments)
    assert (ended.exit_code, f"there is a credential {dev!r} already" in ended.err) == (6, True)


def test_an_issuer_on_the_registrys_machine_takes_a_setting_that_the_message_names(tmp_path: Path) -> None:
    with running_registry(tmp_path / "state") as registry:
        terminal = Terminal(tmp_path, registry)
        terminal.log_in()
        terminal.ccr("registry", "create", "dev", "-p", _project(terminal))
        ended = terminal.try_ccr(
            *("credential", "create-trust", "gh", "-p", "shop", "--grant", "dev/*:pull"),
            *("--issuer", "http://127.0.0.1:8080", "--audience", "ccr", "--subject", "x"),
        )
    assert (ended.exit_code, "CCR_LOOPBACK_ISSUERS=on" in ended.err) == (7, True)


def _project(terminal: Terminal) -> str:
    terminal.ccr("project", "create", "shop")
    return "shop"
