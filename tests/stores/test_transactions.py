"""Each change holds exactly when its docstring says so, and a transaction is all or nothing."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any, NamedTuple

import pytest

from chalicelib.registry import changes
from chalicelib.registry.changes import (
    TRANSACTION_LIMIT,
    Actor,
    AuditAccount,
    BuryObject,
    Change,
    Charge,
    CountBlob,
    CountLink,
    CountManifest,
    EndDirect,
    EndUpload,
    ExpireSession,
    MoveLevel,
    MoveManifest,
    MoveTrash,
    NameRepository,
    PutBlob,
    PutLink,
    PutManifest,
    PutReferrer,
    PutTag,
    PutTrash,
    RemoveBlob,
    RemoveLink,
    RemoveManifest,
    RemoveReferrer,
    RemoveTag,
    RemoveTrash,
    SettleBlob,
    SettleLink,
    TellMove,
    TouchLink,
    WriteAudit,
)
from chalicelib.registry.stores import KEPT, LIVE, PUBLISHED, RELEASING, STAGING, Held, TagMove, TrashRow
from chalicelib.spec.digest import Digest
from chalicelib.spec.reference import Repository
from chalicelib.wiring import Deployment
from tests.stores.rows import (
    FAR,
    a_digest,
    a_link,
    a_manifest,
    a_tag,
    an_upload,
    everything,
    put_blob,
    write,
)

D, E, SUBJECT = Digest.of(b"d"), Digest.of(b"e"), Digest.of(b"subject")
KEY = "blobs/the/key"
# What the clock of these tests says, and what their accounts may store.
NOW = 2_000_000_000
ROOM = 1000


class Case(NamedTuple):
    """What is there, and what is tried."""

    name: str
    before: Callable[[Repository], list[Change]]
    change: Callable[[Repository], Change]


def an_entry(r: Repository) -> WriteAudit:
    return WriteAudit(r, Actor("somebody", "127.0.0.1"), "push", D)


def _nothing(_: Repository) -> list[Change]:
    return []


def _manifest(**fields: Any) -> Callable[[Repository], list[Change]]:
    return lambda r: [PutManifest(r, a_manifest(D, **fields))]


def _link(references: int = 0) -> Callable[[Repository], list[Change]]:
    def before(r: Repository) -> list[Change]:
        return [PutLink(r, a_link(D, KEY)), PutBlob(r.account, a_link(D, KEY))]

    def counted(r: Repository) -> list[Change]:
        return [*before(r), CountLink(r, D, references)]

    return counted if references else before


def _idle_blob(r: Repository) -> list[Change]:
    return [PutBlob(r.account, a_link(D, KEY)), CountBlob(r.account, D, -1)]


def _used_link(r: Repository) -> list[Change]:
    """Marked by what took one of two away."""
    return [PutLink(r, a_link(D, KEY)), CountLink(r, D, 2), CountLink(r, D, -1)]


def _used_blob(r: Repository) -> list[Change]:
    return [PutBlob(r.account, a_link(D, KEY)), CountBlob(r.account, D, 1), CountBlob(r.account, D, -1)]


def _kept_blob(r: Repository) -> list[Change]:
    return [*_idle_blob(r), CountBlob(r.account, D, kept=2), CountBlob(r.account, D, kept=-1)]


def _quiet_blob(r: Repository) -> list[Change]:
    """Kept by one, with no mark."""
    return [*_idle_blob(r), CountBlob(r.account, D, kept=1)]


def a_trash(*, gives_way: bool = False) -> TrashRow:
    return TrashRow(D, "text/plain", 7, KEPT, raw=b"{}", due=9, gives_way=gives_way)


def _trash(r: Repository) -> list[Change]:
    return [PutTrash(r, a_trash())]


def _giving(r: Repository) -> list[Change]:
    return [PutTrash(r, a_trash(gives_way=True))]


def _counted_since(r: Repository) -> list[Change]:
    return [*_giving(r), MoveTrash(r, D, (KEPT, 0), (KEPT, 0), row=a_trash())]


def _used(_: Repository) -> list[Change]:
    """The account of these cases has this room from the beginning."""
    return []


def _tag(digest: Digest) -> Callable[[Repository], list[Change]]:
    return lambda r: [PutTag(r, a_tag("v1", digest), None)]


def _move(**fields: Any) -> Callable[[Repository], Change]:
    return lambda r: MoveManifest(r, D, **{"before": (LIVE, 2), "after": (RELEASING, 2), **fields})


def _leaving(r: Repository) -> MoveTrash:
    return MoveTrash(r, D, (KEPT, 0), (RELEASING, 0), gives_way=True)


def _beside(r: Repository, **less: int) -> CountBlob:
    return CountBlob(r.account, D, is_shared=True, **less)


HOLDING = [
    Case("put manifest where none is", _nothing, lambda r: PutManifest(r, a_manifest(D))),
    Case("move manifest from where it stands", _manifest(held=2), _move()),
    Case("move manifest whatever its tags", _manifest(held=2, tags=3, parents=1), _move()),
    Case("move manifest with its tags", _manifest(held=2, tags=3), _move(tags=3)),
    Case("remove manifest", _manifest(held=2), lambda r: RemoveManifest(r, D, (LIVE, 2), 0)),
    Case("remove manifest with tags", _manifest(tags=2), lambda r: RemoveManifest(r, D, (LIVE, 0), 2)),
    Case("count live manifest", _manifest(), lambda r: CountManifest(r, D, tags=1, parents=2)),
    Case("count nothing of a live manifest", _manifest(), lambda r: CountManifest(r, D)),
    Case("count link", _link(), lambda r: CountLink(r, D, 1)),
    Case("put new tag", _nothing, lambda r: PutTag(r, a_tag("v1", D), None)),
    Case("put tag from what it names", _tag(E), lambda r: PutTag(r, a_tag("v1", D, 2), E)),
    Case("put tag since then", _tag(E), lambda r: PutTag(r, a_tag("v1", D, 2), E, NOW * 1_000_000)),
    Case("remove tag", _tag(D), lambda r: RemoveTag(r, "v1", D)),
    Case("put referrer", _nothing, lambda r: PutReferrer(r, SUBJECT, D, {"size": 1})),
    Case(
        "put referrer again",
        lambda r: [PutReferrer(r, SUBJECT, D, {"size": 1})],
        lambda r: PutReferrer(r, SUBJECT, D, {"size": 1}),
    ),
    Case(
        "remove referrer",
        lambda r: [PutReferrer(r, SUBJECT, D, {"size": 1})],
        lambda r: RemoveReferrer(r, SUBJECT, D),
    ),
    Case("remove referrer not there", _nothing, lambda r: RemoveReferrer(r, SUBJECT, D)),
    Case("write audit", _nothing, an_entry),
    Case("write audit again", lambda r: [an_entry(r)], an_entry),
    Case("name repository", _nothing, NameRepository),
    Case("name repository again", lambda r: [NameRepository(r)], NameRepository),
    Case("put link", _nothing, lambda r: PutLink(r, a_link(D))),
    Case("remove link", _link(), lambda r: RemoveLink(r, D)),
    Case("put blob", _nothing, lambda r: PutBlob(r.account, a_link(D))),
    Case("count blob", _link(), lambda r: CountBlob(r.account, D, 1)),
    Case("count blob under its key", _link(), lambda r: CountBlob(r.account, D, 1, KEY)),
    Case("remove blob that nothing needs", _idle_blob, lambda r: RemoveBlob(r.account, D, KEY, NOW)),
    Case(
        "remove blob with the last that keeps it",
        _kept_blob,
        lambda r: RemoveBlob(r.account, D, KEY, NOW, 1),
    ),
    Case("remove blob that has no mark", _quiet_blob, lambda r: RemoveBlob(r.account, D, KEY, 0, 1)),
    Case("count blob down beside a link", _link(), lambda r: _beside(r, kept=-1)),
    Case("count blob down beside a keeper", _quiet_blob, lambda r: _beside(r, links=-1)),
    Case("charge what is free", _used, lambda r: Charge(r.account, ROOM)),
    Case("give back more than is free", _used, lambda r: Charge(r.account, -ROOM * 2)),
    Case("bury an object", _nothing, lambda _: BuryObject(KEY)),
    Case("put trash", _nothing, lambda r: PutTrash(r, a_trash())),
    Case("move trash", _trash, lambda r: MoveTrash(r, D, (KEPT, 0), (RELEASING, 0))),
    Case("move trash that is due", _trash, lambda r: MoveTrash(r, D, (KEPT, 0), (RELEASING, 0), due=9)),
    Case("remove trash", _trash, lambda r: RemoveTrash(r, D, (KEPT, 0))),
    Case("remove trash that is due", _trash, lambda r: RemoveTrash(r, D, (KEPT, 0), 9)),
    Case("move trash that gives way", _giving, _leaving),
    Case("remove trash that gives way", _giving, lambda r: RemoveTrash(r, D, (KEPT, 0), 9, gives_way=True)),
    Case("touch link", _link(), lambda r: TouchLink(r, D)),
    Case("touch link idle as seen", _link(), lambda r: TouchLink(r, D, NOW)),
    Case("settle link in use", _used_link, lambda r: SettleLink(r, D, NOW)),
    Case("settle blob in use", _used_blob, lambda r: SettleBlob(r.account, D, NOW)),
    Case("move level", _used, lambda r: MoveLevel(r.account, 0, 80)),
    Case("audit account", _nothing, lambda r: AuditAccount(r.account, "quota-threshold", r.account)),
    Case("tell of a move", _nothing, lambda r: TellMove(r, TagMove("v1", 1, D, None))),
]
REFUSED = [
    Case("put manifest over a live one", _manifest(), lambda r: PutManifest(r, a_manifest(D))),
    Case(
        "put manifest over one on its way in",
        _manifest(state=STAGING),
        lambda r: PutManifest(r, a_manifest(D)),
    ),
    Case(
        "put manifest over one on its way out",
        _manifest(state=RELEASING),
        lambda r: PutManifest(r, a_manifest(D)),
    ),
    Case("move manifest that is not there", _nothing, _move()),
    Case("move manifest of another state", _manifest(held=2, state=STAGING), _move()),
    Case("move manifest of another mark", _manifest(held=1), _move()),
    Case("move manifest with one tag more", _manifest(held=2, tags=4), _move(tags=3)),
    Case("move manifest with a parent", _manifest(held=2, tags=3, parents=1), _move(tags=3)),
    Case("remove manifest not there", _nothing, lambda r: RemoveManifest(r, D, (LIVE, 0), 0)),
    Case("remove manifest elsewhere", _manifest(held=2), lambda r: RemoveManifest(r, D, (RELEASING, 2), 0)),
    Case("remove manifest marked", _manifest(held=1), lambda r: RemoveManifest(r, D, (LIVE, 2), 0)),
    Case("remove manifest with a tag more", _manifest(tags=1), lambda r: RemoveManifest(r, D, (LIVE, 0), 0)),
    Case("remove manifest with a parent", _manifest(parents=1), lambda r: RemoveManifest(r, D, (LIVE, 0), 0)),
    Case("count manifest not there", _nothing, lambda r: CountManifest(r, D, tags=1)),
    Case("count manifest coming", _manifest(state=STAGING), lambda r: CountManifest(r, D, parents=1)),
    Case("count manifest leaving", _manifest(state=RELEASING), lambda r: CountManifest(r, D, tags=-1)),
    Case("count link not there", _nothing, lambda r: CountLink(r, D, 1)),
    Case("put new tag that is there", _tag(E), lambda r: PutTag(r, a_tag("v1", D), None)),
    Case("put tag from another", _tag(E), lambda r: PutTag(r, a_tag("v1", D, 2), SUBJECT)),
    Case("put tag that moved since", _tag(E), lambda r: PutTag(r, a_tag("v1", D, 2), E, 1)),
    Case("put tag that is gone", _nothing, lambda r: PutTag(r, a_tag("v1", D, 2), E)),
    Case("remove tag of another", _tag(E), lambda r: RemoveTag(r, "v1", D)),
    Case("remove tag not there", _nothing, lambda r: RemoveTag(r, "v1", D)),
    Case("put link again", _link(), lambda r: PutLink(r, a_link(D))),
    Case("remove link not there", _nothing, lambda r: RemoveLink(r, D)),
    Case("remove link in use", _link(references=1), lambda r: RemoveLink(r, D)),
    Case("put blob again", _link(), lambda r: PutBlob(r.account, a_link(D))),
    Case("count blob under another", _link(), lambda r: CountBlob(r.account, D, 1, "other")),
    Case("count blob not there", _nothing, lambda r: CountBlob(r.account, D, -1)),
    Case("count blob gone under key", _nothing, lambda r: CountBlob(r.account, D, 1, KEY)),
    Case("remove link idle since then", _link(), lambda r: RemoveLink(r, D, NOW - 1)),
    Case("remove blob not there", _nothing, lambda r: RemoveBlob(r.account, D, KEY, NOW)),
    Case("remove blob that is linked", _used_blob, lambda r: RemoveBlob(r.account, D, KEY, NOW)),
    Case("remove blob that is kept", _kept_blob, lambda r: RemoveBlob(r.account, D, KEY, NOW)),
    Case("remove blob of another key", _idle_blob, lambda r: RemoveBlob(r.account, D, "other", NOW)),
    Case("remove blob idle since then", _idle_blob, lambda r: RemoveBlob(r.account, D, KEY, NOW - 1)),
    Case("remove blob that more keep", _kept_blob, lambda r: RemoveBlob(r.account, D, KEY, NOW, 2)),
    Case("remove blob linked beside", _link(), lambda r: RemoveBlob(r.account, D, KEY, 0)),
    Case("remove blob that has a mark", _kept_blob, lambda r: RemoveBlob(r.account, D, KEY, 0, 1)),
    Case("remove blob that has none", _quiet_blob, lambda r: RemoveBlob(r.account, D, KEY, NOW, 1)),
    Case("count the last of a blob", _quiet_blob, lambda r: _beside(r, kept=-1)),
    Case("move trash that is counted", _trash, _leaving),
    Case("move trash counted since", _counted_since, _leaving),
    Case("remove trash that is counted", _trash, lambda r: RemoveTrash(r, D, (KEPT, 0), gives_way=True)),
    Case("touch link not there", _nothing, lambda r: TouchLink(r, D)),
    Case("touch link idle since then", _link(), lambda r: TouchLink(r, D, NOW - 1)),
    Case("touch link in use", _used_link, lambda r: TouchLink(r, D, NOW)),
    Case("settle link that nothing names", _link(), lambda r: SettleLink(r, D, NOW)),
    Case("settle link idle since then", _used_link, lambda r: SettleLink(r, D, NOW - 1)),
    Case("settle blob that nothing needs", _idle_blob, lambda r: SettleBlob(r.account, D, NOW)),
    Case("settle blob idle since then", _used_blob, lambda r: SettleBlob(r.account, D, NOW - 1)),
    Case("move level from another", _used, lambda r: MoveLevel(r.account, 80, 90)),
    Case("charge more than is free", _used, lambda r: Charge(r.account, ROOM + 1)),
    Case("charge what nobody counts", _nothing, lambda r: Charge(r.account, 1)),
    Case("give back what nobody counts", _nothing, lambda r: Charge(r.account, -1)),
    Case("put trash again", _trash, lambda r: PutTrash(r, a_trash())),
    Case("move trash not there", _nothing, lambda r: MoveTrash(r, D, (KEPT, 0), (RELEASING, 0))),
    Case("move trash of another state", _trash, lambda r: MoveTrash(r, D, (STAGING, 0), (RELEASING, 0))),
    Case("move trash of another mark", _trash, lambda r: MoveTrash(r, D, (KEPT, 1), (RELEASING, 0))),
    Case("move trash due later", _trash, lambda r: MoveTrash(r, D, (KEPT, 0), (RELEASING, 0), due=8)),
    Case("remove trash of another state", _trash, lambda r: RemoveTrash(r, D, (RELEASING, 0))),
    Case("remove trash of another mark", _trash, lambda r: RemoveTrash(r, D, (KEPT, 1))),
    Case("remove trash due later", _trash, lambda r: RemoveTrash(r, D, (KEPT, 0), 8)),
]


@pytest.fixture(autouse=True)
def _clock(deployment: Deployment, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(deployment.services.blobs.transactions._items, "_clock", lambda: float(NOW))


def _bystanders(r: Repository) -> list[Change]:
    """One of each form that a transaction has: put, update, delete."""
    return [PutTag(r, a_tag("bystander", E), None), an_entry(r), RemoveReferrer(r, SUBJECT, E)]


@pytest.mark.parametrize("case", REFUSED, ids=lambda case: case.name)
def test_change_whose_condition_fails_is_named_and_nothing_is_written(
    deployment: Deployment, repository: Repository, case: Case
) -> None:
    write(deployment, PutReferrer(repository, SUBJECT, E, {"size": 1}))
    _prepare(deployment, case, repository)
    before = everything(deployment, repository)
    change = case.change(repository)
    refused = deployment.services.blobs.transactions.write([*_bystanders(repository), change])
    assert refused == [change]
    assert everything(deployment, repository) == before


@pytest.mark.parametrize("case", HOLDING, ids=lambda case: case.name)
def test_change_whose_condition_holds_is_written_with_the_others(
    deployment: Deployment, repository: Repository, case: Case
) -> None:
    _prepare(deployment, case, repository)
    bystander = PutTag(repository, a_tag("bystander", E), None)
    assert deployment.services.blobs.transactions.write([case.change(repository), bystander]) == []
    assert deployment.services.manifests.tags.get(repository, "bystander") == bystander.row


def _prepare(deployment: Deployment, case: Case, repository: Repository) -> None:
    """A count cannot share a transaction with the row it counts."""
    if case.before is _used:
        deployment.quota.usages.open(repository.account, ROOM)
    for change in case.before(repository):
        write(deployment, change)


def test_every_kind_of_change_has_a_case_that_holds() -> None:
    repository = Repository("a", "r/app")
    holding = {type(case.change(repository)) for case in HOLDING}
    # Those of sessions have tests of their own.
    assert holding | {EndUpload, EndDirect, ExpireSession} == set(changes.Change.__args__)


def test_put_manifest_keeps_every_field(deployment: Deployment, repository: Repository) -> None:
    row = a_manifest(
        D,
        raw=bytes(range(256)),
        subject=SUBJECT,
        holds=(Held(E, is_manifest=False), Held(SUBJECT, is_manifest=True)),
        held=2,
        tags=3,
        parents=4,
        pushed_by="somebody",
    )
    write(deployment, PutManifest(repository, row))
    assert deployment.services.manifests.rows.get(repository, D) == row


def test_spilled_manifest_has_a_key_and_no_bytes(deployment: Deployment, repository: Repository) -> None:
    row = a_manifest(D, raw=None, storage_key="manifests/some/key")
    write(deployment, PutManifest(repository, row))
    assert deployment.services.manifests.rows.get(repository, D) == row


def test_move_manifest_sets_state_mark_and_tags(deployment: Deployment, repository: Repository) -> None:
    row = a_manifest(D, state=STAGING, held=2, tags=0, parents=0)
    write(deployment, PutManifest(repository, row))
    write(deployment, MoveManifest(repository, D, (STAGING, 2), (LIVE, 3), new_tags=4))
    moved = replace(row, state=LIVE, held=3, tags=4)
    assert deployment.services.manifests.rows.get(repository, D) == moved


def test_count_manifest_adds_to_tags_and_parents(deployment: Deployment, repository: Repository) -> None:
    row = a_manifest(D, tags=1, parents=1)
    write(deployment, PutManifest(repository, row))
    write(deployment, CountManifest(repository, D, tags=2, parents=-1))
    write(deployment, CountManifest(repository, D, parents=5))
    assert deployment.services.manifests.rows.get(repository, D) == replace(row, tags=3, parents=5)


def test_remove_manifest_leaves_no_row(deployment: Deployment, repository: Repository) -> None:
    write(deployment, PutManifest(repository, a_manifest(D)))
    write(deployment, RemoveManifest(repository, D, (LIVE, 0), 0))
    assert deployment.services.manifests.rows.get(repository, D) is None


def test_link_and_blob_are_counted_apart(deployment: Deployment, repository: Repository) -> None:
    link, links = a_link(D, KEY), deployment.services.blobs.links
    write(deployment, *put_blob(repository, link))
    write(deployment, CountLink(repository, D, 3), CountBlob(repository.account, D, 2))
    write(deployment, CountLink(repository, D, -1))
    found = links.get(repository, D)
    assert found is not None
    assert found.idle, "something was taken away"
    assert replace(found, idle=0) == replace(link, references=2)
    assert links.blob(repository.account, D) == replace(link, references=3)
    (row,) = everything(deployment, repository)["blobs"]
    assert row["links"] == {"N": "3"}


def test_put_tag_replaces_the_row(deployment: Deployment, repository: Repository) -> None:
    write(deployment, PutTag(repository, a_tag("v1", D), None))
    moved = a_tag("v1", E, 2)
    write(deployment, PutTag(repository, moved, D))
    assert deployment.services.manifests.tags.get(repository, "v1") == moved


def test_remove_tag_leaves_no_row(deployment: Deployment, repository: Repository) -> None:
    write(deployment, PutTag(repository, a_tag("v1", D), None))
    write(deployment, RemoveTag(repository, "v1", D))
    assert deployment.services.manifests.tags.get(repository, "v1") is None


def test_naming_again_keeps_the_first_time(deployment: Deployment, repository: Repository) -> None:
    write(deployment, NameRepository(repository))
    before = everything(deployment, repository)
    write(deployment, NameRepository(repository))
    assert everything(deployment, repository) == before
    assert deployment.services.discovery.repositories.exists(repository)


def test_end_upload_holds_for_the_writer_alone(deployment: Deployment, repository: Repository) -> None:
    sessions, transactions = deployment.services.uploads.sessions, deployment.services.blobs.transactions
    row = an_upload(repository)
    sessions.create(row)
    nobody, other, own = (EndUpload(row.session, writer) for writer in ("me", "you", "me"))
    bystander = PutTag(repository, a_tag("bystander", E), None)
    assert transactions.write([bystander, nobody]) == [nobody]
    sessions.acquire(row.session, "me", now=1, lease=FAR)
    assert transactions.write([bystander, other]) == [other]
    assert deployment.services.manifests.tags.get(repository, "bystander") is None
    assert transactions.write([bystander, own]) == []
    assert sessions.get(row.session) is None
    assert transactions.write([own]) == [own]


def test_session_expires_as_it_was_seen_and_while_nobody_writes(
    deployment: Deployment, repository: Repository
) -> None:
    sessions, transactions = deployment.services.uploads.sessions, deployment.services.blobs.transactions
    row = an_upload(repository, expires=100)
    sessions.create(row)
    later, now = ExpireSession(row.session, 101, 200), ExpireSession(row.session, 100, 200)
    assert transactions.write([later]) == [later]
    assert sessions.acquire(row.session, "me", now=1, lease=200)
    assert transactions.write([now]) == [now]
    assert sessions.get(row.session) == row
    assert transactions.write([ExpireSession(row.session, 100, 201)]) == []
    assert sessions.get(row.session) is None
    assert transactions.write([now]) == [now]


def test_every_refused_change_is_named(deployment: Deployment, repository: Repository) -> None:
    """Mixed forms: the order in which the engine answers is not the order in which they were given."""
    write(deployment, *put_blob(repository, a_link(D, KEY)))
    fine = [PutTag(repository, a_tag("bystander", E), None), CountBlob(repository.account, D, 1)]
    refused: list[Change] = [
        CountLink(repository, E, 1),
        PutLink(repository, a_link(D)),
        RemoveTag(repository, "none", D),
        PutTag(repository, a_tag("gone", D, 2), E),
        RemoveLink(repository, SUBJECT),
        CountManifest(repository, E, tags=1),
    ]
    mixed = [refused[0], fine[0], *refused[1:4], fine[1], *refused[4:]]
    answered = deployment.services.blobs.transactions.write(mixed)
    assert sorted(map(str, answered)) == sorted(map(str, refused))


def test_transaction_of_the_limit_is_written_whole(deployment: Deployment, repository: Repository) -> None:
    changes = [PutLink(repository, a_link()) for _ in range(TRANSACTION_LIMIT)]
    assert deployment.services.blobs.transactions.write(changes) == []
    assert len(everything(deployment, repository)["links"]) == TRANSACTION_LIMIT


def test_transaction_of_the_limit_is_refused_whole(deployment: Deployment, repository: Repository) -> None:
    changes: list[Change] = [PutLink(repository, a_link()) for _ in range(TRANSACTION_LIMIT - 1)]
    last = CountLink(repository, a_digest(), 1)
    assert deployment.services.blobs.transactions.write([*changes, last]) == [last]
    assert everything(deployment, repository)["links"] == []


def test_direct_upload_ends_only_for_the_verifier_that_has_it(
    deployment: Deployment, repository: Repository
) -> None:
    sessions, transactions = deployment.direct.sessions, deployment.services.blobs.transactions
    row = deployment.direct.open(repository, D, 5)
    bystander = PutTag(repository, a_tag("bystander", E), None)
    nobody, other, own = (EndDirect(row.session, writer, FAR) for writer in ("me", "you", "me"))
    assert transactions.write([bystander, nobody]) == [nobody]
    assert sessions.verifying(row.session, 0)
    sessions.acquire(row.session, "me", now=1, lease=FAR)
    assert transactions.write([bystander, other]) == [other]
    assert deployment.services.manifests.tags.get(repository, "bystander") is None
    assert transactions.write([bystander, own]) == []
    found = sessions.get(row.session)
    assert found is not None
    assert (found.state, found.expires, found.verified) == (PUBLISHED, FAR, 5)
    assert transactions.write([own]) == [own]
