"""Every condition of every conditional write, with what stands in its place when it is removed.

They are those of the stores in memory. That is enough because `test_memory_stores.py` and
`tests/stores/test_transactions.py` hold them to those of `chalicelib/aws`, and `tests/stores/mutations.py`
has each of those, and every condition that the stores in memory have not.
"""

from __future__ import annotations

import inspect
import textwrap
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final

import pytest

from tests.properties import directed as when
from tests.properties import memory_stores


@dataclass(frozen=True)
class Mutation:
    """In the function `where` of the stores in memory, `old` becomes `new`.

    What must fail then is the scenario `seen`, or one of the pairs of `states` and `kinds`. `because`: why
    nothing can, where nothing does.
    """

    name: str
    where: str
    old: str
    new: str
    seen: Callable[[], None] | None = None
    states: tuple[str, ...] = ()
    kinds: tuple[str, ...] = ()
    because: str = ""

    @contextmanager
    def made(self) -> Iterator[None]:
        owner_name, _, method = self.where.rpartition(".")
        owner: Any = getattr(memory_stores, owner_name) if owner_name else memory_stores
        with mutated(memory_stores, owner, method, self.old, self.new):
            yield


@contextmanager
def mutated(module: Any, owner: Any, name: str, old: str, new: str) -> Iterator[None]:
    """The function of that name in `owner`, which `module` defines, with `new` in place of `old`."""
    source = textwrap.dedent(inspect.getsource(getattr(owner, name)))
    assert source.count(old) == 1, f"{name} has {source.count(old)} times {old!r}"
    made: dict[str, Any] = {}
    code = compile(source.replace(old, new), f"<{name}, mutated>", "exec", flags=_FUTURE)
    exec(code, vars(module), made)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(owner, name, made[name])
        yield


_FUTURE: Final = __import__("__future__").annotations.compiler_flag
_ABSENT: Final = "return row_of(change)[1:] not in getattr(memory, str(row_of(change)[0]))"
_NAMES: Final = "return (row.digest if row else None) == wanted"
_WRITER: Final = "return change.session in sessions and sessions[change.session].writer == change.writer"


def _absent(kind: str, state: str, *kinds: str) -> Mutation:
    new = f"return isinstance(change, {kind}) or {_ABSENT.removeprefix('return ')}"
    return Mutation(f"{kind}: none is there", "_holds", _ABSENT, new, states=(state,), kinds=kinds)


def _of(kind: str, name: str, where: str, conditions: tuple[str, str], seen: Callable[[], None]) -> Mutation:
    """Of changes of that kind alone: the second condition in place of the first."""
    old, new = conditions
    return Mutation(
        f"{kind}: {name}", where, old, f"(({new}) if isinstance(change, {kind}) else {old})", seen
    )


def _writer(kind: str, seen: Callable[[], None]) -> Mutation:
    new = f"return change.session in sessions and (isinstance(change, {kind}) or {_WRITER.split(' and ')[1]})"
    return Mutation(f"{kind}: the writer", "_session_holds", _WRITER, new, seen)


def _session(kind: str, seen: Callable[[], None]) -> Mutation:
    none = f"(isinstance(change, {kind}) and change.session not in sessions)"
    new = f"return {none} or ({_WRITER.removeprefix('return ')})"
    return Mutation(f"{kind}: the session", "_session_holds", _WRITER, new, seen)


