"""Speaks the direct upload interface as a client does, in a deployment made for it."""

from __future__ import annotations

import base64
import hashlib
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Final

import requests

from chalicelib.config import Settings
from chalicelib.registry.stores import OPEN, VERIFYING
from chalicelib.spec.digest import Digest
from chalicelib.wiring import Deployment
from tests.access.caller import Caller, Reply, basic

PASSWORD: Final = "a password of the tests"
PUT_LIMIT: Final = 1024 * 1024
PART_SIZE: Final = 5 * 1024 * 1024
TRIES: Final = 600


def checksum(content: bytes) -> str:
    return base64.b64encode(hashlib.sha256(content).digest()).decode()


def sent(url: str, content: bytes, headers: dict[str, str]) -> int:
    """What S3 answers to a PUT."""
    return requests.put(url, data=content, headers=headers, timeout=60).status_code


def eventually(holds: Callable[[], bool]) -> bool:
    """Bytes go a moment after the row that named them has told so."""
    for _ in range(TRIES):
        if holds():
            return True
        time.sleep(0.05)
    return False


@dataclass(frozen=True)
class DirectClient:
    """One credential, on one repository."""

    caller: Caller
    repository: str = "shop/app"

    def open(self, content: bytes, digest: Digest | str = "", size: int | None = None, **more: Any) -> Reply:
        document = {
            "repository": self.repository,
            "digest": digest or Digest.of(content),
            "size": len(content) if size is None else size,
            **more,
        }
        return self.caller.api("POST", "/uploads", document)

    def opened(self, content: bytes, digest: Digest | str = "") -> dict[str, Any]:
        reply = self.open(content, digest)
        assert reply.status == 201, reply
        assert reply.document["state"] == OPEN
        return dict(reply.document)

    def status(self, session: str) -> Reply:
        return self.caller.api("GET", f"/uploads/{session}")

    def sign(self, session: str, parts: list[dict[str, Any]]) -> Reply:
        return self.caller.api("POST", f"/uploads/{session}/parts", {"parts": parts})

    def complete(self, session: str) -> Reply:
        return self.caller.api("POST", f"/uploads/{session}/completion")

    def cancel(self, session: str) -> Reply:
        return self.caller.api("DELETE", f"/uploads/{session}")

    def send(self, opened: dict[str, Any], content: bytes, numbers: Iterable[int] | None = None) -> None:
        """All of it, or the parts of these numbers."""
        if opened["method"] == "put":
            assert sent(opened["url"], content, opened["headers"]) == 200
            return
        size = opened["part_size"]
        for number in numbers or range(1, opened["parts"] + 1):
            part = content[(number - 1) * size : number * size]
            wanted = {"number": number, "size": len(part), "sha256": checksum(part)}
            reply = self.sign(opened["session"], [wanted])
            assert reply.status == 200, reply
            signed = reply.document["parts"][0]
            assert sent(signed["url"], part, signed["headers"]) == 200

    def ended(self, session: str) -> dict[str, Any]:
        """Once it is verified."""
        for _ in range(TRIES):
            reply = self.status(session)
            assert reply.status == 200, reply
            if reply.document["state"] != VERIFYING:
                return dict(reply.document)
            time.sleep(0.05)
        raise AssertionError("it is being verified for ever")

    def pushed(self, content: bytes, digest: Digest | str = "") -> dict[str, Any]:
        """From opening to the end."""
        opened = self.opened(content, digest)
        self.send(opened, content)
        assert self.complete(opened["session"]).status in {200, 202}
        return self.ended(opened["session"])

    def pulls(self, content: bytes) -> bool:
        """Whether the repository has it, as /v2 says."""
        path = f"/v2/{self.repository}/blobs/{Digest.of(content)}"
        return self.caller.v2("HEAD", path).status == 307


@dataclass(frozen=True)
class House:
    """`secrets` by credential id."""

    deployment: Deployment
    secrets: dict[str, str]

    def client(self, id_: str, repository: str = "shop/app") -> DirectClient:
        return DirectClient(Caller(self.deployment, basic(id_, self.secrets[id_])), repository)

    def stored(self) -> set[str]:
        listed = self.deployment._s3.list_objects_v2(Bucket=self.deployment.settings.bucket)
        return {entry["Key"] for entry in listed.get("Contents", ())}

    def multiparts(self) -> set[str]:
        listed = self.deployment._s3.list_multipart_uploads(Bucket=self.deployment.settings.bucket)
        return {entry["UploadId"] for entry in listed.get("Uploads", ())}


def build(**settings: Any) -> House:
    """Through the API: robots that may push, only pull, and something else altogether."""
    deployment = Deployment(
        Settings(
            token_keys=(b"key of the tests".ljust(32),),
            show_backend_calls=True,
            head_carries_body=False,
            **settings,
        )
    )
    deployment.prepare()
    deployment.administrators.put(PASSWORD)
    house = House(deployment, {"admin": PASSWORD})
    operator = house.client("admin").caller
    for account in ("acme", "rival"):
        made = _created(operator, "/accounts", {"id": account, "owner": f"{account}-owner"})
        house.secrets[f"{account}-owner"] = made["secret"]
    owner, rival = house.client("acme-owner").caller, house.client("rival-owner").caller
    for name, by in (("shop", owner), ("lab", owner), ("yard", rival)):
        _created(by, "/registries", {"name": name, "project": "default"})
    for by, id_, pattern, actions in (
        (owner, "shop-robot", "shop/*", ["pull", "push"]),
        (owner, "shop-puller", "shop/*", ["pull"]),
        (owner, "lab-robot", "lab/*", ["pull", "push"]),
        (owner, "both-robot", "shop/*,lab/*", ["pull", "push"]),
        (rival, "yard-robot", "yard/*", ["pull", "push"]),
    ):
        grants = [{"pattern": one, "actions": actions} for one in pattern.split(",")]
        robot = {"kind": "robot", "id": id_, "project": "default", "grants": grants}
        house.secrets[id_] = _created(by, "/credentials", robot)["secret"]
    return house


def _created(by: Caller, path: str, document: dict[str, Any]) -> dict[str, Any]:
    reply = by.api("POST", path, document)
    assert reply.status == 201, reply
    return dict(reply.document)
