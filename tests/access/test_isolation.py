"""A credential without a grant tries everything on a repository and never learns that it exists.

Whatever it asks, it asks of a name that nothing has, too: status, headers, body and the number of calls to
the backend must be the same. Two things it may learn, by design: that the name of a registry or the id of a
credential is taken, when it tries to take it; and, in its own account, that some repository has a blob that
it has itself (to upload it costs a call more).
"""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from typing import Any, ClassVar
from urllib.parse import urlencode

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    initialize,
    invariant,
    rule,
    run_state_machine_as_test,
)

from chalicelib.endpoints.routes import ENDPOINTS
from chalicelib.registry import quota, soft_limits
from chalicelib.spec.digest import Digest
from tests.access import ground
from tests.access.caller import Caller, Reply
from tests.access.cast import every_scope
from tests.access.estate import CONFIG, IMAGE, LAYER, Estate, build, manifest, pushed, put
from tests.access.operations import Repo, Request, furnish
from tests.access.remembered_reads import Snapshot
from tests.access.twins import SPELLINGS, about, without_tokens
from tests.support.content import OCI_INDEX, UNKNOWN

VICTIM = "dev/app"
TWINS = ("dev/apq", "deq/app")
PATHS = sorted({one.path for one in ENDPOINTS if "<name>" in one.path or "<upload>" in one.path})
METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")
# Who has no grant on it, and the repository that is theirs.
ATTACKERS = {
    "rival-owner": "yard/app",
    "rival-robot": "yard/app",
    "lab-owner": "lab/app",
    "lab-robot": "lab/app",
    "stage-robot": "stage/app",
    "neighbour": "dev/own",
    "blind": "dev/own",
}


OF_REPOSITORIES = (
    Request("GET", "/repositories/<name>"),
    Request("GET", "/repositories/<name>/tags"),
    Request("DELETE", "/repositories/<name>"),
    Request("DELETE", "/repositories/<name>", {"force": "true"}),
    Request("PATCH", "/repositories/<name>"),
    Request("POST", "/promotions", document={"source": "<name>:v1", "target": "<own>:v9"}),
    Request("POST", "/promotions", document={"source": "<name>@<digest>", "target": "<own>:v9"}),
    Request("POST", "/promotions", document={"source": "<own>:v1", "target": "<name>:v9"}),
    Request("POST", "/promotions", document={"source": "<name>:v1", "target": "<name>:v9"}),
    Request("POST", "/promotions", document={"source": "<own>@<digest>", "target": "<own>:v9"}),
)
OF_REGISTRIES = (
    Request("GET", "/registries/<registry>"),
    Request("GET", "/registries/<registry>/repositories"),
    Request("PATCH", "/registries/<registry>", document={"title": "x"}),
    Request("PATCH", "/registries/<registry>", document={"project": "yard"}),
    Request("DELETE", "/registries/<registry>"),
    Request("DELETE", "/registries/<registry>", {"force": "true"}),
    Request("GET", "/credentials/<registry>"),
    Request("PATCH", "/credentials/<registry>", document={"disabled": True}),
    Request("DELETE", "/credentials/<registry>"),
    Request("POST", "/credentials/<registry>/rotation", document={"overlap_seconds": 0}),
    Request("GET", "/registries", {"after": "<registry>"}),
    Request("GET", "/registries", {"project": "<registry>"}),
    Request("GET", "/credentials", {"after": "<registry>"}),
    Request("GET", "/audit", {"repository": "<registry>/app"}),
    Request("GET", "/audit", {"actor": "<registry>"}),
    *(
        Request(
            "POST",
            "/credentials",
            document={
                "kind": "robot",
                "id": "spy",
                "project": project,
                "grants": [{"pattern": pattern, "actions": ["pull"]}],
            },
        )
        for project in ("yard", "lab", "shop")
        for pattern in ("<registry>", "<registry>/*", "<registry>/app")
    ),
)


@dataclass(frozen=True)
class Scene:
    estate: Estate
    snapshot: Snapshot


