"""The columns and rows of the table as requests: of /v2 by endpoint, of /api/v1 by operation."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any, Final

from chalicelib.registry.direct import PART_SIZE
from chalicelib.registry.policies import LIFECYCLE, Policy, registry_scope, repository_scope
from chalicelib.spec.digest import Digest
from chalicelib.spec.reference import Repository
from tests.access.caller import Caller, Reply
from tests.access.estate import IMAGE, Estate, Image, pushed, put
from tests.support.content import UNKNOWN

LISTED: Final = 200


@dataclass(frozen=True)
class Request:
    """`document` is for the management API, `body` for the registry."""

    method: str
    path: str
    query: dict[str, str] = field(default_factory=dict)
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)
    document: Any = None

    @property
    def takes_tokens(self) -> bool:
        return not self.is_api or self.path.startswith("/uploads")

    @property
    def is_api(self) -> bool:
        return not self.path.startswith(("/v2", "/token", "/u/"))

    def said_by(self, caller: Caller) -> Reply:
        if self.is_api:
            return caller.api(self.method, self.path, self.document, self.query, **self.headers)
        return caller.v2(self.method, self.path, self.query, self.body, **self.headers)

    def about(self, name: str, other: str) -> Request:
        """The same of something else: `other` wherever it says `name`, in whatever encoding."""

        def changed(text: str) -> str:
            return text.replace(name, other).replace(name.replace("/", "%2F"), other.replace("/", "%2F"))

        return replace(
            self,
            path=changed(self.path),
            query={key: changed(value) for key, value in self.query.items()},
            document=json.loads(changed(json.dumps(self.document))),
        )


@dataclass(frozen=True)
class Repo:
    """A repository of an estate, as its owner keeps it."""

    estate: Estate
    name: str

    @property
    def owner(self) -> Caller:
        return self.estate.caller("rival-owner" if self.name.startswith("yard/") else "acme-owner")

    @property
    def repository(self) -> Repository:
        return Repository("rival" if self.name.startswith("yard/") else "acme", self.name)

    @property
    def image(self) -> Image:
        return self.estate.images[self.name]

    @property
    def spare(self) -> bytes:
        """A blob that no manifest names."""
        return f"spare of {self.name}".encode()

    @property
    def deleted(self) -> Digest:
        """An image that is in the trash."""
        return Digest.of(_another(self))

    @property
    def session(self) -> str:
        """An upload that somebody who may has opened."""
        return self.estate.sessions[self.name]

    @property
    def direct(self) -> str:
        """A direct upload in parts, of which none is there."""
        return self.estate.sessions[f"direct {self.name}"]

    def at(self, path: str) -> str:
        return f"/v2/{self.name}/{path}"

    @property
    def encoded(self) -> str:
        return "/repositories/" + self.name.replace("/", "%2F")


def _another(repo: Repo) -> bytes:
    """A manifest of the same content."""
    return repo.image.raw + b" "


def furnish(repo: Repo) -> None:
    """What operations need beside the image."""
    pushed(repo.owner, repo.name, repo.spare)
    put(repo.owner, repo.name, "doomed", repo.image.raw)
    put(repo.owner, repo.name, "gone", _another(repo))
    put(repo.owner, repo.name, "moved", repo.image.raw + b"\n")
    put(repo.owner, repo.name, "moved", repo.image.raw)
    deployment, sessions = repo.estate.ground.deployment, repo.estate.sessions
    deployment.services.manifests.delete(repo.repository, repo.deleted)
    sessions[repo.name] = deployment.services.uploads.open(repo.repository).session
    in_parts = deployment.direct.open(repo.repository, Digest.of(b"never sent"), 2 * PART_SIZE)
    sessions[f"direct {repo.name}"] = in_parts.session
    for scope in (
        repository_scope(repo.repository),
        registry_scope(repo.repository.account, repo.repository.registry),
    ):
        deployment.policies.put(Policy(scope, LIFECYCLE, POLICY))


@dataclass(frozen=True)
class RepositoryOperation:
    """One column. `covers`: an endpoint's id, or method and path of the OpenAPI document.

    `listed`: it is allowed where the answer names the repository.
    """

    column: str
    covers: str
    success: int
    requests: Callable[[Repo], list[Request]]
    listed: bool = False


def _reads(path: Callable[[Repo], str]) -> Callable[[Repo], list[Request]]:
    return lambda repo: [Request(method, repo.at(path(repo))) for method in ("GET", "HEAD")]


def _manifest(repo: Repo) -> list[Request]:
    references = ("v1", str(repo.image.digest))
    return [Request(m, repo.at(f"manifests/{one}")) for m in ("GET", "HEAD") for one in references]


def _put(repo: Repo) -> list[Request]:
    headers = {"content_type": IMAGE}
    return [Request("PUT", repo.at("manifests/v1"), body=repo.image.raw, headers=headers)]


def _session(method: str) -> Callable[[Repo], list[Request]]:
    return lambda repo: [Request(method, repo.at(f"blobs/uploads/{repo.session}"))]


def _close(repo: Repo) -> list[Request]:
    query = {"digest": str(repo.image.blob)}
    return [Request("PUT", repo.at(f"blobs/uploads/{repo.session}"), query, repo.image.layer)]


def _status(repo: Repo) -> list[Request]:
    path = repo.at(f"blobs/uploads/{repo.session}")
    return [Request(method, path) for method in ("GET", "HEAD")]


def _registry_of(name: str) -> str:
    return name.partition("/")[0]


def _promote(repo: Repo) -> list[Request]:
    document = {"source": f"{repo.name}:v1", "target": f"{repo.name}:promoted"}
    return [Request("POST", "/promotions", document=document)]


POLICY: Final = {
    "rules": [{"name": "newest", "action": "keep-newest", "priority": 1, "tags": ["none"], "count": 1}]
}


def _lifecycle(method: str, below: str = "", document: Any = None) -> Callable[[Repo], list[Request]]:
    path = f"/lifecycle{below}"
    return lambda repo: [Request(method, repo.encoded + path, document=document)]


PARTS: Final = {"parts": [{"number": 1, "size": PART_SIZE, "sha256": "A" * 43 + "="}]}


def _announce(repo: Repo) -> list[Request]:
    document = {"repository": repo.name, "digest": Digest.of(b"what nobody has"), "size": 5}
    return [Request("POST", "/uploads", document=document)]


def _direct(method: str, below: str = "", document: Any = None) -> Callable[[Repo], list[Request]]:
    return lambda repo: [Request(method, f"/uploads/{repo.direct}{below}", document=document)]


def _below(method: str, path: str, document: Any = None) -> Callable[[Repo], list[Request]]:
    return lambda repo: [Request(method, f"{repo.encoded}{path}", document=document)]


REPOSITORY_OPERATIONS: Final = (
    RepositoryOperation("blob", "end-2", 307, _reads(lambda repo: f"blobs/{repo.image.blob}")),
    RepositoryOperation("manifest", "end-3", 200, _manifest),
    RepositoryOperation("tags", "end-8a, end-8b", 200, _reads(lambda _: "tags/list")),
    RepositoryOperation(
        "referrers", "end-12a, end-12b", 200, _reads(lambda repo: f"referrers/{repo.image.digest}")
    ),
    RepositoryOperation(
        "start",
        "end-4a, end-4b, end-11",
        202,
        lambda repo: [Request("POST", repo.at("blobs/uploads/"))],
    ),
    RepositoryOperation("status", "end-13", 204, _status),
    RepositoryOperation("append", "end-5", 202, _session("PATCH")),
    RepositoryOperation("close", "end-6", 201, _close),
    RepositoryOperation("cancel", "end-14", 204, _session("DELETE")),
    RepositoryOperation("put", "end-7a, end-7b", 201, _put),
    RepositoryOperation("untag", "end-9", 202, lambda repo: [Request("DELETE", repo.at("manifests/doomed"))]),
    RepositoryOperation(
        "unlink",
        "end-10",
        202,
        lambda repo: [Request("DELETE", repo.at(f"blobs/{Digest.of(repo.spare)}"))],
    ),
    RepositoryOperation("catalog", "catalog", 200, lambda _: [Request("GET", "/v2/_catalog")], listed=True),
    RepositoryOperation(
        "list",
        "GET /registries/{registry}/repositories",
        200,
        lambda repo: [Request("GET", f"/registries/{_registry_of(repo.name)}/repositories")],
        listed=True,
    ),
    RepositoryOperation(
        "describe", "GET /repositories/{repository}", 200, lambda repo: [Request("GET", repo.encoded)]
    ),
    RepositoryOperation(
        "tagged",
        "GET /repositories/{repository}/tags",
        200,
        lambda repo: [Request("GET", f"{repo.encoded}/tags")],
    ),
    RepositoryOperation("promote", "POST /promotions", 201, _promote),
    RepositoryOperation(
        "delete",
        "DELETE /repositories/{repository}",
        204,
        lambda repo: [Request("DELETE", repo.encoded, {"force": "true"})],
    ),
    RepositoryOperation("trash", "GET /repositories/{repository}/trash", 200, _below("GET", "/trash")),
    RepositoryOperation(
        "purge",
        "DELETE /repositories/{repository}/trash/{digest}",
        204,
        lambda repo: [Request("DELETE", f"{repo.encoded}/trash/{repo.deleted}")],
    ),
    RepositoryOperation(
        "restore",
        "POST /repositories/{repository}/restorations",
        201,
        lambda repo: [
            Request("POST", f"{repo.encoded}/restorations", document={"digest": str(repo.deleted)})
        ],
    ),
    RepositoryOperation(
        "bulk",
        "POST /repositories/{repository}/deletions",
        200,
        _below("POST", "/deletions", {"references": ["doomed"]}),
    ),
    RepositoryOperation("named", "GET /repositories/{repository}/tags/{tag}", 200, _below("GET", "/tags/v1")),
    RepositoryOperation(
        "history", "GET /repositories/{repository}/tags/{tag}/history", 200, _below("GET", "/tags/v1/history")
    ),
    RepositoryOperation(
        "rollback",
        "POST /repositories/{repository}/tags/{tag}/rollback",
        200,
        _below("POST", "/tags/moved/rollback", {}),
    ),
    RepositoryOperation("announce", "POST /uploads", 201, _announce),
    RepositoryOperation("look", "GET /uploads/{session}", 200, _direct("GET")),
    RepositoryOperation("sign", "POST /uploads/{session}/parts", 200, _direct("POST", "/parts", PARTS)),
    # Its parts are missing, which only those learn who may complete it.
    RepositoryOperation(
        "complete", "POST /uploads/{session}/completion", 409, _direct("POST", "/completion")
    ),
    RepositoryOperation("drop", "DELETE /uploads/{session}", 204, _direct("DELETE")),
    # A policy of its own is there, which takes nothing away.
    RepositoryOperation("policy", "GET /repositories/{repository}/lifecycle", 200, _lifecycle("GET")),
    RepositoryOperation(
        "set", "PUT /repositories/{repository}/lifecycle", 200, _lifecycle("PUT", "", POLICY)
    ),
    RepositoryOperation(
        "preview",
        "POST /repositories/{repository}/lifecycle/preview",
        200,
        _lifecycle("POST", "/preview", {}),
    ),
    RepositoryOperation(
        "run", "POST /repositories/{repository}/lifecycle/run", 200, _lifecycle("POST", "/run")
    ),
    RepositoryOperation("unset", "DELETE /repositories/{repository}/lifecycle", 204, _lifecycle("DELETE")),
)


@dataclass(frozen=True)
class Place:
    """What a section of the table is about: names that an operation fills in."""

    account: str
    project: str = ""
    registry: str = ""
    robot: str = ""
    user: str = ""

    @property
    def owner(self) -> str:
        return f"{self.account}-owner"

    def names(self) -> dict[str, str]:
        return {
            "account": self.account,
            "project": self.project,
            "registry": self.registry,
            "scope": self.registry,
            "robot": self.robot,
            "user": self.user,
            "digest": UNKNOWN,
            # Each account has one of this name.
            "webhook": "everybodys",
        }


PLACES: Final = {
    "shop": Place("acme", "shop", "dev", "shop-robot", "acme-user"),
    "lab": Place("acme", "lab", "lab", "lab-robot", "acme-user"),
    "yard": Place("rival", "yard", "yard", "yard-robot", "rival-user"),
}


@dataclass(frozen=True)
class Operation:
    """One row of the management API.

    `of` is what it is about, the name that an absent twin takes the place of; '' for nothing.
    """

    label: str
    covers: str
    success: int
    of: str = ""
    document: Any = None
    listed: bool = False

    def request(self, place: Place) -> Request:
        method, _, path = self.covers.partition(" ")
        named = place.names()
        path = path.replace("{id}", "{robot}" if self.of == "robot" else "{user}")
        document = json.dumps(self.document)
        for name, value in named.items():
            document = document.replace(f"<{name}>", value)
        return Request(method, path.format(**named), document=json.loads(document))


ROBOT: Final = {
    "kind": "robot",
    "id": "new-robot",
    "project": "<project>",
    "grants": [{"pattern": "<registry>/*", "actions": ["pull"]}],
}
TRUST: Final = {
    **ROBOT,
    "kind": "trust",
    "trust": {"issuer": "https://issuer.test", "audience": "a", "subject": "repo:x"},
}

IMMUTABLE: Final = {"patterns": ["release-*"]}

PROJECT_OPERATIONS: Final = (
    Operation("list projects", "GET /projects", 200, "project", listed=True),
    Operation("describe project", "GET /projects/{project}", 200, "project"),
    Operation("describe project limit", "GET /projects/{project}/soft-limit", 200, "project"),
    Operation("change project", "PATCH /projects/{project}", 200, "project", {"title": "T"}),
    Operation("set project limit", "PUT /projects/{project}/soft-limit", 200, "project", {"bytes": 9}),
    Operation("remove project limit", "DELETE /projects/{project}/soft-limit", 204, "project"),
    Operation("delete project", "DELETE /projects/{project}", 409, "project"),
    Operation("list members", "GET /projects/{project}/members", 200, "project"),
    Operation("set member", "PUT /projects/{project}/members/{user}", 200, "project", {"role": "viewer"}),
    Operation("remove member", "DELETE /projects/{project}/members/{user}", 204, "project"),
    Operation("list registries", "GET /registries", 200, "registry", listed=True),
    Operation(
        "make registry",
        "POST /registries",
        201,
        "project",
        {"name": "newreg", "project": "<project>"},
    ),
    Operation("describe registry", "GET /registries/{registry}", 200, "registry"),
    Operation("describe registry limit", "GET /registries/{registry}/soft-limit", 200, "registry"),
    Operation("change registry", "PATCH /registries/{registry}", 200, "registry", {"title": "T"}),
    Operation("set registry limit", "PUT /registries/{registry}/soft-limit", 200, "registry", {"bytes": 9}),
    Operation("remove registry limit", "DELETE /registries/{registry}/soft-limit", 204, "registry"),
    Operation("delete registry", "DELETE /registries/{registry}", 409, "registry"),
    Operation("show policy", "GET /registries/{registry}/lifecycle", 200, "registry"),
    Operation("set policy", "PUT /registries/{registry}/lifecycle", 200, "registry", POLICY),
    Operation("preview policy", "POST /registries/{registry}/lifecycle/preview", 200, "registry", {}),
    Operation("run policy", "POST /registries/{registry}/lifecycle/run", 200, "registry"),
    Operation("remove policy", "DELETE /registries/{registry}/lifecycle", 204, "registry"),
    Operation("set immutable tags", "PUT /policies/{scope}/immutable-tags", 200, "registry", IMMUTABLE),
    Operation("describe immutable tags", "GET /policies/{scope}/immutable-tags", 200, "registry"),
    Operation("remove immutable tags", "DELETE /policies/{scope}/immutable-tags", 204, "registry"),
    Operation("set retention", "PUT /policies/{scope}/retention", 200, "registry", {"days": 9}),
    Operation("describe retention", "GET /policies/{scope}/retention", 200, "registry"),
    Operation("remove retention", "DELETE /policies/{scope}/retention", 204, "registry"),
    Operation("list robots", "GET /credentials", 200, "robot", listed=True),
    Operation("make robot", "POST /credentials", 201, "project", ROBOT),
    Operation("make trust", "POST /credentials", 201, "project", TRUST),
    Operation("describe robot", "GET /credentials/{id}", 200, "robot"),
    Operation("change robot", "PATCH /credentials/{id}", 200, "robot", {"title": "T"}),
    Operation("rotate robot", "POST /credentials/{id}/rotation", 201, "robot", {"overlap_seconds": 60}),
    Operation("delete robot", "DELETE /credentials/{id}", 204, "robot"),
)

ACCOUNT_OPERATIONS: Final = (
    Operation("list accounts", "GET /accounts", 200, "account", listed=True),
    Operation("describe account", "GET /accounts/{account}", 200, "account"),
    Operation("change account", "PATCH /accounts/{account}", 200, "account", {"title": "T"}),
    Operation("reconcile account", "POST /accounts/{account}/reconciliation", 200, "account"),
    Operation("delete account", "DELETE /accounts/{account}", 409, "account"),
    Operation("list users", "GET /credentials", 200, "user", listed=True),
    Operation("describe user", "GET /credentials/{id}", 200, "user"),
    Operation("change user", "PATCH /credentials/{id}", 200, "user", {"title": "T"}),
    Operation("rotate user", "POST /credentials/{id}/rotation", 201, "user", {"overlap_seconds": 60}),
    Operation("delete user", "DELETE /credentials/{id}", 204, "user"),
)

FORGED: Final = {
    "code": "usage",
    "table": "usage",
    "scope": "<account>",
    "key": "",
    "message": "",
    "found": {},
    "should": {},
    "mends": [{"row": ["usage", "<account>", ""], "expect": {}, "put": {"bytes": 0}, "check": False}],
    "seal": "0" * 64,
}

# Never connected to, and refused without a look at the network.
INSIDE: Final = "https://10.0.0.1/ccr"
HOOK: Final = {"name": "newhook", "url": INSIDE}

# About nothing in particular: of the caller's own account, or of the deployment.
OWN_OPERATIONS: Final = (
    Operation("whoami", "GET /whoami", 200),
    Operation("read audit", "GET /audit", 200),
    Operation("check", "POST /checks", 200, "", {}),
    # The finding is forged, which only those learn who may mend.
    Operation("repair", "POST /checks/repairs", 409, "", {"findings": [FORGED]}),
    Operation("collect", "POST /collections", 201),
    Operation("list collections", "GET /collections", 200),
    Operation("plan collection", "GET /collections/next", 200),
    Operation("read migrations", "GET /migrations", 200),
    Operation("migrate", "POST /migrations", 201, "", {}),
    # Of a digest that nobody has, which only those learn who may read everything.
    Operation("explain blob", "GET /holders/{digest}", 404),
    Operation("list webhooks", "GET /webhooks", 200),
    Operation("make webhook", "POST /webhooks", 201, "", HOOK),
    Operation("describe webhook", "GET /webhooks/{webhook}", 200),
    Operation("change webhook", "PATCH /webhooks/{webhook}", 200, "", {"format": "harbor"}),
    Operation("rotate webhook", "POST /webhooks/{webhook}/rotation", 201, "", {"overlap_seconds": 60}),
    # It does not arrive, and the answer says so.
    Operation("test webhook", "POST /webhooks/{webhook}/test", 200),
    Operation("list deliveries", "GET /webhooks/{webhook}/deliveries", 200),
    Operation("list dead deliveries", "GET /webhooks/{webhook}/dead", 200),
    Operation("replay dead deliveries", "POST /webhooks/{webhook}/replays", 200, "", {}),
    Operation("describe event bus", "GET /event-bus", 200),
    Operation("list dead of event bus", "GET /event-bus/dead", 200),
    Operation("replay dead of event bus", "POST /event-bus/replays", 200, "", {}),
    Operation("delete webhook", "DELETE /webhooks/{webhook}", 204),
    Operation("make account", "POST /accounts", 201, "", {"id": "newacc", "owner": "newacc-owner"}),
    Operation("make project", "POST /projects", 201, "", {"name": "newproj"}),
    Operation(
        "make user",
        "POST /credentials",
        201,
        "",
        {"kind": "user", "id": "new-user", "roles": {}},
    ),
)
