"""Repositories, tags, and promotion from one registry to the next."""

from __future__ import annotations

from tests.cli.terminal import Terminal
from tests.support.client import Client
from tests.support.content import image


def test_a_tag_is_promoted_by_its_digest(terminal: Terminal, dev: str, prod: str, client: Client) -> None:
    digest = client.about(f"{dev}/team/app").push(image(b"layer"), "1.0")
    promoted = terminal.ask("promote", f"{dev}/team/app:1.0", f"{prod}/team/app")
    assert (promoted["digest"], promoted["target"]) == (digest, f"{prod}/team/app:1.0")
    assert [one["name"] for one in terminal.ask("repository", "list", prod)] == [f"{prod}/team/app"]
    tags = terminal.ask("tag", "list", f"{prod}/team/app")
    assert [(one["tag"], one["digest"]) for one in tags] == [("1.0", digest)]


def test_names_may_be_those_that_docker_takes(
    terminal: Terminal, dev: str, prod: str, client: Client
) -> None:
    digest = client.about(f"{dev}/app").push(image(b"layer"), "1.0")
    host = terminal.registry.host
    terminal.ccr("promote", f"{host}/{dev}/app@{digest}", f"{host}/{prod}/app:stable")
    assert [one["tag"] for one in terminal.ask("tag", "list", f"{host}/{prod}/app")] == ["stable"]
    assert terminal.ask("repository", "describe", f"{host}/{prod}/app")["registry"] == prod