@pytest.fixture(scope="module")
def scene(backend: None) -> Scene:
    ground.clear()
    laid = ground.lay(quick=True)
    estate = build(laid)
    estate.push("acme-owner", "dev/own")
    furnish(Repo(estate, VICTIM))
    estate.user("acme-owner", "lab-owner", lab="owner")
    estate.robot("acme-owner", "lab-robot", "lab", ("lab/*", "pull,push,delete"))
    estate.robot("acme-owner", "stage-robot", "shop", ("stage/*", "pull,push,delete"))
    # One that may do everything beside the victim, and one that may push there but read nothing.
    estate.robot("acme-owner", "neighbour", "shop", ("dev/own", "pull,push,delete"))
    estate.robot("acme-owner", "blind", "shop", ("dev/own", "push"))
    estate.robot("rival-owner", "rival-robot", "yard", ("yard/*", "pull,push,delete"))
    for id_ in ATTACKERS:
        estate.caller(id_).v2("GET", "/v2/")
    # What was revoked is read with the first token, and then for as long as the clock stands still.
    estate.caller("acme-owner").with_token().v2("GET", "/v2/")
    return Scene(estate, Snapshot(ground.tables(), laid.deployment._reads))


spellings = st.just("as it is") | st.sampled_from(sorted(SPELLINGS))
twins = st.sampled_from(TWINS)
methods = st.sampled_from(METHODS)


