"""The stores in memory and the adapters on moto answer the same calls in the same way.

The properties beside this file run on the former, and mean nothing where the two differ.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chalicelib.registry.changes import (
    NOBODY,
    BuryObject,
    Change,
    Charge,
    CountBlob,
    CountLink,
    CountManifest,
    EndUpload,
    ExpireSession,
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
from chalicelib.registry.parts import MINIMUM_PART
from chalicelib.registry.stores import (
    KEPT,
    LIVE,
    RELEASING,
    STAGING,
    Held,
    Link,
    ManifestRow,
    Part,
    TagMove,
    TagRow,
    TrashRow,
    UploadRow,
)
from chalicelib.spec.digest import Digest
from chalicelib.spec.reference import Repository
from tests.properties.effort import effort
from tests.properties.memory_stores import S3Error, row_of
from tests.properties.stores_under_test import Stores

DIGESTS = [Digest.of(text) for text in (b"one", b"two", b"three")]
TAGS = ["latest", "v1", "V1"]
SESSIONS = ["session-1", "session-2"]
WRITERS = ["writer-1", "writer-2"]
STATES = [LIVE, STAGING, RELEASING]
# What the clocks of both say.
NOW = 1000

digests = st.sampled_from(DIGESTS)
steps = st.sampled_from([-1, 1])
marks = st.tuples(st.sampled_from(STATES), st.integers(0, 2))
lies = st.tuples(st.sampled_from([KEPT, STAGING, RELEASING]), st.integers(0, 2))
dues = st.sampled_from([None, 4, 5])


def manifest_rows() -> st.SearchStrategy[ManifestRow]:
    return st.builds(
        ManifestRow,
        digest=digests,
        media_type=st.just("application/vnd.oci.image.manifest.v1+json"),
        size=st.just(7),
        state=st.sampled_from(STATES),
        raw=st.sampled_from([None, b"{}"]),
        storage_key=st.sampled_from([None, "manifests/key"]),
        subject=st.none() | digests,
        holds=st.lists(st.builds(Held, digests, st.booleans()), max_size=3).map(tuple),
        held=st.integers(0, 2),
        tags=st.integers(0, 1),
        parents=st.integers(0, 1),
        pushed_by=st.sampled_from(["", "somebody"]),
    )


def trash_rows() -> st.SearchStrategy[TrashRow]:
    return st.builds(
        TrashRow,
        digest=digests,
        media_type=st.just("text/plain"),
        size=st.just(7),
        state=st.sampled_from([KEPT, STAGING, RELEASING]),
        raw=st.sampled_from([None, b"{}"]),
        storage_key=st.sampled_from([None, "manifests/key"]),
        subject=st.none() | digests,
        blobs=st.lists(digests, max_size=2).map(tuple),
        children=st.lists(digests, max_size=2).map(tuple),
        held=st.integers(0, 2),
        tags=st.lists(st.sampled_from(TAGS), max_size=2).map(tuple),
        deleted=st.integers(1, 3),
        due=st.integers(4, 5),
        deleted_by=st.sampled_from(["", "somebody"]),
        reason=st.sampled_from(["", "a reason"]),
        gives_way=st.booleans(),
    )


def tag_moves() -> st.SearchStrategy[TagMove]:
    """Of different times: two of one millisecond have no order."""
    times = st.integers(1, 10**12)
    return st.builds(
        TagMove, st.sampled_from(TAGS), times, st.none() | digests, st.none() | digests, st.just("somebody")
    )


def links() -> st.SearchStrategy[Link]:
    return st.builds(Link, digests, st.just(3), st.sampled_from(["key-1", "key-2"]))


def changes(repository: Repository) -> st.SearchStrategy[Change]:
    """One change of any kind about a few rows, so that about half of the conditions hold."""
    r, account = st.just(repository), st.just(repository.account)
    tag_rows = st.builds(TagRow, st.sampled_from(TAGS), digests, st.just("text/plain"), st.just(7))
    few = st.integers(0, 1)
    move = st.builds(MoveManifest, r, digests, marks, marks, st.none() | few, few, st.booleans())
    descriptors = st.just({"digest": "sha256:0", "size": 7})
    sessions = st.sampled_from(SESSIONS).map(repository.name.__add__)
    return st.one_of(
        st.builds(PutManifest, r, manifest_rows()),
        move,
        st.builds(RemoveManifest, r, digests, marks, st.integers(0, 1)),
        st.builds(CountManifest, r, digests, st.integers(-1, 1), st.integers(-1, 1)),
        st.builds(CountLink, r, digests, steps),
        st.builds(PutTag, r, tag_rows, st.none() | digests),
        st.builds(RemoveTag, r, st.sampled_from(TAGS), digests),
        st.builds(PutReferrer, r, digests, digests, descriptors),
        st.builds(RemoveReferrer, r, digests, digests),
        st.builds(WriteAudit, r, st.just(NOBODY), st.just("push"), digests),
        st.builds(NameRepository, r),
        st.builds(PutLink, r, links()),
        st.builds(RemoveLink, r, digests, st.sampled_from([None, NOW, 1])),
        st.builds(TouchLink, r, digests, st.sampled_from([None, NOW, 1])),
        st.builds(SettleLink, r, digests, st.sampled_from([NOW, 1])),
        st.builds(SettleBlob, account, digests, st.sampled_from([NOW, 1])),
        st.builds(PutBlob, account, links()),
        st.builds(
            CountBlob,
            account,
            digests,
            steps,
            st.sampled_from([None, "key-1"]),
            st.integers(-1, 1),
            st.booleans(),
        ),
        st.builds(
            RemoveBlob,
            account,
            digests,
            st.sampled_from(["key-1", "key-2"]),
            st.sampled_from([0, NOW]),
            st.integers(0, 1),
        ),
        st.builds(Charge, account, st.integers(-4, 6)),
        st.builds(BuryObject, st.sampled_from(["key-1", "key-2"])),
        st.builds(PutTrash, r, trash_rows()),
        st.builds(MoveTrash, r, digests, lies, lies, st.none() | trash_rows(), dues, st.booleans()),
        st.builds(RemoveTrash, r, digests, lies, dues, st.booleans()),
        st.builds(TellMove, r, tag_moves()),
        st.builds(EndUpload, sessions, st.sampled_from(WRITERS)),
        st.builds(ExpireSession, sessions, st.integers(0, 1), st.integers(1, 3)),
    )


def contents(stores: Stores, repository: Repository) -> list[Any]:
    """Everything that can be read of a repository."""
    manifests = stores.manifests
    return [
        [manifests.get(repository, digest) for digest in DIGESTS],
        [manifests.survey(repository, digest, TAGS, DIGESTS, DIGESTS[:2]) for digest in DIGESTS],
        [manifests.referrers(repository, digest, "") for digest in DIGESTS],
        [stores.tags.get(repository, tag) for tag in TAGS],
        stores.tags.page(repository, "", 10),
        stores.tags.page(repository, "V1", 1),
        [sorted(stores.tags.naming(repository, digest)) for digest in DIGESTS],
        [stores.links.get(repository, digest) for digest in DIGESTS],
        [stores.links.blob(repository.account, digest) for digest in DIGESTS],
        [stores.uploads.get(repository.name + session) for session in SESSIONS],
        [stores.trash.get(repository, digest) for digest in DIGESTS],
        stores.trash.page(repository, "", 2),
        sorted(stores.trash.giving(repository.account), key=lambda row: row.digest),
        stores.links.blobs(repository.account, DIGESTS),
        [stores.history.moves(repository, tag, 10**12, 20) for tag in TAGS],
        stores.history.moves(repository, "v1", 10**11, 1),
        stores.usages.get(repository.account),
        stores.repositories.exists(repository),
        stores.repositories.page(repository.account, "", 10),
    ]


@effort(examples=8, long=150)
@given(data=st.data())
def test_transactions_are_refused_and_made_alike(
    memory: Stores, adapters: Stores, data: st.DataObject
) -> None:
    name = os.urandom(6).hex()
    repository = Repository(f"account-{name}", f"registry-{name}/app")
    for kind in (memory, adapters):
        kind.usages.open(repository.account, 9)
        for session, writer in zip(SESSIONS, WRITERS, strict=True):
            kind.uploads.create(UploadRow(repository.name + session, repository))
            kind.uploads.acquire(repository.name + session, writer, now=1, lease=2)
    for _ in range(data.draw(st.integers(1, 30))):
        batch = st.lists(changes(repository), min_size=1, max_size=3, unique_by=row_of)
        asked = data.draw(batch)
        assert _sorted(adapters.transactions.write(asked)) == _sorted(memory.transactions.write(asked))
    assert contents(adapters, repository) == contents(memory, repository)


def _sorted(refused: list[Change]) -> list[str]:
    return sorted(map(repr, refused))


@effort(examples=12, long=100)
@given(data=st.data())
def test_sessions_are_taken_and_given_back_alike(
    memory: Stores, adapters: Stores, data: st.DataObject
) -> None:
    session = os.urandom(6).hex()
    repository = Repository("account", "registry/app")
    rows = st.builds(
        UploadRow,
        session=st.just(session),
        repository=st.just(repository),
        offset=st.integers(0, 9),
        algorithm=st.sampled_from(["sha256", "sha512"]),
        hash_state=st.sampled_from([None, b"state"]),
        multipart_key=st.sampled_from([None, "multipart key"]),
        multipart_id=st.sampled_from([None, "id"]),
        parts=st.lists(st.builds(Part, st.just('"etag"'), st.integers(0, 9)), max_size=2).map(tuple),
        tail_key=st.sampled_from([None, "key"]),
        tail_size=st.integers(0, 9),
        expires=st.integers(1, 2_000_000_000),
    )
    writers, times = st.sampled_from(WRITERS), st.integers(0, 5)

    def acquire(store: Any, writer: str, now: int, lease: int) -> Any:
        return store.acquire(session, writer, now=now, lease=lease)

    def renew(store: Any, writer: str, lease: int) -> Any:
        return store.renew(session, writer, lease)

    def save(store: Any, row: UploadRow, writer: str) -> Any:
        return store.save(row, writer)

    def remove(store: Any) -> Any:
        return store.remove(session)

    calls: st.SearchStrategy[tuple[Callable[..., Any], Any]] = st.one_of(
        st.tuples(st.just(acquire), st.tuples(writers, times, times)),
        st.tuples(st.just(renew), st.tuples(writers, times)),
        st.tuples(st.just(save), st.tuples(rows, writers)),
        st.tuples(st.just(remove), st.tuples()),
    )
    created = data.draw(rows)
    for kind in (memory, adapters):
        kind.uploads.create(created)
    for call, arguments in data.draw(st.lists(calls, max_size=20)):
        assert call(adapters.uploads, *arguments) == call(memory.uploads, *arguments)
        assert adapters.uploads.get(session) == memory.uploads.get(session)


def code_of(error: Any) -> str:
    """S3's word for it, whichever store said it. moto has none for an upload that is gone: KeyError."""
    if isinstance(error.value, S3Error):
        return error.value.code
    if isinstance(error.value, KeyError):
        return "NoSuchUpload"
    return str(error.value.response["Error"]["Code"])


