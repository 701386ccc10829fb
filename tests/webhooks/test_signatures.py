"""Signatures that a library verifies which is not ours, and secrets that are stored nowhere."""

from __future__ import annotations

import json
import time
from collections.abc import Callable

import pytest
from standardwebhooks import Webhook as Verifier
from standardwebhooks import WebhookVerificationError

from chalicelib.identity.refusals import RefusedError
from chalicelib.wiring import Deployment
from tests.access.ground import Clock, content, tables
from tests.webhooks.conftest import ACCOUNT, Inbox, hooked

KEYS = (b"key of the tests".ljust(32), b"another key".ljust(32))


def tried(deployment: Deployment, name: str = "hook") -> str:
    """What went wrong, or nothing."""
    desk = deployment.webhook_desk
    return desk.try_out(desk.get(ACCOUNT, name), "somebody")[1].error


def test_a_receiver_verifies_what_it_gets(deployment: Deployment, inbox: Inbox, clock: Clock) -> None:
    _, secret = hooked(deployment, inbox.url)
    clock.now = time.time()
    assert tried(deployment) == ""
    ((_, headers, body),) = inbox.got
    verified = Verifier(secret).verify(body, headers)
    assert verified["type"] == "ccr.webhook.test"
    with pytest.raises(WebhookVerificationError):
        Verifier(secret).verify(body.replace(b"hook", b"hack"), headers)
    with pytest.raises(WebhookVerificationError):
        Verifier(secret).verify(body, {**headers, "webhook-id": "another"})
    with pytest.raises(WebhookVerificationError):
        Verifier(secret).verify(body, {**headers, "webhook-timestamp": str(int(clock.now) - 1)})


def test_two_webhooks_have_different_secrets(deployment: Deployment, inbox: Inbox) -> None:
    secrets = {hooked(deployment, inbox.url, name)[1] for name in ("one", "two")}
    deployment.webhook_desk.remove(deployment.webhook_desk.get(ACCOUNT, "one"))
    secrets.add(hooked(deployment, inbox.url, "one")[1])
    assert len(secrets) == 3


def test_in_the_overlap_both_secrets_verify_and_then_the_new_one(
    deployment: Deployment, inbox: Inbox, clock: Clock
) -> None:
    clock.now = time.time() - 100
    before, old = hooked(deployment, inbox.url)
    _, new = deployment.webhook_desk.rotate(before, 60)
    assert tried(deployment) == ""
    clock.advance(100)
    assert tried(deployment) == ""
    (_, first, body), (_, second, later) = inbox.got
    for secret in (old, new):
        Verifier(secret).verify(body, first)
    Verifier(new).verify(later, second)
    with pytest.raises(WebhookVerificationError):
        Verifier(old).verify(later, second)


def test_a_third_rotation_leaves_two_secrets(deployment: Deployment, inbox: Inbox) -> None:
    webhook, _ = hooked(deployment, inbox.url)
    for _ in range(3):
        webhook, _ = deployment.webhook_desk.rotate(webhook, 60)
    assert len(webhook.secrets) == 2
    with pytest.raises(RefusedError):
        deployment.webhook_desk.rotate(webhook, 8 * 24 * 3600)


def test_no_secret_is_in_any_row(deployment: Deployment, inbox: Inbox) -> None:
    webhook, secret = hooked(deployment, inbox.url)
    token = deployment.webhook_desk.token(webhook)
    rows = json.dumps([str(table.items) for table in tables().values()]) + json.dumps(content())
    rows += json.dumps([one.to_json() for one in _items("ccr-webhooks")])
    assert "receiver" in rows or inbox.url in rows
    assert secret.removeprefix("whsec_") not in rows
    assert token not in rows


def _items(name: str) -> list[object]:
    return [item for found in tables()[name].items.values() for item in found.values()]


def test_a_secret_outlives_its_key_by_the_keys_that_are_still_there(
    deploy: Callable[..., Deployment], inbox: Inbox, clock: Clock
) -> None:
    clock.now = time.time()
    _, secret = hooked(deploy(token_keys=KEYS[:1]), inbox.url)
    assert tried(deploy(token_keys=KEYS[::-1])) == ""
    Verifier(secret).verify(inbox.got[0][2], inbox.got[0][1])
    lost = deploy(token_keys=KEYS[1:])
    assert "rotate the secret" in tried(lost)
    _, new = lost.webhook_desk.rotate(lost.webhook_desk.get(ACCOUNT, "hook"), 60)
    assert tried(lost) == ""
    Verifier(new).verify(inbox.got[1][2], inbox.got[1][1])


def test_a_key_that_goes_within_the_overlap_takes_the_old_secret_alone(
    deploy: Callable[..., Deployment], inbox: Inbox, clock: Clock
) -> None:
    clock.now = time.time()
    before, _ = hooked(deploy(token_keys=KEYS[:1]), inbox.url)
    _, new = deploy(token_keys=KEYS[::-1]).webhook_desk.rotate(before, 3600)
    assert tried(deploy(token_keys=KEYS[1:])) == ""
    ((_, headers, body),) = inbox.got
    Verifier(new).verify(body, headers)
    assert len(headers["webhook-signature"].split()) == 1


def test_other_formats_carry_a_token_that_is_not_the_secret(deployment: Deployment, inbox: Inbox) -> None:
    webhook, secret = hooked(deployment, inbox.url, format="harbor")
    assert tried(deployment) == ""
    ((_, headers, _),) = inbox.got
    assert headers["authorization"] == deployment.webhook_desk.token(webhook)
    assert headers["authorization"] not in secret
    hooked(deployment, inbox.url, "plain")
    assert tried(deployment, "plain") == ""
    assert "authorization" not in inbox.got[1][1]
