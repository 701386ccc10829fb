"""Secrets, tokens, capabilities and presigned URLs are in no log, whatever goes well or wrong."""

from __future__ import annotations

import base64
import json
import logging
import sys
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest
from moto import mock_aws

from ccr.state import load_secrets
from chalicelib.aws import blob_store
from chalicelib.config import Settings
from chalicelib.observation.lines import Lines
from chalicelib.observation.processes import ProcessWatch
from chalicelib.spec.digest import Digest
from chalicelib.spec.reference import Repository
from chalicelib.wiring import Deployment
from tests.gateway.conftest import Served, serving
from tests.gateway.wire import Wire, WireAnswer

KEY = b"the-key-of-this-deployment".ljust(32, b"!")
PASSWORD = "the-password-of-the-administrator"
AWS_SECRET = "the-secret-key-of-the-bucket"
BLOBS = "/v2/dev/app/blobs"
OURS = ("chalicelib", "ccr", "uvicorn")


@pytest.fixture
def deployment(monkeypatch: pytest.MonkeyPatch) -> Iterator[Deployment]:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "testing")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", AWS_SECRET)
    monkeypatch.setattr(blob_store, "_body", bytes)
    with mock_aws():
        deployment = Deployment(Settings(token_keys=(KEY,), create_on_push=True, redirect_blobs=False))
        deployment.prepare()
        deployment.administrators.put(PASSWORD)
        yield deployment


@pytest.fixture
def served(deployment: Deployment) -> Iterator[Served]:
    """Under watch, as `make run` has it."""
    lines = Lines("local", lambda: sys.stderr)
    with serving(deployment, ProcessWatch(lines)) as served:
        yield served
    lines.close()


@pytest.fixture
def everything_logged(caplog: pytest.LogCaptureFixture) -> Iterator[pytest.LogCaptureFixture]:
    """Ours from DEBUG, all others from INFO on."""
    with caplog.at_level(logging.INFO):
        for name in OURS:
            caplog.set_level(logging.DEBUG, logger=name)
        yield caplog


def ask(wire: Wire, line: str, *headers: str, body: bytes = b"") -> WireAnswer:
    wire.request(line, *headers, body=body)
    return wire.answer()


def basic(password: str) -> str:
    return "Authorization: Basic " + base64.b64encode(f"admin:{password}".encode()).decode()


def run_everything(served: Served, deployment: Deployment, monkeypatch: pytest.MonkeyPatch) -> set[str]:
    """A push, a pull and what fails on the way; returns what must not be seen."""
    content = b"the content of a blob"
    digest = Digest.of(content)
    with served.connect() as wire:
        assert ask(wire, "GET /token", basic("a-wrong-password")).status == 401
        scope = "scope=repository:dev/app:pull,push,delete"
        granted = ask(wire, f"GET /token?{scope}", basic(PASSWORD))
        form = f"grant_type=password&username=admin&password={PASSWORD}&{scope}".encode()
        assert ask(wire, "POST /token", body=form).status == 200
        token = json.loads(granted.body)["token"]
        bearer = f"Authorization: Bearer {token}"
        assert ask(wire, "GET /v2/", f"Authorization: Bearer {token}x").status == 401

        location = ask(wire, f"POST {BLOBS}/uploads/", bearer, "Content-Length: 0").headers["location"]
        capability = location.split("/")[2]
        forged = location.replace(capability, capability[:-4] + "AAAA")
        assert ask(wire, f"PATCH {forged}", body=content).status == 404
        assert ask(wire, f"PATCH {location}", "Content-Range: 5-25", body=content).status == 416
        assert ask(wire, f"PUT {location}?digest=sha256:x", body=content).status == 400
        with monkeypatch.context() as broken:
            broken.setattr(type(deployment.services.blobs.objects), "put", _fail)
            assert ask(wire, f"PATCH {location}", body=content).status == 500
        assert ask(wire, f"PUT {location}?digest={digest}", body=content).status == 201
        assert ask(wire, f"PUT {location}?digest={digest}", body=content).status == 404

        link = deployment.services.blobs.find(Repository("default", "dev/app"), digest)
        presigned = deployment.services.blobs.location("GET", link)
        monkeypatch.setattr(type(deployment.services.blobs.objects), "presign", lambda *_: _away(presigned))
        assert ask(wire, f"GET {BLOBS}/{digest}", bearer).status == 502
        wire.send(f"PATCH {location} HTTP/1.1\r\nHost: x\r\n{bearer}\r\nContent-Length: -1\r\n\r\n")
        assert wire.answer().status == 400
    signature = parse_qs(urlsplit(presigned).query)["X-Amz-Signature"][0]
    password = base64.b64encode(f"admin:{PASSWORD}".encode()).decode()
    secrets = {PASSWORD, "a-wrong-password", password, token, token.split(".")[2], capability, signature}
    return {*secrets, forged.split("/")[2], AWS_SECRET, KEY.decode(), KEY.hex()}


def _fail(*_: object) -> None:
    raise ConnectionError("S3 is away")


def _away(presigned: str) -> str:
    """The same URL on a port where nobody listens."""
    return urlsplit(presigned)._replace(scheme="http", netloc="127.0.0.1:9").geturl()


def test_no_log_holds_a_secret(
    served: Served,
    deployment: Deployment,
    monkeypatch: pytest.MonkeyPatch,
    everything_logged: pytest.LogCaptureFixture,
    capfd: pytest.CaptureFixture[str],
) -> None:
    secrets = run_everything(served, deployment, monkeypatch)
    printed = "".join(capfd.readouterr())
    logged = everything_logged.text + "".join(str(vars(one)) for one in everything_logged.records)
    assert "S3 is away" in logged, "the failure is logged, so that something was looked at"
    assert '"operation":"uploads.append"' in printed
    assert not {secret for secret in secrets if secret in logged or secret in printed}


def test_no_object_shows_a_key_when_it_is_printed(deployment: Deployment, tmp_path: Path) -> None:
    services = deployment.services
    credential = services.credentials.get("admin")
    assert credential is not None
    own = load_secrets(tmp_path)
    shown = "".join(
        repr(one)
        for one in (
            deployment.settings,
            services,
            services.tokens,
            services.capabilities,
            services.sign_in,
            credential,
            own,
            deployment.services.blobs.objects._signer,
        )
    )
    hidden = {
        repr(KEY)[2:-1],
        repr(services.tokens.keys[0]),
        repr(services.capabilities.keys[0]),
        repr(services.sign_in._key),
        credential.secrets[0].hash,
        own.token_key,
        own.secret_key,
        AWS_SECRET,
    }
    assert not {one for one in hidden if one in shown}
