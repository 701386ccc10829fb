"""Each function's role against what its code calls: no more, but for what is said here, and no less."""

from __future__ import annotations

import contextlib
import functools
import json
import os
import re
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import pytest

from chalicelib.aws import blob_store
from chalicelib.aws.clients import events_client
from chalicelib.aws.staged_store import S3StagedStore
from chalicelib.events.webhook_desk import Change
from chalicelib.management.background import Background
from chalicelib.registry import direct as direct_uploads
from chalicelib.registry.migrations import Schema
from chalicelib.registry.policies import LIFECYCLE, RETENTION, Policy, project_scope, registry_scope
from chalicelib.registry.stores import STAGING, DirectRow, UploadRow
from chalicelib.spec.digest import Digest
from chalicelib.spec.errors import RegistryError
from chalicelib.spec.reference import Repository
from chalicelib.wiring import Deployment
from infra.templates.functions import FUNCTIONS
from infra.templates.lambdas import handlers
from infra.templates.roles import FOLLOWING, statements
from tests.access import ground
from tests.access.caller import Caller
from tests.access.estate import IMAGE, Estate, build, descriptor, manifest, pushed, put
from tests.access.operations import (
    ACCOUNT_OPERATIONS,
    INSIDE,
    OWN_OPERATIONS,
    PLACES,
    PROJECT_OPERATIONS,
    REPOSITORY_OPERATIONS,
    Repo,
    furnish,
)
from tests.access.remembered_reads import Snapshot
from tests.edge.staging import created, stage
from tests.templates.recorder import Call, recording

REPOSITORY = "dev/app"
# What a role may and nobody does below, and why it must.
NOT_THERE = (
    "HeadObject of what is not there is answered with 404 to who may list the bucket alone, else with 403"
)
QUOTA = "an account that was never counted is, before its first push: tests/endpoints/test_quota.py"
OPENING = "the project `default` is made with the first registry: tests/endpoints/test_uploads.py"
SCHEMA = "what the tables take of code is read once in a process: tests/unit/test_migrations.py"
REASONS: dict[tuple[str, str, str], str] = {
    **{
        (name, "dynamodb:GetItem", "policies"): SCHEMA
        for name in ("collect", "adopt", "setup", "tell", "verifier")
    },
    ("adopt", "s3:ListBucket", "bucket"): NOT_THERE,
    ("verifier", "s3:ListBucket", "bucket"): NOT_THERE,
    ("registry", "dynamodb:GetItem", "accounts"): QUOTA,
    ("registry", "dynamodb:Query", "blobs"): QUOTA,
    ("registry", "dynamodb:PutItem", "usage"): QUOTA,
    ("registry", "dynamodb:PutItem", "projects"): OPENING,
    ("registry", "dynamodb:GetItem", "registries"): OPENING,
    (
        "registry",
        "dynamodb:GetItem",
        "repositories",
    ): "one that is being emptied: tests/endpoints/test_faults.py",
    ("management", "dynamodb:UpdateItem", "attempts"): "a wrong password counts here too: tests/management",
    ("management", "dynamodb:Query", "revocations"): "direct uploads take tokens: tests/management",
    ("management", "s3:DeleteObject", "blobs/"): "of an upload that fails at its end: tests/management",
}
# What is called where two of them meet, which not every run has.
SOMETIMES = {
    (
        "verifier",
        "dynamodb:GetItem",
        "uploads",
    ): "the row is read again where another verifier has changed it",
}
DAY = 24 * 3600
SMALL, ROOM = 10, 1 << 40
BUS = "ccr"
HOOK = PLACES["shop"].names()["webhook"]
KEEP_ONE = {"rules": [{"name": "newest", "action": "keep-newest", "priority": 1, "tags": ["*"], "count": 1}]}


@pytest.fixture(scope="module")
def recorded() -> Iterator[set[Call]]:
    """Everything that clients, operators and time do to a deployment, once."""
    with ground.aws(), recording() as calls, pytest.MonkeyPatch.context() as patch:
        # moto takes no bytearray.
        patch.setattr(blob_store, "BLOCK", 1024**3)
        patch.setattr(S3StagedStore, "verified_size", _vouched(S3StagedStore.verified_size))
        _operate(_estate())
        patch.setattr(direct_uploads, "PUT_LIMIT", 1024 * 1024)
        patch.setattr(direct_uploads, "PART_SIZE", 5 * 1024 * 1024)
        # moto takes one call at a time: nothing is verified by a thread beside.
        patch.setattr(Background, "__call__", lambda *_: None)
        estate = _estate()
        _push(estate)
        _make_on_push(estate)
        _push_directly(estate)
        _run_short(estate)
        _tell(estate)
        _pass_time(estate)
        yield set(calls)


