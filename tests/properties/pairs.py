"""Every operation overtaken by every other before each of its writes, from several beginnings.

What a random machine meets once in a thousand examples, this meets in each run.
"""

from __future__ import annotations

from collections.abc import Iterator
from copy import copy
from dataclasses import fields
from itertools import product
from typing import Final

from chalicelib.spec.digest import Digest
from tests.properties.documents import BIG, BIG_OTHER, INDEX, OTHER, SMALL, Document
from tests.properties.registry_in_memory import GRACE
from tests.properties.test_everything import CONTENTS, DAY, REPOSITORIES, EverythingMachine, Target, closure

KINDS: Final = (
    "collect",
    "push",
    "delete",
    "delete the blob",
    "put at once",
    "mount",
    "untag",
    "restore",
    "purge",
    "look",
)
STATES: Final = ("pushed", "kept", "blobs", "idle", "due", "again", "loose")
WRITES: Final = 8
HOUR: Final = 3601
# Several after one another, as one rival: what was there is there again, and is another.
RIVALS: Final[dict[str, tuple[str, ...]]] = {
    "push and delete": ("put at once", "push", "delete"),
    "come and go": ("put at once", "push", "delete", "purge", "delete the blob"),
    "delete, restore, delete": ("delete", "restore", "delete"),
    "restore and delete": ("restore", "delete"),
    "delete and push": ("delete", "push"),
    "come twice": ("delete the blob", "put at once"),
    "untag and tag": ("untag", "push"),
    "tag another": (),
    "index": (),
}
AIM: Final = Target(REPOSITORIES[0], 0, 0, ("t0",))


class Pair(EverythingMachine):
    """The verbs of the machine without Hypothesis; the rules are never run."""

    def __init__(self, document: Document) -> None:
        super().__init__()
        self.documents = [document, OTHER]

    def prepare(self, state: str) -> None:
        document = self.documents[0]
        needed = {held.digest for one in self.documents for held in closure(one)}
        for repository in REPOSITORIES:
            for content in CONTENTS:
                if Digest.of(content) in needed:
                    self.whole("put at once", Target(repository, 0, 0, ()), content)
        if state in {"pushed", "kept", "due", "again"}:
            self.whole("push", AIM, document=document)
        if state in {"kept", "due", "again"}:
            self.whole("delete", AIM, document=document)
        if state == "again":
            self.whole("restore", AIM, document=document)
            self.whole("push", AIM, document=document)
        if state in {"idle", "due"}:
            self.pass_time(8 * DAY if state == "due" else GRACE)
        if state == "loose":
            # No repository links the blobs any more; their bytes may go from now on.
            self.pass_time(GRACE)
            self.whole("collect", AIM)
            self.pass_time(HOUR)

    def remember(self) -> None:
        """What each run begins with."""
        memory = self.registry.memory
        self._rows = {one.name: copy(getattr(memory, one.name)) for one in fields(memory)}
        self._rest = self.registry.now, dict(self.model.may), dict(self.told), self.used
        self._linked = dict(self.linked)

    def begin_again(self) -> None:
        memory = self.registry.memory
        for name, rows in self._rows.items():
            now = getattr(memory, name)
            if isinstance(now, list):
                now[:] = rows
            elif hasattr(now, "clear"):
                now.clear()
                now.update(rows)
        self.registry.now, may, told, self.used = self._rest
        self.model.may, self.told = dict(may), dict(told)
        self.linked = dict(self._linked)

    def whole_of_each(self, kind: str) -> None:
        """Every blob that the document names, where it is about blobs."""
        document = self.documents[0]
        contents = [one for one in CONTENTS if Digest.of(one) in document.blobs]
        for content in contents if kind == "put at once" else contents[:1]:
            self.whole(kind, AIM, content)

    def run(self, kind: str, rival: str, writes: int) -> bool:
        """False: it has no more writes than that."""
        running = self.start(kind, AIM)
        self.come_to_write(running, writes)
        if running not in self.running:
            return False
        if rival in {"push", "tag another"}:
            self.whole("push", AIM, document=OTHER)
        if rival == "index":
            # Names the first document too, where that is SMALL: it has a parent then.
            self.whole("push", AIM, document=INDEX)
        for one in RIVALS.get(rival, (rival,)):
            self.whole_of_each(one)
        self.finish_all()
        return True


def every_pair(
    documents: tuple[Document, ...] = (SMALL, BIG, BIG_OTHER),
    states: tuple[str, ...] = STATES,
    kinds: tuple[str, ...] = KINDS,
) -> Iterator[str]:
    """Run each, and say which."""
    for document, state in product(documents, states):
        pair = Pair(document)
        try:
            pair.prepare(state)
            pair.remember()
            for kind, rival in product(kinds, (*KINDS, *RIVALS)):
                for writes in range(WRITES):
                    pair.begin_again()
                    goes_on = pair.run(kind, rival, writes)
                    pair.finish_all()
                    pair.everything_goes_in_the_end()
                    yield f"{document}, {state}: {kind} overtaken by {rival} before write {writes}"
                    if not goes_on:
                        break
        finally:
            # Whatever is left stands before a call that is never made.
            pair.documents = []
            pair.teardown()
