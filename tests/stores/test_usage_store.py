"""What an account uses is counted once, and changes of it that overlap all count."""

from __future__ import annotations

from dataclasses import replace

from chalicelib.registry.changes import Charge
from chalicelib.registry.stores import Usage
from chalicelib.spec.reference import Repository
from chalicelib.wiring import Deployment
from tests.stores.rows import a_link, put_blob, write

LIMIT = 1000


def test_what_is_counted_is_not_counted_anew(deployment: Deployment, repository: Repository) -> None:
    usages, account = deployment.quota.usages, repository.account
    link = a_link()
    write(deployment, *put_blob(repository, link))
    usages.open(account, LIMIT)
    assert usages.get(account) == Usage(link.size, LIMIT)
    write(deployment, Charge(account, 7))
    usages.open(account, 2 * LIMIT)
    assert usages.get(account) == Usage(link.size + 7, LIMIT, turn=1)


def test_a_repair_holds_while_nothing_was_charged_and_no_limit_moved(
    deployment: Deployment, repository: Repository
) -> None:
    usages, account = deployment.quota.usages, repository.account
    usages.open(account, LIMIT)
    for turn in (0, 2):
        seen = usages.get(account)
        assert seen is not None
        assert seen.turn == turn
        for size in (9, -9):
            write(deployment, Charge(account, size))
        assert not usages.repair(account, seen, 4, LIMIT), "what it summed has come and gone"
        assert usages.get(account) == replace(seen, turn=turn + 2)
    seen = usages.get(account)
    assert seen is not None
    assert usages.repair(account, seen, seen.bytes, LIMIT + 1)
    assert not usages.repair(account, seen, 4, LIMIT), "the limit has moved"
    seen = usages.get(account)
    assert seen is not None
    assert usages.repair(account, seen, 4, LIMIT)
    assert usages.get(account) == Usage(4, LIMIT, turn=4)
