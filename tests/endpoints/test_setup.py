"""The function that opens a deployment, with its keys in Secrets Manager, as the runtime calls it."""

from __future__ import annotations

import importlib
import json
import sys
from collections.abc import Iterator
from typing import Any

import pytest

from chalicelib.aws.clients import secrets_client
from chalicelib.aws.secret_values import with_secrets
from chalicelib.config import Settings, SettingsError
from chalicelib.identity.capability import capability_keys
from tests.endpoints import inventory
from tests.endpoints.driver import PASSWORD
from tests.endpoints.test_entry_point import LambdaContext

KEY, SECRET = "cd" * 32, "0123456789abcdef"


@pytest.fixture
def entry(_aws: None, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    inventory.wipe()
    client = secrets_client("us-east-1")
    for name, value in (("CCR_TOKEN_KEY_SECRET", KEY), ("CCR_ORIGIN_SECRET_SECRET", SECRET)):
        made = client.create_secret(Name=name, SecretString=value)
        monkeypatch.setenv(name, made["ARN"])
    monkeypatch.setenv("AWS_REGION", "us-east-1")
    monkeypatch.setenv("AWS_LAMBDA_INITIALIZATION_TYPE", "snap-start")
    monkeypatch.delenv("CCR_TOKEN_KEY", raising=False)
    sys.modules.pop("app", None)
    module = importlib.import_module("app")
    yield module
    # As the other tests of this folder know it.
    module.deployment().administrators.put(PASSWORD)
    sys.modules.pop("app", None)
    for name in ("CCR_TOKEN_KEY_SECRET", "CCR_ORIGIN_SECRET_SECRET"):
        client.delete_secret(SecretId=name, ForceDeleteWithoutRecovery=True)


def test_the_keys_come_from_their_secrets_as_the_function_is_initialized(entry: Any) -> None:
    assert entry.deployment.cache_info().currsize == 1
    settings = entry.deployment().settings
    assert settings.token_keys == (bytes.fromhex(KEY),)
    assert settings.origin_secrets == (SECRET,)


def test_the_administrator_is_made_once_and_its_password_told_once(entry: Any) -> None:
    entry.deployment()._tables.credentials.get("admin").delete()
    first = json.loads(json.dumps(entry.setup({}, LambdaContext())))
    assert first["username"] == "admin"
    assert len(first["password"]) == 24
    assert entry.setup({}, LambdaContext()) == {"username": "admin"}


def test_the_edge_is_told_the_keys_of_capabilities_and_none_of_tokens(entry: Any) -> None:
    told = entry.setup({"edge": True, "gateway": True}, LambdaContext())
    assert told["keys"] == [key.hex() for key in capability_keys((bytes.fromhex(KEY),))]
    assert (told["secret"], told["gateway"]) == (SECRET, True)
    assert KEY not in json.dumps(told)
    # A value of the key value store holds a kilobyte.
    assert len(json.dumps(told)) < 1024


@pytest.mark.usefixtures("_aws")
def test_a_secret_without_text_is_refused_by_its_name() -> None:
    made = secrets_client("us-east-1").create_secret(Name="empty", SecretBinary=b"\0")
    with pytest.raises(SettingsError, match=made["ARN"]):
        with_secrets({"CCR_TOKEN_KEY_SECRET": made["ARN"], "AWS_REGION": "us-east-1"})
    assert Settings.from_environment(with_secrets({"CCR_TOKEN_KEY": KEY})).token_keys
