"""Credentials as they were put."""

from __future__ import annotations

import os
from dataclasses import replace

from chalicelib.identity.credentials import administrator
from chalicelib.identity.grants import PULL, PUSH, Grant
from chalicelib.wiring import Deployment


def test_credential_is_kept_whole_and_replaced_whole(deployment: Deployment) -> None:
    store, name = deployment._credentials, f"robot-{os.urandom(4).hex()}"
    assert store.get(name) is None
    first = administrator(name, "account", "a secret")
    store.put(first)
    assert store.get(name) == first
    second = replace(first, grants=(Grant("dev/*", frozenset({PULL, PUSH})),), expires=1_900_000_000)
    store.put(second)
    assert store.get(name) == second


def test_administrator_is_there_once_set(deployment: Deployment) -> None:
    deployment.set_admin("a password of the tests")
    assert deployment.has_admin()
