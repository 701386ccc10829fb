"""Signing in, alone: what proves who somebody is, what it costs, and how guessing ends."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from chalicelib.identity import sign_in as module
from chalicelib.identity.attempts import ADDRESS, CREDENTIAL, Attempts
from chalicelib.identity.credentials import Credential, Kind, Secret, Trust
from chalicelib.identity.secret import LIMIT, BusyError, hash_secret, make_secret
from chalicelib.identity.sign_in import (
    LOCKED_ADDRESSES,
    RECORDED_A_MINUTE,
    REMEMBERED,
    REMEMBERED_SECONDS,
    USED_EVERY_SECONDS,
    LockedError,
    SignIn,
)
from chalicelib.identity.tenancy import Registry
from tests.identity.memory import NOW, Clock, Credentials, IdTokens, Trail

PASSWORD, SECRET = "a password", make_secret()
ADDRESS_1, ADDRESS_2 = "203.0.113.1", "203.0.113.2"
FAILURE = ["look_up", "failed", "failed"]


class Desk:
    """Signing in over one store, with a clock."""

    def __init__(self) -> None:
        self.clock, self.store, self.trail, self.id_tokens = Clock(), Credentials(), Trail(), IdTokens()
        self.sign_in = SignIn(self.store, self.id_tokens, self.trail, self.clock)
        self.add("ada", PASSWORD)
        self.add("ci", SECRET, kind=Kind.ROBOT)
        trust = Trust("https://issuer.example", "ccr", "someone")
        self.store.rows["gh"] = Credential("gh", "acme", Kind.TRUST, trust=trust, used=NOW)

    def add(self, id_: str, secret: str, **changes: Any) -> None:
        made = Credential(id_, "acme", secrets=(Secret(hash_secret(secret)),), used=NOW)
        self.store.rows[id_] = replace(made, **changes)

    def change(self, id_: str, **changes: Any) -> None:
        self.store.rows[id_] = replace(self.store.rows[id_], **changes)

    @property
    def secret_id(self) -> str:
        """Of the robot's."""
        return self.store.rows["ci"].secrets[0].id

    def works(self, id_: str, secret: str, address: str = ADDRESS_1) -> bool:
        return self.sign_in.by_secret(id_, secret, address) is not None

    def wait(self, id_: str, secret: str, address: str = ADDRESS_1) -> int:
        """How long the desk says to wait; 0 where it tried the secret and refused it."""
        try:
            assert self.sign_in.by_secret(id_, secret, address) is None
        except LockedError as error:
            return error.seconds
        return 0

    def calls(self) -> list[str]:
        """Since asked last."""
        made, self.store.calls = self.store.calls, []
        return made


@pytest.fixture
def desk() -> Desk:
    return Desk()


@pytest.mark.parametrize(("id_", "secret"), [("ada", PASSWORD), ("ci", SECRET)])
def test_the_right_secret_of_the_right_credential_alone_is_taken(desk: Desk, id_: str, secret: str) -> None:
    signed_in = desk.sign_in.by_secret(id_, secret, ADDRESS_1)
    assert signed_in is not None
    assert signed_in.credential.id == id_
    assert desk.calls() == ["look_up"]
    other = "ci" if id_ == "ada" else "ada"
    for wrong in (
        (id_, secret + "x"),
        (id_, secret[:-1]),
        (other, secret),
        ("nobody", secret),
        (id_.upper(), secret),
    ):
        assert not desk.works(*wrong)


@pytest.mark.parametrize(
    ("id_", "secret"),
    [
        ("", PASSWORD),
        ("ada", ""),
        ("a" * 129, PASSWORD),
        ("\u00e9", PASSWORD),
        ("ADA", PASSWORD),
        ("ada\n", PASSWORD),
        (SECRET, PASSWORD),
        ("ada", "x" * (LIMIT + 1)),
    ],
)
def test_what_can_be_nobodys_is_refused_without_a_call(desk: Desk, id_: str, secret: str) -> None:
    assert not desk.works(id_, secret)
    assert desk.calls() == []