class Isolation(RuleBasedStateMachine):
    scene: ClassVar[Scene]
    uploads = Bundle("uploads")
    refreshes = Bundle("refreshes")

    @initialize(id_=st.sampled_from(sorted(ATTACKERS)))
    def begin(self, id_: str) -> None:
        self.scene.snapshot.restore()
        self.estate = self.scene.estate
        self.deployment = self.estate.ground.deployment
        self.image = self.estate.images[VICTIM]
        self.owner = self.estate.caller("acme-owner")
        self.own = ATTACKERS[id_]
        self.basic = self.estate.caller(id_)
        self.bearer = self.basic.with_token(*every_scope([VICTIM, *TWINS, self.own]))
        self.is_foreign = id_.startswith("rival")
        self.may_read = id_ != "blind"

    # Of the registry API

    @rule(
        digest=st.sampled_from(["manifest", "blob", "referrer", "unknown", "none"]),
        reference=st.sampled_from(["v1", "doomed", "latest", "digest"]),
        query=st.sampled_from(["", "digest", "mount", "n", "last", "artifactType", "tag"]),
        body=st.sampled_from(["", "manifest", "layer", "{}"]),
        header=st.sampled_from(["", "range", "if-none-match", "if-match", "content-range", "accept"]),
        spelling=spellings,
        twin=twins,
        by_token=st.booleans(),
    )
    def asks_the_registry(
        self,
        *,
        digest: str,
        reference: str,
        query: str,
        body: str,
        header: str,
        spelling: str,
        twin: str,
        by_token: bool,
    ) -> None:
        """Every path with every method."""
        digests = {
            "manifest": self.image.digest,
            "blob": self.image.blob,
            "referrer": Digest.of(self.image.referrer),
            "unknown": UNKNOWN,
            "none": "sha256:0",
        }
        named = {
            "<upload>": "/v2/<name>",
            "<digest>": str(digests[digest]),
            "<reference>": str(digests["manifest"]) if reference == "digest" else reference,
            "<session>": self.estate.sessions[VICTIM],
        }
        queries = {
            "": {},
            "digest": {"digest": str(digests[digest])},
            "mount": {"mount": str(digests["blob"]), "from": self.own},
            "n": {"n": "1"},
            "last": {"last": "v0"},
            "artifactType": {"artifactType": "application/x-sig"},
            "tag": {"tag": "v2"},
        }
        bodies = {"": b"", "manifest": self.image.raw, "layer": self.image.layer, "{}": b"{}"}
        headers = {
            "": {},
            "range": {"range": "bytes=0-0"},
            "if-none-match": {"if-none-match": f'"{self.image.digest}"'},
            "if-match": {"if-match": f'"{self.image.digest}"'},
            "content-range": {"content-range": "0-0"},
            "accept": {"accept": IMAGE},
        }
        caller = self.bearer if by_token else self.basic
        more = {"content_type": IMAGE, **headers[header]}
        for path in PATHS:
            filled = path
            for mark, value in named.items():
                filled = filled.replace(mark, value)
            for method in METHODS:
                request = Request(method, filled, queries[query], bodies[body], more)
                self._compare(caller, request, spelling, twin)

    @rule(
        digest=st.sampled_from(["blob", "manifest", "unknown"]),
        spelling=spellings,
        twin=twins,
        by_token=st.booleans(),
        more=st.sampled_from(["", "repository:own", "from"]),
    )
    def mounts_from_it(self, *, digest: str, spelling: str, twin: str, by_token: bool, more: str) -> None:
        digests = {"blob": self.image.blob, "manifest": self.image.digest, "unknown": UNKNOWN}
        query = {"mount": str(digests[digest]), "from": "<name>"}
        if more == "from":
            query = {"from": "<name>", "mount": str(digests[digest]), "digest": str(digests[digest])}
        request = Request("POST", f"/v2/{self.own}/blobs/uploads/", query)
        reply = self._compare(self.bearer if by_token else self.basic, request, spelling, twin)
        assert reply.status != 201, "mounted"

    @rule(blob=st.sampled_from(["layer", "config"]), by_token=st.booleans())
    def names_its_blobs_in_a_manifest_of_its_own(self, *, blob: str, by_token: bool) -> None:
        """The twin of a digest is one that nothing has."""
        content = {"layer": self.image.layer, "config": f"config of {VICTIM}".encode()}[blob]
        raw = manifest(content, content)
        unknown = raw.replace(str(Digest.of(content)).encode(), UNKNOWN.encode())
        self._compare_digests(raw, unknown, IMAGE, str(Digest.of(content)), by_token=by_token)

    @rule(by_token=st.booleans(), media_type=st.sampled_from([IMAGE, CONFIG, LAYER]))
    def names_its_manifest_in_an_index_of_its_own(self, *, by_token: bool, media_type: str) -> None:
        digest = str(self.image.digest)
        child = {"mediaType": media_type, "digest": digest, "size": len(self.image.raw)}
        raw = json.dumps({"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": [child]}).encode()
        self._compare_digests(
            raw, raw.replace(digest.encode(), UNKNOWN.encode()), OCI_INDEX, digest, by_token=by_token
        )

    @rule(by_token=st.booleans())
    def asks_its_own_repository_for_what_the_victim_has(self, *, by_token: bool) -> None:
        caller = self.bearer if by_token else self.basic
        for digest in (self.image.digest, self.image.blob, Digest.of(self.image.referrer)):
            for path in ("manifests", "blobs", "referrers"):
                for method in ("GET", "HEAD", "DELETE"):
                    asked = [caller.v2(method, f"/v2/{self.own}/{path}/{one}") for one in (digest, UNKNOWN)]
                    assert about(asked[0], str(digest)) == about(asked[1], UNKNOWN)

    @rule(by_token=st.booleans(), method=methods)
    def brings_the_victims_upload_to_its_own_repository(self, *, by_token: bool, method: str) -> None:
        caller = self.bearer if by_token else self.basic
        victims, none = self.estate.sessions[VICTIM], "0" * 32
        asked = [
            caller.v2(method, f"/v2/{self.own}/blobs/uploads/{one}", {"digest": self.image.blob}, b"x")
            for one in (victims, none)
        ]
        assert asked[0].status in {404, 405, 403, 401}
        assert replace(about(asked[0], victims), calls=(0, 0)) == replace(about(asked[1], none), calls=(0, 0))

    @rule(by_token=st.booleans())
    def pushes_bytes_that_the_victim_has(self, *, by_token: bool) -> None:
        caller = self.bearer if by_token else self.basic
        same, other = self.image.layer, self.image.layer[::-1]
        asked = []
        for content in (same, other):
            query = {"digest": Digest.of(content)}
            asked.append(caller.v2("POST", f"/v2/{self.own}/blobs/uploads/", query, content))
        compared = [
            about(one, str(Digest.of(content))) for one, content in zip(asked, (same, other), strict=True)
        ]
        if not self.is_foreign:
            compared = [replace(one, calls=(0, 0)) for one in compared]
        self.scene.snapshot.restore()
        assert compared[0] == compared[1]

    # With tokens

    @rule(
        kind=st.sampled_from(
            ["repository", "repository(plugin)", "repository()", "registry", "Repository", "repo", ""]
        ),
        actions=st.sampled_from(
            ["pull", "push", "pull,push", "delete", "*", "", "PULL", "pull,*", "admin", "pull:pull"]
        ),
        spelling=spellings,
        twin=twins,
    )
    def asks_for_a_token(self, kind: str, actions: str, spelling: str, twin: str) -> None:
        tokens = []
        answers = []
        for name in (VICTIM, twin):
            spelled = SPELLINGS[spelling](name)
            reply = self.basic.v2(
                "GET", "/token", {"scope": f"{kind}:{spelled}:{actions}", "offline_token": "true"}
            )
            assert reply.status == 200
            tokens.append(Caller(self.deployment, f"Bearer {reply.document['token']}"))
            answers.append(about(without_tokens(reply), spelled, name))
        assert answers[0] == answers[1]
        self._use(tokens, twin)

    @rule(target=refreshes)
    def keeps_a_refresh_token(self) -> str:
        reply = self.basic.v2("GET", "/token", {"offline_token": "true"})
        return str(reply.document["refresh_token"])

    @rule(
        refresh=refreshes, spelling=spellings, twin=twins, actions=st.sampled_from(["pull", "*", "pull,push"])
    )
    def exchanges_a_refresh_token(self, refresh: str, spelling: str, twin: str, actions: str) -> None:
        answers, tokens = [], []
        for name in (VICTIM, twin):
            spelled = SPELLINGS[spelling](name)
            form = {
                "grant_type": "refresh_token",
                "refresh_token": refresh,
                "scope": f"repository:{spelled}:{actions}",
            }
            reply = self._form(form)
            assert reply.status == 200
            answers.append(about(without_tokens(reply), spelled, name))
            tokens.append(Caller(self.deployment, f"Bearer {reply.document['token']}"))
        assert answers[0] == answers[1]
        self._use(tokens, twin)

    @rule(refresh=refreshes, method=methods)
    def shows_a_refresh_token_as_if_it_were_a_token(self, refresh: str, method: str) -> None:
        caller = Caller(self.deployment, f"Bearer {refresh}")
        for name in (VICTIM, self.own):
            assert caller.v2(method, f"/v2/{name}/tags/list").status in {401, 405}

    # With capabilities

    @rule(target=uploads, by_token=st.booleans())
    def opens_an_upload_of_its_own(self, *, by_token: bool) -> str:
        caller = self.bearer if by_token else self.basic
        reply = caller.v2("POST", f"/v2/{self.own}/blobs/uploads/")
        assert reply.status == 202
        return reply.headers["location"]

    @rule(
        upload=uploads,
        method=methods,
        session=st.sampled_from(["own", "victim", "unknown"]),
        digest=st.booleans(),
        spelling=spellings,
        twin=twins,
    )
    def replays_a_capability_on_it(
        self, *, upload: str, method: str, session: str, digest: bool, spelling: str, twin: str
    ) -> None:
        own = upload.rpartition("/")[2]
        sessions = {"own": own, "victim": self.estate.sessions[VICTIM], "unknown": "0" * 32}
        capability = upload.split("/")[2]
        path = f"/u/{capability}/v2/<name>/blobs/uploads/{sessions[session]}"
        query = {"digest": str(self.image.blob)} if digest else {}
        body = self.image.layer if method in {"PUT", "PATCH"} else b""
        reply = self._compare(Caller(self.deployment), Request(method, path, query, body), spelling, twin)
        assert reply.status in {400, 404, 405}

    # Of the management API

    @rule(spelling=spellings, twin=twins)
    def manages_the_repository(self, spelling: str, twin: str) -> None:
        for request in OF_REPOSITORIES:
            text = json.dumps(request.document)
            text = text.replace("<own>", self.own).replace("<digest>", str(self.image.digest))
            filled = replace(request, document=json.loads(text))
            self._compare(self.basic, filled, spelling, twin, encoded=True)

    @rule(spelling=spellings)
    def manages_the_registry(self, spelling: str) -> None:
        """The registry that holds the victim, and the robot that has its name; the twin has none."""
        if self.own.startswith("dev/"):
            return
        names = (VICTIM.partition("/")[0], TWINS[1].partition("/")[0])
        for request in OF_REGISTRIES:
            self._ask_both(self.basic, request, spelling, names, "<registry>", encoded=True)

    @rule(
        path=st.sampled_from(
            ["/v2/_catalog", "/registries", "/projects", "/credentials", "/audit", "/accounts"]
        ),
        limit=st.integers(1, 5),
        by_token=st.booleans(),
    )
    def reads_every_list_to_its_end(self, *, path: str, limit: int, by_token: bool) -> None:
        caller = self.bearer if by_token and path.startswith("/v2") else self.basic
        is_registry = path.startswith("/v2")
        last, seen = "", b""
        for _ in range(30):
            query = {"n": str(limit), "last": last} if is_registry else {"limit": str(limit), "after": last}
            reply = Request("GET", path, query).said_by(caller)
            seen += reply.body
            entries = reply.document.get("repositories" if is_registry else "items", [])
            last = (
                (entries[-1] if "link" in reply.headers else "")
                if is_registry
                else reply.document.get("next", "")
            )
            if not last:
                break
        assert not last, "it never ends"
        for secret in (VICTIM, str(self.image.digest), str(self.image.blob), self.estate.sessions[VICTIM]):
            assert secret.encode() not in seen

    # Meanwhile the victim lives on

    @rule(tag=st.sampled_from(["v2", "doomed"]))
    def the_victim_pushes(self, tag: str) -> None:
        put(self.owner, VICTIM, tag, self.image.raw)

    @rule()
    def the_victim_pushes_a_blob(self) -> None:
        pushed(self.owner, VICTIM, b"another blob")

    @rule(tag=st.sampled_from(["v2", "doomed"]))
    def the_victim_deletes(self, tag: str) -> None:
        self.owner.v2("DELETE", f"/v2/{VICTIM}/manifests/{tag}")

    @invariant()
    def the_victim_has_what_it_had(self) -> None:
        if not hasattr(self, "owner"):
            return
        reply = self.owner.v2("GET", f"/v2/{VICTIM}/manifests/v1")
        assert (reply.status, reply.body) == (200, self.image.raw)
        assert self.owner.v2("HEAD", f"/v2/{VICTIM}/blobs/{self.image.blob}").status == 307

    def _compare(
        self, caller: Caller, request: Request, spelling: str, twin: str, *, encoded: bool = False
    ) -> Reply:
        return self._ask_both(caller, request, spelling, (VICTIM, twin), "<name>", encoded=encoded)

    def _ask_both(
        self,
        caller: Caller,
        request: Request,
        spelling: str,
        names: tuple[str, str],
        mark: str,
        *,
        encoded: bool,
    ) -> Reply:
        """`encoded`: a path has the name with its slashes encoded."""
        replies, answers = [], []
        for name in names:
            spelled = SPELLINGS[spelling](name)
            in_path = spelled.replace("/", "%2F") if encoded else spelled
            filled = replace(
                request,
                path=request.path.replace(mark, in_path),
                query={key: value.replace(mark, spelled) for key, value in request.query.items()},
                document=_filled(request.document, mark, spelled),
            )
            reply = filled.said_by(caller)
            assert reply.status < 500, (filled, reply)
            replies.append(reply)
            answers.append(about(reply, in_path, spelled, name))
        assert answers[0] == answers[1]
        return replies[0]

    def _compare_digests(
        self, raw: bytes, unknown: bytes, media_type: str, digest: str, *, by_token: bool
    ) -> None:
        caller = self.bearer if by_token else self.basic
        asked = [
            caller.v2("PUT", f"/v2/{self.own}/manifests/mine", body=one, content_type=media_type)
            for one in (raw, unknown)
        ]
        assert asked[0].status == 400, asked[0]
        assert about(asked[0], digest) == about(asked[1], UNKNOWN)

    def _use(self, tokens: list[Caller], twin: str) -> None:
        for path in ("tags/list", "manifests/v1", f"blobs/{self.image.blob}"):
            mine = about(tokens[0].v2("GET", f"/v2/{VICTIM}/{path}"), VICTIM)
            assert mine == about(tokens[1].v2("GET", f"/v2/{twin}/{path}"), twin)
            assert mine.status == 401

    def _form(self, form: dict[str, str]) -> Reply:
        return Caller(self.deployment).v2("POST", "/token", body=urlencode(form).encode())


def _filled(document: Any, mark: str, name: str) -> Any:
    """Not by its JSON: a name may hold a quote."""
    if isinstance(document, dict):
        return {key: _filled(value, mark, name) for key, value in document.items()}
    if isinstance(document, list):
        return [_filled(value, mark, name) for value in document]
    return document.replace(mark, name) if isinstance(document, str) else document


def test_isolation(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    # The second of two requests would be spared a read of the usage of the own account.
    monkeypatch.setattr(quota, "REMEMBER_SECONDS", 0)
    monkeypatch.setattr(soft_limits, "REMEMBER_SECONDS", 0)
    Isolation.scene = scene
    run_state_machine_as_test(
        Isolation,
        settings=settings(
            max_examples=20,
            stateful_step_count=25,
            deadline=None,
            database=None,
            suppress_health_check=list(HealthCheck),
        ),
    )