def test_objects_are_put_got_and_deleted(stores: Stores) -> None:
    objects = stores.objects
    objects.put("one", bytearray(b"first"))
    objects.put("one", b"second")
    assert (objects.get("one"), b"".join(objects.blocks("one"))) == (b"second", b"second")
    objects.delete("one")
    objects.delete("one")
    assert objects.get("one") is None
    with pytest.raises(Exception) as missing:
        list(objects.blocks("one"))
    assert code_of(missing) == "NoSuchKey"


def test_parts_become_one_object_in_their_order_and_the_last_may_be_small(stores: Stores) -> None:
    multipart, objects = stores.multipart, stores.objects
    multipart_id = multipart.begin("whole")
    second = multipart.put_part("whole", multipart_id, 2, b"unwanted")
    first = multipart.put_part("whole", multipart_id, 1, b"a" * MINIMUM_PART)
    assert multipart.put_part("whole", multipart_id, 2, b"wanted") != second
    objects.put("tail", b"the tail")
    third = multipart.copy_part("whole", multipart_id, 3, "tail")
    second = multipart.put_part("whole", multipart_id, 2, b"b" * MINIMUM_PART)
    multipart.put_part("whole", multipart_id, 4, b"left out")
    multipart.complete("whole", multipart_id, [first, second, third])
    assert objects.get("whole") == b"a" * MINIMUM_PART + b"b" * MINIMUM_PART + b"the tail"


