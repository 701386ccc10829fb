"""Steps of the collector in transactions: summed by row, cut to fit, without those that are refused."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from chalicelib.registry.changes import (
    TRANSACTION_LIMIT,
    BuryObject,
    Change,
    Charge,
    CountBlob,
    RemoveBlob,
    RemoveLink,
)
from chalicelib.registry.steps import Step, Steps
from chalicelib.spec.digest import Digest
from chalicelib.spec.reference import Repository

DIGESTS = [Digest.of(str(number).encode()) for number in range(120)]


@dataclass
class Written:
    """Refuses whatever is about one of `stuck`."""

    stuck: set[Digest] = field(default_factory=set)
    closed: bool = False
    transactions: list[list[Change]] = field(default_factory=list)

    def write(self, changes: Sequence[Change]) -> list[Change]:
        assert len(changes) <= TRANSACTION_LIMIT
        refused = [one for one in changes if getattr(one, "digest", None) in self.stuck]
        if self.closed:
            refused += [one for one in changes if isinstance(one, Charge)]
        if not refused:
            self.transactions.append(list(changes))
        return refused

    def open(self, _account: str) -> None:
        self.closed = False


def link_step(number: int, digest: Digest) -> Step:
    repository = Repository("account", f"registry/app{number}")
    return Step(number, (RemoveLink(repository, digest, 1), CountBlob("account", digest, links=-1)))


def blob_step(digest: Digest) -> Step:
    changes = (RemoveBlob("account", digest, "key", 1), Charge("account", -3), BuryObject(f"key {digest}"))
    return Step(digest, changes)


def test_counts_of_one_blob_and_charges_of_one_account_are_one_change() -> None:
    written, made = Written(), list[object]()
    steps = Steps(written, written.open)
    assert steps.write([link_step(number, DIGESTS[0]) for number in range(3)], made.append) == []
    assert steps.write(map(blob_step, DIGESTS[:4]), made.append) == []
    links, blobs = written.transactions
    assert CountBlob("account", DIGESTS[0], links=-3) in links
    assert [one for one in blobs if isinstance(one, Charge)] == [Charge("account", -12)]
    assert made == [0, 1, 2, *DIGESTS[:4]]


def test_more_than_fits_goes_in_several_transactions() -> None:
    written, made = Written(), list[object]()
    Steps(written, written.open).write(map(blob_step, DIGESTS), made.append)
    assert [len(one) for one in written.transactions] == [99, 99, 45]
    assert made == DIGESTS


def test_what_is_refused_drops_out_and_the_rest_is_made() -> None:
    written, made = Written({DIGESTS[1], DIGESTS[3]}), list[object]()
    refused = Steps(written, written.open).write(map(blob_step, DIGESTS[:5]), made.append)
    assert refused == [DIGESTS[1], DIGESTS[3]]
    assert made == [DIGESTS[0], DIGESTS[2], DIGESTS[4]]
    (charge,) = (one for one in written.transactions[0] if isinstance(one, Charge))
    assert charge.bytes == -9


def test_an_account_whose_usage_nobody_counted_is_counted_first() -> None:
    written, made = Written(closed=True), list[object]()
    assert Steps(written, written.open).write([blob_step(DIGESTS[0])], made.append) == []
    assert made == [DIGESTS[0]]
