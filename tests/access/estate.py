"""Two accounts on a ground: projects, registries, repositories with images in them, and who owns them.

acme      shop: dev, stage      lab: lab
rival     yard: yard
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any, Final

from chalicelib.identity.credentials import administrator
from chalicelib.identity.secret import make_secret
from chalicelib.spec.digest import Digest
from chalicelib.wiring import ADMINISTRATOR
from tests.access.caller import Caller, Reply, basic
from tests.access.ground import Ground

IMAGE: Final = "application/vnd.oci.image.manifest.v1+json"
CONFIG: Final = "application/vnd.oci.image.config.v1+json"
LAYER: Final = "application/vnd.oci.image.layer.v1.tar"

PROJECTS: Final = {"shop": ("dev", "stage"), "lab": ("lab",)}
REPOSITORIES: Final = ("dev/app", "dev/team/api", "stage/app", "lab/app")
FOREIGN: Final = "yard/app"


@dataclass(frozen=True)
class Image:
    """What was pushed to one repository, for others to guess."""

    repository: str
    raw: bytes
    layer: bytes
    referrer: bytes

    @property
    def digest(self) -> Digest:
        return Digest.of(self.raw)

    @property
    def blob(self) -> Digest:
        return Digest.of(self.layer)


@dataclass
class Estate:
    """`secrets` by credential id; `images` and open upload `sessions` by repository."""

    ground: Ground
    secrets: dict[str, str] = field(default_factory=dict)
    images: dict[str, Image] = field(default_factory=dict)
    sessions: dict[str, str] = field(default_factory=dict)

    def caller(self, id_: str = "", address: str = "192.0.2.1") -> Caller:
        """By Basic, or nobody."""
        authorization = basic(id_, self.secrets[id_]) if id_ else ""
        return Caller(self.ground.deployment, authorization, address)

    def made(self, by: str, path: str, document: dict[str, Any]) -> Any:
        """What a create answers; the secret in it is kept."""
        reply = self.caller(by).api("POST", path, document)
        assert reply.status == 201, reply
        said = reply.document
        id_ = said.get("owner") or said.get("credential") or said.get("id")
        if said.get("secret"):
            self.secrets[id_] = said["secret"]
        return said

    def robot(self, by: str, id_: str, project: str, *grants: tuple[str, str], **more: Any) -> Any:
        """`grants` as `("dev/*", "pull,push")`."""
        said = [{"pattern": pattern, "actions": actions.split(",")} for pattern, actions in grants]
        document = {"kind": "robot", "id": id_, "project": project, "grants": said, **more}
        return self.made(by, "/credentials", document)

    def user(self, by: str, id_: str, **roles: str) -> Any:
        """`everywhere` is the role in every project."""
        named = {"*" if project == "everywhere" else project: role for project, role in roles.items()}
        return self.made(by, "/credentials", {"kind": "user", "id": id_, "roles": named})

    def push(self, by: str, repository: str) -> Image:
        """An image tagged `v1` that nothing else is like, and a signature of it."""
        caller = self.caller(by)
        config, layer = f"config of {repository}".encode(), f"layer of {repository}".encode()
        for blob in (config, layer, b"{}"):
            pushed(caller, repository, blob)
        raw = manifest(config, layer)
        put(caller, repository, "v1", raw)
        referrer = manifest(b"{}", layer, subject=descriptor(raw, IMAGE), artifactType="application/x-sig")
        put(caller, repository, str(Digest.of(referrer)), referrer)
        self.images[repository] = Image(repository, raw, layer, referrer)
        return self.images[repository]


def build(ground: Ground) -> Estate:
    """Through the API, as its users do."""
    estate = Estate(ground)
    estate.secrets[ADMINISTRATOR] = make_secret()
    deployment = ground.deployment
    deployment.tenancy.create_account(deployment.settings.account)
    operator = administrator(ADMINISTRATOR, deployment.settings.account, estate.secrets[ADMINISTRATOR])
    assert deployment.credentials.put(operator)
    estate.made(ADMINISTRATOR, "/accounts", {"id": "acme", "owner": "acme-owner"})
    estate.made(ADMINISTRATOR, "/accounts", {"id": "rival", "owner": "rival-owner"})
    for project, registries in PROJECTS.items():
        estate.made("acme-owner", "/projects", {"name": project})
        for registry in registries:
            estate.made("acme-owner", "/registries", {"name": registry, "project": project})
    estate.made("rival-owner", "/projects", {"name": "yard"})
    estate.made("rival-owner", "/registries", {"name": "yard", "project": "yard"})
    for repository in REPOSITORIES:
        estate.push("acme-owner", repository)
    estate.push("rival-owner", FOREIGN)
    return estate


def pushed(caller: Caller, repository: str, blob: bytes) -> Digest:
    digest = Digest.of(blob)
    reply = caller.v2("POST", f"/v2/{repository}/blobs/uploads/", {"digest": digest}, blob)
    assert reply.status == 201, reply
    return digest


def put(caller: Caller, repository: str, reference: str, raw: bytes) -> Reply:
    path = f"/v2/{repository}/manifests/{reference}"
    reply = caller.v2("PUT", path, body=raw, content_type=IMAGE)
    assert reply.status == 201, reply
    return reply


def manifest(config: bytes, *layers: bytes, **more: Any) -> bytes:
    document = {
        "schemaVersion": 2,
        "mediaType": IMAGE,
        "config": descriptor(config, CONFIG),
        "layers": [descriptor(layer, LAYER) for layer in layers],
        **more,
    }
    return json.dumps(document).encode()


def descriptor(content: bytes, media_type: str) -> dict[str, Any]:
    return {"mediaType": media_type, "digest": Digest.of(content), "size": len(content)}
