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


def test_a_tag_is_deleted_alone_and_an_image_with_all_its_tags(
    terminal: Terminal, dev: str, client: Client
) -> None:
    own, pushed = client.about(f"{dev}/app"), image(b"layer")
    for tag in ("1.0", "1", "latest"):
        own.push(pushed, tag)
    digest = own.get("manifests/1.0").headers["Docker-Content-Digest"]
    host = terminal.registry.host
    assert terminal.ask("tag", "delete", f"{host}/{dev}/app:1.0") == {"deleted": f"{dev}/app:1.0"}
    assert [own.get(f"manifests/{one}").status_code for one in ("1.0", "1", digest)] == [404, 200, 200]
    terminal.ccr("tag", "delete", f"{dev}/app@{digest}")
    assert terminal.ask("tag", "list", f"{dev}/app") == []
    ended = terminal.try_ccr("tag", "delete", f"{dev}/app:1.0")
    assert (ended.exit_code, f"there is no image '{dev}/app:1.0'" in ended.err) == (5, True)


def test_who_may_not_delete_deletes_no_tag(terminal: Terminal, dev: str, client: Client) -> None:
    client.about(f"{dev}/app").push(image(b"layer"), "1.0")
    terminal.log_in(dev, terminal.ask("credential", "rotate", dev)["secret"], "robot")
    assert terminal.try_ccr("tag", "delete", f"{dev}/app:1.0").exit_code == 4
    assert client.about(f"{dev}/app").get("manifests/1.0").status_code == 200