def _vouched(asked: Callable[..., Any]) -> Callable[..., int]:
    """Moto keeps no checksum: it is asked all the same, and believed where it says nothing."""

    def size(store: Any, one: Any) -> int:
        asked(store, one)
        return int(store._client.head_object(Bucket=store._bucket, Key=one.key)["ContentLength"])

    return size


def _estate() -> Estate:
    ground.clear()
    estate = build(ground.lay(uploads=frozenset({"function", "edge", "gateway"})))
    estate.ground.deployment.webhook_desk.create("acme", HOOK, Change(url=INSIDE), "somebody")
    return estate


def _operate(estate: Estate) -> None:
    """Every endpoint and every operation of the management API, by who may."""
    repo = Repo(estate, REPOSITORY)
    owner = estate.caller("acme-owner")
    admin = estate.caller("admin")
    estate.robot("acme-owner", "shop-robot", "shop", ("dev/*", "pull,push,delete"))
    estate.user("acme-owner", "acme-user", everywhere="viewer")
    furnish(repo)
    snapshot = Snapshot(ground.tables())
    for operation in REPOSITORY_OPERATIONS:
        for request in operation.requests(repo):
            snapshot.restore()
            estate.ground.begin_anew()
            assert request.said_by(owner).status == operation.success, operation.column
    for operations in (PROJECT_OPERATIONS, ACCOUNT_OPERATIONS, OWN_OPERATIONS):
        for one in operations:
            snapshot.restore()
            estate.ground.begin_anew()
            by = admin if one.covers.startswith(("POST /accounts", "PATCH /accounts")) else owner
            one.request(PLACES["shop"]).said_by(by)
    _wrongly(estate)


def _wrongly(estate: Estate) -> None:
    """A wrong password, counted and then forgotten, and tokens of a credential that is revoked."""
    wrong = estate.caller("acme-owner")
    with contextlib.suppress(KeyError):
        replace(wrong, authorization="Basic YWNtZS1vd25lcjp3cm9uZw==").v2("GET", "/token")
    estate.caller("acme-owner").token(f"repository:{REPOSITORY}:pull,push")


def _push(estate: Estate) -> None:
    """Blobs in every form that the function takes, large manifests, mounts, what the edge stored."""
    caller = estate.caller("acme-owner")
    token = caller.with_token(f"repository:{REPOSITORY}:pull,push,delete")
    for sizes in ((5,), (9 * 1024 * 1024, 5), (5, 9 * 1024 * 1024), (0,)):
        _chunks(token, sizes, Digest.of)
    _chunks(token, (9 * 1024 * 1024, 5), lambda _: Digest.of(b"other"))
    _chunks(token, (5, 6), lambda content: Digest.of(content, "sha512"))
    for sizes in ((9 * 1024 * 1024,), (5,)):
        location = _chunks(token, sizes, None)
        assert token.v2("DELETE", location).status == 204
    config, layers = b"{}", [os.urandom(20) for _ in range(120)]
    for blob in (config, *layers):
        pushed(token, REPOSITORY, blob)
    large = json.loads(manifest(config, *layers))
    large["annotations"] = {"padding": "x" * 1_000_000}
    put(token, REPOSITORY, "large", json.dumps(large).encode())
    for method in ("GET", "HEAD"):
        assert token.v2(method, f"/v2/{REPOSITORY}/manifests/large").status == 200
    children = [descriptor(estate.images[REPOSITORY].raw, IMAGE)]
    index = {
        "schemaVersion": 2,
        "mediaType": "application/vnd.oci.image.index.v1+json",
        "manifests": children,
    }
    path = f"/v2/{REPOSITORY}/manifests/index"
    assert (
        token.v2("PUT", path, body=json.dumps(index).encode(), content_type=index["mediaType"]).status == 201
    )
    query = {"mount": str(Digest.of(layers[0])), "from": REPOSITORY}
    assert caller.v2("POST", "/v2/stage/app/blobs/uploads/", query).status == 201
    for name in ("large", "index"):
        assert token.v2("DELETE", f"/v2/{REPOSITORY}/manifests/{name}").status == 202
    _stage(estate, token)


