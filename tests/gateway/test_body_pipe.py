"""The pipe between the event loop and a thread: all in order, little in memory, no waiting for ever."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from typing import Any

import pytest

from chalicelib.gateway import body, pace
from chalicelib.gateway.body import HIGH_WATER, BodyPipe
from chalicelib.gateway.incoming import Incoming
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


def sender(*steps: tuple[float, bytes]) -> Incoming:
    """A client that waits, sends, and then falls silent."""
    left = [*steps, (30, b"")]

    async def receive() -> dict[str, Any]:
        await asyncio.sleep(left[0][0])
        _, sent = left.pop(0)  # not before: who is cancelled while it waits has taken nothing
        return {"type": "http.request", "body": sent, "more_body": sent != b"end"}

    return Incoming(receive)


async def _read(pipe: BodyPipe, incoming: Incoming) -> bytes:
    pump = asyncio.create_task(incoming.pump(pipe))
    try:
        return await asyncio.get_running_loop().run_in_executor(None, lambda: b"".join(pipe))
    finally:
        pump.cancel()


@pytest.mark.parametrize(
    "steps",
    [
        pytest.param([(0, b"half")], id="silent"),
        pytest.param([(0.03, b"x")] * 100, id="byte by byte"),
        pytest.param([(0, BLOCK), *[(0.03, b"x")] * 100], id="fast, then byte by byte"),
    ],
)
def test_a_client_that_sends_too_slowly_is_not_waited_for(
    monkeypatch: pytest.MonkeyPatch, steps: list[tuple[float, bytes]]
) -> None:
    monkeypatch.setattr(pace, "WINDOW_SECONDS", 0.2)
    monkeypatch.setattr(pace, "FLOOR_BYTES", 1000)

    async def check(pipe: BodyPipe) -> None:
        with pytest.raises(RegistryError) as refused:
            await _read(pipe, sender(*steps))
        assert (refused.value.code, refused.value.status) == (ErrorCode.SIZE_INVALID, 408)

    in_loop(check)


def test_a_slow_client_is_waited_for_as_long_as_enough_comes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pace, "WINDOW_SECONDS", 0.2)
    monkeypatch.setattr(pace, "FLOOR_BYTES", 2)
    steps = [(0.01, bytes([number])) for number in range(100)]

    async def check(pipe: BodyPipe) -> None:
        read = await _read(pipe, sender(*steps, (0, b"end")))
        assert read == bytes(range(100)) + b"end"

    in_loop(check)


def test_the_time_in_which_a_reader_keeps_the_client_waiting_is_not_the_clients(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(pace, "WINDOW_SECONDS", 0.3)
    monkeypatch.setattr(body, "HIGH_WATER", 1)

    async def check(pipe: BodyPipe) -> None:
        def read() -> bytes:
            threading.Event().wait(0.4)
            blocks = []
            for block in pipe:
                threading.Event().wait(0.2)
                blocks.append(block)
            return b"".join(blocks)

        pump = asyncio.create_task(sender(*[(0, b"x")] * 4, (0, b"end")).pump(pipe))
        assert await asyncio.get_running_loop().run_in_executor(None, read) == b"xxxxend"
        await pump

    in_loop(check)


def test_nothing_is_asked_of_the_client_before_somebody_reads() -> None:
    asked = 0

    async def receive() -> dict[str, Any]:
        nonlocal asked
        asked += 1
        return {"type": "http.request", "body": b"all", "more_body": False}

    async def check(pipe: BodyPipe) -> None:
        pump = asyncio.create_task(Incoming(receive).pump(pipe))
        await _settled()
        assert asked == 0
        assert await asyncio.get_running_loop().run_in_executor(None, lambda: b"".join(pipe)) == b"all"
        await pump

    in_loop(check)