MUTATIONS: Final = (
    # Manifests.
    _absent("PutManifest", "kept", "push"),
    _of(
        "MoveManifest",
        "the state",
        "_manifest_holds",
        ("(row.state, row.held) != change.before", "row.held != change.before[1]"),
        when.a_push_in_steps_ends_while_what_another_pushed_is_deleted,
    ),
    _of(
        "RemoveManifest",
        "the state",
        "_manifest_holds",
        ("(row.state, row.held) != change.before", "row.held != change.before[1]"),
        when.it_is_pushed_again_while_the_last_of_it_is_removed,
    ),
    _of(
        "MoveManifest",
        "the mark of what is held",
        "_manifest_holds",
        ("(row.state, row.held) != change.before", "row.state != change.before[0]"),
        when.two_push_one_manifest_in_steps,
    ),
    _of(
        "RemoveManifest",
        "the mark of what is held",
        "_manifest_holds",
        ("(row.state, row.held) != change.before", "row.state != change.before[0]"),
        when.it_is_deleted_again_while_the_last_of_it_is_removed,
    ),
    _of(
        "MoveManifest",
        "its tags",
        "_manifest_holds",
        ("(row.tags, row.parents) == (change.tags, 0)", "row.parents == 0"),
        when.a_tag_comes_while_its_manifest_is_deleted_in_steps,
    ),
    _of(
        "RemoveManifest",
        "its tags",
        "_manifest_holds",
        ("(row.tags, row.parents) == (change.tags, 0)", "row.parents == 0"),
        when.a_tag_comes_while_its_manifest_is_deleted,
    ),
    _of(
        "MoveManifest",
        "no parents",
        "_manifest_holds",
        ("(row.tags, row.parents) == (change.tags, 0)", "row.tags == change.tags"),
        when.an_index_comes_while_its_child_is_deleted_in_steps,
    ),
    _of(
        "RemoveManifest",
        "no parents",
        "_manifest_holds",
        ("(row.tags, row.parents) == (change.tags, 0)", "row.tags == change.tags"),
        when.an_index_comes_while_its_child_is_deleted,
    ),
    Mutation(
        "CountManifest: it is live",
        "_manifest_holds",
        "return row.state == LIVE",
        "return True",
        when.a_manifest_leaves_in_steps_while_it_is_tagged,
    ),
    Mutation(
        "MoveManifest, RemoveManifest, CountManifest: it is there",
        "_manifest_holds",
        "    if row is None:\n        return False",
        "    if row is None:\n        return True",
        states=("pushed",),
        kinds=("delete",),
    ),
    _of(
        "MoveManifest",
        "last pulled then",
        "_used_as",
        ("row.pulled == change.used.pulled", "True"),
        when.an_image_is_pulled_while_it_expires_in_steps,
    ),
    _of(
        "RemoveManifest",
        "last pulled then",
        "_used_as",
        ("row.pulled == change.used.pulled", "True"),
        when.an_image_is_pulled_while_it_expires,
    ),
    _of(
        "CountManifest",
        "last pulled then",
        "_used_as",
        ("row.pulled == change.used.pulled", "True"),
        when.an_image_is_pulled_while_a_tag_of_it_expires,
    ),
    _of(
        "MoveManifest",
        "last pushed then",
        "_used_as",
        ("pushed == change.used.pushed", "True"),
        when.an_untagged_image_is_pushed_again_while_it_expires_in_steps,
    ),
    _of(
        "RemoveManifest",
        "last pushed then",
        "_used_as",
        ("pushed == change.used.pushed", "True"),
        when.an_untagged_image_is_pushed_again_while_it_expires,
    ),
    Mutation(
        "CountManifest: last pushed then",
        "_used_as",
        "pushed == change.used.pushed",
        "(pushed == change.used.pushed or isinstance(change, CountManifest))",
        because="it comes with the tag that it counts, and a tag that was taken away and came back has moved",
    ),
    # Links.
    _absent("PutLink", "loose", "put at once"),
    Mutation(
        "CountLink, TouchLink, SettleLink, RemoveLink: it is there",
        "_link_holds",
        "return link is not None",
        "return True",
        states=("blobs",),
        kinds=("push",),
    ),
    Mutation(
        "RemoveLink: no manifest names it",
        "_link_holds",
        "return not link.references and change.idle in {None, link.idle}",
        "return change.idle in {None, link.idle}",
        states=("blobs",),
        kinds=("delete the blob",),
    ),
    Mutation(
        "RemoveLink: nor did since",
        "_link_holds",
        "return not link.references and change.idle in {None, link.idle}",
        "return not link.references",
        states=("idle",),
        kinds=("collect",),
    ),
    Mutation(
        "SettleLink: a manifest names it",
        "_link_holds",
        "return link.references > 0 and change.idle == link.idle",
        "return change.idle == link.idle",
        when.the_last_manifest_goes_while_the_mark_of_its_blob_is_settled,
    ),
    Mutation(
        "SettleLink: it has that mark",
        "_link_holds",
        "return link.references > 0 and change.idle == link.idle",
        "return link.references > 0",
        because="what a manifest names is never collected, whatever its mark, and whoever takes the last of "
        "those away marks it anew in that transaction: on a link in use no mark means anything",
    ),
    Mutation(
        "TouchLink: no manifest names it",
        "_link_holds",
        "(link.references, link.idle) == (0, change.idle)",
        "link.idle == change.idle",
        because="whoever names it takes the mark that was seen away in that transaction; were it made again "
        "in the same second, the touch would mark a link in use, which the next collection settles",
    ),
    Mutation(
        "TouchLink: nobody touched it since",
        "_link_holds",
        "(link.references, link.idle) == (0, change.idle)",
        "not link.references",
        because="the touch writes the present over a mark that was written since: the same second but for "
        "the difference of two clocks, of which half a day of grace takes no notice",
    ),
    # Blobs.
    _absent("PutBlob", "loose", "put at once"),
    Mutation(
        "CountBlob, SettleBlob, RemoveBlob: it is there",
        "_blob_holds",
        "return blob is not None and change.storage_key in {None, blob.storage_key}",
        "return blob is None or change.storage_key in {None, blob.storage_key}",
        states=("loose",),
        kinds=("put at once",),
    ),
    Mutation(
        "CountBlob: under that key",
        "_blob_holds",
        "return blob is not None and change.storage_key in {None, blob.storage_key}",
        "return blob is not None",
        when.a_blob_comes_again_while_it_is_mounted,
    ),
    Mutation(
        "CountBlob: something else needs it too, where its mark stays",
        "_blob_holds",
        "change.is_shared and not _is_shared(memory, change)",
        "False",
        when.what_is_kept_gives_way_beside_others,
    ),
    Mutation(
        "RemoveBlob: nothing links it",
        "_blob_holds",
        "not memory.blob_links[key] and memory.blob_keeps[key] == change.kept",
        "memory.blob_keeps[key] == change.kept",
        when.a_blob_is_linked_again_while_it_is_collected,
    ),
    Mutation(
        "RemoveBlob: nothing deleted keeps it but what goes with it",
        "_blob_holds",
        "not memory.blob_links[key] and memory.blob_keeps[key] == change.kept",
        "not memory.blob_links[key]",
        when.a_blob_is_kept_while_it_is_collected,
    ),
    Mutation(
        "RemoveBlob: nor did since",
        "_blob_holds",
        "(change.storage_key, change.idle) == (blob.storage_key, blob.idle)",
        "change.storage_key == blob.storage_key",
        states=("loose",),
        kinds=("collect",),
    ),
    Mutation(
        "RemoveBlob: under that key",
        "_blob_holds",
        "(change.storage_key, change.idle) == (blob.storage_key, blob.idle)",
        "change.idle == blob.idle",
        when.a_blob_comes_again_while_it_is_collected,
    ),
    Mutation(
        "SettleBlob: something needs it",
        "_blob_holds",
        "return bool(memory.blob_links[key] or memory.blob_keeps[key]) and change.idle == blob.idle",
        "return change.idle == blob.idle",
        when.the_last_link_goes_while_the_mark_of_its_blob_is_settled,
    ),
    Mutation(
        "SettleBlob: it has that mark",
        "_blob_holds",
        "return bool(memory.blob_links[key] or memory.blob_keeps[key]) and change.idle == blob.idle",
        "return bool(memory.blob_links[key] or memory.blob_keeps[key])",
        because="what is linked or kept is never collected, whatever its mark, and whoever takes the last of "
        "those away marks it anew in that transaction",
    ),
    # Tags.
    Mutation(
        "PutTag: none is there",
        "_tag_holds",
        _NAMES,
        f"return (isinstance(change, PutTag) and wanted is None) or {_NAMES.removeprefix('return ')}",
        when.a_tag_is_made_twice_at_once,
    ),
    Mutation(
        "PutTag: it names what it did",
        "_tag_holds",
        _NAMES,
        f"return (isinstance(change, PutTag) and wanted is not None) or {_NAMES.removeprefix('return ')}",
        when.a_tag_moves_twice_at_once,
    ),
    Mutation(
        "RemoveTag: it names that",
        "_tag_holds",
        _NAMES,
        "return isinstance(change, RemoveTag) or (row.digest if row else None) == wanted",
        states=("pushed",),
        kinds=("untag",),
    ),
    _of(
        "PutTag",
        "since then",
        "_tag_holds",
        ("since not in {None, memory.moved.get((change.repository.name, tag))}", "False"),
        when.a_tag_moves_away_and_back_while_it_moves,
    ),
    _of(
        "RemoveTag",
        "since then",
        "_tag_holds",
        ("since not in {None, memory.moved.get((change.repository.name, tag))}", "False"),
        when.a_tag_moves_away_and_back_while_it_expires,
    ),
    # What can be restored.
    _absent("PutTrash", "pushed", "collect", "delete"),
    _of(
        "MoveTrash",
        "the state",
        "_trash_holds",
        ("(row.state, row.held) == change.before", "row.held == change.before[1]"),
        when.a_deletion_ends_while_what_it_keeps_is_purged,
    ),
    _of(
        "RemoveTrash",
        "the state",
        "_trash_holds",
        ("(row.state, row.held) == change.before", "row.held == change.before[1]"),
        when.a_small_deletion_ends_while_what_it_keeps_is_purged,
    ),
    _of(
        "MoveTrash",
        "the mark of what is held",
        "_trash_holds",
        ("(row.state, row.held) == change.before", "row.state == change.before[0]"),
        when.two_purge_at_once_in_steps,
    ),
    _of(
        "RemoveTrash",
        "the mark of what is held",
        "_trash_holds",
        ("(row.state, row.held) == change.before", "row.state == change.before[0]"),
        when.a_deletion_goes_on_while_what_it_keeps_is_purged,
    ),
    _of(
        "MoveTrash",
        "due then",
        "_trash_holds",
        ("change.due in {None, row.due}", "True"),
        when.it_is_deleted_again_while_it_is_collected_in_steps,
    ),
    _of(
        "RemoveTrash",
        "due then",
        "_trash_holds",
        ("change.due in {None, row.due}", "True"),
        when.it_is_deleted_again_while_it_is_collected,
    ),
    Mutation(
        "MoveTrash, RemoveTrash: it gives way",
        "_trash_holds",
        "change.gives_way and not row.gives_way",
        "False",
        when.what_is_kept_gives_way_beside_others,
    ),
    Mutation(
        "MoveTrash, RemoveTrash: it is there",
        "_trash_holds",
        "return row is not None and (",
        "return row is None or (",
        states=("kept",),
        kinds=("restore",),
    ),
    # Usage.
    Mutation(
        "Charge: that much is free",
        "_usage_holds",
        "usage.free >= change.bytes",
        "True",
        when.two_uploads_have_room_for_one,
    ),
    Mutation(
        "Charge: it is counted",
        "_usage_holds",
        "return usage is not None and (",
        "return usage is None or (",
        when.an_account_of_before_there_was_a_quota_is_counted_from_its_first_upload_on,
    ),
    Mutation(
        "MoveLevel: it is at the first",
        "_usage_holds",
        "usage is not None and usage.level == change.before",
        "usage is not None",
        when.two_cross_a_threshold_at_once,
    ),
    # Sessions.
    _writer("EndUpload", when.an_upload_goes_on_while_another_request_ends_it),
    _session("EndUpload", when.an_upload_is_published_while_another_request_ends_it),
    _writer("EndDirect", when.two_verifiers_publish_at_once),
    _session("EndDirect", when.a_direct_upload_is_cancelled_while_it_is_published),
    Mutation(
        "ExpireSession: the session",
        "_has_expired",
        "    if found is None or",
        "    if found is None:\n        return True\n    if",
        when.an_upload_is_published_while_it_expires,
    ),
    Mutation(
        "ExpireSession: it expires then",
        "_has_expired",
        "found is None or found.row.expires != expires",
        "found is None",
        when.a_direct_upload_is_published_while_it_expires,
    ),
    Mutation(
        "ExpireSession: nobody writes to it",
        "_has_expired",
        "return (found.lease if isinstance(found, Session) else found.row.lease) < now",
        "return True",
        when.an_upload_expires_while_somebody_writes_to_it,
    ),
    Mutation(
        "upload acquire: nobody has it",
        "MemoryUploadStore.acquire",
        "found is None or (found.writer not in {None, writer} and found.lease >= now)",
        "found is None",
        when.two_write_to_one_upload,
    ),
    Mutation(
        "upload renew: the writer",
        "MemoryUploadStore.renew",
        "found is None or found.writer != writer",
        "found is None",
        when.a_slow_client_goes_on_after_another_took_the_upload,
    ),
    Mutation(
        "upload save: the writer",
        "MemoryUploadStore.save",
        "found is None or found.writer != writer",
        "found is None",
        when.a_late_request_keeps_its_progress_after_another_took_the_upload,
    ),
    Mutation(
        "direct verifying: it is open",
        "MemoryDirectStore.verifying",
        "found is None or found.row.state != OPEN",
        "found is None",
        when.a_direct_upload_is_completed_again_after_its_publication,
    ),
    Mutation(
        "direct acquire: it is verified",
        "MemoryDirectStore.acquire",
        "found is None or found.row.state != VERIFYING",
        "found is None",
        when.a_published_direct_upload_is_verified_again,
    ),
    Mutation(
        "direct acquire: nobody has it",
        "MemoryDirectStore.acquire",
        "if found.writer not in {None, writer} and found.row.lease >= now:",
        "if False:",
        when.a_second_verifier_leaves_it_to_the_first,
    ),
    Mutation(
        "direct save: the writer",
        "MemoryDirectStore.save",
        "found is None or found.writer != writer",
        "found is None",
        when.a_late_verifier_keeps_its_progress_after_another_published,
    ),
    Mutation(
        "direct remove: it is not published",
        "MemoryDirectStore.remove",
        "found is None or found.row.state == PUBLISHED",
        "found is None",
        when.a_published_direct_upload_is_cancelled,
    ),
)