def test_an_object_is_there_only_once_its_upload_is_complete(stores: Stores) -> None:
    multipart_id = stores.multipart.begin("unfinished")
    stores.multipart.put_part("unfinished", multipart_id, 1, b"part")
    assert stores.objects.get("unfinished") is None


@pytest.mark.parametrize("etags", [["first", "second"], ["first", "wrong"]])
def test_parts_that_are_too_small_or_not_the_ones_put_are_refused(stores: Stores, etags: list[str]) -> None:
    multipart, key = stores.multipart, f"refused-{etags[1]}"
    multipart_id = multipart.begin(key)
    put = {
        "first": multipart.put_part(key, multipart_id, 1, b"short"),
        "second": multipart.put_part(key, multipart_id, 2, b"last"),
        "wrong": '"00000000000000000000000000000000"',
    }
    with pytest.raises(Exception) as refused:
        multipart.complete(key, multipart_id, [put[name] for name in etags])
    assert code_of(refused) == ("EntityTooSmall" if "second" in etags else "InvalidPart")
    assert stores.objects.get(key) is None
    multipart.complete(key, multipart_id, [put["first"]])
    assert stores.objects.get(key) == b"short"


@pytest.mark.parametrize("ended", ["abort", "complete", "never begun"])
def test_an_upload_that_is_gone_takes_no_part(stores: Stores, ended: str) -> None:
    multipart = stores.multipart
    multipart_id = multipart.begin("gone")
    etag = multipart.put_part("gone", multipart_id, 1, b"part")
    if ended == "abort":
        multipart.abort("gone", multipart_id)
    elif ended == "complete":
        multipart.complete("gone", multipart_id, [etag])
    else:
        multipart_id = "no-such-upload"
    stores.objects.put("tail", b"tail")
    with pytest.raises(Exception) as put:
        multipart.put_part("gone", multipart_id, 2, b"part")
    with pytest.raises(Exception) as copied:
        multipart.copy_part("gone", multipart_id, 2, "tail")
    assert {code_of(put), code_of(copied)} == {"NoSuchUpload"}
    multipart.abort("gone", multipart_id)