def test_the_registries_come_with_the_same_read(desk: Desk) -> None:
    desk.store.registries = {"dev": Registry("dev", "acme", "shop"), "prod": Registry("prod", "acme", "shop")}
    signed_in = desk.sign_in.by_secret("ci", SECRET, ADDRESS_1, {"dev", "none"})
    assert signed_in is not None
    assert set(signed_in.registries) == {"dev"}
    assert desk.calls() == ["look_up"]


def test_both_secrets_are_taken_while_they_overlap(desk: Desk) -> None:
    new = make_secret()
    old = replace(desk.store.rows["ci"].secrets[0], expires=NOW + 60)
    desk.change("ci", secrets=(Secret(hash_secret(new)), old))
    assert desk.works("ci", SECRET)
    assert desk.works("ci", new)
    desk.clock.now += 60
    assert not desk.works("ci", SECRET)
    assert desk.works("ci", new)


@pytest.mark.parametrize("change", [{"is_disabled": True}, {"expires": NOW}, {"secrets": ()}])
def test_who_does_not_live_any_more_is_refused_like_a_wrong_secret(
    desk: Desk, change: dict[str, Any]
) -> None:
    assert desk.works("ada", PASSWORD)
    desk.calls()
    desk.change("ada", **change)
    assert not desk.works("ada", PASSWORD)
    assert desk.calls() == FAILURE


def test_an_id_token_is_taken_for_its_trust_alone(desk: Desk) -> None:
    desk.id_tokens.good = {"a.good.token": {"sub": "someone"}}
    assert desk.works("gh", "a.good.token")
    assert not desk.works("gh", "another.good.token")
    assert not desk.works("ci", "a.good.token")
    assert desk.sign_in.by_secret("gh", "a.good.token", ADDRESS_1, is_exchange=True) is not None
    assert desk.sign_in.by_secret("ci", SECRET, ADDRESS_2, is_exchange=True) is None
    desk.change("gh", is_disabled=True)
    assert not desk.works("gh", "a.good.token")