def _make_on_push(estate: Estate) -> None:
    """The registry of a name that nobody has, where the settings allow it."""
    settings = replace(estate.ground.deployment.settings, create_on_push=True)
    opening = replace(estate.caller("acme-owner"), deployment=Deployment(settings))
    pushed(opening, "fresh/app", b"{}")
    raw = manifest(b"{}")
    for tag in ("one", "two"):
        put(opening, "fresh/app", tag, raw)
    for _ in range(2):
        assert opening.v2("DELETE", f"/v2/fresh/app/manifests/{Digest.of(raw)}").status == 202
        put(opening, "fresh/app", "again", raw)


def _chunks(token: Caller, sizes: tuple[int, ...], digest: Callable[[bytes], Digest] | None) -> str:
    """Appended one after the other, and closed where there is a digest."""
    location = token.v2("POST", f"/v2/{REPOSITORY}/blobs/uploads/").headers["location"]
    contents = [os.urandom(size) for size in sizes]
    for content in contents:
        assert token.v2("PATCH", location, body=content).status == 202
    if digest is not None:
        token.v2("PUT", location, {"digest": str(digest(b"".join(contents)))})
    return location


def _stage(estate: Estate, token: Caller) -> None:
    """Stored past the function: adopted by who asks, by S3's event, or by nobody."""
    deployment, repository = estate.ground.deployment, Repository("acme", REPOSITORY)

    def opened() -> UploadRow:
        return deployment.services.uploads.open(repository)

    asked, told = os.urandom(30), os.urandom(31)
    stage(deployment, opened(), asked)
    assert token.v2("HEAD", f"/v2/{REPOSITORY}/blobs/{Digest.of(asked)}").status == 307
    deployment.adopt(created(stage(deployment, opened(), told)))
    deployment.adopt(created(stage(deployment, opened(), told)))
    deployment.adopt(created(stage(deployment, replace(opened(), session="0" * 32), os.urandom(32))))


def _push_directly(estate: Estate) -> None:
    """By one PUT and by parts, good and bad ones, verified by the other function."""
    deployment, caller = estate.ground.deployment, estate.caller("acme-owner")
    for content, sent in (
        (os.urandom(100), None),
        (os.urandom(101), b"other"),
        (os.urandom(6 * 1024 * 1024), None),
        (os.urandom(6 * 1024 * 1024), os.urandom(6 * 1024 * 1024)),
        (os.urandom(11 * 1024 * 1024), None),
    ):
        document = {"repository": REPOSITORY, "digest": Digest.of(content), "size": len(content)}
        session = caller.api("POST", "/uploads", document).document["session"]
        row = deployment.direct.sessions.get(session)
        assert row is not None
        _sent(deployment, row, sent or content)
        caller.api("POST", f"/uploads/{session}/completion")
        with contextlib.suppress(RegistryError):
            deployment.verify(session, 900)
        caller.api("GET", f"/uploads/{session}")


def _sent(deployment: Deployment, row: DirectRow, content: bytes) -> None:
    """As a client with presigned URLs; moto checks no checksum."""
    where = {"Bucket": deployment.settings.bucket, "Key": row.key}
    known = {"ChecksumAlgorithm": "SHA256"}
    if not row.multipart_id:
        deployment._s3.put_object(**where, **known, Body=content)
        return
    for number, start in enumerate(range(0, len(content), row.part_size), 1):
        part = content[start : start + row.part_size]
        where_part = {**where, "UploadId": row.multipart_id, "PartNumber": number}
        deployment._s3.upload_part(**where_part, **known, Body=part)


