"""Every condition of every conditional write, with what stands in its place when it is removed.

They are those of the stores in memory. That is enough because `test_memory_stores.py` and
`tests/stores/test_transactions.py` hold them to those of `chalicelib/aws`, condition by condition.
"""

from __future__ import annotations

import inspect
import textwrap
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final

import pytest

from tests.properties import memory_stores


@dataclass(frozen=True)
class Mutation:
    """In the function `where` of the stores in memory, `old` becomes `new`; `machine` is what must fail.

    `states` and `kinds`: the pairs among which one does. `because`: why nothing can, where nothing does;
    `is_open`: nothing has yet, and nobody has shown that nothing can.
    """

    name: str
    where: str
    old: str
    new: str
    machine: str = "everything"
    because: str = ""
    states: tuple[str, ...] = ()
    kinds: tuple[str, ...] = ()
    is_open: bool = False

    @contextmanager
    def made(self) -> Iterator[None]:
        owner_name, _, method = self.where.rpartition(".")
        owner: Any = getattr(memory_stores, owner_name) if owner_name else memory_stores
        source = textwrap.dedent(inspect.getsource(getattr(owner, method)))
        assert source.count(self.old) == 1, f"{self.where} has {source.count(self.old)} times {self.old!r}"
        made: dict[str, Any] = {}
        code = compile(source.replace(self.old, self.new), f"<{self.name}>", "exec", flags=_FUTURE)
        exec(code, vars(memory_stores), made)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(owner, method, made[method])
            yield


_FUTURE: Final = __import__("__future__").annotations.compiler_flag
_ABSENT: Final = "return row_of(change)[1:] not in getattr(memory, str(row_of(change)[0]))"


def _absent(kind: str, state: str, *kinds: str) -> Mutation:
    new = f"return isinstance(change, {kind}) or {_ABSENT.removeprefix('return ')}"
    return Mutation(f"{kind}: none is there", "_holds", _ABSENT, new, states=(state,), kinds=kinds)