def test_slow_work_is_done_for_those_alone_who_have_a_password(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Robots, trusts, disabled ones, two that rotate and nobody are all alike."""
    work: list[str] = []
    monkeypatch.setattr(module, "matches_nobody", lambda _secret: work.append("quick"))
    monkeypatch.setattr(module, "matches", lambda _secret, _stored: bool(work.append("slow")))
    desk.add("off", SECRET, kind=Kind.ROBOT, is_disabled=True)
    new = desk.store.rows["ci"].secrets[0]
    desk.add("rotating", SECRET, secrets=(new, replace(new, expires=NOW + 60)))
    for id_ in ("ci", "off", "rotating", "nobody"):
        work.clear()
        assert not desk.works(id_, "a guess", address=f"198.51.100.{len(id_)}")
        assert work == ["quick"], id_
    work.clear()
    assert not desk.works("ada", "a guess")
    assert work == ["slow"]


def test_guessing_a_password_ends_before_it_costs_much(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """From ever new addresses: ten at once, then one a minute."""
    slow: list[str] = []
    monkeypatch.setattr(module, "matches", lambda secret, _stored: bool(slow.append(secret)))
    for number in range(1000):
        desk.wait("ada", "a guess", f"198.51.{number // 250}.{number % 250}")
        desk.clock.now += 1
    assert len(slow) <= CREDENTIAL.free + 7 + 1000 // CREDENTIAL.longest


def test_when_too_many_passwords_wait_the_next_is_told_to(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    def busy(_secret: str, _stored: str) -> bool:
        raise BusyError

    monkeypatch.setattr(module, "matches", busy)
    with pytest.raises(LockedError) as told:
        desk.sign_in.by_secret("ada", PASSWORD, ADDRESS_1)
    assert told.value.message == "too many logins with a password at once: try again in 1 seconds"
    assert desk.calls() == ["look_up"], "it is nobody's failure"


def test_a_failure_costs_and_leaves_the_same_whoever_was_named(desk: Desk) -> None:
    for id_ in ("ada", "ci", "gh", "nobody"):
        desk.trail.records.clear()
        assert not desk.works(id_, "a guess", address=f"198.51.100.{id_}")
        assert desk.calls() == FAILURE
        (record,) = desk.trail.records
        assert (record.actor, record.action, record.result) == (id_, "login", "refused")
        assert record.account == ("-" if id_ == "nobody" else "acme")
        assert "a guess" not in repr(record)


def test_a_password_is_hashed_slowly_once_a_minute(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    slow: list[str] = []
    real = module.matches
    monkeypatch.setattr(
        module, "matches", lambda secret, stored: bool(slow.append(secret)) or real(secret, stored)
    )
    for _ in range(5):
        assert desk.works("ada", PASSWORD)
    assert len(slow) == 1
    assert not desk.works("ada", "a guess")
    assert not desk.works("ada", "a guess")
    assert len(slow) == 3
    desk.clock.now += REMEMBERED_SECONDS
    assert desk.works("ada", PASSWORD)
    assert len(slow) == 4


def test_a_remembered_password_falls_with_its_hash(desk: Desk) -> None:
    assert desk.works("ada", PASSWORD)
    desk.add("ada", "another password")
    assert not desk.works("ada", PASSWORD)
    desk.add("ada", PASSWORD, is_disabled=True)
    assert not desk.works("ada", PASSWORD)


def test_nothing_remembered_is_a_secret_and_not_all_is_kept(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "matches", lambda secret, _stored: secret.startswith("right"))
    for number in range(REMEMBERED + 50):
        assert desk.works("ada", f"right {number}")
    assert len(desk.sign_in._remembered) == REMEMBERED
    assert not any(b"right" in mark for mark in desk.sign_in._remembered)


def test_the_last_use_is_noted_now_and_then(desk: Desk) -> None:
    desk.clock.now += USED_EVERY_SECONDS
    assert desk.works("ci", SECRET)
    assert desk.calls() == ["look_up"]
    desk.clock.now += 1
    assert desk.works("ci", SECRET)
    assert desk.calls() == ["look_up", "used"]
    assert (desk.store.rows["ci"].used, desk.store.rows["ci"].used_from) == (desk.clock.now, ADDRESS_1)
    assert desk.works("ci", SECRET)
    assert desk.calls() == ["look_up"]


def test_a_credential_is_slowed_then_locked_from_wherever_it_is_tried(desk: Desk) -> None:
    """Each failure from another address, so that none of those is locked."""
    for number in range(CREDENTIAL.free + 1):
        assert desk.wait("ci", "a guess", f"198.51.100.{number}") == 0
    found = []
    for number in range(7):
        wait = desk.wait("ci", "a guess", f"192.0.2.{number}")
        found.append(wait)
        desk.clock.now += wait
        assert desk.wait("ci", "a guess", f"192.0.2.{number}") == 0
    assert found == [2, 4, 8, 16, 32, 60, 60]
    assert desk.wait("ada", "a guess", ADDRESS_2) == 0


def test_while_it_is_locked_not_even_the_right_password_is_tried(desk: Desk) -> None:
    for number in range(CREDENTIAL.free + 1):
        desk.works("ada", "a guess", f"198.51.100.{number}")
    desk.calls()
    assert desk.wait("ada", PASSWORD) == 2
    assert desk.calls() == ["look_up"]
    desk.clock.now += 1.5
    assert desk.wait("ada", PASSWORD) == 1
    desk.clock.now += 0.5
    assert desk.works("ada", PASSWORD)


def test_strangers_lock_nobody_out_who_has_what_cannot_be_guessed(desk: Desk) -> None:
    """And a guess is told to wait, of whichever form, as it is for a name that is nobody's."""
    desk.id_tokens.good = {"a.good.token": {"sub": "someone"}}
    for id_ in ("ci", "gh", "nobody"):
        for number in range(CREDENTIAL.free + 1):
            desk.works(id_, "a guess", f"198.51.100.{number}")
            desk.store.attempts.pop(f"address#198.51.100.{number}")
        desk.calls()
        for guess in ("a guess", make_secret(), "a.bad.token"):
            assert desk.wait(id_, guess) == 2
        assert desk.calls() == ["look_up"] * 3
    before = dict(desk.store.attempts)
    assert desk.sign_in.by_generation("ci", 1, desk.secret_id, ADDRESS_1) is not None
    desk.store.attempts = dict(before)
    assert desk.works("ci", SECRET)
    assert desk.works("gh", "a.good.token")


def test_a_success_forgets_the_failures_of_the_credential_and_not_of_the_address(desk: Desk) -> None:
    for _ in range(CREDENTIAL.free):
        assert desk.wait("ci", "a guess") == 0
    assert desk.works("ci", SECRET)
    assert "credential#ci" not in desk.store.attempts
    assert desk.store.attempts[f"address#{ADDRESS_1}"].failures == CREDENTIAL.free
    for _ in range(CREDENTIAL.free):
        assert desk.wait("ci", "a guess") == 0


def test_an_address_that_tries_many_names_is_locked_for_every_name(desk: Desk) -> None:
    for number in range(ADDRESS.free + 1):
        assert desk.wait(f"guess-{number}", "a guess") == 0
    desk.calls()
    assert desk.wait("ci", SECRET) == 2
    assert desk.wait("another", "a guess") == 2
    assert desk.works("ci", SECRET, ADDRESS_2)


def test_a_locked_address_costs_no_call_at_all(desk: Desk) -> None:
    for number in range(ADDRESS.free + 1):
        desk.works(f"guess-{number}", "a guess")
    desk.calls()
    for _ in range(100):
        assert desk.wait("ci", SECRET) == 2
        with pytest.raises(LockedError):
            desk.sign_in.by_generation("ci", 1, desk.secret_id, ADDRESS_1)
    assert desk.calls() == []
    assert len(desk.trail.records) == ADDRESS.free + 1
    desk.clock.now += 2
    assert desk.works("ci", SECRET)


def test_a_lock_that_another_process_made_is_read_once(desk: Desk) -> None:
    for number in range(ADDRESS.free + 1):
        desk.works(f"guess-{number}", "a guess")
    other = SignIn(desk.store, desk.id_tokens, desk.trail, desk.clock)
    desk.calls()
    for _ in range(3):
        with pytest.raises(LockedError):
            other.by_secret("ci", SECRET, ADDRESS_1)
    assert desk.calls() == ["look_up"]


def test_an_attack_from_very_many_addresses_takes_bounded_memory(desk: Desk) -> None:
    for number in range(LOCKED_ADDRESSES + 100):
        desk.sign_in._remember_lock(str(number), Attempts(100, NOW + 100))
    assert len(desk.sign_in._locked) == LOCKED_ADDRESSES


def test_a_refresh_token_is_good_for_its_generation_while_the_credential_lives(desk: Desk) -> None:
    assert desk.sign_in.by_generation("ci", 1, desk.secret_id, ADDRESS_1) is not None
    assert desk.calls() == ["look_up"]
    for generation in (0, 2):
        assert desk.sign_in.by_generation("ci", generation, desk.secret_id, ADDRESS_1) is None
    assert desk.sign_in.by_generation("nobody", 1, desk.secret_id, ADDRESS_1) is None
    desk.change("ci", is_disabled=True)
    assert desk.sign_in.by_generation("ci", 1, desk.secret_id, ADDRESS_1) is None
    desk.change("ci", is_disabled=False, expires=NOW)
    assert desk.sign_in.by_generation("ci", 1, desk.secret_id, ADDRESS_1) is None


def test_a_refresh_token_is_good_for_the_secret_it_was_given_for(desk: Desk) -> None:
    """Else whoever had stolen the secret would outlive its rotation by a month."""
    old = desk.store.rows["ci"].secrets[0]
    new = Secret(hash_secret(make_secret()))
    desk.change("ci", secrets=(new, replace(old, expires=NOW + 60)))

    def good(secret: Secret) -> bool:
        return desk.sign_in.by_generation("ci", 1, secret.id, ADDRESS_1) is not None

    assert (good(old), good(new)) == (True, True)
    signed_in = desk.sign_in.by_generation("ci", 1, old.id, ADDRESS_1)
    assert signed_in is not None
    assert signed_in.expires == NOW + 60
    desk.clock.now += 60
    assert (good(old), good(new)) == (False, True)
    assert desk.sign_in.by_generation("ci", 1, "", ADDRESS_1) is None


def test_a_refused_refresh_token_is_counted_and_told_and_ends_in_a_lock(desk: Desk) -> None:
    locked = 0
    for _ in range(1000):
        try:
            assert desk.sign_in.by_generation("ci", 0, desk.secret_id, ADDRESS_1) is None
        except LockedError:
            locked += 1
    assert locked == 1000 - ADDRESS.free - 1
    assert set(desk.store.attempts) == {f"address#{ADDRESS_1}"}
    told = [(one.actor, one.account, one.result, one.detail) for one in desk.trail.records]
    assert told == [("ci", "acme", "refused", {"by": "refresh_token"})] * (ADDRESS.free + 1)


def test_an_attacker_does_not_fill_the_trail(desk: Desk) -> None:
    """With ever new names from ever new addresses, which no lock ends; what is missing is told."""
    many = RECORDED_A_MINUTE + 50
    for number in range(many):
        assert not desk.works(f"guess-{number}", SECRET, f"2001:db8:{number:x}::1")
    assert len(desk.trail.records) == RECORDED_A_MINUTE
    desk.clock.now += 60
    for _ in range(2):
        assert not desk.works("ci", "a guess")
    assert [one.detail for one in desk.trail.records[RECORDED_A_MINUTE:]] == [{"unrecorded": 50}, {}]


def test_a_secret_in_the_wrong_field_is_not_told(desk: Desk) -> None:
    for id_ in (SECRET, SECRET[:-1], "My Passw0rd!"):
        assert not desk.works(id_, PASSWORD)
    assert desk.trail.records == []


def test_the_addresses_of_one_network_are_counted_together_and_told_apart(desk: Desk) -> None:
    for number in range(ADDRESS.free + 1):
        assert desk.wait(f"guess-{number}", "a guess", f"2001:db8:1:2::{number:x}") == 0
    assert {one.address for one in desk.trail.records} >= {"2001:db8:1:2::0", "2001:db8:1:2::1"}
    assert desk.wait("ci", SECRET, "2001:db8:1:2:ffff:1:2:3") == 2
    assert desk.works("ci", SECRET, "2001:db8:1:3::1")


def test_an_address_of_ipv4_is_the_same_when_it_is_written_as_ipv6(desk: Desk) -> None:
    for number in range(ADDRESS.free + 1):
        assert desk.wait(f"guess-{number}", "a guess", f"::ffff:{ADDRESS_1}") == 0
    assert desk.wait("ci", SECRET, ADDRESS_1) == 2
    assert desk.works("ci", SECRET, f"::ffff:{ADDRESS_2}")


def test_what_is_issued_dates_from_before_the_read(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """A registry that is deleted meanwhile may still be in what was read."""
    real = desk.store.look_up

    def slow(*asked: Any) -> Any:
        found = real(*asked)
        desk.clock.now += 2
        return found

    monkeypatch.setattr(desk.store, "look_up", slow)
    signed_in = desk.sign_in.by_secret("ci", SECRET, ADDRESS_1)
    refreshed = desk.sign_in.by_generation("ci", 1, desk.secret_id, ADDRESS_1)
    assert signed_in is not None
    assert refreshed is not None
    assert (signed_in.principal(()).issued, refreshed.principal(()).issued) == (NOW * 1000, (NOW + 2) * 1000)