def _run_short(estate: Estate) -> None:
    """Each function that charges tells of a threshold, and takes away what gives way."""
    deployment, owner = estate.ground.deployment, estate.caller("acme-owner")
    repository = Repository("acme", REPOSITORY)
    quota = deployment.quota
    assert quota.eviction is not None
    # Links were deleted just now: nobody waits for the hour of their URLs.
    quota.eviction = replace(quota.eviction, url_seconds=-1)
    scope = registry_scope("acme", "dev")
    assert deployment.policies.put(Policy(scope, RETENTION, {"days": 7, "counted": False}))
    deployment.soft_limits.set(scope, 1)
    deployment.soft_limits.set(project_scope("acme", "shop"), 1)
    for size, charge in (
        (SMALL, lambda content: pushed(owner, REPOSITORY, content)),
        (
            SMALL,
            lambda content: deployment.adopt(
                created(stage(deployment, deployment.services.uploads.open(repository), content))
            ),
        ),
        (SMALL, lambda content: _direct(estate, content)),
        (6 * 1024 * 1024, lambda content: _direct(estate, content)),
    ):
        _filled(deployment, ROOM)
        _give_way(owner, os.urandom(2 * SMALL))
        full = _filled(deployment, size - SMALL)
        charge(os.urandom(size))
        after = deployment._tables.usage.get("acme")
        assert after.bytes == full + size - 2 * SMALL
        assert after.level > 0
    _filled(deployment, ROOM)


def _give_way(owner: Caller, config: bytes) -> None:
    raw = manifest(config)
    pushed(owner, REPOSITORY, config)
    put(owner, REPOSITORY, "giving", raw)
    for path in (f"manifests/{Digest.of(raw)}", f"blobs/{Digest.of(config)}"):
        assert owner.v2("DELETE", f"/v2/{REPOSITORY}/{path}").status == 202


def _migrated(deployment: Deployment, migrate: Callable[[], object]) -> None:
    """Of rows of before the collector, an hour after somebody saw the migration waiting."""
    kept = deployment.policies.get("#", "schema")
    if kept is not None:
        deployment.policies.remove(kept)
    deployment.schema.follow(Schema(), Schema(since=1))
    tables, digest = deployment._tables, Digest.of(b"old")
    old = [
        tables.links("acme/dev/old", digest, size=3, storage_key="blobs/acme/dev/old/w", references=0),
        tables.blobs("acme", digest, size=3, storage_key="blobs/acme/dev/old/w", links=0),
        tables.manifests("acme/dev/old", digest, media_type=IMAGE, size=2, state=STAGING),
    ]
    for row in old:
        row.save()
    migrate()
    assert deployment.migrations.progress().is_complete
    for row in old:
        row.delete()


def _filled(deployment: Deployment, free: int) -> int:
    """Let so many bytes be free, and no threshold be told of; what is used."""
    row = deployment._tables.usage.get("acme")
    row.free, row.level = free, 0
    row.save()
    deployment.quota.forget("acme")
    return int(row.bytes)


def _direct(estate: Estate, content: bytes) -> None:
    """A good direct upload, to its end."""
    deployment, caller = estate.ground.deployment, estate.caller("acme-owner")
    document = {"repository": REPOSITORY, "digest": Digest.of(content), "size": len(content)}
    session = caller.api("POST", "/uploads", document).document["session"]
    row = deployment.direct.sessions.get(session)
    assert row is not None
    _sent(deployment, row, content)
    assert caller.api("POST", f"/uploads/{session}/completion").status in {200, 202}
    deployment.verify(session, 900)
    assert caller.api("GET", f"/uploads/{session}").document["state"] == "published"


def _tell(estate: Estate) -> None:
    """Changes of each kind to a webhook that answers, fails and is given up, and to the bus; then again."""
    clock, answers = ground.Clock(time.time()), [204]
    settings = replace(estate.ground.deployment.settings, event_bus=BUS, webhook_retries=(5,))
    deployment = Deployment(settings, clock)
    deployment.webhook_target = replace(deployment.webhook_target, post=lambda *_: answers[0])
    # moto takes one call at a time.
    deployment.rounds.pool = ThreadPoolExecutor(1)
    events_client(deployment._own, "").create_event_bus(Name=BUS)
    owner = estate.caller("acme-owner")
    raw = manifest(b"{}")
    pushed(owner, REPOSITORY, b"{}")
    for entry in (lambda: deployment.tell(_streamed(deployment), 60), lambda: deployment.tell_all(60)):
        for status in (204, 500, 500):
            answers[0] = status
            put(owner, REPOSITORY, f"told-{clock.now}", raw)
            clock.advance(60)
            entry()
        assert owner.api("POST", f"/webhooks/{HOOK}/replays", {}).document["ids"]
        answers[0] = 204
        deployment.tell_all(60)
    assert list(deployment.outbox.lanes()) == []


