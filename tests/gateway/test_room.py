"""Room for bodies that are read whole: never more than there is, in turn, and always given back."""

from __future__ import annotations

import asyncio

from chalicelib.gateway.room import SMALL_BYTES, Room, expected

LARGE = SMALL_BYTES + 1


async def _settled() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


def test_bodies_wait_in_turn_while_there_is_no_room() -> None:
    async def check() -> None:
        room = Room(2 * LARGE)
        entered: list[int] = []
        doors = [asyncio.Event() for _ in range(5)]

        async def body(number: int, size: int) -> None:
            async with room.hold(size):
                entered.append(number)
                await doors[number].wait()

        sizes = (LARGE, LARGE, 2 * LARGE, LARGE, SMALL_BYTES)
        async with asyncio.TaskGroup() as tasks:
            for number, size in enumerate(sizes):
                tasks.create_task(body(number, size))
            await _settled()
            assert entered == [0, 1, 4]
            doors[0].set()
            await _settled()
            assert entered == [0, 1, 4]  # the third needs all of it, and is not overtaken by the fourth
            doors[1].set()
            await _settled()
            assert entered == [0, 1, 4, 2]
            for door in doors:
                door.set()
        assert entered == [0, 1, 4, 2, 3]
        assert room._free == 2 * LARGE

    asyncio.run(check())


def test_who_is_cancelled_gives_its_place_back_whether_it_had_it_or_not() -> None:
    async def check() -> None:
        room = Room(LARGE)

        async def body(door: asyncio.Event) -> None:
            async with room.hold(LARGE):
                await door.wait()

        door = asyncio.Event()
        tasks = [asyncio.create_task(body(door)) for _ in range(4)]
        await _settled()
        tasks[1].cancel()  # waits
        tasks[0].cancel()  # holds
        await asyncio.sleep(0)
        tasks[2].cancel()  # has been let in, and does not know it yet
        await _settled()
        assert [task.done() for task in tasks] == [True, True, True, False]
        door.set()
        await tasks[3]
        assert room._free == LARGE
        assert not room._waiting

    asyncio.run(check())


def test_a_body_of_unknown_length_may_be_as_long_as_its_limit() -> None:
    assert expected([(b"transfer-encoding", b"chunked")], 100) == 100
    assert expected([(b"content-length", b"30")], 100) == 30
    assert expected([(b"content-length", b"300")], 100) == 100
    assert expected([], 100) == 0
