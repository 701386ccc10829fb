"""Credentials as they were put."""

from __future__ import annotations

import os
from dataclasses import replace

from chalicelib.identity.credentials import administrator
from chalicelib.identity.grants import PULL, PUSH, Grant
from chalicelib.wiring import Deployment


def test_credential_is_kept_whole_and_replaced_whole(deployment: Deployment) -> None:
    store, name = deployment.credentials, f"robot-{os.urandom(4).hex()}"
    assert store.get(name) is None
    first = administrator(name, "account", "a secret")
    assert store.put(first)
    assert store.get(name) == first
    grants = (Grant("dev/*", frozenset({PULL, PUSH})),)
    second = replace(first, grants=grants, expires=1_900_000_000, version=first.version + 1)
    assert store.put(second)
    assert store.get(name) == second


def test_administrator_is_there_once_set(deployment: Deployment) -> None:
    deployment.set_admin("a password of the tests")
    assert deployment.has_admin()
