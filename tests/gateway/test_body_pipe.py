"""The pipe between the event loop and a thread: all in order, little in memory, no waiting for ever."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator

import pytest

from chalicelib.gateway import body
from chalicelib.gateway.body import HIGH_WATER, BodyPipe
from chalicelib.spec.errors import ErrorCode, RegistryError

BLOCK = b"x" * 65_536


async def _settled() -> None:
    """Let what is ready run."""
    for _ in range(5):
        await asyncio.sleep(0)


def in_loop(test: Callable[[BodyPipe], object]) -> None:
    async def run() -> None:
        await test(BodyPipe(asyncio.get_running_loop()))  # type: ignore[misc]

    asyncio.run(run())


def test_what_goes_in_comes_out_in_order() -> None:
    chunks = [bytes([number]) * (number * 997) for number in range(1, 200)]

    async def check(pipe: BodyPipe) -> None:
        reading = asyncio.get_running_loop().run_in_executor(None, lambda: b"".join(pipe))
        for chunk in chunks:
            await pipe.feed(chunk)
        pipe.end()
        assert await reading == b"".join(chunks)

    in_loop(check)


def test_a_body_of_nothing_ends() -> None:
    async def check(pipe: BodyPipe) -> None:
        pipe.end()
        assert list(pipe) == []

    in_loop(check)


def test_the_sender_waits_while_nobody_reads() -> None:
    async def check(pipe: BodyPipe) -> None:
        held = 0

        async def send() -> None:
            nonlocal held
            while True:
                held += len(BLOCK)
                await pipe.feed(BLOCK)

        sending = asyncio.create_task(send())
        await _settled()
        assert HIGH_WATER <= held <= HIGH_WATER + len(BLOCK)
        taken = next(iter(pipe))
        assert taken == BLOCK
        await _settled()
        assert held <= 2 * (HIGH_WATER + len(BLOCK))
        sending.cancel()

    in_loop(check)


def test_no_more_than_the_bound_is_held_however_fast_the_sender() -> None:
    most, total = 0, 400

    async def check(pipe: BodyPipe) -> None:
        def read() -> int:
            nonlocal most
            size = 0
            for block in pipe:
                most = max(most, pipe._size)
                size += len(block)
            return size

        reading = asyncio.get_running_loop().run_in_executor(None, read)
        for _ in range(total):
            await pipe.feed(BLOCK)
        pipe.end()
        assert await reading == total * len(BLOCK)

    in_loop(check)
    assert most <= HIGH_WATER + 2 * len(BLOCK)


def _refused(pipe: BodyPipe) -> RegistryError:
    with pytest.raises(RegistryError) as refused:
        list(pipe)
    return refused.value


def test_a_client_that_hangs_up_breaks_the_body_off() -> None:
    async def check(pipe: BodyPipe) -> None:
        await pipe.feed(b"half")
        pipe.hang_up()
        error = _refused(pipe)
        assert (error.code, error.status) == (ErrorCode.SIZE_INVALID, 400)
        assert "send it again" in error.message

    in_loop(check)


def test_a_reader_that_waits_is_woken_when_the_client_hangs_up() -> None:
    async def check(pipe: BodyPipe) -> None:
        reading = asyncio.get_running_loop().run_in_executor(None, _refused, pipe)
        await asyncio.sleep(0)
        pipe.hang_up()
        assert (await reading).code is ErrorCode.SIZE_INVALID

    in_loop(check)


def test_a_client_that_falls_silent_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(body, "IDLE_SECONDS", 0.05)

    async def check(pipe: BodyPipe) -> None:
        await pipe.feed(b"half")
        blocks: Iterator[bytes] = iter(pipe)
        assert next(blocks) == b"half"
        with pytest.raises(RegistryError, match="ended early"):
            await asyncio.get_running_loop().run_in_executor(None, next, blocks)

    in_loop(check)


def test_a_slow_client_is_waited_for_as_long_as_something_comes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(body, "IDLE_SECONDS", 5)
    started = threading.Event()

    async def check(pipe: BodyPipe) -> None:
        def read() -> bytes:
            started.set()
            return b"".join(pipe)

        reading = asyncio.get_running_loop().run_in_executor(None, read)
        for byte in b"slowly":
            await asyncio.sleep(0.01)
            await pipe.feed(bytes([byte]))
        pipe.end()
        assert await reading == b"slowly"

    in_loop(check)