def test_an_aborted_upload_cannot_be_completed(stores: Stores) -> None:
    multipart_id = stores.multipart.begin("aborted")
    etag = stores.multipart.put_part("aborted", multipart_id, 1, b"part")
    stores.multipart.abort("aborted", multipart_id)
    with pytest.raises(Exception) as completed:
        stores.multipart.complete("aborted", multipart_id, [etag])
    assert code_of(completed) == "NoSuchUpload"


def test_completing_again_with_the_same_parts_succeeds(stores: Stores) -> None:
    """As on Amazon S3; MinIO and others forget the upload."""
    multipart_id = stores.multipart.begin("again")
    etag = stores.multipart.put_part("again", multipart_id, 1, b"part")
    stores.multipart.complete("again", multipart_id, [etag])
    stores.multipart.complete("again", multipart_id, [etag])
    assert stores.objects.get("again") == b"part"


def test_a_part_cannot_be_copied_from_an_object_that_is_gone(stores: Stores) -> None:
    multipart_id = stores.multipart.begin("copy")
    with pytest.raises(Exception) as missing:
        stores.multipart.copy_part("copy", multipart_id, 1, "no such object")
    assert code_of(missing) in {"NoSuchKey", "404"}


def test_a_presigned_url_names_the_key(stores: Stores) -> None:
    assert "some-key" in stores.objects.presign("GET", "some-key")