def _streamed(deployment: Deployment) -> dict[str, Any]:
    """What the stream of the outbox says of its rows.

    https://docs.aws.amazon.com/lambda/latest/dg/with-ddb.html
    """
    keys = [{"lane": {"S": lane}, "order": {"S": order}} for lane, order in deployment.outbox.lanes()]
    assert keys
    return {"Records": [{"eventName": "INSERT", "dynamodb": {"Keys": one}} for one in keys]}


def _pass_time(estate: Estate) -> None:
    """Policies, deletions, what was left on the way, and every scheduled function for two months."""
    ahead = 0.0
    late = Deployment(estate.ground.deployment.settings, lambda: time.time() + ahead)
    repository, owner = Repository("acme", REPOSITORY), estate.caller("acme-owner")
    for name in ("one", "two", "three"):
        blobs = (name.encode(), f"{name} layer".encode())
        for blob in blobs:
            pushed(owner, REPOSITORY, blob)
        put(owner, REPOSITORY, name, manifest(*blobs))
    large = json.loads(manifest(*blobs)) | {"annotations": {"padding": "y" * 1_000_000}}
    put(owner, REPOSITORY, "large", json.dumps(large).encode())
    late.policies.put(Policy(registry_scope("acme", "dev"), LIFECYCLE, KEEP_ONE))
    for content in (os.urandom(9 * 1024 * 1024), os.urandom(10)):
        location = owner.v2("POST", f"/v2/{REPOSITORY}/blobs/uploads/").headers["location"]
        assert owner.v2("PATCH", location, body=content).status == 202
    for size in (100, 2 * 1024 * 1024):
        assert late.direct.open(repository, Digest.of(os.urandom(8)), size).session
    put_object = functools.partial(late._s3.put_object, Bucket=late.settings.bucket)
    for prefix in ("blobs", "staged", "manifests", "incoming"):
        put_object(Key=f"{prefix}/acme/dev/app/{'0' * 32}", Body=b"nobody's")
    late._s3.create_multipart_upload(Bucket=late.settings.bucket, Key=f"blobs/acme/dev/{'0' * 32}/x")
    usage = late._tables.usage.get("acme")
    usage.bytes += 1
    usage.save()
    for days in (1.1, 9, 41):
        ahead = days * DAY
        late.apply_lifecycle(900)
        for _ in range(3):
            _filled(late, 1)
            late.collect(900)
            ahead += 2 * 3600
        late.sweep(900)
        _filled(late, 1)
        late.reconcile_all(900)
    _migrated(late, lambda: late.migrate(900))
    operator = estate.caller("admin")
    _migrated(estate.ground.deployment, lambda: operator.api("POST", "/migrations", {}))
    ground.clear()
    late.open()


def allowed(name: str) -> set[tuple[str, str]]:
    """Each action and resource of a role, in the words of the recorder."""
    found: set[tuple[str, str]] = set()
    for statement in statements(FUNCTIONS[name]):
        resources = statement["Resource"]
        for resource in resources if isinstance(resources, list) else [resources]:
            for action in statement["Action"]:
                found.add((action, _resource(resource)))
    return found


def _resource(resource: Any) -> str:
    text = resource.get("Fn::Sub") or json.dumps(resource)
    table = re.search(r":table/\$\{AWS::StackName\}-(.+)$", text)
    if table:
        return table[1].removesuffix("/*")
    if ":event-bus/" in text:
        return "bus"
    if ":s3:::" in text:
        _, slash, prefix = text.partition("${AWS::Region}/")
        return prefix.removesuffix("*") if slash else "bucket"
    return text


# Asked for by Lambda and by the start of a function, not by the code that tests run.
BESIDES = ("secretsmanager:", "sqs:", "lambda:")


@pytest.mark.parametrize("name", sorted(FUNCTIONS))
def test_a_role_allows_what_its_function_calls_and_nothing_else(recorded: set[Call], name: str) -> None:
    called = {(action, where) for function, action, where in recorded if function == name}
    called |= {(action, where) for function, action, where in REASONS | SOMETIMES if function == name}
    called |= {(action, f"{FUNCTIONS[name].stream}/stream") for action in FOLLOWING if FUNCTIONS[name].stream}
    assert {one for one in allowed(name) if not one[0].startswith(BESIDES)} == called


def test_every_reason_is_still_one(recorded: set[Call]) -> None:
    assert set(REASONS).isdisjoint(recorded)
    assert all(REASONS.values())


def test_every_function_of_the_entry_point_has_a_role_and_no_other() -> None:
    assert set(handlers()) == set(FUNCTIONS)
