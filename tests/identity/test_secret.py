"""Secrets: their form and checksum, their hashes, and the slow work that is bounded."""

from __future__ import annotations

import hashlib
import re
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chalicelib.identity import secret as module
from chalicelib.identity.secret import (
    WAITING,
    BusyError,
    hash_secret,
    is_generated,
    make_secret,
    matches,
    matches_nobody,
)

PASSWORD = "a password that a person chose"


@contextmanager
def counted_scrypt(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[int]]:
    """One entry for each slow hash, and how many ran at once then."""
    slow, running, ran = hashlib.scrypt, 0, []
    lock = threading.Lock()

    def counting(*args: object, **options: object) -> bytes:
        nonlocal running
        with lock:
            running += 1
            ran.append(running)
        try:
            return slow(*args, **options)  # type: ignore[arg-type]
        finally:
            with lock:
                running -= 1

    with monkeypatch.context() as patch:
        patch.setattr(module.hashlib, "scrypt", counting)
        yield ran


def test_a_secret_has_the_form_that_scanners_look_for() -> None:
    made = [make_secret() for _ in range(200)]
    assert len(set(made)) == 200
    for one in made:
        assert re.fullmatch(r"ccr_[0-9A-Za-z]{38}", one)
        assert is_generated(one)


def test_the_checksum_is_the_crc32_in_base_62() -> None:
    """Fixed by hand, so that scanners that were told of it go on finding secrets."""
    body = "ccr_" + "0" * 32
    assert is_generated(body + module._checksum(body))
    assert module._checksum("") == "000000"
    # CRC-32 of "123456789" is cbf43926 in every book: 3421780262 = 3*62^5 + 45*62^4 + 35*62^3 + ...
    digits, number = module._checksum("123456789"), 0
    for digit in digits:
        number = number * 62 + module._DIGITS.index(digit)
    assert number == 0xCBF43926


@given(st.data())
@settings(deadline=None)
def test_no_single_wrong_character_passes_the_checksum(data: st.DataObject) -> None:
    made = make_secret()
    place = data.draw(st.integers(0, len(made) - 1))
    other = data.draw(st.sampled_from(module._DIGITS).filter(lambda one: one != made[place]))
    assert not is_generated(made[:place] + other + made[place + 1 :])


@given(st.text(max_size=60))
@settings(deadline=None)
def test_what_was_not_made_here_has_not_the_form(text: str) -> None:
    assert not is_generated(text)


@pytest.mark.parametrize("change", ["{}\n", " {}", "{}x", "\u0663{}", "{}\0"])
def test_nothing_may_stand_around_a_secret(change: str) -> None:
    assert not is_generated(change.format(make_secret()))


@pytest.mark.parametrize("secret", [make_secret(), PASSWORD, "é", "x" * 8192])
def test_a_secret_is_stored_as_a_salted_hash_alone(secret: str) -> None:
    first, second = hash_secret(secret), hash_secret(secret)
    assert first != second
    for stored in (first, second):
        assert secret not in stored
        assert secret.encode().hex() not in stored
        assert matches(secret, stored)
        assert not matches(secret + "x", stored)
        assert not matches("", stored)


def test_a_hash_names_the_way_it_was_made() -> None:
    assert hash_secret(make_secret()).startswith("sha256$")
    assert hash_secret(PASSWORD).startswith("scrypt$")


@pytest.mark.parametrize(
    ("stored_of", "guess", "slow"),
    [
        (make_secret(), make_secret(), 0),
        (make_secret(), "a guess", 0),
        (make_secret(), "ccr_" + "a" * 38, 0),
        (PASSWORD, make_secret(), 0),
        (PASSWORD, "a guess", 1),
        (PASSWORD, "ccr_" + "a" * 38, 1),
        (None, make_secret(), 0),
        (None, "a guess", 0),
    ],
)
def test_work_is_slow_only_where_a_password_could_match(
    monkeypatch: pytest.MonkeyPatch, stored_of: str | None, guess: str, slow: int
) -> None:
    """None is a credential that is not there at all."""
    stored = None if stored_of is None else hash_secret(stored_of)
    with counted_scrypt(monkeypatch) as ran:
        if stored is None:
            matches_nobody(guess)
        else:
            assert not matches(guess, stored)
    assert len(ran) == slow


def test_two_slow_hashes_run_at_a_time_and_no_more(monkeypatch: pytest.MonkeyPatch) -> None:
    stored = hash_secret(PASSWORD)
    with counted_scrypt(monkeypatch) as ran:
        threads = [threading.Thread(target=matches, args=("a guess", stored)) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert len(ran) == 8
    assert max(ran) <= 2


def test_who_finds_the_queue_full_does_not_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    stored, go_on = hash_secret(PASSWORD), threading.Event()
    monkeypatch.setattr(hashlib, "scrypt", lambda *_, **__: go_on.wait(60) and b"")
    threads = [threading.Thread(target=matches, args=("a guess", stored)) for _ in range(2 + WAITING)]
    for thread in threads:
        thread.start()
    while module._QUEUE._value:
        time.sleep(0.001)
    with pytest.raises(BusyError):
        matches("a guess", stored)
    assert not matches(make_secret(), stored), "what takes no slow hash goes past the queue"
    go_on.set()
    for thread in threads:
        thread.join()
    assert not matches("a guess", stored)
