"""A key is one request's for a day."""

from __future__ import annotations

from datetime import timedelta

import pytest

from chalicelib.aws import idempotency_store
from chalicelib.aws.idempotency_store import DynamoAnswerStore
from chalicelib.spec.reference import Repository
from chalicelib.wiring import Deployment


def test_a_key_is_had_by_one_request_until_it_expires(deployment: Deployment, repository: Repository) -> None:
    answers, key = DynamoAnswerStore(deployment._tables, deployment._reads), repository.account
    assert answers.begin(key, "one")
    assert not answers.begin(key, "another")
    assert answers.get(key) == ("one", None)
    answers.keep(key, "made")
    assert answers.get(key) == ("one", "made")
    answers.drop(key)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(idempotency_store, "KEPT", timedelta(seconds=-2))
        assert answers.begin(key, "of long ago")
    assert answers.begin(key, "another")
    assert not answers.begin(key, "a third")
    assert answers.get(key) == ("another", None)