MUTATIONS: Final = (
    # Manifests.
    _absent("PutManifest", "kept", "push"),
    Mutation(
        "MoveManifest, RemoveManifest: the state",
        "_manifest_holds",
        "if (row.state, row.held) != change.before:",
        "if row.held != change.before[1]:",
        states=("pushed",),
        kinds=("delete",),
    ),
    Mutation(
        "MoveManifest, RemoveManifest: the mark of what is held",
        "_manifest_holds",
        "if (row.state, row.held) != change.before:",
        "if row.state != change.before[0]:",
        is_open=True,
    ),
    Mutation(
        "MoveManifest, RemoveManifest: its tags",
        "_manifest_holds",
        "(row.tags, row.parents) == (change.tags, 0)",
        "row.parents == 0",
        is_open=True,
    ),
    Mutation(
        "MoveManifest, RemoveManifest: no parents",
        "_manifest_holds",
        "(row.tags, row.parents) == (change.tags, 0)",
        "row.tags == change.tags",
        is_open=True,
    ),
    Mutation(
        "CountManifest: it is live",
        "_manifest_holds",
        "return row.state == LIVE",
        "return True",
        is_open=True,
    ),
    Mutation(
        "MoveManifest, RemoveManifest, CountManifest: it is there",
        "_manifest_holds",
        "    if row is None:\n        return False",
        "    if row is None:\n        return True",
        states=("pushed",),
        kinds=("delete",),
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
        is_open=True,
    ),
    Mutation(
        "SettleLink: it has that mark",
        "_link_holds",
        "return link.references > 0 and change.idle == link.idle",
        "return link.references > 0",
        because="a link that is named needs no mark, whichever it has: the condition saves a list from "
        "being written for a mark that is younger, and nothing else",
    ),
    Mutation(
        "TouchLink: no manifest names it",
        "_link_holds",
        "(link.references, link.idle) == (0, change.idle)",
        "link.idle == change.idle",
        because="a mark on a link that is named is settled by the collector",
    ),
    Mutation(
        "TouchLink: nobody touched it since",
        "_link_holds",
        "(link.references, link.idle) == (0, change.idle)",
        "not link.references",
        because="a later touch than one that came between only lengthens its grace",
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
        is_open=True,
    ),
    Mutation(
        "CountBlob: something else needs it too, where its mark stays",
        "_blob_holds",
        "change.is_shared and not _is_shared(memory, change)",
        "False",
        machine="eviction",
    ),
    Mutation(
        "RemoveBlob: nothing links it",
        "_blob_holds",
        "not memory.blob_links[key] and memory.blob_keeps[key] == change.kept",
        "memory.blob_keeps[key] == change.kept",
        machine="eviction",
    ),
    Mutation(
        "RemoveBlob: nothing deleted keeps it but what goes with it",
        "_blob_holds",
        "not memory.blob_links[key] and memory.blob_keeps[key] == change.kept",
        "not memory.blob_links[key]",
        machine="eviction",
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
        because="a second guard: the first that needs it takes its mark away, which was seen an hour ago",
    ),
    Mutation(
        "SettleBlob: something needs it",
        "_blob_holds",
        "return bool(memory.blob_links[key] or memory.blob_keeps[key]) and change.idle == blob.idle",
        "return change.idle == blob.idle",
        is_open=True,
    ),
    Mutation(
        "SettleBlob: it has that mark",
        "_blob_holds",
        "return bool(memory.blob_links[key] or memory.blob_keeps[key]) and change.idle == blob.idle",
        "return bool(memory.blob_links[key] or memory.blob_keeps[key])",
        because="as of a link: what is used needs no mark, whichever it has",
    ),
    # Tags.
    Mutation(
        "PutTag: it names what it did",
        "_tag_holds",
        "return (row.digest if row else None) == wanted",
        "return isinstance(change, PutTag) or (row.digest if row else None) == wanted",
        is_open=True,
    ),
    Mutation(
        "RemoveTag: it names that",
        "_tag_holds",
        "return (row.digest if row else None) == wanted",
        "return isinstance(change, RemoveTag) or (row.digest if row else None) == wanted",
        states=("pushed",),
        kinds=("untag",),
    ),
    # What can be restored.
    _absent("PutTrash", "pushed", "collect", "delete"),
    Mutation(
        "MoveTrash, RemoveTrash: the state",
        "_trash_holds",
        "(row.state, row.held) == change.before",
        "row.held == change.before[1]",
        is_open=True,
    ),
    Mutation(
        "MoveTrash, RemoveTrash: the mark of what is held",
        "_trash_holds",
        "(row.state, row.held) == change.before",
        "row.state == change.before[0]",
        is_open=True,
    ),
    Mutation(
        "MoveTrash, RemoveTrash: due then",
        "_trash_holds",
        "change.due in {None, row.due}",
        "True",
        is_open=True,
    ),
    Mutation(
        "MoveTrash, RemoveTrash: it gives way",
        "_trash_holds",
        "change.gives_way and not row.gives_way",
        "False",
        machine="eviction",
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
        machine="at random",
    ),
    Mutation(
        "Charge: it is counted",
        "_usage_holds",
        "return usage is not None and (",
        "return usage is None or (",
        machine="uncounted",
    ),
    # Sessions.
    Mutation(
        "EndUpload, EndDirect: the writer",
        "_session_holds",
        "return change.session in sessions and sessions[change.session].writer == change.writer",
        "return change.session in sessions",
        machine="uploads",
        is_open=True,
    ),
    Mutation(
        "EndUpload, EndDirect: the session",
        "_session_holds",
        "return change.session in sessions and sessions[change.session].writer == change.writer",
        "return change.session not in sessions or sessions[change.session].writer == change.writer",
        machine="uploads",
        is_open=True,
    ),
    Mutation(
        "ExpireSession: it expires then",
        "_has_expired",
        "found is None or found.row.expires != expires",
        "found is None",
        machine="direct expiry",
    ),
    Mutation(
        "ExpireSession: nobody writes to it",
        "_has_expired",
        "return (found.lease if isinstance(found, Session) else found.row.lease) < now",
        "return True",
        machine="expiry",
    ),
    Mutation(
        "upload acquire: nobody has it",
        "MemoryUploadStore.acquire",
        "found is None or (found.writer not in {None, writer} and found.lease >= now)",
        "found is None",
        machine="uploads",
        is_open=True,
    ),
    Mutation(
        "upload renew: the writer",
        "MemoryUploadStore.renew",
        "found is None or found.writer != writer",
        "found is None",
        machine="uploads",
        is_open=True,
    ),
    Mutation(
        "upload save: the writer",
        "MemoryUploadStore.save",
        "found is None or found.writer != writer",
        "found is None",
        machine="uploads",
    ),
    Mutation(
        "direct verifying: it is open",
        "MemoryDirectStore.verifying",
        "found is None or found.row.state != OPEN",
        "found is None",
        machine="direct",
        is_open=True,
    ),
    Mutation(
        "direct acquire: it is verified",
        "MemoryDirectStore.acquire",
        "found is None or found.row.state != VERIFYING",
        "found is None",
        machine="direct",
    ),
    Mutation(
        "direct acquire: nobody has it",
        "MemoryDirectStore.acquire",
        "if found.writer not in {None, writer} and found.row.lease >= now:",
        "if False:",
        machine="direct",
        is_open=True,
    ),
    Mutation(
        "direct save: the writer",
        "MemoryDirectStore.save",
        "found is None or found.writer != writer",
        "found is None",
        machine="direct",
        is_open=True,
    ),
    Mutation(
        "direct remove: it is not published",
        "MemoryDirectStore.remove",
        "found is None or found.row.state == PUBLISHED",
        "found is None",
        machine="direct",
    ),
)
